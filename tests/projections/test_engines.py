"""PostgreSQL gives the same tables as SQLite for the same log: equal digests, and equal JSON."""

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from asset_ledger.api.export.ledger import checked_leaf
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.ledger import FORMAT, LedgerOpened
from asset_ledger.ledger.errors import GenerationError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import Copied, CopiedLog
from asset_ledger.ledger.log.event_log import Appended, EventLog, LogReader
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.rebuild.build import build
from asset_ledger.projections.rebuild.digest import digest
from asset_ledger.projections.runtime.live import LiveTables
from asset_ledger.projections.runtime.registry import FOLLOWING
from asset_ledger.projections.runtime.start import follow, start
from asset_ledger.projections.runtime.store import TableStore
from asset_ledger.projections.runtime.table_files import TableFiles
from tests.builders import at, command
from tests.postgres import POSTGRES, Postgres
from tests.projections.histories import histories
from tests.projections.world import LOG_ID

pytestmark = pytest.mark.slow  # each starts a real PostgreSQL

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
postgres_log = pytest.importorskip("asset_ledger.ledger.log.postgres")
postgres_copying = pytest.importorskip("asset_ledger.ledger.log.postgres_copying")
table_schemas = pytest.importorskip("asset_ledger.projections.runtime.table_schemas")

GROUP = 3


@pytest.fixture(params=POSTGRES)
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """Run on both versions."""
    server: Postgres = request.getfixturevalue(request.param)
    return server


def ticking() -> Callable[[], datetime]:
    """Return a clock that advances a second at each look."""
    seconds = iter(range(1_000, 1_000_000))
    return lambda: at(next(seconds))


def opening() -> LedgerOpened:
    return LedgerOpened(
        originator_id=LOG_ID,
        originator_version=1,
        by="system",
        log_id=LOG_ID,
        origin=f"asset-ledger/{LOG_ID}",
        public_key="key",
        format=FORMAT,
    )


def recorded(log: Any, tables: TableStore, events: list[Event]) -> tuple[str, str, list[Any]]:
    """Record events in groups, as a committer does. Return what `projected` does."""
    log.append([command(opening())], lambda _: None)
    with closing(start(tables, Feed(log, Codec(), LOG_ID))) as runner:
        for first in range(0, len(events), GROUP):
            group = [command(event) for event in events[first : first + GROUP]]
            done = [each for each in log.append(group, runner.prepare) if _is_new(each)]
            last = done[-1]
            assert runner.apply([each.prepared for each in done], last.last, last.leaf)
        assert runner.error is None
    return projected(log, tables)


def projected(log: Any, tables: TableStore) -> tuple[str, str, list[Any]]:
    """Return the digest of the tables of a log, that of a rebuild, and the JSON of all assets."""
    feed = Feed(log, Codec(), LOG_ID)
    with ExitStack() as stack:
        runner = start(tables, feed)
        stack.callback(runner.close)
        databases = dict(runner.database.tables)
        for projection in FOLLOWING:
            part = follow(tables, runner.database.number, projection, feed)
            stack.callback(part.close)
            assert (part.error, part.position) == (None, feed.head())
            databases |= part.database.tables
        json = runner.database.write.execute("SELECT json FROM assets ORDER BY seq").fetchall()
        rebuilt = build(tables, 2, feed)
        assert rebuilt.comparison is not None
        assert not rebuilt.comparison.differs
        return digest(databases), rebuilt.digest, json


def _is_new(outcome: object) -> bool:
    assert isinstance(outcome, Appended), outcome
    return True


@contextmanager
def in_database(postgres: Postgres) -> Iterator[tuple[EventLog, Any]]:
    with postgres.database() as url, ExitStack() as stack:
        log = stack.enter_context(closing(postgres_log.PostgresLog(url, Codec(), clock=ticking())))
        yield log, stack.enter_context(closing(table_schemas.TableSchemas(url)))


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=histories())
def test_both_engines_give_the_same_tables(postgres: Postgres, events: list[Event]) -> None:
    again = copy.deepcopy(events)  # a log stamps the events
    with tempfile.TemporaryDirectory() as place, in_database(postgres) as (log, schemas):
        folder = Path(place)
        with closing(SqliteLog(folder / "ledger.db", Codec(), clock=ticking())) as file:
            expected = recorded(file, TableFiles(folder), events)

        assert recorded(log, schemas, again) == expected


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=histories())
def test_copies_of_a_log_in_each_engine_give_the_same_tables(
    postgres: Postgres, events: list[Event]
) -> None:
    with tempfile.TemporaryDirectory() as place, postgres.database() as url, ExitStack() as stack:
        first, back = Path(place) / "first", Path(place) / "back"
        for folder in (first, back):
            folder.mkdir()
        log = stack.enter_context(closing(SqliteLog(first / "log", Codec(), clock=ticking())))
        expected = recorded(log, TableFiles(first), events)
        there = stack.enter_context(closing(postgres_copying.CopiedDatabase(url, Codec())))
        again = stack.enter_context(closing(CopiedLog(back, Codec())))

        copy_log(log, there)
        copy_log(there, again)

        schemas = stack.enter_context(closing(table_schemas.TableSchemas(url)))
        assert projected(there, schemas) == expected
        assert projected(again, TableFiles(back)) == expected


def test_generation_takes_over_only_from_the_one_that_is_in_use(postgres: Postgres) -> None:
    with in_database(postgres) as (log, tables), ExitStack() as stack:
        log.append([command(opening())], lambda _: None)
        feed = Feed(log, Codec(), LOG_ID)
        live = LiveTables(tables, start(tables, feed))
        stack.callback(live.close)
        assert tables.put_in_use(1, None)
        for number in (2, 3):
            build(tables, number, feed)

        live.begin_switch(1, 2, retire=False)
        assert tables.put_in_use(3, 1)  # another server, after the last look of this one
        refused = live.turn()

        assert isinstance(refused, GenerationError)
        assert str(refused) == "generation 3 was put in use meanwhile: start the rebuild again"
        assert (live.is_working, live.state.generation, tables.state_of(2)) == (
            False,
            1,
            "building",
        )
        live.begin_switch(1, 2, retire=False)
        live.adopt(3)
        assert isinstance(live.turn(), GenerationError)
        live.begin_switch(3, 2, retire=False)
        assert (live.turn(), live.state.generation, tables.state_of(2)) == (2, 2, "ready")


def copy_log(source: LogReader, target: Any) -> None:
    """Copy all events, a few at a time."""
    stored = source.read(0, 1_000)
    for first in range(0, len(stored), GROUP):
        page = stored[first : first + GROUP]
        target.copy(
            [
                Copied(each, Codec().decode(each).event, checked_leaf(each, hashed))
                for each, hashed in zip(page, source.leaf_hashes(first, GROUP), strict=True)
            ]
        )
