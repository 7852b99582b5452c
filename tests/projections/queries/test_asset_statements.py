import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import Event, parse_time
from asset_ledger.ledger.errors import CursorError, ParameterError
from asset_ledger.projections.queries import asset_statements as statements
from asset_ledger.projections.queries.asset_query import AssetQuery
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.queries.pages import BRIEF, Page
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import DIGEST, asset_id, created, deleted
from tests.projections.histories import USERS, everything, histories
from tests.projections.world import World, select, world
from tests.properties import examples

Filters = Mapping[str, Sequence[str]]

OTHER = "sha256:" + "b" * 64
NEW_YEAR = "2026-01-01T00:00:00Z"


def page(
    runner: Runner,
    user: str,
    filters: Filters,
    sort: str = "created_at",
    size: int = 100,
    at: str = "",
    deleted: str = "false",
) -> Page:
    """Read a page through the connection that writes the tables."""
    query = AssetQuery.of(user, filters, sort, size, at, deleted)
    if query.sort.column is None:
        (row,) = rows(runner, statements.page_statement(query))
        return statements.page_of(query, *row)
    (row,) = rows(runner, statements.ordered_statement(query))
    return statements.ordered_page(query, *row)


def count(runner: Runner, user: str, filters: Filters, deleted: str) -> int:
    query = AssetQuery.of(user, filters, "created_at", 1, "", deleted)
    return int(rows(runner, statements.count_statement(query))[0][0])


def rows(runner: Runner, sql: statements.Sql) -> list[Any]:
    return select(runner, sql.text, sql.parameters)


def ids(found: Page) -> list[str]:
    return [asset["id"] for asset in orjson.loads(b"[" + found.json + b"]")]


def all_pages(
    runner: Runner, user: str, filters: Filters, sort: str, size: int, deleted: str = "false"
) -> list[list[str]]:
    pages = [page(runner, user, filters, sort, size, deleted=deleted)]
    while pages[-1].next:
        pages.append(page(runner, user, filters, sort, size, pages[-1].next, deleted))
    return [ids(each) for each in pages]


Match = Callable[[Asset, str], bool]
MATCHES: dict[str, Match] = {
    "workflow_id": lambda asset, value: asset.workflow_id == value,
    "node_id": lambda asset, value: asset.node_id == value,
    "job_id": lambda asset, value: asset.job_id == value,
    "parent_id": lambda asset, value: (asset.parent_id or "") == value.removeprefix(asset.user_id),
    "content_type": lambda asset, value: asset.content_type.startswith(value),
    "missing": lambda asset, value: getattr(asset, value) is None,
    "name": lambda asset, value: asset.name == value,
    "tag": lambda asset, value: value in asset.tags,
    "digest": lambda asset, value: asset.digest == value,
    "created_after": lambda asset, value: asset.created_at >= parse_time(value),
    "created_before": lambda asset, value: asset.created_at < parse_time(value),
    "size_min": lambda asset, value: asset.size >= int(value),
    "size_max": lambda asset, value: asset.size <= int(value),
}
ORDERS: dict[str, Callable[[Asset], Any]] = {
    "created_at": lambda asset: asset.seq,
    "name": lambda asset: (asset.name, asset.seq),
    "size": lambda asset: (asset.size, asset.seq),
}
SORTS = [*ORDERS, *(f"-{sort}" for sort in ORDERS)]
SHOWN = {"false": {False}, "true": {True}, "any": {False, True}}


def naively(
    assets: dict[str, Asset], user: str, filters: Filters, sort: str, deleted: str = "false"
) -> list[str]:
    found = [
        asset
        for asset in assets.values()
        if asset.user_id == user
        and asset.deleted in SHOWN[deleted]
        and all(any(MATCHES[name](asset, v) for v in values) for name, values in filters.items())
    ]
    found.sort(key=ORDERS[sort.removeprefix("-")], reverse=sort.startswith("-"))
    return [asset.id for asset in found]


def several(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3)


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "workflow_id": several("a", "b", "c", "z"),
        "node_id": several("a", "b", "c"),
        "job_id": several("a", "b", "c"),
        "parent_id": several("", asset_id(998)),
        "content_type": several("image", "image/", "image/png", "im", "text", "%", "_mage"),
        "missing": several("workflow_id", "node_id", "job_id"),
        "name": several("same", "ä", "sam%"),
        "tag": several("t", "%", "x"),
        "digest": several(DIGEST, OTHER),
        "created_after": several(NEW_YEAR, "2026-01-01T01:00:03+01:00"),
        "created_before": several(NEW_YEAR, "2026-01-01T00:00:03Z"),
        "size_min": several("0", "7", "100"),
        "size_max": several("7", "999999999999"),
    },
)
REQUESTS = st.tuples(FILTERS, st.integers(1, 4), st.sampled_from(sorted(SHOWN)))


