"""The parsed upload: a new asset and its content, from any of the accepted bodies."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from asset_ledger.api.contract.assets import AssetIn, check_announced, new_asset
from asset_ledger.api.contract.fields import Fields
from asset_ledger.api.contract.operations import BYTES, JSON, URLENCODED, Model
from asset_ledger.api.contract.parameters import Schema
from asset_ledger.api.contract.sniff import UNKNOWN, is_unknown, sniff
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.decisions import NewAsset

UPLOADS: Final[Mapping[str, Model | Schema]] = {
    "multipart/form-data": {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "json": {"$ref": "#/components/schemas/AssetIn"},
        },
        "additionalProperties": False,
    },
    JSON: AssetIn,
    URLENCODED: {
        "type": "object",
        "properties": {"json": {"type": "string", "contentMediaType": JSON}},
        "required": ["json"],
        "additionalProperties": False,
    },
}
"""The bodies of a new asset with its fields, by media type."""

RAW: Final[Mapping[str, Model | Schema]] = {BYTES: {"type": "string", "format": "binary"}}
"""The content of a new asset. Any media type without fields of its own is read like this one."""

_CHECKED_FIELDS: Final = frozenset({"size", "digest"})
"""Fields checked against the bytes, which the fingerprint of a request covers already."""


class UploadRequest(NamedTuple):
    """A requested upload: the new asset, its content, and the fields that were sent."""

    asset: NewAsset
    staged: Staged | None
    fields: Fields


def upload_request(fields: Fields, staged: Staged | None, user_id: str) -> UploadRequest:
    """Return the upload of checked fields and a content, whose type is detected if undeclared.

    Raises FieldError and DigestMismatchError.
    """
    check_announced(fields, staged)
    declared: Any = fields.get("content_type")
    if staged and (declared is None or is_unknown(declared)):
        declared = sniff(staged.head, str(fields.get("name", "")))
    asset = new_asset(fields, declared or UNKNOWN, user_id)
    sent = {name: value for name, value in fields.items() if name not in _CHECKED_FIELDS}
    return UploadRequest(asset, staged, sent)
