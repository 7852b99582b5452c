import tempfile
import unicodedata
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.asset import FOLDER, Asset
from asset_ledger.ledger.domain.event import Fact
from asset_ledger.ledger.errors import CursorError, ParameterError
from asset_ledger.ledger.storage.readers import AsyncReaders
from asset_ledger.projections.queries.search import SearchPage, SearchQueries, words_of
from asset_ledger.projections.runtime import runner as running
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.tables.assets import document
from asset_ledger.projections.tables.search import Search
from tests.builders import asset_id, created, deleted, described, restored
from tests.projections.histories import histories, live
from tests.projections.world import World, select, world
from tests.properties import examples

LETTERS = "aAbB0_%\"'*-. ()ß\u00e9e\u0301ﬁİñ日本ΣςÅ\u0301\u00a0\n"
TEXT = st.text(LETTERS, min_size=1, max_size=12)
WORDS = st.text(LETTERS, max_size=5)


def folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def naive(assets: Sequence[Asset], query: str) -> list[str]:
    """Every asset looked at, every word looked for: what a search has to answer."""
    words = folded(query).split()
    found = [a for a in assets if all(any(has(t, w) for t in texts(a)) for w in words)]
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


def has(text: str, word: str) -> bool:
    if len(word) > 2:
        return word in text
    return any(text.startswith(word, at) and begins(text, at) for at in range(len(text)))


def begins(text: str, at: int) -> bool:
    return at == 0 or not (text[at - 1].isalnum() and text[at].isalnum())


@contextmanager
def search(here: World) -> Iterator[Runner]:
    part = follow(here.folder, 1, Search(), here.feed)
    try:
        yield part
    finally:
        part.close()


@asynccontextmanager
async def queries(here: World, runner: Runner) -> AsyncIterator[SearchQueries]:
    """Searches in this folder, whose index was brought up to the log."""
    with search(here) as part:
        assert part.error is None
        readers = [AsyncReaders(each.database.path, 1) for each in (part, runner)]
        try:
            yield SearchQueries(*readers)
        finally:
            for each in readers:
                await each.close()


async def ids(found: SearchPage) -> list[str]:
    return [asset["id"] for asset in orjson.loads(b"[%b]" % found.json)]


async def find(here: World, runner: Runner, query: str, user_id: str = "1") -> list[str]:
    async with queries(here, runner) as by:
        found = await by.page(user_id, query, {}, page_size=1_000)
        answer = await ids(found)
        assert found.total == len(answer)
        return answer


def named(*names: str) -> list[Fact]:
    return [
        created(originator_id=asset_id(n), private={"name": name})
        for n, name in enumerate(names, 1)
    ]


@st.composite
def shelves(draw: st.DrawFn) -> list[Fact]:
    """Assets with texts that are alike."""
    count = draw(st.integers(1, 6))
    values = TEXT | st.lists(TEXT | st.integers(-(2**63), 2**63 - 1), max_size=2)
    field: dict[str, st.SearchStrategy[Any]] = {
        "tags": st.lists(TEXT, unique=True, max_size=2),
        "metadata": st.dictionaries(st.just("key"), values),
    }
    return [
        created(
            originator_id=asset_id(n),
            private={"name": draw(TEXT), **draw(st.fixed_dictionaries({}, optional=field))},
        )
        for n in range(1, count + 1)
    ]


@examples(100)
@given(shelves(), st.lists(WORDS, min_size=1, max_size=3).map(" ".join))
@example(named("100% sure", "1000"), "0%")
@example(named("my_cat.png", "mycat.png"), "ca")
@example(named('say "hi"', "say hi"), '"hi"')
@example(named("a AND b", "a b"), "AND")
@example(named("straße", "STRASSE"), "Stras")
@example(named("x-*", "x"), "x-*")
async def test_a_search_finds_what_a_naive_scan_finds(facts: list[Fact], query: str) -> None:
    if not folded(query).split():
        return
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        here.append(*facts)
        with here.views() as runner:
            assets = list(live(here.feed.read(0, 1_000)).values())
            for text in (query, *texts(assets[0])):
                if folded(text).split():
                    assert await find(here, runner, text) == naive(assets, text), text


