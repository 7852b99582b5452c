"""The rebuild process, without the server that started it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from asset_ledger.api.settings import Settings
from tests.api.running import serving
from tests.journeys.server import PATIENCE

UNWATCHED: Final = (
    "from asset_ledger.api.workers import rebuild_worker as w;"
    " w.exit_with_server = lambda: None; w.main()"
)
"""A worker whose watching thread never runs, as on a busy machine."""


async def test_rebuild_worker_builds_nothing_when_its_server_died_before_it_started(
    data_dir: Path,
) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()
    files = {path: path.stat().st_mtime_ns for path in data_dir.glob("projections.g*")}

    done = subprocess.run(
        [sys.executable, "-P", "-c", UNWATCHED, str(data_dir), "build", "1"],
        input=b"",  # a pipe whose other end is closed
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )

    assert (done.stdout, done.stderr) == (b"", b"")
    assert {path: path.stat().st_mtime_ns for path in data_dir.glob("projections.g*")} == files
