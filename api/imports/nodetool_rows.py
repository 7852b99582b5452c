"""Convert NodeTool's rows to assets, with notes of the values that do not fit. Pure.

Promise: every row with an id and an owner becomes an asset. A value that does not fit is left out
or changed, with a note.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asset_ledger.api.contract.principal import check_user_id
from asset_ledger.api.contract.strict_json import read_number, read_object
from asset_ledger.api.imports.nodetool_table import NodeToolRow
from asset_ledger.api.imports.nodetool_times import Times
from asset_ledger.ledger.domain.asset import FOLDER
from asset_ledger.ledger.domain.checks import (
    MAX_NAME,
    check_content_type,
    check_duration,
    check_metadata,
    check_tag,
)
from asset_ledger.ledger.errors import RefusedError
from asset_ledger.ledger.ids import AssetId, parse_asset_id

_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(slots=True, kw_only=True)
class Converted:
    """A row's fields by their names on the wire, and notes about the values that do not fit."""

    fields: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def keep(self, name: str, value: Any, read: Callable[[Any], Any]) -> None:
        """Set a field to the value that was read. Add a note if it cannot be read."""
        if value is None or value == "":
            return
        try:
            kept = read(value)
        except (RefusedError, ValueError, TypeError, OverflowError, OSError) as error:
            self.notes.append(f"{name} is left out: {short(error)!a}")
        else:
            if kept is not None:
                self.fields[name] = kept


@dataclass(slots=True)
class Item(Converted):
    """An asset to import.

    `parent`: the id of its folder as the database has it; empty is the top level. `external`: the
    path of its content, if that lies outside of NodeTool's folder; else empty.
    """

    asset_id: AssetId
    user_id: str
    parent: str
    external: str = ""

    @property
    def is_folder(self) -> bool:
        return self.fields.get("content_type") == FOLDER


def item_of(row: NodeToolRow, times: Times) -> Item | str:
    """Return the asset of a row, or the reason why it cannot be imported."""
    try:
        asset_id = asset_id_of(row.id)
    except ValueError:
        return f"its id {short(row.id)!a} is not 32 hex digits"
    try:
        user_id = check_user_id(text_of(row.user_id))
    except ValueError as error:
        return f"its user_id {error}"
    item = Item(asset_id, user_id, text_of(row.parent_id), text_of(row.external_path))
    _name(item, row)
    for name in ("workflow_id", "node_id", "job_id"):
        item.keep(name, getattr(row, name), read_tag)
    item.keep("content_type", row.content_type, _content_type)
    item.keep("metadata", row.metadata, read_metadata)
    item.keep("duration", row.duration, _duration)
    item.keep("made_at", row.created_at, times.read)
    return item


def asset_id_of(value: Any) -> AssetId:
    """Read the id in a column, with or without dashes. Raises ValueError."""
    return parse_asset_id(text_of(value).replace("-", "").lower())


def _name(item: Item, row: NodeToolRow) -> None:
    """Set the name. Replace what does not fit, so that a user still recognises the name."""
    given = text_of(row.name)
    name = _UNFIT.sub("\N{REPLACEMENT CHARACTER}", given)[:MAX_NAME] or item.asset_id
    if name != given:
        item.notes.append(f"its name was changed: {short(given)!a} is not allowed")
    item.fields["name"] = name


def text_of(value: Any) -> str:
    """Return the text in a column of any type; empty for NULL."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return "" if value is None else str(value)


def short(value: object) -> str:
    """Return at most 80 characters of a text, for a note."""
    text = text_of(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def read_tag(value: Any) -> str:
    """Read an id of a workflow, node or job. Raises FieldError."""
    text = text_of(value)
    check_tag("it", text)
    return text


def _content_type(value: Any) -> str:
    text = text_of(value)
    check_content_type(text)
    return text


def read_metadata(value: Any) -> dict[str, Any] | None:
    """Read a JSON object; None for JSON null. Raises RefusedError."""
    text = text_of(value)
    if text.strip() == "null":
        return None
    metadata = read_object(text.encode("utf-8", "surrogateescape"), "it")
    check_metadata(metadata, "it")
    return metadata


def _duration(value: Any) -> float:
    seconds = float(value) if isinstance(value, int | float) else read_number(text_of(value))
    check_duration(seconds)
    return seconds
