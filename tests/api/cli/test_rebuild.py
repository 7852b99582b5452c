"""`asset-ledger rebuild`, in a folder and through its server, with the same output."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.journeys.client import talking
from tests.journeys.server import Server, run, serving
from tests.journeys.unreadable import append_unreadable_event

pytestmark = pytest.mark.slow

FINE, FOUND, REFUSED = 0, 1, 2


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with an asset that a job made."""
    with serving(tmp_path / "data") as server:
        with talking(server.port) as client:
            client.created(job_id="j", name="a.png")
        yield server


@pytest.fixture(params=["in the folder", "through its server"])
def where(request: pytest.FixtureRequest, server: Server) -> list[str | Path]:
    """The options that name the ledger."""
    if request.param == "in the folder":
        server.stop()
    return ["--data-dir", server.data_dir]


def rebuilt(where: list[str | Path], *options: str, code: int = FINE) -> dict[str, Any]:
    """Run a rebuild. Return its JSON output."""
    done = run("rebuild", "--json", *options, *where)
    assert done.returncode == code, done.stderr
    document: dict[str, Any] = orjson.loads(done.stdout)
    return document


def spoil(server: Server) -> None:
    """Give the tables a row that the events did not make."""
    with closing(sqlite3.connect(server.data_dir / "projections.g1.db")) as db, db:
        db.execute("UPDATE assets SET size = 1")


def test_a_rebuild_prints_its_result(where: list[str | Path]) -> None:
    made = rebuilt(where)

    assert (made["generation"], made["result"], made["position"]) == (2, "switched", 2)
    assert (made["differences"], made["others"], made["broken"]) == (0, {}, {})


def test_a_server_at_an_address_rebuilds_with_the_same_digest(server: Server) -> None:
    first, second = (rebuilt(["--url", server.url]) for _ in range(2))

    assert (first["generation"], second["generation"]) == (2, 3)
    assert first["digest"] == second["digest"]


def test_a_rollback_goes_back_one_generation_and_no_further(where: list[str | Path]) -> None:
    rebuilt(where)

    back = rebuilt(where, "--rollback")
    second = run("rebuild", "--rollback", *where)

    assert back["generation"] == 1
    assert (second.returncode, second.stdout) == (REFUSED, "")
    assert (
        second.stderr
        == "asset-ledger: no earlier generation of the tables is kept: nothing was changed\n"
    )
    assert rebuilt(where)["generation"] == 3


def test_a_dry_run_finds_the_differences_that_a_rebuild_repairs(
    where: list[str | Path], server: Server
) -> None:
    spoil(server)

    dry = rebuilt(where, "--dry-run", code=FOUND)
    done = run("rebuild", *where)
    after = rebuilt(where, "--dry-run")

    assert (dry["result"], dry["differences"], "comparison" in dry) == ("discarded", 1, False)
    assert done.returncode == FOUND
    assert done.stdout.endswith("1 rows differ: 1 of assets\n")
    assert (after["differences"], after["generation"]) == (0, 3)


def test_diff_prints_each_difference_by_row_and_column(
    where: list[str | Path], server: Server
) -> None:
    spoil(server)

    text = run("rebuild", "--diff", *where)
    document = rebuilt(where, "--diff", code=FOUND)

    assert text.returncode == FOUND
    (counts,) = [line for line in text.stdout.splitlines() if "size:1" in line]
    assert counts.split() == ["assets", "1", "1", "0", "0", "1", "size:1"]
    assert text.stdout.endswith("assets seq=2 changed  size: 1 -> 7\n")
    (table,) = [t for t in document["comparison"]["tables"] if t["table"] == "assets"]
    assert table["rows"][0]["columns"] == {"size": {"before": 1, "after": 7}}
    assert not (server.data_dir / "projections.g2.db").exists()


def test_cancel_is_refused_without_a_server(server: Server) -> None:
    beside = run("rebuild", "--cancel", "--data-dir", server.data_dir)
    by_address = run("rebuild", "--cancel", "--url", server.url)
    server.stop()
    without = run("rebuild", "--cancel", "--data-dir", server.data_dir)

    for done in (beside, by_address):
        assert (done.returncode, done.stderr) == (FINE, "")
        assert done.stdout == "no rebuild is running now; generation 1 is used\n"
    assert without.returncode == REFUSED
    assert "no server has this folder" in without.stderr


@pytest.mark.parametrize("options", [("--dry-run", "--rollback"), ("--diff", "--cancel")])
def test_conflicting_options_are_refused(server: Server, options: tuple[str, str]) -> None:
    done = run("rebuild", *options, "--data-dir", server.data_dir)

    assert (done.returncode, done.stdout) == (REFUSED, "")


@pytest.mark.parametrize("how", ["in the folder", "through its server", "at its address"])
def test_an_unreadable_event_is_skipped_wherever_the_rebuild_runs(server: Server, how: str) -> None:
    server.stop()
    poison = append_unreadable_event(server.data_dir)
    if how != "in the folder":
        server.start()
    where = ["--url", server.url] if how == "at its address" else ["--data-dir", server.data_dir]

    refused = run("rebuild", *where)
    done = run("rebuild", *where, "--skip", str(poison), "--because", "a test")

    assert (refused.returncode, refused.stderr.count("\n")) == (REFUSED, 1), refused.stderr
    assert (
        f"the event at position {poison} cannot be read: this release has no topic"
        in refused.stderr
    )
    assert (done.returncode, done.stderr.count("\n")) == (FINE, 1), done.stderr
    assert f"event {poison} is skipped by jobs, assets, lineage, usage, search" in done.stderr
    assert run("verify", "--data-dir", server.data_dir).returncode == FINE
