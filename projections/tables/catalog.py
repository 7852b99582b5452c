"""Live assets by name, by size and by digest. It follows the log by itself: keys that come in no
order dirty a page for each asset, which no upload should wait for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from asset_ledger.ledger.domain.asset import AssetCreated, changes_of
from asset_ledger.ledger.domain.event import Event, Recorded, private_of
from asset_ledger.ledger.ids import Digest
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement

_ENTER: Final = """
    INSERT INTO catalog (seq, id, user_id, name, size, digest) VALUES (?, ?, ?, ?, ?, ?)
"""
_COLUMNS: Final = frozenset({"name", "size", "digest"})


def short(digest: Digest | None) -> str | None:
    """What the catalog keeps of a digest."""
    return None if digest is None else digest.removeprefix("sha256:")[:16]


class Catalog:
    """The projection. Its table is no part of the digest: every word of it is in `assets`."""

    name: Final = "catalog"
    tables: Final = ()
    migrations: Final[Sequence[Migration]] = (load("20260101_000000_create_catalog"),)
    functions: Final[Mapping[str, Callable[..., Any]]] = {}
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """A row for a new asset; for a later event what it sets."""
        event = recorded.event
        if isinstance(event, AssetCreated):
            name = private_of(event).get("name", "")
            row = (event.originator_id, event.user_id, name, event.size, short(event.digest))
            yield Statement(_ENTER, (recorded.position, *row), independent=True)
        elif changes := _changes(event):
            setters = ", ".join(f"{name} = ?" for name in changes)
            sql = f"UPDATE catalog SET {setters} WHERE id = ?"
            yield Statement(sql, (*changes.values(), event.originator_id))


def _changes(event: Event) -> dict[str, Any]:
    """What an event sets of the columns of the catalog."""
    changes = changes_of(event) or {}
    columns = {name: changes[name] for name in changes if name in _COLUMNS}
    if "digest" in columns:
        columns["digest"] = short(columns["digest"])
    if "deleted_at" in changes:
        columns["live"] = changes["deleted_at"] is None
    return columns
