"""A server in PostgreSQL: kills under load lose no acknowledged upload, and record none twice."""

import random
from pathlib import Path

import pytest

from tests.journeys.load import CONNECTIONS, Load, under_load
from tests.journeys.server import run, serving
from tests.journeys.test_kills import check_acknowledged, kill_at_a_random_moment, send_again
from tests.postgres import Postgres

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")

POSITIONS = "SELECT count(*), max(notification_id) FROM ledger.stored_events"
ROWS = """SELECT (SELECT count(*) FROM g1.assets), (SELECT min(position) FROM g1.positions),
    (SELECT count(*) FROM ledger.stored_events WHERE topic = 'asset.created')"""


def test_the_unreleased_setting_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run("serve", "--database-url", "postgresql://x", "--data-dir", tmp_path / "data")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "this release keeps the ledger in its data folder" in done.stderr
    assert "database" not in run("serve", "--help").stdout


@pytest.mark.slow
def test_kills_under_load_lose_no_acknowledged_upload(
    postgres: Postgres, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNRELEASED_POSTGRESQL", "1")
    load = Load()
    with postgres.database() as url, serving(data_dir, "--database-url", url) as server:
        for number in range(3):
            with under_load(server.port, load, seed=number, connections=CONNECTIONS):
                kill_at_a_random_moment(server, load, random.Random(number))
            server.start()
            check_acknowledged(server, load)
            send_again(server, load)
            with psycopg.connect(url) as db:
                events, last = db.execute(POSITIONS).fetchone()
                assets, position, created = db.execute(ROWS).fetchone()
            assert (events, assets, position) == (last, created, last)
        verified = run("verify", "--database-url", url, "--data-dir", data_dir)
        assert (verified.returncode, verified.stderr) == (0, "")
        assert verified.stdout.count("; digest ") == 2
        replayed = run("replay", "j", "--database-url", url, "--json")
        made = sum(upload.fields.get("job_id") == "j" for upload, _ in load.acknowledged.values())
        assert replayed.stdout.count('"topic":"asset.created"') >= made > 0
        assert server.stop() == 0
        assert "Traceback" not in server.errors
