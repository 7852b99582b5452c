"""Servers with a committer process, concurrent uploads to them, and their child processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.committer_process import ProcessWorker
from tests.api.running import Api, serving

CALLERS: Final = 24
PATIENCE: Final = 60.0
"""Seconds after which something hangs. Nothing here is a matter of speed."""


@asynccontextmanager
async def with_process(data_dir: Path) -> AsyncIterator[Api]:
    """A server with a committer process, as `asset-ledger serve` starts it."""
    settings = Settings(data_dir=data_dir)
    async with serving(settings, worker=ProcessWorker(settings)) as api:
        yield api


async def upload_together(api: Api, round_: object, size: int = 100, **fields: Any) -> list[Any]:
    """Upload as concurrent callers, each with other bytes. Return the assets."""
    contents = [f"{round_}.{n}.".encode().ljust(size, b"x") for n in range(CALLERS)]
    uploads = (api.created(c, name=f"{round_}.{n}", **fields) for n, c in enumerate(contents))
    return await asyncio.gather(*uploads)


async def until(happened: Any) -> None:
    """Wait until a condition holds, which another process changes."""
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 - another process sets no event of this loop
            await asyncio.sleep(0.001)


def children() -> list[int]:
    """Return the pids of child processes that this process has not waited for."""
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended meanwhile
            found += map(int, path.read_text("ascii").split())
    return found


def kill(pids: Iterable[int]) -> None:
    """Send SIGKILL."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
