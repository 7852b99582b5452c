"""The projection `catalog`: an index of live assets by name, size and digest.

It follows the log in the background, since its unordered keys dirty a page for each asset.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from asset_ledger.ledger.domain.asset import AssetCreated, changes_of
from asset_ledger.ledger.domain.event import Event, Recorded, private_of
from asset_ledger.ledger.ids import Digest, bytes_of
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement

_INSERT: Final = """
    INSERT INTO catalog (seq, id, user_id, name, size, digest) VALUES (?, ?, ?, ?, ?, ?)
"""
_COLUMNS: Final = frozenset({"name", "size", "digest"})


def digest_prefix(digest: Digest | None) -> int | None:
    """Return the first 8 bytes of a digest as a signed number, which the catalog stores."""
    if digest is None:
        return None
    first = bytes.fromhex(digest.removeprefix("sha256:")[:16])
    return int.from_bytes(first, "big", signed=True)


class Catalog:
    """The projection of the catalog. The digest leaves its table out: all of it is in `assets`."""

    name: Final = "catalog"
    tables: Final = ()
    migrations: Final[Sequence[Migration]] = (load("20260101_000000_create_catalog"),)
    functions: Final[Mapping[str, Callable[..., Any]]] = {}
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Insert the row of a new asset; for a later event, update the row."""
        event = recorded.event
        if isinstance(event, AssetCreated):
            name = private_of(event).get("name", "")
            prefix = digest_prefix(event.digest)
            row = (bytes_of(event.originator_id), event.user_id, name, event.size, prefix)
            yield Statement(_INSERT, (recorded.position, *row), independent=True)
        elif changes := _changes(event):
            setters = ", ".join(f"{name} = ?" for name in changes)
            sql = f"UPDATE catalog SET {setters} WHERE id = ?"
            yield Statement(sql, (*changes.values(), bytes_of(event.originator_id)))


def _changes(event: Event) -> dict[str, Any]:
    """Return the columns of the catalog that an event sets, with their values."""
    changes = changes_of(event) or {}
    columns = {name: changes[name] for name in changes if name in _COLUMNS}
    if "digest" in columns:
        columns["digest"] = digest_prefix(columns["digest"])
    if "deleted_at" in changes:
        columns["live"] = changes["deleted_at"] is None
    return columns
