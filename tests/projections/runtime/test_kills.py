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
    """What became of every kill of a start and of a rebuild."""
    return kills(tmp_path_factory.mktemp("older"))


def kills(folder: Path, *work: str) -> list[dict[str, Any]]:
    """What became of every kill, in copies of a folder from before the second migration."""
    restore(folder)
    program = [sys.executable, "-m", "tests.projections.kills", str(folder), *work]
    done = subprocess.run(program, check=True, capture_output=True)
    return [orjson.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("work", ["starts", "rebuilds"])
def test_a_kill_before_any_statement_is_made_good_by_the_next_start(
    killed: list[dict[str, Any]], work: str
) -> None:
    made_good([kill for kill in killed if kill["work"] == work])


def test_a_kill_while_older_projections_are_expanded_is_made_good_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made_good(kills(tmp_path_factory.mktemp("older"), "expands"))


def made_good(kills: list[dict[str, Any]]) -> None:
    """Whatever the kill left, the next start has the projections of today."""
    assert {(kill["digest"], kill["error"], kill["state"]) for kill in kills} == {
        (DIGEST, None, "ready")
    }
    assert [kill["end"] for kill in kills] == [DEAD] * (len(kills) - 1) + [ALIVE]
    assert len(kills) > 40
