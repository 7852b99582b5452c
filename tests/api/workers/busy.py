"""Servers that are kept so busy that a process of its own writes, and what is known of that one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

from asset_ledger.api.settings import Settings
from tests.api.running import Api, serving

CALLERS: Final = 24
PATIENCE: Final = 60.0
"""Seconds after which something hangs. Nothing here is a matter of speed."""


@asynccontextmanager
async def willing(
    data_dir: Path, writer: Literal["process", "thread"] = "process"
) -> AsyncIterator[Api]:
    """A server that lets a process of its own write, as `asset-ledger serve` does."""
    async with serving(Settings(data_dir=data_dir, writer=writer)) as api:
        api.backend.apart.allow()
        yield api


async def upload_together(api: Api, round_: object, size: int = 100, **fields: Any) -> list[Any]:
    """The assets of as many callers as make a server busy, each with bytes of its own."""
    contents = [f"{round_}.{n}.".encode().ljust(size, b"x") for n in range(CALLERS)]
    uploads = (api.created(c, name=f"{round_}.{n}", **fields) for n, c in enumerate(contents))
    return await asyncio.gather(*uploads)


async def keep_busy(api: Api, round_: object = "busy", **fields: Any) -> list[Any]:
    """Upload until a process of its own writes; everything that was recorded meanwhile."""
    assets: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        while not api.backend.apart.away:
            assets += await upload_together(api, f"{round_}.{len(assets)}", **fields)
    return assets


async def until(happened: Any) -> None:
    """Wait for something that another process does."""
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 - another process sets no event of this loop
            await asyncio.sleep(0.001)


def children() -> list[int]:
    """The processes that this one has begun and that have not been waited for."""
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            found += map(int, path.read_text("ascii").split())
    return found


def kill(pids: Iterable[int]) -> None:
    """SIGKILL: not one more instruction."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
