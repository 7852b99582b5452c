"""The server's side of the rebuild process, which runs one task."""

from pathlib import Path
from typing import Any, Final

import orjson

from asset_ledger.api.workers.child import Child
from asset_ledger.ledger.errors import RebuildError
from asset_ledger.ledger.progress import Progress

WORKER: Final = "asset_ledger.api.workers.rebuild_worker"

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of the longest line: the last one, which has the rows that differ."""


async def perform(
    task: str, folder: Path, database: str | None, number: int, progress: Progress
) -> dict[str, Any]:
    """Run a task and return its result. Kill the process if the caller is cancelled.

    Raises RebuildError if the task fails or the process dies.
    """
    arguments = (str(folder), task, str(number))
    async with await Child.start(WORKER, *arguments, pipes=True, max_line=MAX_LINE) as child:
        child.stdin.write(orjson.dumps(database) + b"\n")  # no argument: `ps` would show it
        async for line in child.stdout:
            message = orjson.loads(line)
            if "error" in message:
                raise RebuildError(message["error"])
            if "done" in message:
                done: dict[str, Any] = message["done"]
                return done
            progress(message["step"], message["position"], message["target"])
    raise RebuildError("the rebuild process died; start the rebuild again")
