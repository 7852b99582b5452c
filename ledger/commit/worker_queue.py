"""The queue between callers on the event loop and the worker: requests out, answers back.

Promise: every request is answered, even if the worker dies. A request that a dead worker had may
be recorded or not (crash points C to E of `group_commit`): its caller gets OutcomeUnknownError and
retries with the same Idempotency-Key. A dead worker is started again by the code of a start.
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
"""Seconds between two attempts to restart a worker that died."""
BEAT: Final = 1.0
"""Seconds between two counts of the watchdog. An idle worker delivers a result in each."""

logger = logging.getLogger(__name__)


class WorkerQueue:
    """Sends requests to an open worker. For the event loop that it was made on.

    `note` takes each result before a caller is answered; `adopt` takes the first result of a
    restarted worker. `failure`: why writes are refused; None if they work. `silence`: seconds
    since the last result of a running worker.
    """

    def __init__(
        self,
        worker: Worker,
        note: Callable[[GroupResult], None],
        adopt: Callable[[GroupResult], Awaitable[None]],
    ) -> None:
        self._worker, self._note, self._adopt = worker, note, adopt
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._waiting: list[Request] = []
        self._switch: SwitchRequest | None = None
        self._restart: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.silence = 0.0
        self.failure: StorageFailedError | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the worker runs."""
        return self._restart is None

    def watch(self, patience: float) -> None:
        """Start the watchdog: a worker without a sign of life for so many seconds is replaced."""
        self._watch = self._loop.create_task(self._count_beats(patience))

    def send(self, request: Request) -> "asyncio.Future[Any]":
        """Send a request, with the others of this loop iteration. Return its answer.

        Cancelling the answer does not stop the commit.
        """
        answer = self._answers[request.number] = self._loop.create_future()
        if isinstance(request, SwitchRequest):
            self._switch = request
        if not self._waiting:
            self._loop.call_soon(self._send_waiting)
        self._waiting.append(request)
        if len(self._waiting) >= self._worker.eager:
            self._send_waiting()
        return answer

    def receive(self, result: GroupResult) -> None:
        """Take a worker's result: note it, then answer the callers."""
        self.failure, self.silence = result.failure, 0.0
        self._note(result)
        for number, answer in result.answers:
            self._answer(number, answer, behind=result.behind)

    def lose(self, reason: str) -> None:
        """Answer requests that a dead worker had as unknown, and start it again.

        A switch under way is answered after the restart: the files show the generation in use.
        """
        logger.error("the committer died (%s); starting it again", reason)
        kept = {request.number for request in (*self._waiting, self._switch) if request}
        unknown = OutcomeUnknownError("the committer died; retry with the same Idempotency-Key")
        for number in [each for each in self._answers if each not in kept]:
            self._answer(number, unknown)
        self._restart = self._loop.create_task(self._restart_worker())

    async def drain(self) -> None:
        """Return once every waiting request is answered, by the watchdog if need be."""
        await self._stop_restart()
        self._send_waiting()
        if self._answers:
            await asyncio.wait(self._answers.values())
        await self._stop_restart()  # of a worker that was given up meanwhile

    async def stop(self) -> None:
        """Drain, then end the watchdog."""
        await self.drain()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def _stop_restart(self) -> None:
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait([self._restart])
            self._refuse_waiting(StorageFailedError("the server stops; nothing was recorded"))

    async def _count_beats(self, patience: float) -> None:
        """Count, rather than compare times: a server that was suspended has made no beat."""
        while True:
            await asyncio.sleep(BEAT)
            if self._restart is not None:
                continue
            self.silence += BEAT
            if self.silence > patience:
                self.silence = 0.0
                self._worker.give_up()

    def _send_waiting(self) -> None:
        """Send the waiting requests, unless the worker is being restarted."""
        if self._waiting and self._restart is None:
            waiting, self._waiting = self._waiting, []
            self._worker.send(waiting)

    def _answer(self, number: int, answer: Answer, *, behind: bool = False) -> None:
        future = self._answers.pop(number)
        if self._switch is not None and self._switch.number == number:
            self._switch = None
        if future.done():  # cancelled by its caller; recorded events stay recorded
            return
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif isinstance(answer, Appended):
            future.set_result(Committed(answer, behind))
        else:
            future.set_result(answer)

    async def _restart_worker(self) -> None:
        """Open the worker again, as at a start; refuse waiting requests while that fails."""
        result = await self._try_to_start()
        while result is None:
            await asyncio.sleep(RESTART_SECONDS)
            result = await self._try_to_start()
        self._restart = None
        self.receive(result)  # the dead worker may not have reported its last commit
        if self._switch is not None and self._switch not in self._waiting:
            done = result.tables.generation == self._switch.generation
            error = GenerationError("the committer died before the switch; rebuild again")
            self._answer(self._switch.number, self._switch.generation if done else error)
        self._send_waiting()

    async def _try_to_start(self) -> GroupResult | None:
        try:
            result = await self._worker.open(self)
            await self._adopt(result)
        except Exception as error:
            known = isinstance(error, LedgerError | OSError)
            logger.error("the committer does not start: %s", error, exc_info=not known)
            self.failure = StorageFailedError(f"the committer does not start: {error}")
            self._refuse_waiting(self.failure)
            return None
        return result

    def _refuse_waiting(self, error: StorageFailedError) -> None:
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._answer(request.number, error)
