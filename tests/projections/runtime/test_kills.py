import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.projections.rebuild.build import rebuild
from tests.projections.before import leave_behind
from tests.projections.kills import ALIVE, DEAD
from tests.projections.releases import restore
from tests.projections.test_releases import DIGEST
from tests.projections.world import world

pytestmark = pytest.mark.slow


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
    return kills(expected[0])


def kills(folder: Path, *work: str) -> list[dict[str, Any]]:
    program = [sys.executable, "-m", "tests.projections.kills", str(folder), *work]
    done = subprocess.run(program, check=True, capture_output=True)
    return [orjson.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("work", ["starts", "rebuilds"])
def test_a_kill_before_any_statement_is_made_good_by_the_next_start(
    killed: list[dict[str, Any]], expected: tuple[Path, str], work: str
) -> None:
    made_good([kill for kill in killed if kill["work"] == work], expected[1])


def test_a_kill_while_older_views_are_expanded_is_made_good_too(tmp_path: Path) -> None:
    folder = tmp_path / "older"
    folder.mkdir()
    restore("20260201_000000_find_assets_by_name", folder)

    made_good(kills(folder, "expands"), DIGEST)


def made_good(kills: list[dict[str, Any]], digest: str) -> None:
    """Whatever the kill left, the next start has the views of today."""
    assert {(kill["digest"], kill["error"], kill["state"]) for kill in kills} == {
        (digest, None, "ready")
    }
    assert [kill["end"] for kill in kills] == [DEAD] * (len(kills) - 1) + [ALIVE]
    assert len(kills) > 40
