"""`asset-ledger watch comfyui --once`, against the recorded answers of a real ComfyUI."""

import ast
import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asset_ledger import sync
from asset_ledger.api.cli import cli
from asset_ledger.api.imports.comfyui.prompts import Prompt
from tests.api.imports.nodetool import content_of
from tests.comfyui.recorded import RecordedComfyUI, answers


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[RecordedComfyUI]:
    with RecordedComfyUI(tmp_path / "comfyui") as server:
        yield server


def watch(comfyui: RecordedComfyUI, data_dir: Path, *flags: str, code: int = 0) -> Result:
    """Record the history once."""
    where = ["--once", "--data-dir", str(data_dir)]
    result = CliRunner().invoke(cli, ["watch", "comfyui", comfyui.url, *where, *flags])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def counts(result: Result) -> str:
    return result.stderr.splitlines()[-1]


def assets(data_dir: Path, **filters: Any) -> list[sync.Asset]:
    with sync.connect(data_dir=data_dir):
        return list(sync.Asset.iterate(**filters))


def job(data_dir: Path, job_id: str) -> sync.Job:
    with sync.connect(data_dir=data_dir):
        return sync.Job.get(job_id)


def entry_of(name: str) -> dict[str, Any]:
    """Return a copy of a recorded entry of the history."""
    found: dict[str, Any] = copy.deepcopy(answers()["prompts"][name]["entry"])
    return found


