"""Processes that record ComfyUI's prompts: the watch and the custom node, killed and restarted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.ledger.domain.event import parse_time
from tests.comfyui.recorded import RecordedComfyUI
from tests.journeys.client import BROKEN, Client
from tests.journeys.server import Server, program, serving, until

pytestmark = pytest.mark.slow

Process = subprocess.Popen[str]


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[RecordedComfyUI]:
    with RecordedComfyUI(tmp_path / "comfyui") as comfyui:
        yield comfyui


@contextmanager
def killed(process: Process) -> Iterator[Process]:
    """Kill a process after the block."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def watching(comfyui: RecordedComfyUI, server: Server) -> Process:
    return program("watch", "comfyui", comfyui.url, "--url", server.url)


def node(folder: Path, server: Server) -> Process:
    """Start a program that loads the custom node."""
    environment = {**os.environ, "ASSET_LEDGER_URL": server.url}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.comfyui.host", folder],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(host: Process, *names: str) -> None:
    """End prompts in the program with the custom node."""
    assert host.stdin is not None
    assert host.stdout is not None
    for name in names:
        print(name, file=host.stdin, flush=True)
        assert host.stdout.readline() == "ended\n"


def line_of(stream: Any, word: str) -> str:
    """Return the next line with a word; the process writes it sooner or later."""
    return str(next(line for line in stream if word in line))


def documents(server: Server, kind: str) -> list[Any]:
    """Return the assets or the jobs of a ledger; none while its server starts."""
    with suppress(*BROKEN), closing(Client(server.port)) as client:
        return list(client.get(f"/api/{kind}?page_size=1000").json[kind])
    return []


def jobs(server: Server) -> dict[str, str]:
    """Return the status of each job that ended."""
    return {job["job_id"]: job["status"] for job in documents(server, "jobs") if job["finished_at"]}


def names(server: Server) -> list[str]:
    return sorted(asset["name"] for asset in documents(server, "assets"))


def test_watch_records_over_kills_and_restarts_of_both_sides(
    comfyui: RecordedComfyUI, server: Server
) -> None:
    with killed(watching(comfyui, server)) as watch:
        line_of(watch.stderr, "following")
        comfyui.finish("saved", "preview")
        until(lambda: bool(jobs(server)), "the first prompt is a job")
    with killed(watching(comfyui, server)) as watch:
        until(lambda: len(jobs(server)) == 2, "both prompts are jobs")
        line_of(watch.stderr, "following")
        comfyui.stop()
        line_of(watch.stderr, "waiting: cannot reach")
        comfyui.start()
        line_of(watch.stderr, "following")
        server.kill()
        comfyui.finish("failed", "interrupted", "subfolder")
        server.launch(server.port)
        until(lambda: len(jobs(server)) == 5, "every prompt is a job")
        watch.send_signal(signal.SIGINT)
        printed = line_of(watch.stderr, "recorded")
        assert printed[:2] in ("3 ", "4 ", "5 ")  # the killed one may have left parts of two
        assert watch.wait() == 0

    assert sorted(jobs(server).values()) == ["cancelled", *["completed"] * 3, "failed"]
    assert len(names(server)) == len(set(names(server))) == 5


def test_watch_and_node_at_once_record_each_prompt_once(
    comfyui: RecordedComfyUI, server: Server
) -> None:
    (comfyui.folder / "user").mkdir()
    prompts = ("saved", "cached", "failed", "subfolder")
    with (
        killed(watching(comfyui, server)) as watch,
        killed(watching(comfyui, server)) as second,
        killed(node(comfyui.folder, server)) as host,
    ):
        line_of(watch.stderr, "following")
        line_of(second.stderr, "following")
        for name in prompts:
            comfyui.finish(name)
            end(host, name)
        until(lambda: len(jobs(server)) == 4, "every prompt is a job")
        until(lambda: waiting(comfyui.folder) == [], "the node sent every prompt")

    assert names(server) == ["cat_00001_.png", "cat_00002_.png", "dog_00001_.png"]
    with closing(Client(server.port)) as client:
        history = [event for job in jobs(server) for event in client.history(job)]
    topics = [event["topic"] for event in history]
    assert (topics.count("job.started"), topics.count("job.finished")) == (4, 4)


def test_node_keeps_prompts_until_the_ledger_has_them(
    comfyui: RecordedComfyUI, server: Server
) -> None:
    port, url = server.port, server.url
    server.kill()
    with killed(node(comfyui.folder, server)) as host:
        end(host, "saved", "failed")
        line_of(host.stderr, f"wait to be recorded: {url} cannot be reached")
    assert len(waiting(comfyui.folder)) == 2
    server.launch(port)

    with killed(node(comfyui.folder, server)) as host:
        end(host, "cached", "preview")
        until(lambda: waiting(comfyui.folder) == [], "the node sent every prompt")

    assert sorted(jobs(server).values()) == ["completed", "completed", "completed", "failed"]
    assert len(names(server)) == 4


def waiting(folder: Path) -> list[Path]:
    """Return the prompts that the node still has to send."""
    return [*(folder / "user" / "asset_ledger").glob("*.json")]


@pytest.mark.parametrize("scopes", [["read", "write"], ["read", "write", "admin"]])
def test_times_are_comfyuis_with_an_admins_token_only(
    scopes: list[str], comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    flags = [flag for scope in scopes for flag in ("--scope", scope)]
    with serving(data_dir, "--auth", "tokens") as server:
        created = program("token", "create", "--user", "7", *flags, "--data-dir", data_dir)
        token = created.communicate()[0].split()[-1]
        comfyui.finish("saved", "failed")
        where = ["--url", server.url, "--token", token]
        done = program("watch", "comfyui", comfyui.url, "--once", *where)
        _, errors = done.communicate()
        with closing(Client(server.port)) as client:
            answer = client.get("/api/jobs", authorization=f"Bearer {token}")

    timed = "admin" in scopes
    assert done.returncode == 0, errors
    assert ("times are those of recording" in errors) is not timed
    started = {parse_time(job["started_at"]).timestamp() for job in answer.json["jobs"]}
    assert (started == {comfyui.started(name) for name in ("saved", "failed")}) is timed
