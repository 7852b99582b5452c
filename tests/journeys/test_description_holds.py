"""Schemathesis asks whatever our description allows, and what it forbids: it has to tell the truth.

No 5xx, no status, header or shape that is not described, nothing taken that it says is refused.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import pytest

from tests.house.source import ROOT
from tests.journeys.server import PATIENCE, Server, run, serving

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


def hold(server: Server, *options: str, seconds: int = SECONDS) -> None:
    """Let Schemathesis look for anything that the server does and its description does not say."""
    command: list[str | Path] = [PROGRAM, "--config-file", CONFIG, "run", description(server)]
    command += ["--url", server.url, "--exclude-path", ENDLESS]
    # It gives a server ten seconds, and itself one: a machine that is busy elsewhere takes longer.
    command += ["--request-timeout", str(PATIENCE), "--max-response-time", str(PATIENCE)]
    command += ["--suppress-health-check", "too_slow"]
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
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.errors == ""


def description(server: Server) -> Path:
    """What the server says of itself, in a file: Schemathesis would wait for it ten seconds."""
    file = server.data_dir.with_name("openapi.json")
    with urlopen(f"{server.url}/openapi.json", timeout=PATIENCE) as answer:
        file.write_bytes(answer.read())
    return file


def test_a_local_ledger_is_as_described(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        hold(server, "--max-examples", "5")


def test_a_ledger_that_asks_for_tokens_is_as_described(tmp_path: Path) -> None:
    scopes = ("--scope", "read", "--scope", "write", "--scope", "audit", "--scope", "admin")
    made = run("token", "create", "--data-dir", tmp_path / "data", *scopes)
    shown = ("--header", f"Authorization: Bearer {made.stdout.strip()}")
    # The run would find its own token in the list, and revoke it.
    kept = ("--exclude-operation-id", "revoke_token")

    with serving(tmp_path / "data", "--auth", "tokens") as server:
        hold(server, *shown, *kept, "--max-examples", "3")


def test_whoever_has_no_token_is_answered_as_described(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--auth", "tokens") as server:
        few = ("--max-examples", "1", "--phases", "examples,fuzzing")
        hold(server, *few, seconds=10)
