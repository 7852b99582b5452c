"""Rebuilds in PostgreSQL: their memory, and a machine that stands still for a moment."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.rebuild.build import build
from asset_ledger.projections.rebuild.digest import rows
from asset_ledger.projections.runtime.start import start
from tests.builders import command
from tests.contracts.event_log import creation
from tests.postgres import Postgres
from tests.projections.test_engines import opening
from tests.projections.world import LOG_ID

pytestmark = pytest.mark.slow  # each starts a real PostgreSQL

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
postgres_log = pytest.importorskip("asset_ledger.ledger.log.postgres")
storage = pytest.importorskip("asset_ledger.ledger.storage.postgres")
table_schemas = pytest.importorskip("asset_ledger.projections.runtime.table_schemas")

MANY = 200_000
WIDTH = 400
"""Characters in a row: all rows together have 80 MB."""


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as address:
        yield address


def test_the_digest_of_a_long_table_takes_little_memory(url: str) -> None:
    with (
        closing(postgres_log.PostgresLog(url, Codec())),
        closing(table_schemas.TableSchemas(url)) as store,
        closing(store.open(1, [])) as database,
    ):
        database.write.execute(
            f"CREATE TABLE long AS SELECT n, repeat('x', {WIDTH}) AS text"
            f" FROM generate_series(1, {MANY}) AS n"
        )
        database.write.execute("ALTER TABLE long ADD PRIMARY KEY (n)")
        before = resident()
        found = rows(database, "long")

        assert next(found) == b'{"n":1,"text":"%s"}\n' % (b"x" * WIDTH)
        assert resident() - before < MANY * WIDTH / 4
        assert sum(1 for _ in found) == MANY - 1


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_rebuild_goes_on_after_its_process_stood_still(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "FROZEN", "1s")
    pauses = iter([1.5])

    def stand_still(*_: Any) -> None:
        time.sleep(next(pauses, 0))

    with (
        closing(postgres_log.PostgresLog(url, Codec())) as log,
        closing(table_schemas.TableSchemas(url)) as store,
    ):
        log.append([command(opening()), creation(1)], lambda _: None)
        feed = Feed(log, Codec(), LOG_ID)
        start(store, feed).close()

        built = build(store, 2, feed, stand_still)

    assert built.comparison is not None
    assert not built.comparison.differs
