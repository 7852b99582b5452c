"""Who waits for a write, and the queue from which a thread takes all who wait at once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Generic, NamedTuple, TypeVar

from ledger.content import Staged
from ledger.log import Appended, Command

GROUP: Final = 256
"""Once a group has so many, no more join it."""

UNFORESEEN: Final = "the write failed in an unforeseen way; ask again"
"""What a caller is told where a defect of ours stood in the way of his group."""

T = TypeVar("T")


class Written(NamedTuple):
    """A command is in the log. `behind`: the tables do not show it yet."""

    appended: Appended
    behind: bool


@dataclass(slots=True)
class Ticket:
    """A command on its way into the log. `failure`: why it will not get there."""

    command: Command
    contents: Sequence[Staged]
    answer: "asyncio.Future[Written]"
    failure: Exception | None = None


Errand = Callable[[], None]
"""What else a thread is to do with the connection that only it may use."""


class Waiting(Generic[T]):
    """Things for one thread, which takes them in groups.

    There is no timer: while it is at one group, the next gathers.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Sequence[T] | None] = SimpleQueue()

    def put(self, *items: T) -> None:
        """Let them wait, and be taken together. From any thread."""
        self._queue.put(items)

    def end(self) -> None:
        """Nothing comes after this."""
        self._queue.put(None)

    def groups(self) -> Iterator[list[T]]:
        """All who wait, again and again, until the end."""
        going = True
        while going:
            group, going = self._gather()
            if group:
                yield group

    def _gather(self) -> tuple[list[T], bool]:
        group: list[T] = []
        items = self._queue.get()
        while items is not None:
            group += items
            if len(group) >= GROUP:
                return group, True
            try:
                items = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False