@examples(60)
@given(histories(), st.lists(REQUESTS, min_size=8, max_size=8))
def test_pages_equal_a_naive_filter(
    events: list[Event], requests: list[tuple[Filters, int, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        here.append(*events) if events else None
        state = everything(here.feed.read(0, 1_000))
        with here.projections() as runner:
            for filters, size, deleted in requests:
                for user in USERS:
                    for sort in SORTS:
                        pages = all_pages(runner, user, filters, sort, size, deleted)
                        expected = naively(state, user, filters, sort, deleted)
                        assert list(chain(*pages)) == expected
                        assert all(len(each) == size for each in pages[:-1])
                        assert len(pages) == 1 or pages[-1]
                    matching = naively(state, user, filters, "created_at", deleted)
                    assert count(runner, user, filters, deleted) == len(matching)


PLANS: list[tuple[Filters, str]] = [
    ({}, "assets_by_user (user_id=? AND rowid>?)"),
    ({"job_id": ["j"]}, "assets_by_job (user_id=? AND job_id=? AND rowid>?)"),
    ({"node_id": ["n"]}, "assets_by_node (user_id=? AND node_id=? AND rowid>?)"),
    ({"workflow_id": ["w"]}, "assets_by_workflow (user_id=? AND workflow_id=? AND rowid>?)"),
    ({"parent_id": [""]}, "assets_by_parent (user_id=? AND parent_id=? AND rowid>?)"),
    ({"missing": ["job_id"]}, "assets_by_job (user_id=? AND job_id=? AND rowid>?)"),
    (
        {"job_id": ["j"], "node_id": ["n"]},
        "assets_by_job_node (user_id=? AND job_id=? AND node_id=? AND rowid>?)",
    ),
    (
        {"workflow_id": ["w"], "node_id": ["n", "m"]},
        "assets_by_workflow_node (user_id=? AND workflow_id=? AND node_id=? AND rowid>?)",
    ),
    ({"content_type": ["image/"]}, "assets_by_media (user_id=? AND content_type=? AND rowid>?)"),
]


@pytest.mark.parametrize(("filters", "step"), PLANS)
def test_covered_page_reads_its_index_in_order_without_sorting(
    runner: Runner, filters: Filters, step: str
) -> None:
    plan = _plan(runner, filters)

    assert any(step in line for line in plan)
    assert not any(line.startswith("SCAN assets") for line in plan)
    if len(plan) == 4:
        assert not any("TEMP B-TREE" in line for line in plan)


def _plan(runner: Runner, filters: Filters) -> list[str]:
    sql, parameters, _ = statements.page_statement(
        AssetQuery.of("1", filters, "created_at", 10, "")
    )
    return [line for *_, line in select(runner, f"EXPLAIN QUERY PLAN {sql}", parameters)]


def test_uncovered_page_stops_after_walk_rows_and_continues(
    here: World, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "WALK", 10)
    kinds = ["image/png" if n % 25 == 0 else "text/plain" for n in range(1, 101)]
    made = [
        created(originator_id=asset_id(n), job_id="j", content_type=kind)
        for n, kind in enumerate(kinds, 1)
    ]
    here.write(runner, *made)
    filters = {"job_id": ["j"], "content_type": ["image/"]}

    pages = all_pages(runner, "1", filters, "created_at", 5)

    assert [[int(each, 16) for each in found] for found in pages if found] == [
        [25],
        [50],
        [75],
        [100],
    ]
    assert len(pages) == 10


def test_walk_merges_tombstones_and_live_assets_in_order(
    here: World, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "WALK", 5)
    here.write(runner, *[created(originator_id=asset_id(n)) for n in range(1, 31)])
    here.write(runner, *[deleted(originator_id=asset_id(n)) for n in range(3, 31, 3)])

    for sort, expected in (("created_at", range(1, 31)), ("-created_at", range(30, 0, -1))):
        pages = all_pages(runner, "1", {}, sort, 4, "any")
        assert [int(each, 16) for each in chain(*pages)] == list(expected)
    gone = all_pages(runner, "1", {}, "created_at", 100, "true")
    assert [int(each, 16) for each in chain(*gone)] == list(range(3, 31, 3))


def test_listed_tombstone_has_time_and_user_of_its_deletion(here: World, runner: Runner) -> None:
    here.write(runner, created(), deleted(by="7"))

    (shown,) = orjson.loads(b"[" + page(runner, "1", {}, deleted="true").json + b"]")

    assert (shown["deleted_by"], shown["deleted_at"]) == ("7", shown["updated_at"])


def test_more_values_than_lanes_use_a_walk(here: World, runner: Runner) -> None:
    made = [created(originator_id=asset_id(n), node_id=f"n{n}") for n in range(1, 200)]
    here.write(runner, *made)
    filters = {"node_id": [f"n{n}" for n in range(50, 170)]}

    pages = all_pages(runner, "1", filters, "created_at", 50)

    assert [len(found) for found in pages] == [50, 50, 20]


async def test_list_is_the_same_in_brief_and_longer_pages(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    made = [created(originator_id=asset_id(n), job_id="j") for n in range(1, 412)]
    here.write(runner, *made)

    brief = await walked(assets, {"job_id": ["j"]}, BRIEF)
    longer = await walked(assets, {"job_id": ["j"]}, BRIEF + 1)

    assert [each.count for each in brief] == [200, 200, 11]
    assert [each.count for each in longer] == [201, 201, 9]
    assert list(chain(*map(ids, brief))) == list(chain(*map(ids, longer)))


async def walked(assets: AssetQueries, filters: Filters, size: int) -> list[Page]:
    pages = [await assets.page("1", filters, page_size=size)]
    while pages[-1].next:
        pages.append(await assets.page("1", filters, page_size=size, cursor=pages[-1].next))
    return pages


async def test_page_has_the_position_that_it_reflects(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    assert (await assets.page("1", {})).position == 1
    here.write(runner, created())

    found = await assets.page("1", {})

    assert (found.position, found.count, found.next) == (2, 1, "")


def test_page_size_is_capped_at_a_thousand(here: World, runner: Runner) -> None:
    here.write(runner, *[created(originator_id=asset_id(n)) for n in range(1, 1_003)])

    assert page(runner, "1", {}, size=5_000).count == 1_000


def test_cursor_stays_valid_when_its_row_is_deleted(here: World, runner: Runner) -> None:
    here.write(runner, *[created(originator_id=asset_id(n)) for n in (1, 2, 3, 4)])
    first = page(runner, "1", {}, size=2)
    here.write(runner, deleted(originator_id=asset_id(3)))

    assert ids(page(runner, "1", {}, at=first.next)) == [asset_id(4)]


@pytest.fixture
def cursor(here: World, runner: Runner) -> str:
    here.write(runner, *[created(originator_id=asset_id(n), job_id="j") for n in range(1, 9)])
    return page(runner, "1", {"job_id": ["j"]}, size=2).next


@pytest.mark.parametrize(
    ("user", "filters", "sort"),
    [
        ("2", {"job_id": ["j"]}, "created_at"),
        ("1", {"job_id": ["k"]}, "created_at"),
        ("1", {"node_id": ["j"]}, "created_at"),
        ("1", {}, "created_at"),
        ("1", {"job_id": ["j"]}, "-created_at"),
    ],
)
def test_cursor_of_another_query_is_refused(
    cursor: str, user: str, filters: Filters, sort: str
) -> None:
    with pytest.raises(CursorError):
        AssetQuery.of(user, filters, sort, 2, cursor)


def test_cursor_is_valid_with_another_page_size_and_repeated_values(cursor: str) -> None:
    same = AssetQuery.of("1", {"job_id": ["j", "j"]}, "created_at", 7, cursor)

    assert same.start > 0


def test_cursor_with_any_altered_letter_is_refused(cursor: str) -> None:
    for index, letter in enumerate(cursor):
        other = cursor[:index] + ("A" if letter != "A" else "B") + cursor[index + 1 :]
        with pytest.raises(CursorError):
            AssetQuery.of("1", {"job_id": ["j"]}, "created_at", 2, other)


@given(st.text(min_size=1))
def test_arbitrary_text_is_refused_as_cursor(text: str) -> None:
    with pytest.raises(CursorError):
        AssetQuery.of("1", {}, "created_at", 2, text)


@pytest.mark.parametrize(
    ("filters", "options", "field", "message"),
    [
        ({"nod_id": ["n"]}, {}, "nod_id", "did you mean node_id?"),
        ({"name; DROP": ["n"]}, {}, "name; DROP", "no such filter"),
        ({"job_id": [""]}, {}, "job_id", "must not be empty"),
        ({"missing": ["name"]}, {}, "missing", "must be one of"),
        ({"created_after": ["2026-01-01T00:00:00"]}, {}, "created_after", "no time zone"),
        ({"created_before": ["0001-01-01T00:00:00+14:00"]}, {}, "created_before", "out of range"),
        ({"size_min": ["-1"]}, {}, "size_min", "whole number"),
        ({"size_max": ["9" * 19]}, {}, "size_max", "whole number"),
        ({"digest": ["sha256:0"]}, {}, "digest", "64 lower-case"),
        ({}, {"deleted": "yes"}, "deleted", "must be one of"),
        ({"job_id": ["\udcff"]}, {}, "job_id", "must be UTF-8"),
        ({}, {"size": 0}, "page_size", "1 or more"),
        ({}, {"sort": "-create_at"}, "sort", "did you mean -created_at?"),
    ],
)
def test_invalid_request_names_its_parameter(
    filters: Filters, options: Mapping[str, Any], field: str, message: str
) -> None:
    with pytest.raises(ParameterError) as refusal:
        AssetQuery.of("1", filters, **{"sort": "created_at", "size": 10, "cursor": "", **options})

    ((name, reason),) = refusal.value.errors
    assert name == field
    assert message in reason
