"""The thread that records what waits, group by group, in the process of those who wait.

There is no timer: while it is at one group, the next gathers.
"""

from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from asset_ledger.ledger.commit.group_commit import Recording
from asset_ledger.ledger.commit.requests import GROUP, Answers, Wanted
from asset_ledger.ledger.errors import StorageFailedError


class ThreadedTurns:
    """The turns of this process. `answered` is called in its thread, once a group."""

    early: Final = GROUP  # a thread that wakes while the loop is busy only waits for the GIL

    def __init__(self, recording: Recording, answered: Callable[[Answers], None]) -> None:
        self._recording, self._answered = recording, answered
        self._waiting: SimpleQueue[Sequence[Wanted] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="ledger-writer")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is recorded until a restart; None while all is well."""
        return self._recording.failure

    def put(self, wanted: Sequence[Wanted]) -> None:
        """Let them have their turn. From any thread."""
        self._waiting.put(wanted)

    def close(self) -> None:
        """Record what waits, then stop. Blocks."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        for group in self._groups():
            self._answered(self._recording.record(group))

    def _groups(self) -> Iterator[list[Wanted]]:
        """All who wait, again and again, until the end."""
        going = True
        while going:
            group, going = self._gather()
            if group:
                yield group

    def _gather(self) -> tuple[list[Wanted], bool]:
        group: list[Wanted] = []
        items = self._waiting.get()
        while items is not None:
            group += items
            if len(group) >= GROUP:
                return group, True
            try:
                items = self._waiting.get_nowait()
            except Empty:
                return group, True
        return group, False
