"""Queries of the search index: the user's live assets that contain given words, newest first.

The index finds the assets, and the table `assets` has their current JSON. Changes after the
position of the page may not be found yet.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from asset_ledger.ledger.domain.checks import lower_media_type
from asset_ledger.ledger.errors import ParameterError
from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.pages import MAX_BYTES, open_cursor, seal_cursor
from asset_ledger.projections.queries.text_index import FtsIndex, TextIndex, TextMatch
from asset_ledger.projections.tables.search import fold

MAX_WORDS: Final = 32
MAX_WORD: Final = 128
"""Characters of a word. Each one is another token to look up, in texts of 32 KiB at worst."""
MAX_LETTERS: Final = 512
"""Characters of all words of a query."""
FILTERS: Final[Mapping[str, str]] = {
    "content_type": "substr(content_type, 1, length(wanted.value)) = wanted.value",
    "workflow_id": "workflow_id = wanted.value",
}
"""The filters of a search, each as an SQL test of one value."""

_READ: Final[Mapping[str, Callable[[str], str]]] = {"content_type": lower_media_type}
"""Filters whose values are the same in any case."""

COUNTED: Final = 25
"""The largest page whose bytes need no count: a document has about 40 KiB at most."""

_LAST: Final = 2**63 - 1
_PAGE: Final = """
    SELECT seq, NULL FROM (SELECT seq {found} AND {row} < ? ORDER BY {row} DESC LIMIT ?)
    UNION ALL SELECT (SELECT count(*) {found}), position FROM positions WHERE projection = 'search'
"""
_TEST: Final = " AND EXISTS (SELECT 1 FROM json_each(?) AS wanted WHERE {test})"

_FITTING: Final = f"""
    SELECT max(key) FROM (
        SELECT key, sum(length(CAST(assets.json AS BLOB)))
            OVER (ORDER BY key ROWS UNBOUNDED PRECEDING) AS bytes
        FROM json_each(?) CROSS JOIN assets ON seq = CAST(value AS INTEGER)
    ) WHERE bytes <= {MAX_BYTES}
"""
DEEPEST: Final = 256
"""How many folders a path shows at most."""

_ASSETS: Final = f"""
    WITH RECURSIVE
        wanted AS (SELECT key AS rank, CAST(value AS INTEGER) AS seq FROM json_each(?)),
        above(folder, depth, next, path) AS (
            SELECT DISTINCT parent_id, 0, parent_id, '' FROM assets
            WHERE seq IN (SELECT seq FROM wanted) AND parent_id IS NOT NULL
            UNION ALL
            SELECT folder, depth + 1, parent_id, ' / ' || name || path
            FROM above JOIN assets ON id = next WHERE depth < {DEEPEST}
        ),
        ranked AS (
            SELECT folder, path, row_number() OVER (PARTITION BY folder ORDER BY depth DESC) AS nth
            FROM above
        ),
        paths AS (SELECT folder, path FROM ranked WHERE nth = 1)
    SELECT CAST(group_concat(line, ',\n') AS BLOB), count(*) FROM (
        SELECT substr(asset.json, 1, length(asset.json) - 1)
            || ',"folder_name":' || json_quote(coalesce(parent.name, 'Home'))
            || ',"folder_path":' || json_quote('Home' || coalesce(path, ''))
            || ',"folder_id":' || json_quote(coalesce(asset.parent_id, asset.user_id))
            || '}}' AS line
        FROM wanted CROSS JOIN assets AS asset ON asset.seq = wanted.seq
            LEFT JOIN assets AS parent ON parent.id = asset.parent_id
            LEFT JOIN paths ON folder = asset.parent_id
        WHERE asset.deleted_at IS NULL ORDER BY rank
    )
"""


class SearchPage(NamedTuple):
    """A page of a search: JSON of assets with their folders, with commas between them; the number
    of all matches; the cursor of the next page, or `""`; the position of the index."""

    json: bytes
    total: int
    next: str
    position: int


class SearchQueries:
    """Queries of the search index."""

    def __init__(
        self, index: AsyncReaders, assets: AsyncReaders, text_index: TextIndex | None = None
    ) -> None:
        """`text_index`: how the database finds words; by default as SQLite does."""
        self._index, self._assets = index, assets
        self._text_index = text_index or FtsIndex()

    async def page(
        self,
        user_id: str,
        query: str,
        filters: Mapping[str, Sequence[str]],
        *,
        page_size: int,
        cursor: str = "",
    ) -> SearchPage:
        """Return the assets that contain every word of a query, from a cursor on.

        Raises ParameterError (no words, too many or too long ones), CursorError (of another
        query).
        """
        words = words_of(query)
        binding = orjson.dumps(["search", user_id, words, sorted(filters.items())])
        start = open_cursor(cursor, binding) if cursor else _LAST
        found = _filtered(self._text_index.found(user_id, words), filters)
        values = [*found.parameters, start, page_size + 1, *found.parameters]
        rows = await self._index.rows(_PAGE.format(found=found.sql, row=found.row), values)
        *seqs, (total, position) = rows
        page = await self._fitting([seq for seq, _ in seqs[:page_size]])
        following = seal_cursor(page[-1], binding) if len(seqs) > len(page) else ""
        return SearchPage(await self._documents(page), total, following, position)

    async def _fitting(self, seqs: Sequence[int]) -> Sequence[int]:
        """Return the first of these assets, as many as fit on a page."""
        if len(seqs) <= COUNTED:
            return seqs
        ((last,),) = await self._assets.rows(_FITTING, (orjson.dumps(seqs).decode(),))
        return seqs if last is None else seqs[: last + 1]

    async def _documents(self, seqs: Sequence[int]) -> bytes:
        """Return the JSON of the assets that are still live, with their folders."""
        if not seqs:
            return b""
        ((json, _),) = await self._assets.rows(_ASSETS, (orjson.dumps(seqs).decode(),))
        return json or b""


def words_of(query: str) -> list[str]:
    """Return the distinct words of a query. Raises ParameterError."""
    words = sorted(set(fold(query).split()))
    if any("\ud800" <= letter <= "\udfff" for word in words for letter in word):
        raise _refused("must be UTF-8")  # SQLite would fail on it
    if not words:
        raise _refused("has no words: give at least one")
    if len(words) > MAX_WORDS:
        raise _refused(f"has {len(words)} words; the limit is {MAX_WORDS}")
    if max(map(len, words)) > MAX_WORD or sum(map(len, words)) > MAX_LETTERS:
        limits = f"{MAX_WORD} for a word and {MAX_LETTERS} in total"
        raise _refused(f"has more characters than the limits, {limits}: search for a part of it")
    return words


def _filtered(found: TextMatch, filters: Mapping[str, Sequence[str]]) -> TextMatch:
    """Return the matches that pass every filter."""
    names = sorted(filters)
    tests = "".join(_TEST.format(test=FILTERS[name]) for name in names)
    wanted = [
        orjson.dumps([_READ.get(name, str)(value) for value in filters[name]]).decode()
        for name in names
    ]
    return TextMatch(found.sql + tests, found.row, [*found.parameters, *wanted])


def _refused(message: str) -> ParameterError:
    return ParameterError(f"query {message}", errors=[("query", message)])
