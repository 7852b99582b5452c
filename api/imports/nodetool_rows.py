"""Convert NodeTool's rows to assets, with notes of the values that do not fit. Pure.

Promise: every row with an id and an owner becomes an asset. A value that does not fit is left out
or changed, with a note.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from asset_ledger.api.contract.principal import check_user_id
from asset_ledger.api.contract.strict_json import read_number, read_object
from asset_ledger.api.imports.nodetool_table import NodeToolRow
from asset_ledger.ledger.domain.asset import FOLDER
from asset_ledger.ledger.domain.checks import (
    MAX_NAME,
    check_content_type,
    check_duration,
    check_metadata,
    check_tag,
)
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.errors import RefusedError
from asset_ledger.ledger.ids import AssetId, parse_asset_id

_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MILLISECONDS: Final = 1e11
"""Above this, a number of seconds would be beyond the year 5000: it counts milliseconds."""


@dataclass(slots=True)
class Item:
    """An asset to import: its fields by their names on the wire, and notes about it.

    `parent`: the id of its folder as the database has it; empty is the top level.
    """

    asset_id: AssetId
    user_id: str
    parent: str
    fields: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def is_folder(self) -> bool:
        return self.fields.get("content_type") == FOLDER

    def keep(self, name: str, value: Any, read: Callable[[Any], Any]) -> None:
        """Set a field to the value that was read. Add a note if it cannot be read."""
        if value is None or value == "":
            return
        try:
            kept = read(value)
        except (RefusedError, ValueError, TypeError, OverflowError, OSError) as error:
            self.notes.append(f"{name} is left out: {_short(error)!a}")
        else:
            if kept is not None:
                self.fields[name] = kept


def item_of(row: NodeToolRow) -> Item | str:
    """Return the asset of a row, or the reason why it cannot be imported."""
    try:
        asset_id = asset_id_of(row.id)
    except ValueError:
        return f"its id {_short(row.id)!a} is not 32 hex digits"
    try:
        user_id = check_user_id(_text(row.user_id))
    except ValueError as error:
        return f"its user_id {error}"
    item = Item(asset_id, user_id, _text(row.parent_id), {})
    _name(item, row)
    for name in ("workflow_id", "node_id", "job_id"):
        item.keep(name, getattr(row, name), _tag)
    item.keep("content_type", row.content_type, _content_type)
    item.keep("metadata", row.metadata, _metadata)
    item.keep("duration", row.duration, _duration)
    item.keep("made_at", row.created_at, _moment)
    return item


def asset_id_of(value: Any) -> AssetId:
    """Read the id in a column, with or without dashes. Raises ValueError."""
    return parse_asset_id(_text(value).replace("-", "").lower())


def _name(item: Item, row: NodeToolRow) -> None:
    """Set the name. Replace what does not fit, so that a user still recognises the name."""
    given = _text(row.name)
    name = _UNFIT.sub("\N{REPLACEMENT CHARACTER}", given)[:MAX_NAME] or item.asset_id
    if name != given:
        item.notes.append(f"its name was changed: {_short(given)!a} is not allowed")
    item.fields["name"] = name


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return "" if value is None else str(value)


def _short(value: object) -> str:
    text = _text(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _tag(value: Any) -> str:
    text = _text(value)
    check_tag("it", text)
    return text


def _content_type(value: Any) -> str:
    text = _text(value)
    check_content_type(text)
    return text


def _metadata(value: Any) -> dict[str, Any] | None:
    text = _text(value)
    if text.strip() == "null":
        return None
    metadata = read_object(text.encode("utf-8", "surrogateescape"), "it")
    check_metadata(metadata, "it")
    return metadata


def _duration(value: Any) -> float:
    seconds = float(value) if isinstance(value, int | float) else read_number(_text(value))
    check_duration(seconds)
    return seconds


def _moment(value: Any) -> str:
    """Read a time. NodeTool writes it in UTC, without a zone."""
    if isinstance(value, int | float):
        seconds = value / 1_000 if abs(value) > _MILLISECONDS else value
        return iso(datetime.fromtimestamp(seconds, UTC))
    when = datetime.fromisoformat(_text(value).strip())
    return iso(when if when.tzinfo else when.replace(tzinfo=UTC))
