"""The server's side of a drawing process: started when needed, and killed when it hangs.

Promise: after a content breaks its decoder, a new process draws the next one. The process inherits
no variable of the server's environment that is not in `INHERITED`.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import LARGEST, Drawn, Placeholder, frame
from asset_ledger.api.workers.child import Child

PATIENCE: Final = 30.0
"""Seconds that a drawing may take."""

TRIES: Final = 2

WORKER: Final = "asset_ledger.api.thumbnails.worker"

INHERITED: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
)


Answer = tuple[dict[str, Any], bytes]


class FailedDrawingError(Exception):
    """The process did not answer; the content may not be the cause."""


class Drawer:
    """A process that draws one content at a time. It has one caller at a time."""

    def __init__(
        self, worker: str = WORKER, *, readable: Path | None = None, patience: float = PATIENCE
    ) -> None:
        """`readable`: the folder whose files it may draw."""
        self._worker, self._patience = worker, patience
        self._arguments = [] if readable is None else [str(readable)]
        self._child: Child | None = None

    async def draw(self, kind: str, source: Path | bytes, side: int = LARGEST) -> Drawn:
        """Return a picture of a file, or of these bytes, of at most `side` pixels a side.

        Draw once more if the process dies. Raises UndrawableError, FailedDrawingError.
        """
        for _ in range(TRIES):
            # RuntimeError: uvloop's, for a pipe to a process that ended while it was idle
            with suppress(OSError, EOFError, ValueError, RuntimeError):
                head, body = await self._answer(kind, source, side)
                if head["refusal"] is not None:
                    raise UndrawableError(head["refusal"])
                about = head["placeholder"]
                return Drawn(body, Placeholder(**about) if about else None)
        raise FailedDrawingError("the process that draws ended twice")

    async def _answer(self, kind: str, source: Path | bytes, side: int) -> Answer:
        try:
            async with asyncio.timeout(self._patience):
                return await self._ask(kind, source, side)
        except TimeoutError:
            await self.end()
            raise FailedDrawingError("drawing it takes too long") from None
        except BaseException:
            await self.end()  # else the next call would read this answer
            raise

    async def end(self) -> None:
        """Kill the process, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            await child.kill()

    async def _ask(self, kind: str, source: Path | bytes, side: int) -> Answer:
        if self._child is None:
            self._child = await self._start()
        path, content = (str(source), b"") if isinstance(source, Path) else (None, source)
        self._child.stdin.write(frame({"kind": kind, "path": path, "side": side}, content))
        await self._child.stdin.drain()
        head = orjson.loads(await self._child.stdout.readuntil())
        return head, await self._child.stdout.readexactly(head["size"])

    async def _start(self) -> Child:
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return await Child.start(
            self._worker, *self._arguments, pipes=True, environment=environment
        )