def test_outputs_of_a_prompt_are_assets_with_its_ids_times_and_bytes(
    comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.finish("saved")

    result = watch(comfyui, data_dir)

    prompt = Prompt.of(comfyui.id_of("saved"), entry_of("saved"))
    made, found = assets(data_dir), job(data_dir, prompt.job_id)
    assert [each.name for each in made] == ["cat_00001_.png", "cat_00002_.png"]
    assert {(each.job_id, each.node_id) for each in made} == {(prompt.job_id, "2")}
    assert {each.workflow_id for each in made} == {"3f0c9a3e-8d5c-4c55-9b6b-1f4f0b6a7c11"}
    file = comfyui.folder / "output" / "cat_00001_.png"
    assert content_of(data_dir, made[0].id) == file.read_bytes()
    assert (found.status, found.parameters) == ("completed", prompt.graph)
    assert found.started_at is not None
    assert found.started_at.timestamp() == prompt.started
    assert found.finished_at is not None
    assert found.finished_at.timestamp() == prompt.ended
    assert counts(result) == "1 prompts, 2 files recorded"


def test_prompt_is_recorded_once_however_often_the_command_runs(
    comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.finish("saved", "preview", "failed", "interrupted")
    assert counts(watch(comfyui, data_dir)) == "4 prompts, 4 files recorded"

    again = watch(comfyui, data_dir)

    assert (again.stdout, counts(again)) == ("", "0 prompts, 0 files recorded")


def test_files_of_a_cached_node_stay_those_of_the_prompt_that_made_them(
    comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.finish("saved", "cached")

    assert counts(watch(comfyui, data_dir)) == "2 prompts, 2 files recorded"

    assert {each.job_id for each in assets(data_dir)} == {comfyui.id_of("saved")}
    assert job(data_dir, comfyui.id_of("cached")).status == "completed"


def test_files_of_a_cached_node_are_recorded_if_the_ledger_lacks_them(
    comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.finish("cached")

    assert counts(watch(comfyui, data_dir)) == "1 prompts, 2 files recorded"

    assert {each.job_id for each in assets(data_dir)} == {comfyui.id_of("cached")}


def test_previews_have_a_tag(comfyui: RecordedComfyUI, data_dir: Path) -> None:
    comfyui.finish("preview", "subfolder")

    watch(comfyui, data_dir)

    tagged = assets(data_dir, tag="preview")
    assert [each.metadata and each.metadata["type"] for each in tagged] == ["temp", "temp"]
    (dog,) = assets(data_dir, name="dog_00001_.png")
    assert dog.metadata == {"class_type": "SaveImage", "subfolder": "dogs", "type": "output"}


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [("failed", "failed", "node 2 (SaveImage): Exception:"), ("interrupted", "cancelled", "")],
)
def test_prompt_that_did_not_complete_is_such_a_job(
    name: str, status: str, error: str, comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.finish(name)

    result = watch(comfyui, data_dir)

    found = job(data_dir, comfyui.id_of(name))
    assert found.status == status
    assert (found.error or "").startswith(error)
    assert result.stdout.startswith(f"{status:<9}  {comfyui.id_of(name)}")


def test_missing_file_is_reported_and_the_others_are_recorded(
    comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    (comfyui.folder / "output" / "cat_00001_.png").unlink()
    comfyui.finish("saved")

    result = watch(comfyui, data_dir, code=1)

    assert result.stderr.splitlines() == [
        "not recorded: cat_00001_.png: ComfyUI answers 404 for its file",
        "1 prompts, 1 files recorded",
    ]
    assert [each.name for each in assets(data_dir)] == ["cat_00002_.png"]


def test_file_that_a_later_prompt_replaced_is_not_recorded(
    comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.finish("subfolder")
    path = comfyui.folder / "output" / "dogs" / "dog_00001_.png"
    ended = Prompt.of("1", entry_of("subfolder")).ended
    assert ended is not None
    os.utime(path, (ended + 3_600,) * 2)

    assert "was replaced after the prompt had ended" in watch(comfyui, data_dir, code=1).stderr
    assert assets(data_dir) == []


def test_id_that_is_used_again_is_another_attempt(comfyui: RecordedComfyUI, data_dir: Path) -> None:
    comfyui.finish("failed")
    watch(comfyui, data_dir)
    later = entry_of("failed")["status"]
    for _, message in later["messages"]:
        message["timestamp"] += 60_000
    comfyui.finish("failed", status=later)

    watch(comfyui, data_dir)

    found = job(data_dir, comfyui.id_of("failed"))
    assert (found.attempt, found.status) == (2, "failed")


@pytest.mark.parametrize(
    "odd", [{"seed": 2**64 - 1, "text": "g" * 40_000}, {"cfg": float("nan")}, {"text": "\0"}]
)
def test_graph_that_cannot_be_parameters_is_an_asset(
    odd: dict[str, Any], comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    prompt = entry_of("failed")["prompt"]
    prompt[2]["1"]["inputs"] |= odd
    comfyui.finish("failed", prompt=prompt)

    watch(comfyui, data_dir)

    (asset,) = assets(data_dir)
    assert (asset.name, asset.job_id) == ("prompt.json", comfyui.id_of("failed"))
    assert job(data_dir, comfyui.id_of("failed")).parameters == {
        "graph": "prompt.json",
        "digest": asset.digest,
    }


def test_long_history_is_read_page_by_page(comfyui: RecordedComfyUI, data_dir: Path) -> None:
    comfyui.finish("failed")
    entry = comfyui.history.pop(comfyui.id_of("failed"))
    comfyui.history.update({f"prompt-{number}": entry for number in range(130)})

    assert counts(watch(comfyui, data_dir)) == "130 prompts, 0 files recorded"

    assert [line for line in comfyui.requests if "history" in line] == [
        f"/history?max_items=64&offset={offset}" for offset in (0, 64, 128)
    ]


@pytest.mark.parametrize(
    "entry", [{}, {"prompt": []}, {"prompt": [0, "x", [], {}, []]}, {"prompt": None}]
)
def test_entry_of_another_form_is_reported(
    entry: dict[str, Any], comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.history["odd"] = entry
    comfyui.finish("failed")

    result = watch(comfyui, data_dir)

    assert result.stderr.startswith("not recorded: odd: ComfyUI's history has it in another form")
    assert counts(result) == "1 prompts, 0 files recorded"


@pytest.mark.parametrize("prompt_id", ["a\nb", "x" * 2_000, "a/b?c#d", "..", "é \ud800"])
def test_odd_id_is_a_job_or_reported(
    prompt_id: str, comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.history[prompt_id] = entry_of("saved")
    comfyui.finish("failed")

    result = watch(comfyui, data_dir, code=1 if "\n" in prompt_id or len(prompt_id) > 9 else 0)

    assert ("not recorded: " in result.stderr) is (result.exit_code == 1)
    assert counts(result).startswith("2 prompts, ")
    assert job(data_dir, comfyui.id_of("failed")).status == "failed"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": None},
        {"status": {"messages": [["execution_start", {"timestamp": 1e30}]]}},
        {"outputs": {"2": None, "3": {"text": ["x", 1], "images": "no"}, "4": ["x"]}},
        {"prompt": [0, "x", {"2": {"inputs": None}}, {"extra_pnginfo": ["odd"]}, []]},
        {"outputs": {"2": {"images": [{"filename": "a\ud800", "type": "output"}]}}},
    ],
)
def test_odd_entry_is_recorded_as_far_as_it_goes(
    changes: dict[str, Any], comfyui: RecordedComfyUI, data_dir: Path
) -> None:
    comfyui.finish("saved", **changes)

    result = watch(comfyui, data_dir, code=1 if "filename" in str(changes) else 0)

    assert counts(result).startswith("1 prompts, ")
    assert job(data_dir, comfyui.id_of("saved")).finished_at is not None


def test_workflow_of_a_graph_without_an_id_depends_on_its_links_alone() -> None:
    def workflow(seed: int, link: int) -> str:
        nodes: dict[str, Any] = {"1": {"class_type": "A", "inputs": {"seed": seed}}}
        nodes["2"] = {"class_type": "B", "inputs": {"x": ["1", link]}}
        return Prompt.of("p", {"prompt": [0, "p", nodes, {}, []]}).workflow_id

    assert workflow(1, 0) == workflow(2, 0) != workflow(1, 1)
    assert workflow(1, 0).startswith("graph-")


def test_address_without_a_comfyui_is_refused(data_dir: Path) -> None:
    where = ["--once", "--data-dir", str(data_dir)]

    bad = CliRunner().invoke(cli, ["watch", "comfyui", "localhost", *where])
    gone = CliRunner().invoke(cli, ["watch", "comfyui", "http://127.0.0.1:9", *where])

    assert "'localhost' is not an address" in bad.stderr
    assert "cannot reach http://127.0.0.1:9" in gone.stderr


@pytest.mark.parametrize(("status", "printed"), [(404, "answered 404"), (413, "not recorded: ")])
def test_prompt_waits_while_a_proxy_does_not_reach_the_ledger(
    comfyui: RecordedComfyUI, status: int, printed: str
) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/livez" else status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    comfyui.finish("saved")
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        Thread(target=proxy.serve_forever).start()
        ledger = f"http://127.0.0.1:{proxy.server_port}"
        done = CliRunner().invoke(cli, ["watch", "comfyui", comfyui.url, "--once", "--url", ledger])
        proxy.shutdown()

    assert printed in f"{done.stderr}{done.exception}"
    assert ("not recorded" in done.stderr) is (status == 413)
    assert done.exit_code == 1


def test_outcomes_are_printed_as_json(comfyui: RecordedComfyUI, data_dir: Path) -> None:
    comfyui.finish("subfolder")

    lines = watch(comfyui, data_dir, "--json").stdout.splitlines()

    assert [json.loads(line)["outcome"] for line in lines] == ["new", "completed"]


def test_node_is_printed_as_one_file_that_needs_nothing_installed(tmp_path: Path) -> None:
    node = tmp_path / "asset_ledger_node.py"
    node.write_text(CliRunner().invoke(cli, ["watch", "comfyui", "--print-node"]).stdout, "utf-8")

    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", node], capture_output=True, check=False
    )

    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (0, b"", b"")
    defined = [
        each.name
        for each in ast.parse(node.read_text("utf-8")).body
        if isinstance(each, ast.FunctionDef | ast.ClassDef)
    ]
    assert "ASSET_LEDGER_URL" in node.read_text("utf-8").partition("\n\n")[0]
    assert {"start", "Spool", "PromptRecorder", "Prompt"} <= {*defined}
    assert len(defined) == len({*defined})
