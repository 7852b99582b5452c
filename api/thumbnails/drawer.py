"""The server's side of a drawing process: started when needed, and killed when it hangs.

Promise: after a content breaks its decoder, a new process draws the next one.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from asset_ledger.api.thumbnails.drawing import LARGEST
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import frame
from asset_ledger.api.workers.child import Child

PATIENCE: Final = 30.0
"""Seconds that a drawing may take."""

TRIES: Final = 2

WORKER: Final = "asset_ledger.api.thumbnails.worker"


class Drawer:
    """A process that draws one content at a time. It has one caller at a time."""

    def __init__(self, worker: str = WORKER, *, patience: float = PATIENCE) -> None:
        self._worker, self._patience = worker, patience
        self._child: Child | None = None

    async def draw(self, kind: str, source: Path | bytes, side: int = LARGEST) -> bytes:
        """Return a picture of a file, or of these bytes, of at most `side` pixels a side.

        Draw once more if the process dies: the content may not be the cause. Raises
        UndrawableError.
        """
        for _ in range(TRIES):
            with suppress(OSError, EOFError, ValueError):
                refusal, picture = await self._answer(kind, source, side)
                if refusal is not None:
                    raise UndrawableError(refusal)
                return picture
        raise UndrawableError("it made its decoder fail")

    async def _answer(self, kind: str, source: Path | bytes, side: int) -> tuple[str | None, bytes]:
        try:
            async with asyncio.timeout(self._patience):
                return await self._ask(kind, source, side)
        except TimeoutError:
            await self.end()
            raise UndrawableError("drawing it takes too long") from None
        except BaseException:
            await self.end()  # else the next call would read this answer
            raise

    async def end(self) -> None:
        """Kill the process, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            await child.kill()

    async def _ask(self, kind: str, source: Path | bytes, side: int) -> tuple[str | None, bytes]:
        if self._child is None:
            self._child = await Child.start(self._worker, pipes=True)
        path, content = (str(source), b"") if isinstance(source, Path) else (None, source)
        self._child.stdin.write(frame({"kind": kind, "path": path, "side": side}, content))
        await self._child.stdin.drain()
        head = orjson.loads(await self._child.stdout.readuntil())
        return head["refusal"], await self._child.stdout.readexactly(head["size"])
