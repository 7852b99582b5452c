"""A program that loads the custom node as ComfyUI does, and ends recorded prompts.

    python -m tests.comfyui.host FOLDER

FOLDER has the folders `output`, `temp` and `user`. Each line of standard input names a prompt to
end; the program answers with a line. Its `execution` and `folder_paths` have what ComfyUI's modules
of these names have, as far as the node uses it.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from asset_ledger.api.imports.comfyui_node import node_file
from tests.comfyui.recorded import answers


class PromptQueue:
    """The queue of ComfyUI after a prompt ran."""

    def __init__(self) -> None:
        self.currently_running: dict[int, Any] = {}
        self.history: dict[str, Any] = {}

    def task_done(self, item_id: int, history_result: Any, status: Any = None) -> None:
        """Move a prompt from the running ones to the history."""
        item = self.currently_running.pop(item_id)
        self.history[item[1]] = {"prompt": item, "outputs": {}, "status": status, **history_result}

    def get_history(self, prompt_id: str) -> dict[str, Any]:
        """Return the entry of a prompt by its id."""
        return {prompt_id: self.history[prompt_id]}


def load(folder: Path) -> ModuleType:
    """Load the node beside modules of ComfyUI's names."""
    execution: Any = ModuleType("execution")
    execution.PromptQueue = PromptQueue
    paths: Any = ModuleType("folder_paths")
    paths.get_user_directory = lambda: str(folder / "user")
    paths.get_directory_by_type = lambda kind: str(folder / kind)
    sys.modules |= {"execution": execution, "folder_paths": paths}
    file = folder / "asset_ledger_node.py"
    file.write_text(node_file(), "utf-8")
    spec = importlib.util.spec_from_file_location("a_node", file)
    assert spec is not None
    assert spec.loader is not None
    node = importlib.util.module_from_spec(spec)
    sys.modules["a_node"] = node
    spec.loader.exec_module(node)
    return node


def main() -> None:
    """End the prompts that standard input names."""
    load(Path(sys.argv[1]))
    queue = PromptQueue()
    for number, line in enumerate(sys.stdin):
        entry = answers()["prompts"][line.strip()]["entry"]
        queue.currently_running[number] = entry["prompt"]
        result = {"outputs": entry["outputs"], "meta": entry["meta"]}
        queue.task_done(number, result, status=entry["status"])
        print("ended", flush=True)


if __name__ == "__main__":
    main()
