"""An earlier and a later release at once: servers of one database, while its tables change.

The earlier one is a real server of this release; the later one has a migration and a column more.
`tests.journeys.test_two_releases` has an upgrade with two checkouts.
"""

import asyncio
import importlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.tables.usage import Usage
from tests.api.http.test_servers import until
from tests.api.running import Api, serving
from tests.house.console import document
from tests.journeys.client import Reply, talking
from tests.journeys.server import Server
from tests.journeys.server import serving as serving_process
from tests.postgres import Postgres
from tests.projections.before import PLANTED, add_smell, plant

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
pytestmark = pytest.mark.slow

SMELL = Migration(PLANTED, add_smell, needs_events=True)
WAITING = """SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted),
    (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^g[0-9]+$')"""


@pytest.fixture
def shared_url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
def earlier(shared_url: str, tmp_path: Path) -> Iterator[Server]:
    flags = ("--database-url", shared_url, "--content-url", str(tmp_path / "store"))
    with serving_process(tmp_path / "earlier", *flags) as server:
        yield server


@asynccontextmanager
async def later(shared_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """Run a server of a later release on the same database."""
    engine = importlib.import_module("asset_ledger.api.database.engine").DatabaseEngine
    with pytest.MonkeyPatch.context() as patch:
        plant(patch, SMELL)
        patch.setattr("tests.api.running.engine_for", lambda folder: engine(shared_url, folder))
        settings = Settings(data_dir=tmp_path / "later", content_url=str(tmp_path / "store"))
        async with serving(settings) as api:
            yield api


async def asked(server: Server, path: str) -> Reply:
    def ask() -> Reply:
        with talking(server.port) as client:
            return client.get(path)

    return await asyncio.to_thread(ask)


async def uploaded(server: Server, name: str) -> Reply:
    def upload() -> Reply:
        with talking(server.port) as client:
            return client.upload(b"x", name=name, node_id="n")

    return await asyncio.to_thread(upload)


async def shows(server: Server, count: int) -> bool:
    """Return whether the list, a search and the usage of a server have so many assets."""
    listed = (await asked(server, "/api/assets")).json["assets"]
    found = (await asked(server, "/api/assets/search?query=asset")).json["assets"]
    usage = (await asked(server, "/api/assets/usage?group_by=node_id")).json["usage"]
    return bool([len(listed), len(found), sum(row["count"] for row in usage)] == [count] * 3)


async def build_until_a_server_waits(engine: Any) -> None:
    """Keep others from building, as a rebuild does, until one waits and has begun no tables."""
    with engine.building(), psycopg.connect(engine.database, autocommit=True) as db:

        async def waits() -> bool:
            return bool(db.execute(WAITING).fetchone() == (1, 1))

        await until(waits)


def add_weight(db: SqlConnection) -> None:
    """Add a column to the table of usage."""
    db.execute("ALTER TABLE usage_assets ADD COLUMN weight INTEGER NOT NULL DEFAULT 0")


async def test_an_earlier_release_does_not_fill_a_projection_that_a_later_one_changed(
    shared_url: str, earlier: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await uploaded(earlier, "asset 0")
    weight = Migration("20300101_000000_add_weight", add_weight, needs_events=True)
    monkeypatch.setattr(Usage, "migrations", (*Usage.migrations, weight))
    engine = importlib.import_module("asset_ledger.api.database.engine").DatabaseEngine
    monkeypatch.setattr("tests.api.running.engine_for", lambda folder: engine(shared_url, folder))
    settings = Settings(data_dir=tmp_path / "later", content_url=str(tmp_path / "store"))

    releasing = asyncio.create_task(build_until_a_server_waits(engine(shared_url, tmp_path)))

    async with serving(settings) as api:
        await releasing
        await until(lambda: shows(earlier, 1))
        assert (await uploaded(earlier, "asset 1")).status == 201
        await api.upload(name="asset 2", node_id="n")
        await until(lambda: shows(earlier, 3))
        with psycopg.connect(shared_url) as db:
            assert db.execute("SELECT sum(weight) FROM g2_usage.usage_assets").fetchone() == (0,)
    assert "Traceback" not in earlier.errors


async def test_the_earlier_release_goes_on_once_the_later_tables_are_dropped(
    shared_url: str, earlier: Server, tmp_path: Path
) -> None:
    assert (await uploaded(earlier, "asset 0")).status == 201
    async with later(shared_url, tmp_path) as api:
        assert (await api.upload(name="asset 1", node_id="n")).status == 201
    assert earlier.stop() == 0
    (drop,) = re.findall(r"-c '(DROP SCHEMA g2.*)'", document("docs/scaling.md"))

    with psycopg.connect(shared_url) as db:
        db.execute(drop)
    flags = ("--database-url", shared_url, "--content-url", str(tmp_path / "store"))
    with serving_process(tmp_path / "earlier", *flags) as again:
        await until(lambda: shows(again, 2))
        assert (await uploaded(again, "asset 2")).status == 201
        await until(lambda: shows(again, 3))
