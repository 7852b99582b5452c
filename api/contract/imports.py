"""Assets from elsewhere, as they travel: NDJSON, a line for each asset and lines of its bytes.

{"id": "...", "user_id": "1", "name": "cat.png", "made_at": "2024-05-01T12:00:00Z", ...}
{"bytes": "<base64>"}
{"bytes": "<base64>"}
{"id": "...", "name": "pictures", "content_type": "folder"}
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from asset_ledger.api.contract.assets import AssetIn
from asset_ledger.api.contract.fields import Fields, read_as
from asset_ledger.api.contract.principal import check_user_id
from asset_ledger.api.contract.upload import upload_request
from asset_ledger.ledger.commands.imports import Import, Imported, Presence
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.errors import FieldError
from asset_ledger.ledger.ids import AssetId, parse_asset_id

NDJSON: Final = "application/x-ndjson"

MAX_LINE: Final = 1 << 20
"""How many bytes a line may have."""

PIECE: Final = 192 * 1024
"""How many bytes of a content its sender puts on a line."""

LINES: Final = {"type": "string", "format": "binary", "description": "One JSON object a line."}

_ABOUT_THE_IMPORT: Final = frozenset({"id", "user_id", "dry_run"})


class ImportIn(AssetIn):
    """A line about an asset: the fields of a new one, and these."""

    id: Annotated[str, Field(description="32 hex digits; the asset keeps it.")]
    user_id: Annotated[str | None, Field(description="Whose it is; absent: the caller's.")] = None
    dry_run: Annotated[bool, Field(description="Record nothing, say if it is there.")] = False


def read_import(sent: Mapping[str, Any]) -> Fields:
    """What a line says, each field with its type. Raises FieldsError, which names all."""
    return read_as(ImportIn, sent)


def import_of(fields: Fields, staged: Staged | None, caller: str) -> Import:
    """The intent that a line spells, with the bytes that followed it.

    Raises FieldError and DigestMismatchError.
    """
    given: Mapping[str, Any] = fields
    user_id = _owner(given.get("user_id", caller))
    of_asset = {name: value for name, value in fields.items() if name not in _ABOUT_THE_IMPORT}
    asset = upload_request(of_asset, staged, user_id).asset
    return Import(import_id(given), user_id, asset, staged)


def import_id(sent: Mapping[str, Any]) -> AssetId:
    """The id that a line names. Raises FieldError."""
    try:
        return parse_asset_id(sent["id"])
    except (ValueError, TypeError, KeyError) as error:
        raise FieldError("id", "must be 32 lower-case hex digits") from error


def _owner(user_id: str) -> str:
    try:
        return check_user_id(user_id)
    except ValueError as error:
        raise FieldError("user_id", str(error)) from error


def imports_out(
    imported: Sequence[Imported], present: Mapping[AssetId, Presence | None]
) -> dict[str, Any]:
    """What became of the lines. `present`: what was only asked about."""
    told: list[tuple[AssetId, str, str | None]] = [*imported]
    told += [(asset_id, found or "unknown", None) for asset_id, found in present.items()]
    return {"outcomes": [{"id": id, "outcome": fate, "reason": why} for id, fate, why in told]}
