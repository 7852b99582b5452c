"""Searches of the index, compared with a scan of all assets in plain Python."""

import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.asset import FOLDER
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import CursorError, ParameterError
from asset_ledger.projections.queries.search import words_of
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.tables.assets import document
from tests.builders import asset_id, created
from tests.projections.histories import live
from tests.projections.searching import (
    find,
    folded,
    ids,
    naive,
    named,
    queries,
    texts,
)
from tests.projections.world import World, world
from tests.properties import examples

LETTERS = "aAbB0_%\"'*-. ()ß\u00e9e\u0301ﬁİñ日本ΣςÅ\u0301\u00a0\n"


TEXT = st.text(LETTERS, min_size=1, max_size=12)


WORDS = st.text(LETTERS, max_size=5)


@st.composite
def shelves(draw: st.DrawFn) -> list[Event]:
    """Draw assets with similar texts."""
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
async def test_search_finds_the_same_as_a_naive_scan(events: list[Event], query: str) -> None:
    if not folded(query).split():
        return
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        here.append(*events)
        with here.projections() as runner:
            assets = list(live(here.feed.read(0, 1_000)).values())
            for text in (query, *texts(assets[0])):
                if folded(text).split():
                    assert await find(here, runner, text) == naive(assets, text), text


async def test_search_combines_words_of_tags_and_metadata(here: World, runner: Runner) -> None:
    private = {"name": "x.png", "tags": ["Zürich"], "metadata": {"who": {"is": ["Émile", 42]}}}
    here.write(runner, created(private=private), *named("zürich")[:0])

    for query in ("ZÜRI mil", "mile 42", "zu\u0308rich x.p", "É"):
        assert await find(here, runner, query) == [asset_id(1)], query
    for query in ("who", "rich mill", "xpng", "zürich\nemile"):
        assert await find(here, runner, query) == [], query


async def test_search_pages_are_newest_first_with_the_same_total(
    here: World, runner: Runner
) -> None:
    here.write(runner, *named(*[f"cat {n}" for n in range(5)]))
    async with queries(here, runner) as search_queries:
        seen: list[str] = []
        cursor = ""
        totals: list[int] = []
        while cursor or not totals:
            found = await search_queries.page("1", "cat", {}, page_size=2, cursor=cursor)
            seen += await ids(found)
            totals.append(found.total)
            cursor = found.next
        assert (seen, totals) == ([asset_id(n) for n in (5, 4, 3, 2, 1)], [5, 5, 5])

        page = await search_queries.page("1", "cat", {}, page_size=2)
        with pytest.raises(CursorError):
            await search_queries.page("1", "cats", {}, page_size=2, cursor=page.next)


async def test_search_applies_filters(here: World, runner: Runner) -> None:
    made = [
        created(originator_id=asset_id(n), content_type=kind, workflow_id=workflow)
        for n, (kind, workflow) in enumerate(
            [("image/png", "v"), ("image/gif", "w"), ("text/plain", "w")], 1
        )
    ]
    here.write(runner, *made)
    async with queries(here, runner) as search_queries:
        for words, expected in (
            ({"content_type": ["image/"]}, [2, 1]),
            ({"content_type": ["image/"], "workflow_id": ["w"]}, [2]),
            ({"content_type": ["text/", "image/g"]}, [3, 2]),
        ):
            found = await search_queries.page("1", "cat", words, page_size=9)
            assert await ids(found) == [asset_id(n) for n in expected]
            assert found.total == len(expected)


async def test_search_results_have_their_folder_and_path(here: World, runner: Runner) -> None:
    def folder(number: int, name: str, parent: str | None) -> Event:
        label = {"content_type": FOLDER, "digest": None, "parent_id": parent}
        return created(originator_id=asset_id(number), private={"name": name}, **label)

    here.write(runner, folder(8, "Pictures", None), folder(9, 'my "best"', asset_id(8)))
    here.write(runner, created(parent_id=asset_id(9)), created(originator_id=asset_id(2)))

    async with queries(here, runner) as search_queries:
        found = await search_queries.page("1", "cat", {}, page_size=9)
    home, inside = orjson.loads(b"[%b]" % found.json)

    names = ("folder_name", "folder_path", "folder_id")
    assert [home[name] for name in names] == ["Home", "Home", "1"]
    path = 'Home / Pictures / my "best"'
    assert [inside[name] for name in names] == ['my "best"', path, asset_id(9)]
    asset = live(here.feed.read(0, 1_000))[asset_id(1)]
    assert {name: inside[name] for name in inside if name not in names} == document(asset)


async def test_search_ends_with_folders_in_a_circle(here: World, runner: Runner) -> None:
    label = {"content_type": FOLDER, "digest": None}
    here.write(
        runner,
        created(originator_id=asset_id(8), parent_id=asset_id(9), **label),
        created(originator_id=asset_id(9), parent_id=asset_id(8), **label),
    )

    assert len(await find(here, runner, "cat")) == 2


@pytest.mark.parametrize("query", ["  ", "\u00a0", " ".join(map(str, range(33))), "a\ud800"])
def test_search_refuses_queries_without_words_or_with_too_many(query: str) -> None:
    with pytest.raises(ParameterError, match="query"):
        words_of(query)
