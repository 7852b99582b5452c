"""The body of an import: NDJSON, with a line for each asset, followed by lines with its bytes.

{"id": "...", "user_id": "1", "name": "cat.png", "made_at": "2024-05-01T12:00:00Z", ...}
{"bytes": "<base64>"}
{"bytes": "<base64>"}
{"id": "...", "name": "pictures", "content_type": "folder"}
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from asset_ledger.api.contract.assets import AssetIn
from asset_ledger.api.contract.fields import Fields, parse_field, read_as
from asset_ledger.api.contract.principal import check_user_id
from asset_ledger.api.contract.upload import upload_request
from asset_ledger.ledger.commands.imports import Import, Imported, Presence
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.errors import FieldError
from asset_ledger.ledger.ids import AssetId, parse_asset_id

NDJSON: Final = "application/x-ndjson"

MAX_LINE: Final = 1 << 20
"""The largest length of a line in bytes."""

PIECE: Final = 192 * 1024
"""Bytes of content that the client sends per line."""

LINES: Final = {"type": "string", "format": "binary", "description": "One JSON object a line."}

_IMPORT_FIELDS: Final = frozenset({"id", "user_id", "dry_run"})


class ImportIn(AssetIn):
    """The line of an asset: the fields of a new asset, and these."""

    id: Annotated[str, Field(description="32 hex digits; becomes the asset's id.")]
    user_id: Annotated[str | None, Field(description="The owner; by default the caller.")] = None
    dry_run: Annotated[bool, Field(description="Record nothing; answer if it exists.")] = False


def read_import(sent: Mapping[str, Any]) -> Fields:
    """Return the fields of a line. Raises FieldsError, which names every fault."""
    return read_as(ImportIn, sent)


def import_of(fields: Fields, staged: Staged | None, caller: str) -> Import:
    """Return the import of a line and its bytes. Raises FieldError and DigestMismatchError."""
    given: Mapping[str, Any] = fields
    user_id = parse_field("user_id", check_user_id, given.get("user_id", caller))
    asset_fields = {name: value for name, value in fields.items() if name not in _IMPORT_FIELDS}
    asset = upload_request(asset_fields, staged, user_id).asset
    return Import(import_id(given), user_id, asset, staged)


def import_id(sent: Mapping[str, Any]) -> AssetId:
    """Return the id in a line. Raises FieldError."""
    try:
        return parse_asset_id(sent["id"])
    except (ValueError, TypeError, KeyError) as error:
        raise FieldError("id", "must be 32 lower-case hex digits") from error


def imports_out(
    imported: Sequence[Imported], present: Mapping[AssetId, Presence | None]
) -> dict[str, Any]:
    """Return the outcome of each line. `present`: those of lines with `dry_run`."""
    rows: list[tuple[AssetId, str, str | None]] = [*imported]
    rows += [(asset_id, found or "unknown", None) for asset_id, found in present.items()]
    return {"outcomes": [dict(zip(("id", "outcome", "reason"), row, strict=True)) for row in rows]}
