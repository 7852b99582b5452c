"""`asset-ledger rebuild`, in a folder and through the server that has it: both say the same."""

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
    """What names a ledger to the command."""
    if request.param == "in the folder":
        server.stop()
    return ["--data-dir", server.data_dir]


def rebuilt(where: list[str | Path], *options: str, code: int = FINE) -> dict[str, Any]:
    """What is told to machines."""
    done = run("rebuild", "--json", *options, *where)
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = orjson.loads(done.stdout)
    return told


def spoil(server: Server) -> None:
    """Give the tables a row that the events did not make."""
    with closing(sqlite3.connect(server.data_dir / "projections.g1.db")) as db, db:
        db.execute("UPDATE assets SET size = 1")


def test_a_rebuild_says_what_it_made(where: list[str | Path]) -> None:
    told = rebuilt(where)

    assert (told["generation"], told["result"], told["position"]) == (2, "switched", 2)
    assert (told["differences"], told["others"], told["broken"]) == (0, {}, {})


def test_a_server_at_an_address_does_the_same(server: Server) -> None:
    first, second = (rebuilt(["--url", server.url]) for _ in range(2))

    assert (first["generation"], second["generation"]) == (2, 3)
    assert first["digest"] == second["digest"]


def test_a_rebuild_can_be_taken_back_once(where: list[str | Path]) -> None:
    rebuilt(where)

    back = rebuilt(where, "--rollback")
    again = run("rebuild", "--rollback", *where)

    assert back["generation"] == 1
    assert (again.returncode, again.stdout) == (REFUSED, "")
    assert again.stderr == "asset-ledger: there is no generation to go back to\n"
    assert rebuilt(where)["generation"] == 3


def test_a_dry_run_finds_what_a_rebuild_makes_good(where: list[str | Path], server: Server) -> None:
    spoil(server)

    dry = rebuilt(where, "--dry-run", code=FOUND)
    told = run("rebuild", *where)
    after = rebuilt(where, "--dry-run")

    assert (dry["result"], dry["differences"], "comparison" in dry) == ("discarded", 1, False)
    assert told.returncode == FOUND
    assert told.stdout.endswith("1 rows differ: 1 of assets\n")
    assert (after["differences"], after["generation"]) == (0, 3)


def test_a_difference_is_shown_by_row_and_column(where: list[str | Path], server: Server) -> None:
    spoil(server)

    people = run("rebuild", "--diff", *where)
    machines = rebuilt(where, "--diff", code=FOUND)

    assert people.returncode == FOUND
    (counts,) = [line for line in people.stdout.splitlines() if "size:1" in line]
    assert counts.split() == ["assets", "1", "1", "0", "0", "1", "size:1"]
    assert people.stdout.endswith("assets seq=2 changed  size: 1 -> 7\n")
    (table,) = [t for t in machines["comparison"]["tables"] if t["table"] == "assets"]
    assert table["rows"][0]["columns"] == {"size": {"before": 1, "after": 7}}
    assert not (server.data_dir / "projections.g2.db").exists()


def test_nothing_to_cancel_is_said_where_no_server_is(server: Server) -> None:
    beside = run("rebuild", "--cancel", "--data-dir", server.data_dir)
    by_address = run("rebuild", "--cancel", "--url", server.url)
    server.stop()
    without = run("rebuild", "--cancel", "--data-dir", server.data_dir)

    assert (beside.returncode, by_address.returncode) == (FINE, FINE)
    assert without.returncode == REFUSED
    assert "no server has this folder" in without.stderr


@pytest.mark.parametrize("options", [("--dry-run", "--rollback"), ("--diff", "--cancel")])
def test_options_that_exclude_each_other_are_refused(
    server: Server, options: tuple[str, str]
) -> None:
    done = run("rebuild", *options, "--data-dir", server.data_dir)

    assert (done.returncode, done.stdout) == (REFUSED, "")


@pytest.mark.parametrize("how", ["in the folder", "through its server", "at its address"])
def test_an_event_is_set_aside_wherever_the_tables_are_made_anew(server: Server, how: str) -> None:
    server.stop()
    poison = append_unreadable_event(server.data_dir)
    if how != "in the folder":
        server.start()
    where = ["--url", server.url] if how == "at its address" else ["--data-dir", server.data_dir]

    refused = run("rebuild", *where)
    done = run("rebuild", *where, "--skip", str(poison), "--because", "a test")

    assert (refused.returncode, refused.stderr.count("\n")) == (REFUSED, 1), refused.stderr
    assert (
        f"the event at position {poison} cannot be read: no event has the topic" in refused.stderr
    )
    assert (done.returncode, done.stderr.count("\n")) == (FINE, 1), done.stderr
    assert f"event {poison} is set aside for jobs, assets, lineage, usage, search" in done.stderr
    assert run("verify", "--data-dir", server.data_dir).returncode == FINE
