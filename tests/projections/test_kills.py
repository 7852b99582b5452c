import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from projections.build import rebuild
from tests.projections.before import leave_behind
from tests.projections.kills import ALIVE, DEAD
from tests.projections.world import world


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with the first release's views, and the digest that today's have in the end."""
    folder = tmp_path_factory.mktemp("first-release")
    with world(folder) as here:
        first = leave_behind(here)
        value = rebuild(folder, here.feed).digest
        for file in folder.glob("projections.*"):
            if file != first:
                file.unlink()
    return folder, value


@pytest.fixture(scope="module")
def killed(expected: tuple[Path, str]) -> list[dict[str, Any]]:
    """What became of every kill."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.projections.kills", str(expected[0])],
        check=True,
        capture_output=True,
    )
    return [orjson.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("work", ["starts", "rebuilds"])
def test_a_kill_before_any_statement_is_made_good_by_the_next_start(
    killed: list[dict[str, Any]], expected: tuple[Path, str], work: str
) -> None:
    kills = [kill for kill in killed if kill["work"] == work]

    assert {(kill["digest"], kill["error"], kill["state"]) for kill in kills} == {
        (expected[1], None, "ready")
    }
    assert [kill["end"] for kill in kills] == [DEAD] * (len(kills) - 1) + [ALIVE]
    assert len(kills) > 40
