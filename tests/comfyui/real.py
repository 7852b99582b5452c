"""Run a real ComfyUI: check what is recorded of it, and record its answers for the suite.

    .venv/bin/python -m tests.comfyui.real FOLDER --python PYTHON [--record]

FOLDER is a checkout of ComfyUI, PYTHON an interpreter with its requirements (a torch for CPUs is
enough). Its editor is not needed. `--record` writes `recorded.json`, which the suite reads.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.comfyui.recorded import RECORDED
from tests.journeys.client import Client
from tests.journeys.server import Server, program, run, serving, until

PORT: Final = 8197
STARTED: Final = 600.0
"""Seconds until ComfyUI answers, at most: importing torch takes a while."""

EXTRA: Final = {"extra_pnginfo": {"workflow": {"id": "3f0c9a3e-8d5c-4c55-9b6b-1f4f0b6a7c11"}}}


def graph(saved: Mapping[str, Any], **image: int) -> dict[str, Any]:
    """Return a graph of EmptyImage and a node that takes it."""
    inputs = {"width": 32, "height": 32, "batch_size": 2, "color": 255, **image}
    saving = {**saved, "inputs": {**saved["inputs"], "images": ["1", 0]}}
    return {"1": {"class_type": "EmptyImage", "inputs": inputs}, "2": saving}


def save(prefix: str) -> dict[str, Any]:
    """Return a SaveImage."""
    return {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix}}


PROMPTS: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "saved": (graph(save("cat")), EXTRA),
    "cached": (graph(save("cat")), EXTRA),
    "preview": (graph({"class_type": "PreviewImage", "inputs": {}}, color=7), {}),
    "failed": (graph(save("../../outside"), color=9), {}),
    "interrupted": (graph(save("big"), width=2048, height=2048, batch_size=16), {}),
    "subfolder": (graph(save("dogs/dog"), batch_size=1, color=3), EXTRA),
}
"""Prompts by name: their graphs and extra data."""


class RealComfyUI:
    """A headless ComfyUI on the CPU, with its data below a folder."""

    def __init__(self, source: Path, python: str, base: Path) -> None:
        self._source, self._python, self.base = source, python, base
        self.url = f"http://127.0.0.1:{PORT}"
        for name in ("custom_nodes", "models", "input", "output", "user", "front"):
            (base / name).mkdir()
        (base / "front" / "index.html").touch()

    @contextmanager
    def running(self, ledger: str) -> Iterator[None]:
        """Run it until the block ends, and kill it."""
        flags = ["--cpu", "--port", str(PORT), "--disable-api-nodes", "--database-url", "sqlite://"]
        folders: list[str | Path] = [
            "--base-directory",
            self.base,
            "--front-end-root",
            self.base / "front",
        ]
        command: list[str | Path] = [self._python, self._source / "main.py", *flags, *folders]
        environment = {**os.environ, "ASSET_LEDGER_URL": ledger}
        with (self.base / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            deadline = time.monotonic() + STARTED
            while not self._answers():
                assert process.poll() is None, (self.base / "log").read_text("utf-8")
                assert time.monotonic() < deadline, "ComfyUI did not start"
                time.sleep(0.5)
            yield
        finally:
            process.kill()
            process.wait()

    def call(self, path: str, body: Any = None) -> Any:
        """Return the JSON at a path."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}{path}", data, {"Content-Type": "application/json"})
        with urlopen(request) as answer:
            return json.loads(answer.read() or b"null")

    def finished(self, name: str) -> tuple[str, Any]:
        """Run a prompt to its end, and return its id and its entry of the history."""
        prompt, extra = PROMPTS[name]
        prompt_id = self.call("/prompt", {"prompt": prompt, "extra_data": extra})["prompt_id"]
        if name == "interrupted":
            until(lambda: bool(self.call("/queue")["queue_running"]), "the prompt runs")
            self.call("/interrupt", {})
        until(lambda: prompt_id in self.call(f"/history/{prompt_id}"), "the prompt ends")
        return prompt_id, self.call(f"/history/{prompt_id}")[prompt_id]

    def _answers(self) -> bool:
        with suppress(URLError, OSError):
            return isinstance(self.call("/queue"), dict)
        return False


def recorded(comfyui: RealComfyUI) -> dict[str, Any]:
    """Run every prompt, and return what ComfyUI answers."""
    prompts = {name: comfyui.finished(name) for name in PROMPTS}
    files = {
        f"{kind}/{path.relative_to(comfyui.base / kind)}": b64encode(path.read_bytes()).decode()
        for kind in ("output", "temp")
        for path in sorted((comfyui.base / kind).rglob("*.png"))
        if not path.name.startswith("big")
    }
    return {
        "version": comfyui.call("/system_stats")["system"]["comfyui_version"],
        "prompts": {name: {"id": each, "entry": entry} for name, (each, entry) in prompts.items()},
        "files": files,
        "made": time.time(),
    }


def without_places(document: Any, *places: Path) -> Any:
    """Return a document without paths of this machine, and without tensors."""
    text = json.dumps(document)
    for place in places:
        text = text.replace(str(place), place.name)
    found = json.loads(text)
    for prompt in found["prompts"].values():
        for _, message in prompt["entry"]["status"]["messages"]:
            message.pop("current_inputs", None)
    return found


def check(comfyui: RealComfyUI, server: Server) -> None:
    """Run prompts while the node and a watch record them, with a kill of ComfyUI in between."""
    watch = program("watch", "comfyui", comfyui.url, "--url", server.url)
    try:
        with comfyui.running(server.url):
            ended = {name: comfyui.finished(name)[0] for name in PROMPTS}
            until(lambda: set(jobs(server)) == {*ended.values()}, "every prompt is a job")
        with comfyui.running(server.url):
            ended |= {f"{name} again": comfyui.finished(name)[0] for name in ("saved", "cached")}
            until(lambda: set(jobs(server)) == {*ended.values()}, "every prompt is a job")
            once = run("watch", "comfyui", comfyui.url, "--once", "--url", server.url)
        assert once.stderr.splitlines()[-1] == "0 prompts, 0 files recorded", once.stderr
    finally:
        watch.terminate()
        out, errors = watch.communicate()
    assert watch.returncode == 0, errors
    counts = {name: jobs(server)[job]["assets"] for name, job in ended.items()}
    assert counts["cached"] == counts["failed"] == counts["cached again"] == 0, counts
    assert (counts["saved"], counts["preview"], counts["subfolder"]) == (2, 2, 1), counts
    print(out, errors, sep="")


def jobs(server: Server) -> dict[str, Any]:
    """Return the ended jobs of a ledger by id."""
    listed = Client(server.port).get("/api/jobs?page_size=100").json["jobs"]
    return {job["job_id"]: job for job in listed if job["finished_at"]}


def main() -> None:
    """Check a real ComfyUI, or record its answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    with TemporaryDirectory() as above:
        base = Path(above, "base")
        base.mkdir()
        comfyui = RealComfyUI(arguments.folder.resolve(), arguments.python, base)
        if arguments.record:
            with comfyui.running("http://127.0.0.1:9"):
                found = recorded(comfyui)
            places = (base, arguments.folder.resolve(), Path(above))
            RECORDED.write_text(json.dumps(without_places(found, *places), indent=1) + "\n")
            return
        node = run("watch", "comfyui", "--print-node").stdout
        (base / "custom_nodes" / "asset_ledger_node.py").write_text(node, "utf-8")
        with serving(Path(above, "data")) as server:
            check(comfyui, server)


if __name__ == "__main__":
    main()
