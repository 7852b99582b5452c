"""The body of a change to an asset: PUT (null keeps a field), PATCH (null clears it), the label."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from asset_ledger.api.contract.assets import folder_of
from asset_ledger.api.contract.errors import FieldsError
from asset_ledger.api.contract.fields import Fields, StrictModel, Texts, read_as, read_patch
from asset_ledger.ledger.domain.checks import lower_media_type
from asset_ledger.ledger.domain.decisions import LABEL_FIELDS, Label
from asset_ledger.ledger.errors import FieldError

MAX_UPDATE: Final = 4 * 1024 * 1024
"""Bytes of the JSON of a PUT, `data` included: it is held in memory."""

PIECE: Final = 4 * 64 * 1024
"""Characters of `data` decoded at a time: a multiple of four, as base64 needs."""

FIXED: Final = ("workflow_id", "node_id", "job_id", "derived_from")
"""Fields that never change after the asset is recorded."""


class AssetPatch(StrictModel):
    """A JSON merge patch (RFC 7396): null clears a field, and in `metadata` removes a key."""

    name: str = ""
    content_type: str = ""
    parent_id: Annotated[str | None, Field(description="A folder's id; null is home.")] = None
    metadata: Annotated[dict[str, Any] | None, Field(description="At most 32 KiB.")] = None
    tags: Annotated[Texts | None, Field(description="Unique; their order is kept.")] = None
    duration: Annotated[float | None, Field(description="Seconds.")] = None


class LabelIn(StrictModel):
    """The fields of an asset that can change; null keeps one as it is."""

    name: str | None = None
    content_type: str | None = None
    parent_id: Annotated[str | None, Field(description="A folder; the user's id is home.")] = None
    metadata: Annotated[dict[str, Any] | None, Field(description="At most 32 KiB.")] = None
    tags: Annotated[Texts | None, Field(description="Unique; their order is kept.")] = None
    duration: Annotated[float | None, Field(description="Seconds.")] = None


class AssetUpdate(LabelIn):
    """NodeTool's partial update: null keeps a field as it is."""

    data: Annotated[str | None, Field(description="New bytes.")] = None
    data_encoding: Annotated[
        Literal["base64"] | None, Field(description="The encoding of `data`; null for UTF-8 text.")
    ] = None


class VersionIn(LabelIn):
    """A resumable upload of new bytes for an asset, whose other fields stay as they are."""

    asset_id: str
    size: int | None = None
    digest: str | None = None


def read_patch_fields(sent: Mapping[str, Any]) -> Fields:
    """Return the fields of a PATCH, nulls included. Raises FieldsError, which names every fault."""
    _check_not_fixed(sent)
    return read_patch(AssetPatch, sent)


def read_update_fields(sent: Mapping[str, Any]) -> Fields:
    """Return the fields of a PUT without nulls. Raises FieldsError, which names every fault."""
    given = {name: value for name, value in sent.items() if value is not None}
    _check_not_fixed(given)
    return read_as(AssetUpdate, given)


def read_version_fields(sent: Mapping[str, Any]) -> Fields:
    """Return the fields of a new version without nulls. Raises FieldsError, as above."""
    _check_not_fixed(sent)
    return read_as(VersionIn, sent)


def _check_not_fixed(sent: Mapping[str, Any]) -> None:
    errors = [(name, "never changes: leave it out") for name in FIXED]
    if refused := [error for error in errors if error[0] in sent]:
        raise FieldsError(refused)


def label_of(fields: Fields, user_id: str, *, patch: bool = False) -> Label:
    """Return the label in checked fields. Raises FieldError for a malformed folder id."""
    given: dict[str, Any] = {name: fields[name] for name in LABEL_FIELDS if name in fields}
    if "content_type" in given and isinstance(given["content_type"], str):
        given["content_type"] = lower_media_type(given["content_type"])
    if "parent_id" in given:
        given["parent_id"] = folder_of(given["parent_id"], user_id)
    return Label(**given, patch=patch)


def decoded(fields: Fields) -> Iterator[bytes]:
    """Yield the bytes of `data` in pieces. Raises FieldError if it does not match its encoding."""
    data, is_base64 = str(fields["data"]), "data_encoding" in fields
    if is_base64 and "=" in data.rstrip("="):
        raise FieldError("data", "is not base64: it has = before its end")
    for start in range(0, len(data), PIECE):
        piece = data[start : start + PIECE]
        yield _from_base64(piece) if is_base64 else piece.encode()


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FieldError("data", f"is not base64: {error}") from error
