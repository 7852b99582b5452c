"""A rolling upgrade with two checkouts: servers of both use one database, while writers go on.

The later checkout is a copy of this one with a migration of the assets more. The Python path of its
processes begins with it.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final

import pytest

from tests.house.source import ROOT
from tests.journeys.client import Client, Reply, talking
from tests.journeys.server import Server, run, serving, until
from tests.journeys.test_rebuilds import wait_for_rebuild
from tests.postgres import Postgres

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
pytestmark = pytest.mark.slow

ADDED: Final = "20300101_000000_add_smell"
MIGRATION: Final = '''"""Add the smell of an asset."""

needs_events = True


def upgrade(db):
    """Add the column."""
    db.execute("ALTER TABLE assets ADD COLUMN smell TEXT NOT NULL DEFAULT 'none'")
'''
BEFORE: Final = "    migrations: Final[Sequence[Migration]] = (\n"
LATER_FILLS: Final = "a later release fills the tables: rebuild at a server of it"
STATE: Final = """SELECT (SELECT generation FROM ledger.in_use), (SELECT count(*) FROM g2.assets
    WHERE smell = 'none'), (SELECT min(position) FROM g2.positions),
    (SELECT max(notification_id) FROM ledger.stored_events)"""


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as address:
        yield address


@pytest.fixture
def later(tmp_path: Path) -> tuple[str, ...]:
    """Make the later checkout; return the command that runs a program with it."""
    place = tmp_path / "checkout" / "asset_ledger"
    shutil.copytree(ROOT / "asset_ledger", place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "projections/migrations" / f"{ADDED}.py").write_text(MIGRATION)
    assets = place / "projections/tables/assets.py"
    text = assets.read_text("utf-8")
    assert BEFORE in text
    assets.write_text(text.replace(BEFORE, f'{BEFORE}        load("{ADDED}"),\n'), "utf-8")
    return ("env", f"PYTHONPATH={place.parent}")


@contextmanager
def writing(server: Server) -> Iterator[list[Reply]]:
    """Upload at a server, one after another, until the block ends. Yield the answers."""
    replies, is_over = list[Reply](), Event()

    def write() -> None:
        with talking(server.port) as client:
            while not is_over.is_set():
                name = f"asset {len(replies)} of {server.port}"
                replies.append(client.upload(b"x", name=name, node_id="n"))

    with ThreadPoolExecutor(1) as threads:
        written: Future[None] = threads.submit(write)
        try:
            yield replies
        finally:
            is_over.set()
            written.result()


def listed(client: Client, position: int) -> set[str]:
    """Return the ids of all assets, at this position or a later one."""
    assert client.get(f"/api/assets?page_size=1&min_position={position}").status == 200
    return {asset["id"] for asset in client.assets()}


def has_usage_of(client: Client, assets: int) -> bool:
    rows = client.get("/api/assets/usage?group_by=node_id").json["usage"]
    return bool(sum(row["count"] for row in rows) == assets)


def rebuilt(server: Server) -> tuple[str, str | None, int | None]:
    """Rebuild at a server. Return the result, the error, and the number of differences."""
    with talking(server.port) as client:
        assert client.call("POST", "/api/projections/rebuild").status == 202
        last = wait_for_rebuild(client)
        return last["result"], last["error"], last["differences"]


def test_two_checkouts_record_and_read_at_once_while_the_later_one_changes_the_tables(
    url: str, later: tuple[str, ...], tmp_path: Path
) -> None:
    flags = ("--database-url", url, "--content-url", str(tmp_path / "store"))
    with serving(tmp_path / "old", *flags) as old, ExitStack() as stack:
        with writing(old) as at_old:
            until(lambda: len(at_old) > 20, "the old release records")
            new = stack.enter_context(serving(tmp_path / "new", *flags, before=later))
            with writing(new) as at_new:
                before = len(at_old)
                until(lambda: len(at_new) > 20 and len(at_old) > before + 20, "both record")

        assert {reply.status for reply in at_new} == {201}
        assert {reply.status for reply in at_old} == {201, 202}
        behind = {reply.headers.get("Ledger-Projection") for reply in at_old if reply.status == 202}
        assert behind == {"behind"}
        recorded = {reply.json["id"]: reply for reply in at_old + at_new}
        assert len(recorded) == len(at_old + at_new)
        position = max(int(reply.headers["Ledger-Position"]) for reply in recorded.values())
        for server in (old, new):
            with talking(server.port) as client:
                assert listed(client, position) == {*recorded}
                until(partial(has_usage_of, client, len(recorded)), "usage has them")
        with psycopg.connect(url) as db:
            assert db.execute(STATE).fetchone() == (2, len(recorded), position, position)
        assert rebuilt(old) == ("failed", LATER_FILLS, None)
        assert old.stop() == 0
        refused = run("serve", "--port", "0", *flags, "--data-dir", old.data_dir)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert f"the tables have the schema {ADDED}" in refused.stderr
        assert rebuilt(new) == ("switched", None, 0)
        assert new.stop() == 0
        assert "Traceback" not in old.errors + new.errors
