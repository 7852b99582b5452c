"""Searches of a test folder, and a naive scan of all assets to compare them with."""

import unicodedata
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import orjson

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.projections.queries.search import SearchPage, SearchQueries
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.tables.search import Search
from tests.builders import asset_id, created
from tests.projections.world import World, file_of

UNSPACED = ("BOPOMOFO", "CJK", "HANGUL", "HIRAGANA", "KATAKANA", "KHMER", "LAO", "MYANMAR", "THAI")


def folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def naive(assets: Sequence[Asset], query: str) -> list[str]:
    """Return the ids that a search has to find: scan every asset for every word."""
    words = folded(query).split()
    found = [a for a in assets if all(any(matches(t, w) for t in texts(a)) for w in words)]
    return [asset.id for asset in sorted(found, key=lambda asset: -asset.seq)]


def texts(asset: Asset) -> list[str]:
    return [folded(text) for text in (asset.name, *asset.tags, *values(asset.metadata))]


def values(metadata: Any) -> Iterator[str]:
    match metadata:
        case str():
            yield metadata
        case dict():
            for value in metadata.values():
                yield from values(value)
        case list() | tuple():
            for value in metadata:
                yield from values(value)
        case bool() | int() | float():
            yield orjson.dumps(metadata).decode()


def matches(text: str, word: str) -> bool:
    if len(word) > 2:
        return word in text
    return any(text.startswith(word, at) and is_word_start(text, at) for at in range(len(text)))


def is_word_start(text: str, at: int) -> bool:
    return at == 0 or not (text[at - 1].isalnum() and text[at].isalnum()) or is_unspaced(text[at])


def is_unspaced(letter: str) -> bool:
    """Return whether a letter is of a script that puts no spaces between words."""
    return unicodedata.name(letter, "").startswith(UNSPACED)


@contextmanager
def search(here: World) -> Iterator[Runner]:
    part = follow(here.tables, 1, Search(), here.feed)
    try:
        yield part
    finally:
        part.close()


@asynccontextmanager
async def queries(here: World, runner: Runner) -> AsyncIterator[SearchQueries]:
    """Open the search queries of this folder, with an index that has caught up."""
    with search(here) as part:
        assert part.error is None
        readers = [AsyncSqliteReaders(file_of(each), 1) for each in (part, runner)]
        try:
            yield SearchQueries(readers[0], readers[1])
        finally:
            for each in readers:
                await each.close()


async def ids(page: SearchPage) -> list[str]:
    return [asset["id"] for asset in orjson.loads(b"[%b]" % page.json)]


async def find(here: World, runner: Runner, query: str, user_id: str = "1") -> list[str]:
    async with queries(here, runner) as search_queries:
        page = await search_queries.page(user_id, query, {}, page_size=1_000)
        found = await ids(page)
        assert page.total == len(found)
        return found


def named(*names: str) -> list[Event]:
    return [
        created(originator_id=asset_id(n), private={"name": name})
        for n, name in enumerate(names, 1)
    ]
