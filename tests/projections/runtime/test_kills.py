import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.projections.before import DIGEST, restore
from tests.projections.kills import ALIVE, DEAD

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The outcome of every kill of a start and of a rebuild."""
    return kills(tmp_path_factory.mktemp("older"))


def kills(folder: Path, *work: str) -> list[dict[str, Any]]:
    """Run the kills on copies of a folder from before the second migration."""
    restore(folder)
    program = [sys.executable, "-m", "tests.projections.kills", str(folder), *work]
    done = subprocess.run(program, check=True, capture_output=True)
    return [orjson.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("work", ["starts", "rebuilds"])
def test_start_recovers_from_a_kill_before_any_statement(
    killed: list[dict[str, Any]], work: str
) -> None:
    check_recovered([kill for kill in killed if kill["work"] == work])


def test_start_recovers_from_a_kill_while_tables_are_expanded(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_recovered(kills(tmp_path_factory.mktemp("older"), "expands"))


def check_recovered(kills: list[dict[str, Any]]) -> None:
    """Check that the next start has the current tables after each kill."""
    assert {(kill["digest"], kill["error"], kill["state"]) for kill in kills} == {
        (DIGEST, None, "ready")
    }
    assert [kill["end"] for kill in kills] == [DEAD] * (len(kills) - 1) + [ALIVE]
    assert len(kills) > 40
