"""The queue between callers on the event loop and the worker: requests out, answers back.

Promise: every request is answered, whatever becomes of the worker. A worker that dies is started
again by the code of a start.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asset_ledger.ledger.commit.requests import (
    Answer,
    Committed,
    GroupResult,
    Request,
    SwitchRequest,
    Worker,
)
from asset_ledger.ledger.errors import (
    GenerationError,
    LedgerError,
    OutcomeUnknownError,
    StorageFailedError,
)
from asset_ledger.ledger.log.event_log import Appended

RESTART_SECONDS: Final = 1.0
"""Between two attempts to start a worker that died."""

logger = logging.getLogger(__name__)


class WorkerQueue:
    """Sends requests to an open worker. For the event loop that it was made on.

    `note` takes each result before a caller is answered; `adopt` takes the first result of a worker
    that was started again. `failure`: why writes are refused; None while all is well.
    """

    def __init__(
        self,
        worker: Worker,
        note: Callable[[GroupResult], None],
        adopt: Callable[[GroupResult], Awaitable[None]],
    ) -> None:
        self._worker, self._note, self._adopt = worker, note, adopt
        self._loop = asyncio.get_running_loop()
        self._callers: dict[int, asyncio.Future[Any]] = {}
        self._waiting: list[Request] = []
        self._switch: SwitchRequest | None = None
        self._restart: asyncio.Task[None] | None = None
        self.failure: StorageFailedError | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the worker runs."""
        return self._restart is None

    def ask(self, request: Request) -> "asyncio.Future[Any]":
        """Send a request with the others of this loop iteration; its answer.

        A caller that stops waiting does not stop the commit.
        """
        answer = self._callers[request.number] = self._loop.create_future()
        if isinstance(request, SwitchRequest):
            self._switch = request
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.append(request)
        if len(self._waiting) >= self._worker.eager:
            self._send()
        return answer

    def receive(self, result: GroupResult) -> None:
        """Take a worker's result: note it, then answer its callers."""
        self.failure = result.failure
        self._note(result)
        for number, answer in result.answers:
            self._answer(number, answer, behind=result.behind)

    def lose(self, reason: str) -> None:
        """The worker died: what was sent may be recorded, or not. Start it again.

        The files tell which generation a switch that was under way has left in use.
        """
        logger.error("the committer died (%s); starting it again", reason)
        kept = {request.number for request in (*self._waiting, self._switch) if request}
        unknown = OutcomeUnknownError("the committer died; retry with the same Idempotency-Key")
        for number in [each for each in self._callers if each not in kept]:
            self._answer(number, unknown)
        self._restart = self._loop.create_task(self._start_again())

    async def drain(self) -> None:
        """Return once every request that waits is answered."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait([self._restart])
            self._refuse(StorageFailedError("the server stops; nothing was recorded"))
        self._send()
        if self._callers:
            await asyncio.wait(self._callers.values())

    def _send(self) -> None:
        """Send what waits, unless the worker is being started."""
        if self._waiting and self._restart is None:
            waiting, self._waiting = self._waiting, []
            self._worker.send(waiting)

    def _answer(self, number: int, answer: Answer, *, behind: bool = False) -> None:
        caller = self._callers.pop(number)
        if self._switch is not None and self._switch.number == number:
            self._switch = None
        if caller.done():  # the caller went away; what was recorded stays recorded
            return
        if isinstance(answer, Exception):
            caller.set_exception(answer)
        elif isinstance(answer, Appended):
            caller.set_result(Committed(answer, behind))
        else:
            caller.set_result(answer)

    async def _start_again(self) -> None:
        """Open the worker again, as at a start; refuse what waits while that fails."""
        result = await self._try_to_start()
        while result is None:
            await asyncio.sleep(RESTART_SECONDS)
            result = await self._try_to_start()
        self._restart = None
        self.receive(result)  # the worker that died may not have reported its last commit
        if self._switch is not None and self._switch not in self._waiting:
            done = result.tables.generation == self._switch.generation
            error = GenerationError("the committer died before the switch; rebuild again")
            self._answer(self._switch.number, self._switch.generation if done else error)
        self._send()

    async def _try_to_start(self) -> GroupResult | None:
        try:
            result = await self._worker.open(self)
            await self._adopt(result)
        except Exception as error:
            known = isinstance(error, LedgerError | OSError)
            logger.error("the committer does not start: %s", error, exc_info=not known)
            self.failure = StorageFailedError(f"the committer does not start: {error}")
            self._refuse(self.failure)
            return None
        return result

    def _refuse(self, error: StorageFailedError) -> None:
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._answer(request.number, error)
