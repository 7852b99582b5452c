"""Walk the edges from sources to derived assets, up or down.

A walk ends whatever the edges are: it enters no asset twice, and at most 1,000 of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import aiosqlite
import orjson

from asset_ledger.ledger.errors import UnknownAssetError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.storage.readers import AsyncReaders

Direction = Literal["up", "down", "both"]

MAX_NODES: Final = 1_000
"""How many assets one answer names at most."""

MAX_EDGES: Final = 10_000
"""How many edges one level of a walk has at most."""


class Edge(NamedTuple):
    """From a source to what was made from it."""

    source: str
    derived: str


@dataclass(slots=True)
class Graph:
    """The assets and edges that a walk has found; `truncated`: there are more."""

    nodes: dict[str, None] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    truncated: bool = False

    def add(self, edges: Iterable[Edge]) -> set[str]:
        """Take edges in as far as there is room; answers what they connect."""
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

    def lacks(self, edges: Iterable[Edge]) -> bool:
        """Whether any of these edges is not in it."""
        return any(edge not in self.edges for edge in edges)


class LineageWalk(NamedTuple):
    """What a walk found: its graph, its assets as JSON by age, and the position of the tables."""

    graph: Graph
    json: Sequence[bytes]
    position: int


# The plan of both walks: for each asset of the level before, its edges by the primary key.
_UP: Final = f"""
    SELECT source.value, derived.id FROM json_each(?) AS wanted
    CROSS JOIN assets AS derived ON derived.id = wanted.value AND derived.user_id = ?
    CROSS JOIN json_each(derived.derived_from) AS source LIMIT {MAX_EDGES}
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
    """The walks, each inside one read transaction."""

    def __init__(self, readers: AsyncReaders) -> None:
        self._readers = readers

    async def of_asset(
        self, user_id: str, asset_id: AssetId, direction: Direction, depth: int
    ) -> LineageWalk:
        """What an asset was made from, what was made from it, or both. Raises UnknownAssetError."""
        graph = Graph({asset_id: None})
        async with self._readers.snapshot() as db:
            if not await db.execute_fetchall(_KNOWN, (asset_id, user_id)):
                raise UnknownAssetError(asset_id)
            for sql in _WALKS[direction]:
                await _walk(db, graph, sql, user_id, {asset_id}, depth)
            return await _found(db, graph, user_id)

    async def of_digest(self, user_id: str, digest: Digest, depth: int) -> LineageWalk:
        """What was made, directly or not, from assets while they had these bytes."""
        graph = Graph()
        async with self._readers.snapshot() as db:
            edges = await _edges(db, graph, _FROM_BYTES, digest, user_id)
            graph.add(edges)
            await _walk(db, graph, _DOWN, user_id, {edge.derived for edge in edges}, depth - 1)
            return await _found(db, graph, user_id)


async def _walk(
    db: aiosqlite.Connection, graph: Graph, sql: str, user_id: str, level: set[str], depth: int
) -> None:
    """Take in what is up to so many edges away, level by level."""
    seen: set[str] = set()
    for _ in range(depth):
        seen |= level
        level = graph.add(await _edges(db, graph, sql, _ids_json(level), user_id)) - seen
        if not level:
            return
    graph.truncated |= graph.lacks(await _edges(db, graph, sql, _ids_json(level), user_id))


def _ids_json(ids: Iterable[str]) -> str:
    return orjson.dumps(list(ids)).decode()


async def _edges(db: aiosqlite.Connection, graph: Graph, sql: str, *parameters: str) -> list[Edge]:
    edges = [Edge(*row) for row in await db.execute_fetchall(sql, parameters)]
    graph.truncated |= len(edges) == MAX_EDGES
    return edges


async def _found(db: aiosqlite.Connection, graph: Graph, user_id: str) -> LineageWalk:
    rows = await db.execute_fetchall(_NODES, (_ids_json(graph.nodes), user_id))
    ((position,),) = await db.execute_fetchall(_REFLECTED)
    return LineageWalk(graph, [json for (json,) in rows], position)


def lineage_document(root: str, walk: LineageWalk) -> dict[str, Any]:
    """A walk as the API answers it, for orjson: assets are JSON already."""
    edges = sorted(walk.graph.edges)
    return {
        "root": root,
        "nodes": [orjson.Fragment(json) for json in walk.json],
        "edges": [{"from": source, "to": derived} for source, derived in edges],
        "truncated": walk.graph.truncated,
    }
