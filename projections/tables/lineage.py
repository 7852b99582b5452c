"""What was made from what: edges from sources to what was derived from them, and walks along them.

A walk ends, whatever the edges are: it enters no asset twice, and at most 1,000 of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.asset import AssetCreated
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement

_INSERT: Final = """
    INSERT OR IGNORE INTO edges (source, derived, user_id, digest)
    VALUES (?, ?, ?, (SELECT digest FROM assets WHERE id = ?))
"""


class Lineage:
    """The projection. It reads the source's digest in `assets`: in order, never regrouped."""

    name: Final = "lineage"
    tables: Final = ("edges",)
    migrations: Final[Sequence[Migration]] = (load("20260101_000000_create_edges"),)
    functions: Final[Mapping[str, Callable[..., Any]]] = {}
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """An edge from each asset that a new one was derived from."""
        event = recorded.event
        if isinstance(event, AssetCreated):
            for source in event.derived_from:
                edge = (source, event.originator_id, event.user_id, source)
                yield Statement(_INSERT, edge)


def _json(ids: Iterable[str]) -> str:
    return orjson.dumps(list(ids)).decode()
