"""The examples run as programs, against a real server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT
from tests.journeys.client import Client
from tests.journeys.server import PATIENCE, Server


def record_folder(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    program = ROOT / "examples" / "record_folder.py"
    return subprocess.run(
        [sys.executable, program, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of 60 files: 40 pictures, 19 tables in a folder, a large file without a suffix."""
    tree = tmp_path / "tree"
    (tree / "tables").mkdir(parents=True)
    for n in range(40):
        (tree / f"picture {n}.PNG").write_bytes(b"picture %d" % n)
    for n in range(19):
        (tree / "tables" / f"{n}.json").write_text(f'{{"table": {n}}}')
    (tree / "large").write_bytes(bytes(300_000))
    (tree / "shortcut.png").symlink_to(tree / "large")
    return tree


def test_a_folder_recorded_twice_in_one_job_is_recorded_once(
    tree: Path, server: Server, client: Client
) -> None:
    first = record_folder(tree, "--url", server.url, "--job", "j")
    second = record_folder(tree, "--url", server.url, "--job", "j")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "60 new, 0 known before, 0 not recorded" in first.stdout
    assert "0 new, 60 known before, 0 not recorded" in second.stdout
    assert first.stdout.splitlines()[1:] == second.stdout.splitlines()[1:]
    assert first.stdout.splitlines()[1].split() == ["png", "40", "files", "390", "bytes"]
    assert len(client.history("j")) == 60


@pytest.mark.slow
def test_a_recorded_file_has_folder_job_and_kind(
    tree: Path, server: Server, client: Client
) -> None:
    record_folder(tree, "--url", server.url, "--job", "j")

    (asset,) = [a for a in client.assets(node_id="json") if a["name"] == "tables/7.json"]
    assert (asset["workflow_id"], asset["job_id"]) == (str(tree), "j")
    assert asset["content_type"] == "application/json"
    assert client.get(asset["get_url"]).body == b'{"table": 7}'


@pytest.mark.slow
def test_a_changed_file_is_recorded_again_in_the_same_job(tree: Path, server: Server) -> None:
    record_folder(tree, "--url", server.url, "--job", "j")
    (tree / "large").write_bytes(bytes(300_001))

    assert "1 new, 59 known" in record_folder(tree, "--url", server.url, "--job", "j").stdout


@pytest.mark.slow
def test_a_refused_file_is_reported_and_the_other_files_are_recorded(
    tree: Path, server: Server
) -> None:
    (tree / "two\nlines").write_bytes(b"")
    (tree / os.fsdecode(b"no UTF-8 \xff")).write_bytes(b"content")

    done = record_folder(tree, "--url", server.url, "--job", "j")

    assert done.returncode == 1
    assert "61 new, 0 known before, 1 not recorded" in done.stdout
    assert "lines: name: must not contain control characters" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_an_unreadable_file_is_reported_and_the_other_files_are_recorded(
    tree: Path, server: Server
) -> None:
    (tree / "large").chmod(0)

    done = record_folder(tree, "--url", server.url, "--job", "j")

    assert done.returncode == 1
    assert "59 new, 0 known before, 1 not recorded" in done.stdout
    assert f"not recorded: {tree / 'large'}: Permission denied" in done.stderr


@pytest.mark.slow
def test_an_unreachable_ledger_is_reported_in_one_line(tree: Path, server: Server) -> None:
    server.stop()

    done = record_folder(tree, "--url", server.url)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: cannot reach the ledger at {server.url}: ")
    assert len(done.stderr.splitlines()) == 1


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
