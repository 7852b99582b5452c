"""Schemathesis checks the server against its OpenAPI description, with valid and invalid requests.

It reports a 5xx, an undescribed status, header or shape, and an accepted invalid request.
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
"""Length of one run."""

LEFT_OUT: Final = (
    "positive_data_acceptance",  # a schema cannot say which cursors and folders exist
    "use_after_free",  # a deleted asset keeps its history and its proofs
)
CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
HOOKS: Final = "tests.journeys.schemathesis_hooks"
ENDLESS: Final = "/api/events/stream"
NEGATIVE: Final = ("--mode", "negative", "--phases", "coverage,fuzzing", "--max-examples", "100")
"""Only requests that are invalid by the description."""


def check(server: Server, *options: str, seconds: int = SECONDS) -> None:
    """Fail if the server does anything that its description does not allow."""
    done = search(server, description(server), *options, seconds=seconds)

    assert done.returncode == 0, done.stdout + done.stderr
    assert server.errors == ""


def search(
    server: Server, described: dict[str, Any], *options: str, seconds: int = SECONDS
) -> "subprocess.CompletedProcess[str]":
    """Run Schemathesis against the server and a description."""
    file = server.data_dir.with_name(
        "openapi.json"
    )  # reading it from the server would take ten seconds
    file.write_text(json.dumps(described), "utf-8")
    command: list[str | Path] = [PROGRAM, "--config-file", CONFIG, "run", file]
    command += ["--url", server.url, "--exclude-path", ENDLESS]
    # The defaults, ten seconds and one second, are too short on a busy machine.
    command += ["--request-timeout", str(PATIENCE), "--max-response-time", str(PATIENCE)]
    command += ["--suppress-health-check", "too_slow"]
    command += ["--checks", "all", "--exclude-checks", ",".join(LEFT_OUT), "--no-shrink"]
    command += ["--seed", str(SEED), "--max-time", str(seconds), "--generation-database", "none"]
    return subprocess.run(
        [*command, "--continue-on-failure", "--no-color", "--warnings", "off", *options],
        cwd=server.data_dir.parent,  # it writes files there
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS},
        capture_output=True,
        text=True,
        timeout=10 * SECONDS,
        check=False,
    )


def description(server: Server) -> dict[str, Any]:
    """Return the OpenAPI description of the server."""
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


def test_a_server_without_tokens_answers_as_described(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        check(server, "--max-examples", "5")


def test_a_server_with_tokens_answers_as_described(tmp_path: Path) -> None:
    scopes = ("--scope", "read", "--scope", "write", "--scope", "audit", "--scope", "admin")
    made = run("token", "create", "--data-dir", tmp_path / "data", *scopes)
    assert made.returncode == 0, made.stderr
    shown = ("--header", f"Authorization: Bearer {made.stdout.strip()}")
    # Otherwise the run would revoke its own token.
    kept = ("--exclude-operation-id", "revoke_token")

    with serving(tmp_path / "data", "--auth", "tokens") as server:
        check(server, *shown, *kept, "--max-examples", "3")


def test_a_server_with_tokens_answers_a_request_without_one_as_described(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--auth", "tokens") as server:
        few = ("--max-examples", "1", "--phases", "examples,fuzzing")
        check(server, *few, seconds=10)


def test_the_hooks_keep_a_request_with_an_invalid_position_invalid(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        described = description(server)
        only_jobs_by_workflow(described)
        done = search(server, described, *NEGATIVE, seconds=10)

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_accepted_text_is_reported_if_the_description_forbids_it(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        described = description(server)
        only_jobs_by_workflow(described)["pattern"] = "^the only workflow$"
        done = search(server, described, *NEGATIVE, seconds=10)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "Invalid data should have been rejected" in done.stdout, done.stdout
