"""Queries of the catalog: long lists by name or size, and an asset with given content.

The catalog gives the order and `assets` the rows: a stale row of the catalog alone is never
returned.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import orjson

from asset_ledger.ledger.errors import ParameterError, UnknownAssetError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.asset_query import AssetQuery
from asset_ledger.projections.queries.asset_statements import WALK, tests_of
from asset_ledger.projections.queries.pages import MAX_BYTES, Page, fitting
from asset_ledger.projections.tables.catalog import digest_prefix

CHUNK: Final = 1_000
"""How many rows of the catalog are read at a time."""

_NEXT: Final = """
    SELECT {column}, seq FROM catalog INDEXED BY catalog_by_{column}
    WHERE user_id = ? AND live{onwards} ORDER BY {column} {direction}, seq {direction} LIMIT ?
"""
_ROWS: Final = """
    SELECT place, seq, length(CAST(json AS BLOB)) AS octets
    FROM (SELECT key AS place, CAST(value AS INTEGER) AS wanted FROM json_each(?))
        CROSS JOIN assets ON seq = wanted
    WHERE user_id = ? AND deleted_at IS NULL{tests} LIMIT ?
"""
_PAGE: Final = "SELECT place, CAST(json AS BLOB) FROM ({rows})"
_OWNERS: Final = """
    SELECT seq FROM catalog INDEXED BY catalog_by_digest
    WHERE user_id = ? AND digest = ? AND live LIMIT ?
"""
_OWNER: Final = """
    SELECT id FROM (SELECT CAST(value AS INTEGER) AS wanted FROM json_each(?))
        CROSS JOIN assets ON seq = wanted
    WHERE user_id = ? AND digest = ? AND deleted_at IS NULL LIMIT 1
"""
_NAMED: Final = """
    SELECT id FROM catalog INDEXED BY catalog_by_name
    WHERE user_id = ? AND name = ? AND live ORDER BY seq DESC LIMIT 1
"""
_REFLECTED: Final = "SELECT position FROM positions WHERE projection = 'assets'"


class Entry(NamedTuple):
    """A row of the catalog, at which a page may start."""

    key: str | int
    seq: int


Following = Callable[[Entry | None], Awaitable[tuple[list[Entry], Entry | None]]]
"""Returns the next rows from an entry on, and the row after them if there is one."""

Keep = Callable[[list[int]], Awaitable[list[int]]]
"""Returns those of some rows that have to be tested further."""

Reach = Callable[[int], Awaitable[None]]
"""Returns once the catalog reflects a position. Raises ProjectionBehindError."""


class CatalogQueries:
    """Queries that read the catalog first, then the table of assets."""

    def __init__(self, catalog: AsyncReaders, tables: AsyncReaders, reach: Reach) -> None:
        self._catalog, self._tables, self._reach = catalog, tables, reach

    async def page(self, query: AssetQuery, keep: Keep | None = None) -> Page:
        """Return the matches among the next 20,000 live assets in the order of a column.

        Raises ParameterError for a query of tombstones, and ProjectionBehindError.
        """
        if True in query.deleted_states:
            message = f"must be false in a list of more than {WALK:,} assets by {query.sort.column}"
            raise ParameterError(f"deleted {message}", errors=[("deleted", message)])
        position = await self._caught_up()
        entry = None if query.key is None else Entry(query.key, query.start)
        return await self.walk(query, entry, partial(self._next, query), keep, position)

    async def walk(
        self,
        query: AssetQuery,
        entry: Entry | None,
        following: Following,
        keep: Keep | None,
        position: int,
    ) -> Page:
        """Return the matches among the next 20,000 entries that `following` gives."""
        found: list[tuple[Entry, bytes]] = []
        more, left = False, MAX_BYTES
        for _ in range(WALK // CHUNK):
            entries, entry = await following(entry)
            if keep is not None:
                kept = set(await keep([each.seq for each in entries]))
                entries = [each for each in entries if each.seq in kept]
            matching = await self._matching(query, entries, query.size + 1 - len(found), left)
            found += matching
            left -= sum(len(json) for _, json in matching)
            more = len(found) > query.size or left < 0
            if entry is None or more:
                break
        after = found[-1][0] if more else entry
        shown = [json for _, json in (found[:-1] if more else found)]
        cursor = query.cursor_at(*after) if after else ""
        return Page(b",\n".join(shown), len(shown), cursor, position)

    async def owner_of(self, user_id: str, digest: Digest) -> AssetId | None:
        """Return a live asset of the user with this content. Raises ProjectionBehindError."""
        await self._caught_up()
        rows = await self._catalog.rows(_OWNERS, (user_id, digest_prefix(digest), CHUNK))
        seqs = orjson.dumps([seq for (seq,) in rows]).decode()
        for (asset_id,) in await self._tables.rows(_OWNER, (seqs, user_id, digest)):
            return AssetId(asset_id)
        return None

    async def named(self, user_id: str, name: str) -> AssetId:
        """Return the newest live asset with exactly this name, also one that was recorded just now.

        Raises UnknownAssetError and ProjectionBehindError.
        """
        await self._caught_up()
        for (asset_id,) in await self._catalog.rows(_NAMED, (user_id, name)):
            return AssetId(asset_id.hex())
        raise UnknownAssetError(name)

    async def _caught_up(self) -> int:
        """Wait until the catalog is as far as the table of assets; return that position."""
        ((position,),) = await self._tables.rows(_REFLECTED)
        await self._reach(position)
        return int(position)

    async def _next(
        self, query: AssetQuery, start: Entry | None
    ) -> tuple[list[Entry], Entry | None]:
        """Return the next rows of the catalog, and the row after them if there is one."""
        sort = query.sort
        onwards = f" AND ({sort.column}, seq) {sort.onwards} (?, ?)" if start else ""
        sql = _NEXT.format(column=sort.column, direction=sort.direction, onwards=onwards)
        parameters = (query.user_id, *(start or ()), CHUNK + 1)
        entries = [Entry(*row) for row in await self._catalog.rows(sql, parameters)]
        return entries[:CHUNK], entries[CHUNK] if len(entries) > CHUNK else None

    async def _matching(
        self, query: AssetQuery, entries: Sequence[Entry], limit: int, max_bytes: int
    ) -> list[tuple[Entry, bytes]]:
        """Return the entries that match the query, in order, with the JSON of their assets.

        The one that exceeds `max_bytes` is the last.
        """
        tests, values = tests_of(query)
        seqs = orjson.dumps([entry.seq for entry in entries]).decode()
        sql = _PAGE.format(rows=fitting(_ROWS.format(tests=tests), "place", "?"))
        rows = await self._tables.rows(sql, (seqs, query.user_id, *values, limit, max_bytes))
        return [(entries[place], json) for place, json in rows]
