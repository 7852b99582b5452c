"""A drawing process, seen from the server: started when it is needed, and killed when it hangs.

Promise: whatever a content does to its decoder, the next one is drawn by a process that is well.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import MAX_LINE, frame

PATIENCE: Final = 30.0
"""Seconds that one drawing may take."""

WORKER: Final = "asset_ledger.api.thumbnails.worker"


class Drawer:
    """One process, which draws one thing at a time: whoever has it asks, and nobody else."""

    def __init__(self, worker: str = WORKER, *, patience: float = PATIENCE) -> None:
        self._worker, self._patience = worker, patience
        self._process: Process | None = None

    async def draw(self, kind: str, source: Path | bytes) -> bytes:
        """A small picture of the content in a file, or of these bytes. Raises UndrawableError."""
        try:
            async with asyncio.timeout(self._patience):
                refusal, picture = await self._ask(kind, source)
        except TimeoutError:
            await self.end()
            raise UndrawableError("drawing it takes too long") from None
        except (OSError, EOFError, ValueError):
            await self.end()
            raise UndrawableError("it made its decoder fail") from None
        except BaseException:
            await self.end()  # its answer would be taken for that to the next question
            raise
        if refusal is not None:
            raise UndrawableError(refusal)
        return picture

    async def end(self) -> None:
        """Kill the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, kind: str, source: Path | bytes) -> tuple[str | None, bytes]:
        process = await self._running()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a drawing process has pipes")
        path, content = (str(source), b"") if isinstance(source, Path) else (None, source)
        process.stdin.write(frame({"kind": kind, "path": path}, content))
        await process.stdin.drain()
        head = orjson.loads(await process.stdout.readuntil())
        return head["refusal"], await process.stdout.readexactly(head["size"])

    async def _running(self) -> Process:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                # -P: no module of the folder that the server was started in takes a name of ours
                *(sys.executable, "-P", "-m", self._worker),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                limit=MAX_LINE,
            )
        return self._process
