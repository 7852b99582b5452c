"""Queries of lineage: walk from an asset to its sources, or to the assets derived from it.

A walk visits no asset twice, and at most 1,000 assets, so it ends even if edges form a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import orjson

from asset_ledger.ledger.errors import UnknownAssetError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.storage.database import AsyncReaders, Snapshot

Direction = Literal["up", "down", "both"]

MAX_NODES: Final = 1_000
"""How many assets a walk returns at most."""

MAX_EDGES: Final = 10_000
"""How many edges a level of a walk has at most."""

MAX_BYTES: Final = 4 * 2**20
"""Bytes of the assets that a walk returns, about: an answer has no next page."""


class Edge(NamedTuple):
    """An edge from a source asset to an asset derived from it."""

    source: str
    derived: str


@dataclass(slots=True)
class Graph:
    """The assets and edges that a walk has found; `truncated`: there are more."""

    nodes: dict[str, None] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    truncated: bool = False

    def add(self, edges: Iterable[Edge]) -> set[str]:
        """Add edges while there is room; return the assets that the added edges connect."""
        ends: set[str] = set()
        for edge in edges:
            unseen = {end for end in edge if end not in self.nodes}
            if len(self.nodes) + len(unseen) > MAX_NODES:
                self.truncated = True
                continue
            self.nodes.update(dict.fromkeys(unseen))
            self.edges[edge] = None
            ends.update(edge)
        return ends

    def keep(self, number: int) -> None:
        """Remove all assets but the first ones, which are the nearest, and their edges."""
        self.truncated = True
        self.nodes = dict.fromkeys(list(self.nodes)[:number])
        self.edges = {edge: None for edge in self.edges if set(edge) <= self.nodes.keys()}

    def lacks(self, edges: Iterable[Edge]) -> bool:
        """Return whether any of these edges is not in the graph."""
        return any(edge not in self.edges for edge in edges)


class LineageWalk(NamedTuple):
    """The result of a walk: graph, JSON of its assets, oldest first, and position of the tables."""

    graph: Graph
    json: Sequence[bytes]
    position: int


# CROSS JOIN fixes the plan: for each asset of the previous level, its edges by primary key.
_UP: Final = f"""
    SELECT source.value, derived.id FROM json_each(?) AS wanted
    CROSS JOIN assets AS derived ON derived.id = wanted.value AND derived.user_id = ?
    CROSS JOIN json_each(derived.derived_from) AS source ON true LIMIT {MAX_EDGES}
"""
_DOWN: Final = f"""
    SELECT source, derived FROM json_each(?) AS wanted
    CROSS JOIN edges ON source = wanted.value AND user_id = ? LIMIT {MAX_EDGES}
"""
_FROM_BYTES: Final = f"""
    SELECT source, derived FROM edges INDEXED BY edges_by_digest
    WHERE digest = ? AND user_id = ? LIMIT {MAX_EDGES}
"""
_KNOWN: Final = "SELECT 1 FROM assets WHERE id = ? AND user_id = ?"
_SIZES: Final = """
    SELECT sum(length(CAST(asset.json AS BLOB))) OVER (
        ORDER BY wanted.key ROWS UNBOUNDED PRECEDING
    )
    FROM json_each(?) AS wanted LEFT JOIN assets AS asset
        ON asset.id = wanted.value AND asset.user_id = ?
"""
_NODES: Final = """
    SELECT CAST(asset.json AS BLOB) FROM json_each(?) AS wanted
    CROSS JOIN assets AS asset ON asset.id = wanted.value AND asset.user_id = ? ORDER BY asset.seq
"""
_REFLECTED: Final = "SELECT position FROM positions WHERE projection = 'lineage'"

_WALKS: Final[Mapping[Direction, Sequence[str]]] = {
    "up": (_UP,),
    "down": (_DOWN,),
    "both": (_UP, _DOWN),
}


class LineageQueries:
    """Queries of lineage, each in one read transaction."""

    def __init__(self, readers: AsyncReaders) -> None:
        self._readers = readers

    async def of_asset(
        self, user_id: str, asset_id: AssetId, direction: Direction, depth: int
    ) -> LineageWalk:
        """Walk up, down or both from an asset. Raises UnknownAssetError."""
        graph = Graph({asset_id: None})
        async with self._readers.snapshot() as db:
            if not await db.rows(_KNOWN, (asset_id, user_id)):
                raise UnknownAssetError(asset_id)
            for sql in _WALKS[direction]:
                await _walk(db, graph, sql, user_id, {asset_id}, depth)
            return await _found(db, graph, user_id)

    async def of_digest(self, user_id: str, digest: Digest, depth: int) -> LineageWalk:
        """Walk down from all assets that were sources while they had this content."""
        graph = Graph()
        async with self._readers.snapshot() as db:
            edges = await _edges(db, graph, _FROM_BYTES, digest, user_id)
            graph.add(edges)
            await _walk(db, graph, _DOWN, user_id, {edge.derived for edge in edges}, depth - 1)
            return await _found(db, graph, user_id)


async def _walk(
    db: Snapshot, graph: Graph, sql: str, user_id: str, level: set[str], depth: int
) -> None:
    """Add assets up to `depth` edges away to the graph, level by level."""
    seen: set[str] = set()
    for _ in range(depth):
        seen |= level
        level = graph.add(await _edges(db, graph, sql, _ids_json(level), user_id)) - seen
        if not level:
            return
    graph.truncated |= graph.lacks(await _edges(db, graph, sql, _ids_json(level), user_id))


def _ids_json(ids: Iterable[str]) -> str:
    return orjson.dumps(list(ids)).decode()


async def _edges(db: Snapshot, graph: Graph, sql: str, *parameters: str) -> list[Edge]:
    edges = [Edge(*row) for row in await db.rows(sql, parameters)]
    graph.truncated |= len(edges) == MAX_EDGES
    return edges


async def _found(db: Snapshot, graph: Graph, user_id: str) -> LineageWalk:
    sizes = await db.rows(_SIZES, (_ids_json(graph.nodes), user_id))
    if (fitting := sum(1 for (size,) in sizes if (size or 0) <= MAX_BYTES)) < len(graph.nodes):
        graph.keep(fitting)
    rows = await db.rows(_NODES, (_ids_json(graph.nodes), user_id))
    ((position,),) = await db.rows(_REFLECTED)
    return LineageWalk(graph, [json for (json,) in rows], position)


def lineage_document(root: str, walk: LineageWalk) -> dict[str, Any]:
    """Return the API document of a walk, for orjson."""
    edges = sorted(walk.graph.edges)
    return {
        "root": root,
        "nodes": [orjson.Fragment(json) for json in walk.json],
        "edges": [{"from": source, "to": derived} for source, derived in edges],
        "truncated": walk.graph.truncated,
    }
