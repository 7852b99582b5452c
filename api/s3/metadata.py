"""The fields of an asset in the headers of an object: `x-amz-meta-*` and Content-Type."""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

from asset_ledger.api.s3.errors import S3Error

PREFIX: Final = "x-amz-meta-"
MAX_SHOWN: Final = 8_192
"""Bytes of the metadata that a GET shows: a client refuses longer heads."""

_IDS: Final = {"job-id": "job_id", "node-id": "node_id", "workflow-id": "workflow_id"}
_UNDECLARED: Final = ("", "binary/octet-stream")
_NAME: Final = re.compile(r"[a-z0-9!#$&'*+.^_`|~-]+", re.IGNORECASE)


def fields_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a new asset: ids of job, node and workflow, metadata, content type."""
    fields: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for name, value in headers.items():
        if not name.lower().startswith(PREFIX):
            continue
        name = name.lower().removeprefix(PREFIX)
        if not value.isprintable():
            raise S3Error("InvalidArgument", f"{PREFIX}{name} is not printable UTF-8")
        if name in _IDS:
            fields[_IDS[name]] = value
        else:
            metadata[name] = value
    if metadata:
        fields["metadata"] = metadata
    declared = headers.get("Content-Type", "")
    if declared not in _UNDECLARED:
        fields["content_type"] = declared
    return fields


def metadata_of(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the members of an asset's metadata that are texts or numbers, as texts."""
    found = (metadata or {}).items()
    return {name: str(value) for name, value in found if isinstance(value, str | int | float)}


def metadata_headers(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the headers that show an asset's metadata; those that no header can be are left out.

    A text that is not ASCII is encoded as RFC 2047 describes, as in S3.
    """
    headers, room = {}, MAX_SHOWN
    for name, value in metadata_of(metadata).items():
        shown = (
            value if value.isascii() else f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="
        )
        room -= len(name) + len(shown)
        if _NAME.fullmatch(name) and shown.isprintable() and room > 0:
            headers[f"{PREFIX}{name}"] = shown
    return headers
