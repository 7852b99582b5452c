"""The Python blocks of docs/sdk.md and of the README run as they stand."""

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from tests.api.running import serving
from tests.house.console import document

PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGE = document("docs/sdk.md")


async def run(block: str, names: dict[str, Any]) -> None:
    """Run a block, which may use `await` at its top level as in a notebook."""
    code = compile(block, "docs/sdk.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, names)
    if running is not None:
        await running


async def test_blocks_of_sdk_page_run_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(Settings(data_dir=tmp_path / "served")) as api:
        names: dict[str, Any] = {"URL": api.url, "FOLDER": str(tmp_path / "embedded")}
        for block in PYTHON.findall(PAGE):
            await run(block, names)

    printed = capsys.readouterr().out
    assert "['job.started', 'asset.created'," in printed
    assert "deleted by 1 at 20" in printed
    assert "['asset.created', 'asset.described', 'asset.deleted', 'asset.restored']" in printed
    assert "note.txt b'a note'" in printed


async def test_block_of_readme_runs(tmp_path: Path) -> None:
    (block,) = PYTHON.findall(document("README.md"))
    names: dict[str, Any] = {}

    async with serving(Settings(data_dir=tmp_path)) as api:
        await run(block.replace("http://127.0.0.1:7777", api.url), names)

    assert [asset.node_id for asset in names["assets"]] == ["n1"]


def test_sdk_page_shows_every_way_to_connect() -> None:
    for way in ("connect(url=", "connect(data_dir=", "sync.connect(", "run_workflow("):
        assert way in PAGE


def test_run_raises_the_error_of_a_wrong_block() -> None:
    with pytest.raises(AssertionError):
        asyncio.run(run("assert await answer() == 41", {"answer": _answer}))


async def _answer() -> int:
    return 42
