"""Schemathesis asks whatever our description allows, and what it forbids: it has to tell the truth.

No 5xx, no status, header or shape that is not described, nothing taken that it says is refused.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
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
NEGATIVE: Final = ("--mode", "negative", "--phases", "coverage,fuzzing", "--max-examples", "100")
"""Only requests that Schemathesis takes for invalid."""


def hold(server: Server, *options: str, seconds: int = SECONDS) -> None:
    """Let Schemathesis look for anything that the server does and its description does not say."""
    done = search(server, description(server), *options, seconds=seconds)

    assert done.returncode == 0, done.stdout + done.stderr
    assert server.errors == ""


def search(
    server: Server, described: dict[str, Any], *options: str, seconds: int = SECONDS
) -> "subprocess.CompletedProcess[str]":
    """Run Schemathesis, to the end, against the server and a description of it."""
    file = server.data_dir.with_name("openapi.json")  # from its address it would wait ten seconds
    file.write_text(json.dumps(described), "utf-8")
    command: list[str | Path] = [PROGRAM, "--config-file", CONFIG, "run", file]
    command += ["--url", server.url, "--exclude-path", ENDLESS]
    # It gives a server ten seconds, and itself one: a machine that is busy elsewhere takes longer.
    command += ["--request-timeout", str(PATIENCE), "--max-response-time", str(PATIENCE)]
    command += ["--suppress-health-check", "too_slow"]
    command += ["--checks", "all", "--exclude-checks", ",".join(LEFT_OUT), "--no-shrink"]
    command += ["--seed", str(SEED), "--max-time", str(seconds), "--generation-database", "none"]
    return subprocess.run(
        [*command, "--continue-on-failure", "--no-color", "--warnings", "off", *options],
        cwd=server.data_dir.parent,  # it leaves its notes there
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS},
        capture_output=True,
        text=True,
        timeout=10 * SECONDS,
        check=False,
    )


def description(server: Server) -> dict[str, Any]:
    """Return the description that the server gives of itself."""
    with urlopen(f"{server.url}/openapi.json", timeout=PATIENCE) as answer:
        described: dict[str, Any] = json.load(answer)
    return described


def only_jobs_by_workflow(described: dict[str, Any]) -> dict[str, Any]:
    """Reduce a description to `GET /api/jobs` with two parameters.

    Return the schema of one `workflow_id`, a text in an array of them.
    """
    jobs = described["paths"]["/api/jobs"]["get"]
    named = {parameter["name"]: parameter for parameter in jobs["parameters"]}
    jobs["parameters"] = [named["workflow_id"], named["min_position"]]
    described["paths"] = {"/api/jobs": {"get": jobs}}
    schema: dict[str, Any] = named["workflow_id"]["schema"]["items"]
    return schema


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


def test_a_request_with_an_invalid_position_stays_invalid_when_it_is_sent(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        described = description(server)
        only_jobs_by_workflow(described)
        done = search(server, described, *NEGATIVE, seconds=10)

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_accepted_text_that_the_description_forbids_is_reported(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        described = description(server)
        only_jobs_by_workflow(described)["pattern"] = "^the only workflow$"
        done = search(server, described, *NEGATIVE, seconds=10)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "Invalid data should have been rejected" in done.stdout, done.stdout
