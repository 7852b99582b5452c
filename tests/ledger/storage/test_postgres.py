"""Values on their way to PostgreSQL."""

import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.cutting import CuttingProxy
from tests.postgres import Postgres

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
storage = pytest.importorskip("asset_ledger.ledger.storage.postgres")

DOCUMENT = '{"name": "a \\\\ b", "tags": ["null", ""]}' * 1_000


def test_lists_of_bytes_and_texts_take_the_bytes_of_their_values(postgres: Postgres) -> None:
    given: tuple[list[bytes | str | None], ...] = (
        [DOCUMENT.encode(), None, b"", bytes(range(256))],
        [DOCUMENT, None, "", "NULL", "\u3000"],
        ["00112233445566778899aabbccddeeff"],
        [],
    )
    sql = "SELECT ?::bytea[], ?::text[], ?::uuid[], ?::text[]"
    with (
        tempfile.TemporaryDirectory(prefix="sent-") as place,
        postgres.database() as url,
        CuttingProxy(Path(place), url) as proxy,
        closing(storage.PostgresConnection(proxy.url, ("public",))) as db,
    ):
        before = proxy.sent
        found = db.execute(sql, given).fetchone()
        sent = proxy.sent - before

    assert found == given
    assert sent < 2 * len(DOCUMENT) + 1_000