@examples(50)
@given(histories(), st.integers(1, 7))
async def test_what_is_learnt_is_what_is_live_whatever_happened(
    facts: list[Fact], batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(running, "BATCH", batch)
        with world(Path(folder)) as here:
            for fact in facts:
                here.append(fact)
            with search(here) as part:
                check = "INSERT INTO {0} ({0}, rank) VALUES ('integrity-check', 0)"
                for index in ("search_text", "search_heads"):
                    part.database.write.execute(check.format(index))
            assets = live(here.feed.read(0, 1_000)).values()
            words = {word for asset in assets for text in texts(asset) for word in text.split()}
            with here.views() as runner:
                for user in ("1", "2"):
                    own = [asset for asset in assets if asset.user_id == user]
                    for word in sorted(words)[:8]:
                        assert await find(here, runner, word, user) == naive(own, word)


async def test_a_word_of_a_tag_and_one_of_a_value_are_found_together(
    here: World, runner: Runner
) -> None:
    private = {"name": "x.png", "tags": ["Zürich"], "metadata": {"who": {"is": ["Émile", 42]}}}
    here.write(runner, created(private=private), *named("zürich")[:0])

    for query in ("ZÜRI mil", "mile 42", "zu\u0308rich x.p", "É"):
        assert await find(here, runner, query) == [asset_id(1)], query
    for query in ("who", "rich mill", "xpng", "zürich\nemile"):
        assert await find(here, runner, query) == [], query


async def test_what_was_deleted_or_renamed_is_not_found_until_it_comes_back(
    here: World, runner: Runner
) -> None:
    here.write(runner, *named("cat.png"), described(private={"name": "dog.png"}))
    assert await find(here, runner, "cat") == []
    here.write(runner, deleted(originator_version=3))
    assert await find(here, runner, "dog") == []
    here.write(runner, restored(originator_version=4))
    assert await find(here, runner, "dog") == [asset_id(1)]


async def test_pages_go_from_the_newest_to_the_oldest_with_one_total(
    here: World, runner: Runner
) -> None:
    here.write(runner, *named(*[f"cat {n}" for n in range(5)]))
    async with queries(here, runner) as by:
        seen: list[str] = []
        cursor = ""
        totals: list[int] = []
        while cursor or not totals:
            found = await by.page("1", "cat", {}, page_size=2, cursor=cursor)
            seen += await ids(found)
            totals.append(found.total)
            cursor = found.next
        assert (seen, totals) == ([asset_id(n) for n in (5, 4, 3, 2, 1)], [5, 5, 5])

        page = await by.page("1", "cat", {}, page_size=2)
        with pytest.raises(CursorError):
            await by.page("1", "cats", {}, page_size=2, cursor=page.next)


async def test_a_search_can_be_narrowed(here: World, runner: Runner) -> None:
    made = [
        created(originator_id=asset_id(n), content_type=kind, workflow_id=workflow)
        for n, (kind, workflow) in enumerate(
            [("image/png", "v"), ("image/gif", "w"), ("text/plain", "w")], 1
        )
    ]
    here.write(runner, *made)
    async with queries(here, runner) as by:
        for words, expected in (
            ({"content_type": ["image/"]}, [2, 1]),
            ({"content_type": ["image/"], "workflow_id": ["w"]}, [2]),
            ({"content_type": ["text/", "image/g"]}, [3, 2]),
        ):
            found = await by.page("1", "cat", words, page_size=9)
            assert await ids(found) == [asset_id(n) for n in expected]
            assert found.total == len(expected)


async def test_what_is_found_says_which_folder_it_is_in(here: World, runner: Runner) -> None:
    def folder(number: int, name: str, parent: str | None) -> Fact:
        label = {"content_type": FOLDER, "digest": None, "parent_id": parent}
        return created(originator_id=asset_id(number), private={"name": name}, **label)

    here.write(runner, folder(8, "Pictures", None), folder(9, 'my "best"', asset_id(8)))
    here.write(runner, created(parent_id=asset_id(9)), created(originator_id=asset_id(2)))

    async with queries(here, runner) as by:
        found = await by.page("1", "cat", {}, page_size=9)
    home, inside = orjson.loads(b"[%b]" % found.json)

    names = ("folder_name", "folder_path", "folder_id")
    assert [home[name] for name in names] == ["Home", "Home", "1"]
    path = 'Home / Pictures / my "best"'
    assert [inside[name] for name in names] == ['my "best"', path, asset_id(9)]
    asset = live(here.feed.read(0, 1_000))[asset_id(1)]
    assert {name: inside[name] for name in inside if name not in names} == document(asset)


async def test_folders_in_a_circle_hang_nothing(here: World, runner: Runner) -> None:
    label = {"content_type": FOLDER, "digest": None}
    here.write(
        runner,
        created(originator_id=asset_id(8), parent_id=asset_id(9), **label),
        created(originator_id=asset_id(9), parent_id=asset_id(8), **label),
    )

    assert len(await find(here, runner, "cat")) == 2


def test_an_index_that_needs_facts_is_emptied(here: World) -> None:
    here.append(*named("cat"))
    with search(here) as part:
        from_before = part.database.path
    with search(here) as part:
        part.database.write.execute("DELETE FROM schema_migrations")
        for table in ("search_assets", "search_text", "search_heads"):
            part.database.write.execute(f"DROP TABLE {table}")
    with search(here) as part:
        assert part.database.path == from_before
        assert select(part, "SELECT name FROM search_assets") == [("cat",)]


@pytest.mark.parametrize("query", ["  ", "\u00a0", " ".join(map(str, range(33))), "a\ud800"])
def test_a_query_without_words_or_with_too_many_is_refused(query: str) -> None:
    with pytest.raises(ParameterError, match="query"):
        words_of(query)
