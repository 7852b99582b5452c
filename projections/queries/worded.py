"""Queries of assets by words and filters together.

The search index finds words, the table of assets tests filters. The shorter side leads: the assets
that have the words, or those of the narrowest index. If both are long, a request walks the next
20,000 in the order of the page.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import orjson

from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.asset_query import AssetQuery
from asset_ledger.projections.queries.asset_statements import (
    WALK,
    breadth_statement,
    count_statement,
    ids_statement,
    ordered_page,
    ordered_statement,
)
from asset_ledger.projections.queries.catalog import CHUNK, CatalogQueries, Entry
from asset_ledger.projections.queries.pages import LAST, Page, refuse
from asset_ledger.projections.queries.search import words_of
from asset_ledger.projections.queries.text_index import FtsIndex, TextIndex
from asset_ledger.projections.tables.search import TRIGRAM, head, word_heads

_HITS: Final = "SELECT {row} {found} AND {row} {onwards} ? ORDER BY {row} {direction} LIMIT ?"
_AMONG: Final = """
    SELECT seq, {texts} FROM json_each(?) AS given
        CROSS JOIN search_assets ON seq = CAST(given.value AS INTEGER)
    WHERE live{tests}
"""
_CONTAINS: Final = " AND (instr(name, ?) > 0 OR instr(tags, ?) > 0 OR instr(metadata, ?) > 0)"
_REFLECTED: Final = "SELECT position FROM positions WHERE projection = 'search'"

CheckFilled = Callable[[AssetQuery], None]
"""Raises ProjectionBehindError for a filter on a column that is not filled yet."""


class WordedQueries:
    """Queries of live assets that match every filter and contain every word."""

    def __init__(
        self,
        index: AsyncReaders,
        tables: AsyncReaders,
        catalog: CatalogQueries,
        check_filled: CheckFilled,
        text_index: TextIndex | None = None,
    ) -> None:
        self._index, self._tables, self._catalog = index, tables, catalog
        self._check_filled, self._text_index = check_filled, text_index or FtsIndex()

    async def page(
        self,
        user_id: str,
        words: str,
        filters: Mapping[str, Sequence[str]],
        *,
        sort: str,
        page_size: int,
        cursor: str = "",
        deleted: str = "false",
    ) -> Page:
        """Return the assets that match, from a cursor on. The page reflects the search index.

        Raises ParameterError, CursorError and ProjectionBehindError.
        """
        query = self._query(user_id, words, filters, sort, page_size, cursor, deleted)
        ((position,),) = await self._index.rows(_REFLECTED)
        seqs = await self._having_words(query)
        if seqs is None:
            return await self._walk(query, position)
        if query.sort.column is None:
            query = replace(query, key=query.start)
        (row,) = await self._tables.rows(*ordered_statement(query, seqs))
        page = ordered_page(query, *row)
        return replace(page, position=position)

    async def count(
        self, user_id: str, words: str, filters: Mapping[str, Sequence[str]], *, deleted: str
    ) -> int:
        """Return how many assets match. Reads every asset that has the words."""
        query = self._query(user_id, words, filters, "created_at", 1, "", deleted)
        seqs = await self._having_words(query)
        if seqs is not None:
            return await self._count(query, seqs)
        total, start = 0, 0
        while hits := await self._hits(query, start, WALK):
            total += await self._count(query, await self._with_short_words(query, hits))
            start = hits[-1] + 1
        return total

    def _query(
        self,
        user_id: str,
        words: str,
        filters: Mapping[str, Sequence[str]],
        sort: str,
        page_size: int,
        cursor: str,
        deleted: str,
    ) -> AssetQuery:
        if deleted != "false":
            raise refuse("query", "finds live assets only: leave out deleted")
        found = tuple(words_of(words))
        query = AssetQuery.of(user_id, filters, sort, page_size, cursor, words=found)
        self._check_filled(query)
        return query

    async def _count(self, query: AssetQuery, seqs: Sequence[int]) -> int:
        ((found,),) = await self._tables.rows(*count_statement(query, seqs))
        return int(found)

    async def _having_words(self, query: AssetQuery) -> list[int] | None:
        """Return every row that has the words and may match; None if there are too many."""
        start = 0 if query.sort.direction == "ASC" else LAST
        hits = await self._hits(query, start, WALK + 1)
        if len(hits) <= WALK:
            return await self._with_short_words(query, hits)
        ((breadth,),) = await self._tables.rows(*breadth_statement(query))
        if breadth > WALK:
            return None
        rows = await self._tables.rows(*ids_statement(query, "seq"))
        return await self._among(query.words, [seq for (seq,) in rows])

    async def _hits(self, query: AssetQuery, start: int, limit: int) -> list[int]:
        """Return rows that have the long words, or the short ones if there are no others."""
        found = self._text_index.hits(query.user_id, query.words)
        onwards, direction = query.sort.onwards, query.sort.direction
        sql = _HITS.format(row=found.row, found=found.sql, onwards=onwards, direction=direction)
        rows = await self._index.rows(sql, (*found.parameters, start, limit))
        return [seq for (seq,) in rows]

    async def _with_short_words(self, query: AssetQuery, hits: list[int]) -> list[int]:
        """Return the hits that also have the short words, if the hits are of long ones."""
        short = tuple(word for word in query.words if len(word) < TRIGRAM)
        return await self._among(short, hits) if 0 < len(short) < len(query.words) else hits

    async def _among(self, words: Sequence[str], seqs: Sequence[int]) -> list[int]:
        """Return the rows of `seqs` that have words, by their texts: FTS5 looks up no rows."""
        short = {head(word) for word in words if len(word) < TRIGRAM}
        tests = _CONTAINS * len(words)
        sql = _AMONG.format(texts="name, tags, metadata" if short else "1, 1, 1", tests=tests)
        values = [orjson.dumps(seqs).decode(), *(word for word in words for _ in range(3))]
        rows = await self._index.rows(sql, values)
        if not short:
            return [seq for seq, *_ in rows]
        return await asyncio.to_thread(
            lambda: [seq for seq, *texts in rows if short <= {*word_heads(*texts).split()}]
        )

    async def _walk(self, query: AssetQuery, position: int) -> Page:
        if query.sort.column is not None:
            keep = partial(self._among, query.words)
            return replace(await self._catalog.page(query, keep), position=position)
        first = Entry(query.start, query.start)
        hits, keep = partial(self._next_hits, query), partial(self._with_short_words, query)
        return await self._catalog.walk(query, first, hits, keep, position)

    async def _next_hits(
        self, query: AssetQuery, start: Entry | None
    ) -> tuple[list[Entry], Entry | None]:
        """Return the next rows that have the words, and the row after them if there is one."""
        seq = query.start if start is None else start.seq
        entries = [Entry(hit, hit) for hit in await self._hits(query, seq, CHUNK + 1)]
        return entries[:CHUNK], entries[CHUNK] if len(entries) > CHUNK else None
