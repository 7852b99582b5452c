"""Decide, hand to the writer, and decide again when somebody else was faster."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from asset_ledger.ledger.commit.committer import Writer
from asset_ledger.ledger.commit.requests import Written
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.event import Fact, Recorded
from asset_ledger.ledger.errors import KeyReusedError, RefusedError, VersionConflictError
from asset_ledger.ledger.log.event_log import Appended, Command, CommandKey, EventLog
from asset_ledger.ledger.reading.replay import Replay

TRIES: Final = 5

P = ParamSpec("P")
T = TypeVar("T")

Decision = tuple[Sequence[Fact], Mapping[str, int]]
"""The facts to record, and the streams that were only read for it, with their versions."""


class Commits:
    """The way of every decision into the log."""

    def __init__(self, log: EventLog, replay: Replay, writer: Writer) -> None:
        self._log, self._replay, self._writer = log, replay, writer
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="ledger-reader")

    def close(self) -> None:
        """Stop reading; the log belongs to whoever opened it."""
        self._readers.shutdown()

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call something that blocks on the log, off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, partial(function, *args, **kwargs))

    async def commit(
        self,
        key: CommandKey | None,
        decide: Callable[[], Awaitable[Decision]],
        contents: Sequence[Staged] = (),
    ) -> Written | None:
        """Decide and record, again if the decision was stale when its turn came.

        What was recorded under this key before is the answer, whatever has happened since; None
        if there is nothing to record. Raises what the decision raises, and VersionConflictError
        after five stale decisions.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                facts, guards = await decide()
                if not facts:
                    return await self._known(key)
                return await self._writer.append(Command(facts, guards, key), contents)
            except VersionConflictError:
                if not tries_left:
                    raise
            except RefusedError:
                known = await self._known(key)
                if known is None:
                    raise
                return known
        return None

    async def _known(self, key: CommandKey | None) -> Written | None:
        """What this very request recorded before, if it did. Raises KeyReusedError."""
        known = await self.find(key) if key is not None else None
        return Written(known, self._writer.behind) if known else None

    async def find(self, key: CommandKey) -> Appended | None:
        """Where the facts of a key are. Raises KeyReusedError if it was for another request."""
        known = await self.in_thread(self._log.find_command, key.user_id, key.key)
        if known is None:
            return None
        used_for, first, last = known
        if used_for != key:
            raise KeyReusedError(key.key)
        return Appended(first, last, replayed=True)

    async def known_span(self, user_id: str, key: str | None) -> Appended | None:
        """Where the facts of an Idempotency-Key are, whatever it was for; None if it is unused."""
        if key is None:
            return None
        known = await self.in_thread(self._log.find_command, user_id, key)
        return Appended(*known[1:], replayed=True) if known else None

    async def head(self) -> int:
        """The log's last position."""
        return (await self.in_thread(self._log.head)).position

    async def facts_of(self, appended: Appended) -> Sequence[Recorded]:
        """The facts of a command, read back if it was recorded before."""
        return appended.recorded or await self.in_thread(
            self._replay.between, appended.first, appended.last
        )
