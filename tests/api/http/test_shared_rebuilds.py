"""Rebuilds of a server while other servers of its database build tables or put some in use."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.projections.rebuild.build import build
from asset_ledger.projections.runtime.registry import PROJECTIONS
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import start
from tests.api import running
from tests.api.http.test_servers import Two, names, serves, until
from tests.api.running import serving
from tests.postgres import Postgres

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture
def tables(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Have the servers in one database, and yield its tables as another server opens them."""
    from asset_ledger.api.database.engine import DatabaseEngine  # noqa: PLC0415 - an optional extra

    with postgres.database() as url:
        monkeypatch.setattr(running, "engine_for", lambda folder: DatabaseEngine(url, folder))
        with closing(DatabaseEngine(url, Path()).tables()) as opened:
            yield opened


@pytest.fixture
async def two(tables: Any, tmp_path: Path) -> AsyncIterator[Two]:
    async with (
        serving(Settings(data_dir=tmp_path / "first")) as first,
        serving(Settings(data_dir=tmp_path / "second")) as second,
    ):
        yield Two(first, second)


async def test_rebuild_keeps_what_another_server_builds_and_replaces_nothing_newer(
    two: Two, tables: Any
) -> None:
    rebuilds = two.first.backend.rebuilds
    await two.first.created(name="before")
    rebuilds.start()
    newer = tables.next_number()
    tables.open(newer, PROJECTIONS).close()  # another server begins to build
    switched = await rebuilds.wait()
    assert switched is not None
    assert (switched.result, switched.error) == ("switched", None)
    assert tables.numbers() == [1, 2, newer]

    late = rebuilds.start().generation
    build(tables, newer, two.first.backend.feed)  # before the event loop continues
    with closing(tables.open(newer, PROJECTIONS)) as database:
        database.declare("ready")
    assert tables.put_in_use(newer, tables.served())
    refused = await rebuilds.wait()

    assert refused is not None
    error = f"generation {newer} was put in use meanwhile: start the rebuild again"
    assert (refused.result, refused.error) == ("failed", error)
    answer = await two.first.upload(name="after")
    for api in two:
        await until(partial(serves, api, newer))
        assert await names(api, int(answer.headers["Ledger-Position"])) == ["after", "before"]
    assert late not in tables.numbers()


async def test_a_start_does_not_undo_the_switch_of_another_server(
    tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asset_ledger.api.database import engine  # noqa: PLC0415 - an optional extra

    async with serving(Settings(data_dir=tmp_path / "first")) as first:
        await first.created(name="before")
        newer = tables.next_number()
        build(tables, newer, first.backend.feed)

        def start_meanwhile(*arguments: Any, **options: Any) -> Runner:
            runner = start(*arguments, **options)
            if tables.served() == 1:
                with closing(tables.open(newer, PROJECTIONS)) as database:
                    database.declare("ready")
                assert tables.put_in_use(newer, 1)
            return runner

        monkeypatch.setattr(engine, "start", start_meanwhile)
        async with serving(Settings(data_dir=tmp_path / "second")) as second:
            assert tables.served() == newer
            for api in (first, second):
                await until(partial(serves, api, newer))
                assert await names(api, 2) == ["before"]


async def test_a_start_that_gets_no_lock_is_refused_in_one_line(
    tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asset_ledger.ledger.storage import postgres  # noqa: PLC0415 - an optional extra

    settings = postgres.settings

    def impatient(*arguments: Any, **options: Any) -> str:
        return settings(*arguments, **options).replace("lock_timeout = '5s'", "lock_timeout = 50")

    monkeypatch.setattr(postgres, "settings", impatient)
    async with serving(Settings(data_dir=tmp_path / "first")) as first:
        await first.created(name="before")
        with closing(postgres.PostgresConnection(tables.url, ("g1", postgres.LOG))) as db:
            db.execute("SET idle_in_transaction_session_timeout = 0")
            db.execute("BEGIN")
            db.execute("UPDATE positions SET position = position")
            with pytest.raises(DataFolderError, match="lock timeout"):
                async with serving(Settings(data_dir=tmp_path / "second")):
                    pass
        await first.created(name="after")
