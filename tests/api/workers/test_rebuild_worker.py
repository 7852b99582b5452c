"""The building process by itself: what it does without the server that began it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from asset_ledger.api.settings import Settings
from tests.api.running import serving
from tests.journeys.server import PATIENCE

UNNOTICED: Final = (
    "from asset_ledger.api.workers import rebuild_worker as w;"
    " w.exit_with_server = lambda: None; w.main()"
)
"""A worker whose watching thread does not get its turn, as on a machine that is busy."""


async def test_whose_server_died_before_its_turn_came_it_builds_nothing(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()
    files = {path: path.stat().st_mtime_ns for path in data_dir.glob("projections.g*")}

    done = subprocess.run(
        [sys.executable, "-P", "-c", UNNOTICED, str(data_dir), "build", "1"],
        input=b"",  # a pipe of which nobody has the other end
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )

    assert (done.stdout, done.stderr) == (b"", b"")
    assert {path: path.stat().st_mtime_ns for path in data_dir.glob("projections.g*")} == files
