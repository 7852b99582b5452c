"""The examples run as programs."""

import subprocess
import sys

import pytest

from tests.house.source import ROOT
from tests.journeys.server import PATIENCE

pytestmark = pytest.mark.slow


def test_the_example_adds_a_column_and_changes_no_other_column() -> None:
    program = [sys.executable, str(ROOT / "examples" / "add_a_column.py")]

    done = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "rows that differ, in the columns that both have: 0",
        "jobs: 1 rows, new columns: []",
        "job_attempts: 0 rows, new columns: []",
        "node_runs: 0 rows, new columns: []",
        "assets: 4 rows, new columns: ['frame_rate']",
        "edges: 0 rows, new columns: []",
        "versions in the log, none of them rewritten: [1, 1, 1, 1, 1, 1, 2]",
        "from 25 frames a second on: a.mp4, b.mp4, d.mp4",
    ]
