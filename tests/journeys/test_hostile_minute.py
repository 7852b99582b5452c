"""One hostile user and one client without a token cannot stop the others."""

from pathlib import Path

import pytest

from tests.journeys.client import talking
from tests.journeys.hostile import attackable, hostile_minute
from tests.journeys.processes import children_of, command_of
from tests.journeys.server import until

MIB = 1 << 20


@pytest.mark.chaos  # it measures memory near its bound, which a loaded machine moves
def test_ten_hostile_seconds_stop_no_honest_user(tmp_path: Path) -> None:
    survive(tmp_path / "data", 10)


@pytest.mark.chaos
def test_a_hostile_minute_stops_no_honest_user(tmp_path: Path) -> None:
    survive(tmp_path / "data", 60)


def survive(data_dir: Path, seconds: float) -> None:
    """Attack a server, and check that it answered, in little memory, and needs no restart."""
    with attackable(data_dir) as server:
        committers = committers_of(server.pid)
        outcome = hostile_minute(server, seconds)
        print(outcome.report())

        assert outcome.failed == []
        assert len(outcome.beside) >= 5
        assert outcome.revoked_after < 5
        assert outcome.peak < 400 * MIB, outcome.memory
        assert committers_of(server.pid) == committers
        with talking(server.port) as client:
            until(lambda: client.get("/readyz").status == 200, "the server is ready")
        assert server.stop() == 0
        assert "Traceback" not in server.errors


def committers_of(pid: int) -> list[int]:
    return [child for child in children_of(pid) if b"committer_worker" in command_of(child)]
