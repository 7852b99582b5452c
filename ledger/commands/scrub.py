"""The scrub of a running server: read every part of the ledger again, once an interval.

It works a tenth of the time in one thread, and rests while the server is busy. What it finds is
shown as damaged until it is repaired, and recorded as events: a restart loses neither.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from threading import Lock
from typing import Final

from asset_ledger.ledger.commands.own_stream import record_in_own_stream
from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.ledger import SYSTEM, DamageFound, DamageRepaired
from asset_ledger.ledger.errors import WITHOUT_MEMORY, LedgerError, UnavailableError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.scrub.notes import Checked, ScrubNotes
from asset_ledger.ledger.scrub.scrubber import Scrubber
from asset_ledger.ledger.storage.data_folder import DataFolder

REST: Final = 9.0
"""Seconds of rest for a second of work."""
TURN: Final = 0.02
"""Seconds of work before a rest; a piece of work may take longer."""
IDLE: Final = 2.0
"""Seconds between two looks for due parts, new events, and findings of `asset-ledger scrub`."""
RETRY: Final = 60.0
"""Seconds to wait after an error."""
LATE: Final = 0.05
"""Seconds by which the event loop of a busy server is late."""
QUEUED: Final = 8
"""Writes under way in a busy server."""
BATCH: Final = 500
"""Damaged parts of one event: 37 KB."""

logger = logging.getLogger(__name__)


class Scrub:
    """Reads the ledger of a server again.

    `checked` and `size`: the parts and bytes that were read since the start; `late`: seconds since
    the most overdue part became due; `oldest_check`: when the part was read that was not read again
    for the longest time, None before the first check; `damaged_log`: the parts of the log that are
    damaged; `is_failing`: the last try ended with an error.
    """

    def __init__(
        self,
        files: DataFolder,
        committer: Committer,
        replay: AsyncReplay,
        contents: CheckedContents,
        feed: LiveFeed,
    ) -> None:
        self._files, self._committer, self._replay = files, committer, replay
        self._contents, self._feed = contents, feed
        self._lock, self._stopped = Lock(), False
        self._shown, self._recorded = set[str](), set[str]()
        self._refusal = ""
        self.checked = self.size = 0
        self.late = 0.0
        self.oldest_check: float | None = None
        self.is_failing = False
        self.damaged_log: list[Checked] = []

    async def repair(self, staged: Staged) -> None:
        """Store the bytes of a content again. The scrub then reads it, and records the repair."""
        with self._contents.using((staged,)):
            await self._contents.publish(staged)
            if staged.is_recorded:
                await self._committer.append(Command(()), (staged,))

    async def run(self, interval: timedelta) -> None:
        """Read everything once an interval, until the task is cancelled or the server stops.

        Errors are logged.
        """
        while not self._feed.ended:
            await asyncio.sleep(IDLE)
            try:
                await self._run(interval.total_seconds())
            except (LedgerError, OSError, sqlite3.Error, *WITHOUT_MEMORY) as error:
                self.is_failing = True
                logger.error("nothing is scrubbed for a minute: %s", error)
                await asyncio.sleep(RETRY)

    async def _run(self, interval: float) -> None:
        notes = await asyncio.to_thread(ScrubNotes, self._files.scrub, self._files.log, interval)
        scrubber, self._stopped = Scrubber(self._files, notes), False
        try:
            self._recorded = await self._replay(Replay.damage)
            while not self._feed.ended:
                await self._report(notes)
                self.is_failing = False
                await self._round(scrubber)
                await self._read_again(notes)
                await asyncio.sleep(IDLE)
        finally:
            self._stopped = True  # a thread may be at work for a task that was cancelled
            scrubber.interrupt()
            await asyncio.to_thread(self._close, notes)

    async def _read_again(self, notes: ScrubNotes) -> None:
        """Make the parts due that events name as damaged, if the notes do not: they were lost."""
        if self._recorded:
            await asyncio.to_thread(notes.bring_forward_unread, self._recorded)

    def _close(self, notes: ScrubNotes) -> None:
        with self._lock:
            notes.close()

    async def _round(self, scrubber: Scrubber) -> None:
        """Read what is due, with rests."""
        work, is_done = scrubber.due(), False
        while not is_done and not self._feed.ended:
            began = time.monotonic()
            is_done, checked = await asyncio.to_thread(self._work, work)
            for each in checked:
                self._note(each)
            await self._rest(REST * (time.monotonic() - began))

    def _work(self, work: Iterator[Checked | None]) -> tuple[bool, list[Checked]]:
        """Work for 20 ms. Return whether all is done, and the parts that were read."""
        checked, until = list[Checked](), time.monotonic() + TURN
        with self._lock:
            while not self._stopped and time.monotonic() < until:
                try:
                    each = next(work)
                except StopIteration:
                    return True, checked
                if each is not None:
                    checked.append(each)
        return self._stopped, checked

    async def _rest(self, seconds: float) -> None:
        """Wait, and go on waiting while the server is busy."""
        is_busy = True
        while is_busy and not self._feed.ended:
            began = time.monotonic()
            await asyncio.sleep(seconds)
            late = time.monotonic() - began - seconds
            is_busy = late > LATE or self._committer.slots.taken >= QUEUED
            seconds = 0.5

    def _note(self, checked: Checked) -> None:
        self.checked += 1
        self.size += checked.part.size
        if checked.part.is_content and checked.cause is None:
            self._contents.forget(Digest(checked.part.name))

    async def _report(self, notes: ScrubNotes) -> None:
        """Show and record what is damaged: what was found here, by readers, or by a command."""
        damaged = {each.part.name: each for each in await asyncio.to_thread(notes.damaged)}
        self.late = await asyncio.to_thread(notes.lateness)
        self.oldest_check = await asyncio.to_thread(notes.oldest_check)
        self.damaged_log = [each for each in damaged.values() if not each.part.is_content]
        await asyncio.to_thread(notes.bring_forward, self._show(damaged))
        try:
            await self._record_changes(notes, damaged)
        except UnavailableError as error:  # what is read-only can be read
            if str(error) != self._refusal:
                logger.error("findings of the scrub are not recorded: %s", error)
            self._refusal = str(error)

    async def _record_changes(self, notes: ScrubNotes, damaged: dict[str, Checked]) -> None:
        """Record what is damaged now and was not, and what was and is whole."""
        new = damaged.keys() - self._recorded
        for cause in sorted({damaged[name].cause or "" for name in new}):
            names = sorted(name for name in new if damaged[name].cause == cause)
            await self._record(names, partial(_found, cause=cause))
        whole = await asyncio.to_thread(notes.are_whole, self._recorded - damaged.keys())
        await self._record(sorted(whole), _repaired)
        self._recorded = (self._recorded | new) - whole

    def _show(self, damaged: dict[str, Checked]) -> list[str]:
        """Show these contents as damaged. Return the parts to read soon: those that readers found,
        and those that were stored again."""
        found = self._contents.damaged_digests
        contents = {name: each for name, each in damaged.items() if each.part.is_content}
        repaired = contents.keys() & self._shown - found
        for name in contents.keys() - self._shown - found:
            self._contents.note(Digest(name), contents[name].what or "")
        self._shown = {*contents}
        return [*repaired, *(found - contents.keys())]

    async def _record(self, parts: list[str], make: Callable[..., Event]) -> None:
        for batch in _batches(parts):
            made = partial(make, batch)
            await record_in_own_stream(self._committer, self._replay, made)


def _batches(parts: Iterable[str]) -> Iterator[tuple[str, ...]]:
    rest = iter(parts)
    while batch := tuple(islice(rest, BATCH)):
        yield batch


def _found(parts: tuple[str, ...], stream: str, version: int, *, cause: str) -> Event:
    return DamageFound(
        originator_id=stream, originator_version=version, by=SYSTEM, parts=parts, cause=cause
    )


def _repaired(parts: tuple[str, ...], stream: str, version: int) -> Event:
    return DamageRepaired(originator_id=stream, originator_version=version, by=SYSTEM, parts=parts)
