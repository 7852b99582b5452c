"""The rebuild process, as the server sees it: started for one task, and killed with it."""

from pathlib import Path
from typing import Any, Final

import orjson

from asset_ledger.api.workers.child import Child
from asset_ledger.ledger.errors import RebuildError
from asset_ledger.ledger.progress import Progress

WORKER: Final = "asset_ledger.api.workers.rebuild_worker"

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of its last line, which has the rows that differ, at most."""


async def perform(task: str, folder: Path, number: int, progress: Progress) -> dict[str, Any]:
    """Return the result of the task. Cancelled, it kills the process.

    Raises RebuildError if the task failed, and if the process died.
    """
    arguments = (str(folder), task, str(number))
    async with await Child.start(WORKER, *arguments, pipes=True, max_line=MAX_LINE) as child:
        async for line in child.stdout:
            said = orjson.loads(line)
            if "error" in said:
                raise RebuildError(said["error"])
            if "done" in said:
                done: dict[str, Any] = said["done"]
                return done
            progress(said["step"], said["position"], said["target"])
    raise RebuildError("the process that built it died")
