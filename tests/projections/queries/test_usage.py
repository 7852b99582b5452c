"""Pages of usage, from the table of totals and counted from assets."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import orjson
import pytest

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.node import NodeRun
from asset_ledger.ledger.errors import CursorError
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.projections.queries.asset_query import conditions
from asset_ledger.projections.queries.usage import GROUPINGS, SORTS, UsageQueries, UsageQuery
from asset_ledger.projections.queries.zones import zone_named
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import asset_id, created, node_finished, node_started
from tests.projections.counting import ended_runs, recounted, run_key_of, usage
from tests.projections.histories import live
from tests.projections.world import World, file_of

FILTERS = ("job_id", "workflow_id", "node_id")
COLUMNS = {"-count": 1, "-bytes": 2, "-largest": 3, "-failed": 7, "-seconds": 8}
"""The place of the sorted value in a row of `recounted`."""


async def pages(
    queries: UsageQueries, query: UsageQuery, size: int
) -> tuple[list[dict[str, Any]], int]:
    """Return the groups on all pages of a query, and the number of pages."""
    rows: list[dict[str, Any]] = []
    cursor, count = "", 0
    while cursor or not count:
        page = await queries.page(query, page_size=size, cursor=cursor)
        rows += orjson.loads(b"[%b]" % page.json)
        cursor, count = page.next, count + 1
    return rows, count


@pytest.fixture
def filled(here: World, runner: Runner) -> list[Asset]:
    """Sixty assets of two users, three nodes, jobs and workflows, some without any of these."""
    ids = [None, "a", "b", "c"]
    events = [
        created(
            originator_id=asset_id(n),
            user_id="12"[n % 7 == 0],
            size=n * n % 17,
            node_id=ids[n % 4],
            job_id=ids[n % 3],
            workflow_id=ids[n % 2],
        )
        for n in range(1, 61)
    ]
    here.write(runner, *events)
    ends = [
        node_finished(
            originator_version=1,
            run=str(n),
            user_id="12"[n % 7 == 0],
            node_id="abd"[n % 3],
            job_id="abe"[n % 2],
            workflow_id=ids[n % 4],
            status="failed" if n % 5 == 0 else "completed",
            seconds=n / 8,
        )
        for n in range(40)
    ]
    here.write(runner, *ends, node_started(node_id="a"))
    return list(live(here.feed.read(0, 1_000)).values())


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("dimension", GROUPINGS)
async def test_usage_pages_are_sorted_groups_with_and_without_filters(
    here: World, runner: Runner, filled: list[Asset], dimension: str, sort: str
) -> None:
    choices: list[dict[str, list[str]]] = [{}]
    choices += [{name: ["a"]} for name in FILTERS] + [{"node_id": ["a", "b"], "job_id": ["a"]}]
    choices += [{name: ["a", "b"] for name in FILTERS}, {"workflow_id": ["a"], "node_id": ["c"]}]
    with usage(here) as part:
        some = [AsyncSqliteReaders(file_of(each), 1) for each in (part, runner)]
        for filters in choices:
            own = [a for a in filled if a.user_id == "1" and _matches(a, filters)]
            runs = [r for r in ended_runs(here.feed.read(0, 1_000)) if _has_run(filters, r)]
            query = UsageQuery("1", (dimension,), filters, sort)
            rows, _ = await pages(UsageQueries(some[0], some[1]), query, 2)
            assert [tuple(row.values()) for row in rows] == _expected(own, runs, dimension, sort)
        for readers in some:
            await readers.close()


def _matches(asset: Asset, filters: dict[str, list[str]]) -> bool:
    return all(getattr(asset, name) in values for name, values in filters.items())


def _has_run(filters: dict[str, list[str]], run: NodeRun) -> bool:
    own = run.name.user_id == "1"
    return own and all(run_key_of(run, name) in values for name, values in filters.items())


def _expected(
    assets: Sequence[Asset], runs: Sequence[NodeRun], dimension: str, sort: str
) -> list[tuple[Any, ...]]:
    groups = recounted(assets, runs, [dimension])
    rows = [(key, *value) for (_, name, key), value in groups.items() if name == dimension]
    if sort == "key":
        rows.sort()
    else:
        column = COLUMNS[sort]
        rows.sort(key=lambda row: (row[column], row[0]), reverse=True)
    return [_shown(*row) for row in rows]


def _shown(key: str, *rest: Any) -> tuple[Any, ...]:
    count, size, largest, first, last, runs, failed, micros = rest
    seen = (first, last) if count else (None, None)
    return key or None, count, size, largest, *seen, runs, failed, micros / 1e6


async def test_usage_refuses_the_cursor_of_another_query(here: World, runner: Runner) -> None:
    here.append(*[created(originator_id=asset_id(n), node_id=f"n{n}") for n in (1, 2)])
    query = UsageQuery("1", ("node_id",), {}, "-bytes")
    with usage(here) as part:
        readers = AsyncSqliteReaders(file_of(part), 1)
        queries = UsageQueries(readers, readers)
        first = await queries.page(query, page_size=1)

        for other in (query._replace(sort="key"), query._replace(user_id="2")):
            with pytest.raises(CursorError):
                await queries.page(other, page_size=1, cursor=first.next)
        assert (first.count, first.position) == (1, 3)
        await readers.close()


ZONES = (
    *("UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"),
    *("Africa/Casablanca", "America/St_Johns", "+05:45", "-11:00"),
)
AROUND = (
    *("2026-03-29T01:00", "2026-10-25T01:00", "2026-04-04T15:00", "2026-10-03T15:30"),
    *("2011-12-30T10:00", "2026-02-15T02:00", "2026-11-01T04:30", "2026-01-01T00:00"),
)
"""Where offsets change: hours that do not exist, hours twice, a day that is left out."""


@pytest.fixture
def around_changes(here: World, runner: Runner) -> list[Asset]:
    """Assets at many quarters of an hour around the changes."""
    minutes = [15 * n for n in range(-104, 105, 3)]
    times = [utc(text) + timedelta(minutes=each, seconds=7) for text in AROUND for each in minutes]
    events = [
        created(originator_id=asset_id(n), made_at=when, node_id="ab"[n % 2], size=n % 5)
        for n, when in enumerate(times)
    ]
    here.write(runner, *events)
    return list(live(here.feed.read(0, 10_000)).values())


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


QUESTIONS: Sequence[tuple[tuple[str, ...], dict[str, list[str]]]] = (
    *((("day",), {}), (("hour",), {}), (("day", "node_id"), {}), (("node_id", "hour"), {})),
    (("day",), {"node_id": ["a"]}),
    (("hour", "node_id"), {"created_after": ["1900-01-01T00:00:00Z"]}),
)


async def test_days_and_hours_are_those_of_the_zone(
    here: World, runner: Runner, around_changes: list[Asset]
) -> None:
    with usage(here) as part:
        totals, assets = (AsyncSqliteReaders(file_of(each), 1) for each in (part, runner))
        for zone, (groupings, filters) in product(ZONES, QUESTIONS):
            tests = conditions("1", filters)
            own = [asset for asset in around_changes if all(each.holds(asset) for each in tests)]
            query = UsageQuery("1", groupings, filters, "key", zone_named(zone))
            rows, _ = await pages(UsageQueries(totals, assets), query, 500)
            keys = [(row["key"], *([row["subkey"]] if "subkey" in row else [])) for row in rows]
            found = dict(zip(keys, (row["count"] for row in rows), strict=True))
            assert found == Counter(_keys_in(asset, groupings, zone) for asset in own), query
            assert keys == sorted(keys)
        await totals.close()
        await assets.close()


def _keys_in(asset: Asset, groupings: Sequence[str], zone: str) -> tuple[Any, ...]:
    return tuple(
        _period_in(asset.created_at, each, zone) if each in ("day", "hour") else asset.node_id
        for each in groupings
    )


def _period_in(when: datetime, grouping: str, zone: str) -> str:
    """Return the local day of a time, or the UTC time of the beginning of its local hour."""
    local = when.astimezone(zone_named(zone).rules)
    if grouping == "day":
        return local.date().isoformat()
    offset = local.utcoffset()
    assert offset is not None
    minutes = (when.minute // 15 * 15 + int(offset / timedelta(minutes=1))) % 60
    began = when.replace(minute=when.minute // 15 * 15) - timedelta(minutes=minutes)
    return began.isoformat()[:16] + "Z"
