"""The projection `lineage`: an edge from each source asset to each asset derived from it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from asset_ledger.ledger.domain.asset import AssetCreated
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement

_INSERT: Final = """
    INSERT INTO edges (source, derived, user_id, digest)
    VALUES (?, ?, ?, (SELECT digest FROM assets WHERE id = ?))
    ON CONFLICT DO NOTHING
"""


class Lineage:
    """The projection of lineage. Its statements read digests in `assets`: none is independent."""

    name: Final = "lineage"
    tables: Final = ("edges",)
    migrations: Final[Sequence[Migration]] = (load("20260101_000000_create_edges"),)
    functions: Final[Mapping[str, Callable[..., Any]]] = {}
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Insert an edge from each source of a new asset."""
        event = recorded.event
        if isinstance(event, AssetCreated):
            for source in event.derived_from:
                edge = (source, event.originator_id, event.user_id, source)
                yield Statement(_INSERT, edge)
