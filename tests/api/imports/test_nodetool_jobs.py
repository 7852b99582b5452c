"""`asset-ledger import nodetool`: the jobs of a NodeTool database."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.imports.nodetool import NodeTool
from tests.journeys.server import serving

pytestmark = pytest.mark.slow

ENDED = "2024-05-01T13:00:00.000Z"
COMPLETED = {"id": "j", "status": "completed", "params": '{"steps": 20}', "finished_at": ENDED}


@pytest.fixture
def nodetool(tmp_path: Path) -> NodeTool:
    return NodeTool(tmp_path)


def jobs_in(data_dir: Path, user_id: str = "1") -> dict[str, Any]:
    """Return the documents of a user's jobs, by id."""
    with serving(data_dir) as server:
        headers = {"Asset-Ledger-User": user_id}
        found = httpx.get(f"{server.url}/api/jobs", headers=headers).json()["jobs"]
    return {job["job_id"]: job for job in found}


def topics(data_dir: Path, job_id: str) -> list[str]:
    with serving(data_dir) as server:
        events = httpx.get(f"{server.url}/api/jobs/{job_id}/history").json()["events"]
    return [event["topic"] for event in events]


def summary(jobs: int, starts: int, ends: int, refused: int = 0) -> str:
    return f"{jobs} jobs: {starts} starts and {ends} ends added, {refused} not imported"


def locked(data_dir: Path) -> AbstractContextManager[Any]:
    """Serve the folder, so that the import goes through the server."""
    return serving(data_dir, "--auth", "tokens")


@pytest.mark.parametrize("held", [lambda _: nullcontext(), locked], ids=["folder", "server"])
def test_a_job_is_imported_around_its_assets_with_its_times(
    nodetool: NodeTool, data_dir: Path, held: Callable[[Path], AbstractContextManager[Any]]
) -> None:
    nodetool.jobs(COMPLETED, {"id": "k", "status": "completed", "user_id": "alice ü"})
    nodetool.row(1, job_id="j")

    with held(data_dir):
        assert nodetool.imported(data_dir)[0] == summary(2, 2, 2)
        assert nodetool.imported(data_dir)[0] == summary(2, 0, 0)

    job = jobs_in(data_dir)["j"]
    assert topics(data_dir, "j") == ["job.started", "asset.created", "job.finished"]
    assert (job["status"], job["workflow_id"], job["parameters"]) == (
        "completed",
        "w",
        {"steps": 20},
    )
    assert job["started_at"] == "2024-05-01T11:00:00.000000Z"
    assert job["finished_at"] == "2024-05-01T13:00:00.000000Z"
    assert list(jobs_in(data_dir, "alice%20%C3%BC")) == ["k"]


@pytest.mark.parametrize(
    ("row", "status", "error"),
    [
        ({"status": "failed", "error_message": "no\nmemory\0"}, "failed", "no\nmemory\ufffd"),
        ({"status": "failed", "error": "x" * 40_000}, "failed", "x" * 32_768),
        ({"status": "cancelled", "updated_at": ENDED}, "cancelled", None),
        ({"status": "running"}, "running", None),
        ({"status": "suspended", "updated_at": ENDED}, "running", None),
        ({"status": None}, "running", None),
    ],
    ids=["failed", "long", "cancelled", "running", "suspended", "none"],
)
def test_a_job_gets_the_status_that_it_had(
    nodetool: NodeTool, data_dir: Path, row: dict[str, Any], status: str, error: str | None
) -> None:
    nodetool.jobs({"id": "j", **row})

    nodetool.imported(data_dir)

    job = jobs_in(data_dir)["j"]
    assert (job["status"], job["error"]) == (status, error)
    assert (job["finished_at"] is not None) == (status != "running")


def test_a_job_that_went_on_is_completed_by_a_later_import(
    nodetool: NodeTool, data_dir: Path
) -> None:
    nodetool.jobs({"id": "j", "status": "scheduled"})
    assert nodetool.imported(data_dir)[0] == summary(1, 0, 0)
    nodetool.run("UPDATE nodetool_jobs SET status = 'running'")
    assert nodetool.imported(data_dir)[0] == summary(1, 1, 0)
    nodetool.run("UPDATE nodetool_jobs SET status = 'failed', error = 'e'")
    assert nodetool.imported(data_dir)[0] == summary(1, 0, 1)
    nodetool.run("UPDATE nodetool_jobs SET status = 'completed', params = '{}'")
    assert nodetool.imported(data_dir)[0] == summary(1, 0, 0)

    assert topics(data_dir, "j") == ["job.started", "job.finished"]


def test_the_columns_of_the_oldest_database_are_enough(nodetool: NodeTool, data_dir: Path) -> None:
    columns = ("id", "user_id", "job_type", "status", "workflow_id", "started_at", "finished_at")
    nodetool.jobs(COMPLETED, columns=columns)

    assert nodetool.imported(data_dir)[0] == summary(1, 1, 1)


def test_what_does_not_fit_is_reported(nodetool: NodeTool, data_dir: Path) -> None:
    nodetool.jobs(
        {**COMPLETED, "id": "a\nb"},
        {**COMPLETED, "id": "no owner", "user_id": None},
        {**COMPLETED, "id": "", "started_at": "2024-05-01T11:00:01Z"},
        {**COMPLETED, "id": "odd", "params": "[", "workflow_id": "w" * 2_000, "finished_at": "?"},
    )

    *notes, first, _ = nodetool.imported(data_dir, code=1)

    assert first == summary(4, 1, 1, refused=3)
    assert len([note for note in notes if "is not imported: " in note]) == 3
    left_out = [note for note in notes if note.startswith("job odd: ")]
    assert [note.split()[2] for note in left_out] == ["workflow_id", "parameters", "made_at"]


def test_a_dry_run_counts_jobs_and_records_nothing(nodetool: NodeTool, data_dir: Path) -> None:
    nodetool.jobs(COMPLETED, {"id": "k", "status": "running"})

    (first, _) = nodetool.imported(data_dir, "--dry-run")
    assert first == "2 jobs: 2 starts and 1 ends would be added, 0 not imported"
    assert not data_dir.exists()

    nodetool.imported(data_dir)
    nodetool.run("UPDATE nodetool_jobs SET status = 'completed'")
    (counts,) = map(json.loads, nodetool.imported(data_dir, "--dry-run", "--json"))
    assert counts["jobs"] == {"rows": 2, "started": 0, "finished": 1, "refused": 0}


def test_a_job_that_the_ledger_tracked_stays_as_it_is(nodetool: NodeTool, data_dir: Path) -> None:
    with serving(data_dir) as server:
        httpx.post(f"{server.url}/api/jobs/j/start", json={"workflow_id": "other"})
    nodetool.jobs(COMPLETED)

    assert nodetool.imported(data_dir)[0] == summary(1, 0, 1)
    assert jobs_in(data_dir)["j"]["workflow_id"] == "other"
