"""What may be sent to change an asset, by PUT (null leaves a field as it is) and by PATCH (null
clears it), and the label that it spells."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from asset_ledger.api.contract.assets import folder_of
from asset_ledger.api.contract.errors import FieldsError
from asset_ledger.api.contract.fields import Fields, read_as, read_patch
from asset_ledger.ledger.domain.checks import lower_media_type
from asset_ledger.ledger.domain.decisions import LABEL_FIELDS, Label
from asset_ledger.ledger.errors import FieldError

MAX_UPDATE: Final = 16 * 1024 * 1024
"""How many bytes the JSON of a PUT may have, its `data` included: it is held in memory."""

PIECE: Final = 4 * 64 * 1024
"""How much of `data` is decoded at a time: whole groups of four letters."""

FIXED: Final = ("workflow_id", "node_id", "job_id", "derived_from")
"""Where an asset comes from: said once, when it is recorded."""


class AssetPatch(BaseModel):
    """A JSON merge patch (RFC 7396): null clears, and inside of `metadata` removes a key."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = ""
    content_type: str = ""
    parent_id: Annotated[str | None, Field(description="A folder; null: home.")] = None
    metadata: Annotated[dict[str, Any] | None, Field(description="At most 32 KiB.")] = None
    tags: Annotated[list[str] | None, Field(description="Unique; their order is kept.")] = None
    duration: Annotated[float | None, Field(description="Seconds.")] = None


class AssetUpdate(BaseModel):
    """NodeTool's partial update: null leaves a field as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str | None = None
    content_type: str | None = None
    parent_id: Annotated[str | None, Field(description="A folder; the user's id: home.")] = None
    metadata: Annotated[dict[str, Any] | None, Field(description="At most 32 KiB.")] = None
    tags: Annotated[list[str] | None, Field(description="Unique; their order is kept.")] = None
    duration: Annotated[float | None, Field(description="Seconds.")] = None
    data: Annotated[str | None, Field(description="New bytes.")] = None
    data_encoding: Annotated[
        Literal["base64"] | None, Field(description="Of `data`; null: it is UTF-8 text.")
    ] = None


def read_patch_fields(sent: Mapping[str, Any]) -> Fields:
    """What a PATCH sets, null where it clears. Raises FieldsError, which names every fault."""
    _check_not_fixed(sent)
    return read_patch(AssetPatch, sent)


def read_update_fields(sent: Mapping[str, Any]) -> Fields:
    """What a PUT sets. Raises FieldsError, which names every fault."""
    given = {name: value for name, value in sent.items() if value is not None}
    _check_not_fixed(given)
    return read_as(AssetUpdate, given)


def _check_not_fixed(sent: Mapping[str, Any]) -> None:
    errors = [(name, "says where an asset comes from: it never changes") for name in FIXED]
    if refused := [error for error in errors if error[0] in sent]:
        raise FieldsError(refused)


def label_of(fields: Fields, user_id: str, *, patch: bool = False) -> Label:
    """The intent that checked fields spell. Raises FieldError for a folder that is no id."""
    given: dict[str, Any] = {name: fields[name] for name in LABEL_FIELDS if name in fields}
    if "content_type" in given and isinstance(given["content_type"], str):
        given["content_type"] = lower_media_type(given["content_type"])
    if "parent_id" in given:
        given["parent_id"] = folder_of(given["parent_id"], user_id)
    return Label(**given, patch=patch)


def decoded(fields: Fields) -> Iterator[bytes]:
    """The bytes that `data` spells, in pieces. Raises FieldError if it is not in its encoding."""
    data, is_base64 = str(fields["data"]), "data_encoding" in fields
    if is_base64 and "=" in data.rstrip("="):
        raise FieldError("data", "is not base64: it ends in the middle")
    for start in range(0, len(data), PIECE):
        piece = data[start : start + PIECE]
        yield _from_base64(piece) if is_base64 else piece.encode()


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FieldError("data", f"is not base64: {error}") from error
