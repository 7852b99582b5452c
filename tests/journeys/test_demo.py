"""`make demo`, small: it records the whole story, serves it, and leaves nothing behind."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.house.source import ROOT
from tests.journeys.server import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the demonstration with a tenth of its frames, its folder in `tmp_path`."""
    small = ["--port", "0", "--scale", "0.1", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.demo", *small],
        cwd=ROOT,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.terminate()


def test_demo_serves_a_ledger_to_look_at_and_removes_it(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert demo.stdout is not None
    line = next(line for line in demo.stdout if line.startswith("open http"))
    with httpx.Client(base_url=line.split()[1], timeout=PATIENCE) as client:
        check_types(client)
        check_jobs(client)
        check_edits(client)

    demo.send_signal(signal.SIGINT)
    assert demo.wait(PATIENCE) == 0
    assert list(tmp_path.glob("asset-ledger-demo-*")) == []


def check_types(client: httpx.Client) -> None:
    rows = client.get("/api/assets/usage", params={"group_by": "content_type"}).json()["usage"]
    types = {row["key"] for row in rows}
    assert {"image/png", "image/webp", "audio/wav", "text/csv", "text/plain"} <= types
    assert {"application/json", "model/gltf-binary", "model/stl", "folder"} <= types


def check_jobs(client: httpx.Client) -> None:
    again = client.get("/api/jobs/island-bake_0007").json()
    assert (again["status"], again["attempt"]) == ("completed", 2)
    assert "MiB are free" in client.get("/api/jobs/island-bake_0013").json()["error"]
    compared = client.get("/api/jobs/lofoten-dawn_0141/compare/lofoten-dawn_0142").json()
    assert compared["counts"]["same"] > 0
    assert compared["first_divergence"]["node_id"] == "grade"
    nodes = client.get("/api/jobs/lofoten-dawn_0142/nodes").json()["nodes"]
    assert {node["node_id"] for node in nodes} > {"sampler", "depth", "upscale-4x", "grade"}
    assert all(node["seconds"] > 0 for node in nodes)


def check_edits(client: httpx.Client) -> None:
    assert client.get("/api/assets/by-filename/house_style.md").json()["version"] == 3
    deleted = client.get("/api/assets", params={"deleted": "true"}).json()["assets"]
    assert len(deleted) == 1
    sheet = client.get("/api/assets/by-filename/sheet_lofoten_dawn.jpg").json()
    edges = client.get(f"/api/assets/{sheet['id']}/lineage", params={"direction": "up"}).json()
    assert len(edges["edges"]) >= 4
