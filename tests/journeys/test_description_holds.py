"""Schemathesis asks whatever our description allows, and what it forbids: it has to tell the truth.

No 5xx, no status, header or shape that is not described, nothing taken that it says is refused.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT
from tests.journeys.server import Server, run, serving

pytestmark = pytest.mark.slow

PROGRAM: Final = Path(sys.executable).with_name("schemathesis")
SEED: Final = 20260101
SECONDS: Final = 25
"""How long one run may look for something."""

LEFT_OUT: Final = (
    "positive_data_acceptance",  # a schema cannot say which cursor there is, or whose folder
    "use_after_free",  # what was deleted keeps its history and its proofs
)
CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
HOOKS: Final = "tests.journeys.schemathesis_hooks"
ENDLESS: Final = "/api/events/stream"


def complaints(server: Server, *options: str, seconds: int = SECONDS) -> str:
    """What Schemathesis has against the server; empty if nothing."""
    command: list[str | Path] = [
        PROGRAM,
        "--config-file",
        CONFIG,
        "run",
        f"{server.url}/openapi.json",
        "--exclude-path",
        ENDLESS,
    ]
    command += ["--checks", "all", "--exclude-checks", ",".join(LEFT_OUT), "--no-shrink"]
    command += ["--seed", str(SEED), "--max-time", str(seconds), "--generation-database", "none"]
    done = subprocess.run(
        [*command, "--continue-on-failure", "--no-color", "--warnings", "off", *options],
        cwd=server.data_dir.parent,  # it leaves its notes there
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS},
        capture_output=True,
        text=True,
        timeout=10 * SECONDS,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_a_local_ledger_is_as_described(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        assert complaints(server, "--max-examples", "5") == ""
        assert server.errors == ""


def test_a_ledger_that_asks_for_tokens_is_as_described(tmp_path: Path) -> None:
    scopes = ("--scope", "read", "--scope", "write", "--scope", "audit", "--scope", "admin")
    made = run("token", "create", "--data-dir", tmp_path / "data", *scopes)
    shown = ("--header", f"Authorization: Bearer {made.stdout.strip()}")
    # The run would find its own token in the list, and revoke it.
    kept = ("--exclude-operation-id", "revoke_token")

    with serving(tmp_path / "data", "--auth", "tokens") as server:
        assert complaints(server, *shown, *kept, "--max-examples", "3") == ""
        assert server.errors == ""


def test_whoever_has_no_token_is_answered_as_described(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--auth", "tokens") as server:
        few = ("--max-examples", "1", "--phases", "examples,fuzzing")
        assert complaints(server, *few, seconds=10) == ""
        assert server.errors == ""
