"""What waits for a writer, what becomes of it, and the queue from which a thread takes all at once.

All of it but the queue is plain data: it may cross into another process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from ledger.content import Staged
from ledger.errors import StorageFailedError
from ledger.log import Appended, Command, Outcome

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

    number: int
    command: Command
    contents: Sequence[Staged]
    failure: Exception | None = None


class Signing(NamedTuple):
    """A signed checkpoint on its way beside the log."""

    number: int
    size: int
    note: str


Wanted = Ticket | Signing

Answer = Outcome | str
"""What became of a command, or the checkpoint that is kept."""


class Answers(NamedTuple):
    """What became of a group, by their numbers. `behind`: the tables do not show it yet.

    `seconds` is how long it took, `size` how many commands there were.
    """

    outcomes: Sequence[tuple[int, Answer]]
    behind: bool
    size: int
    seconds: float


class Turns(Protocol):
    """Who records what waits, a group at a time, and tells the writer of each."""

    @property
    def early(self) -> int:
        """So many are worth handing over before the event loop has gone round."""

    @property
    def alive(self) -> bool:
        """Whether anybody is there: without it nobody would be answered."""

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is recorded until a restart; None while all is well."""

    def put(self, wanted: Sequence[Wanted]) -> None:
        """Let them have their turn, in this order. On the event loop."""


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
