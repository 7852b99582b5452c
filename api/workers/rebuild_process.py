"""The process that builds, seen from the server: started for one task, and killed with it."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from asset_ledger.ledger.errors import RebuildError
from asset_ledger.ledger.progress import Progress

WORKER: Final = "asset_ledger.api.workers.rebuild_worker"

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of its last line, which has the rows that differ, at most."""


async def perform(task: str, folder: Path, number: int, progress: Progress) -> dict[str, Any]:
    """What the task came to. Whoever is cancelled here kills it.

    Raises RebuildError for what it failed of, and where the process died.
    """
    process = await asyncio.create_subprocess_exec(
        # -P: no module of the folder that the server was started in takes a name of ours
        *(sys.executable, "-P", "-m", WORKER, str(folder), task, str(number)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=MAX_LINE,
    )
    try:
        return await _listen(process, progress)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _listen(process: Process, progress: Progress) -> dict[str, Any]:
    if process.stdout is None:
        raise RuntimeError("a building process has pipes")
    async for line in process.stdout:
        said = orjson.loads(line)
        if "error" in said:
            raise RebuildError(said["error"])
        if "done" in said:
            done: dict[str, Any] = said["done"]
            return done
        progress(said["step"], said["position"], said["target"])
    raise RebuildError("the process that built it died")
