"""The messages between the committer and the worker that runs its group commits.

They are plain data, so that the worker may be a thread or another process.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.event_log import Appended, Command, Head, Outcome

MAX_GROUP: Final = 256
"""The number of requests at which a group is full."""


class CommandRequest(NamedTuple):
    """Record a command's events, after its small contents. `number` identifies the request."""

    number: int
    command: Command
    contents: Sequence[tuple[Digest, bytes]] = ()


class CheckpointRequest(NamedTuple):
    """Store a signed checkpoint of a tree of `size` leaves."""

    number: int
    size: int
    note: str


class SwitchRequest(NamedTuple):
    """Fill another generation of the tables from now on, and put it in use in place of `before`.

    `retire`: a rollback, which marks the present generation retired instead of the other ready.
    """

    number: int
    before: int
    generation: int
    retire: bool = False


class CompactRequest(NamedTuple):
    """Move the contents that a pack still has to the last pack, and remove its file."""

    number: int
    pack: int


Request = CommandRequest | CheckpointRequest | SwitchRequest | CompactRequest

Answer = Outcome | str | int
"""The outcome of a command, the stored note of a checkpoint, the generation of a switch, or the
number of contents that a pack had. An exception refuses the request."""


class TablesState(NamedTuple):
    """The tables that the worker fills: their generation, position, and the error they stall at."""

    generation: int
    position: int
    error: Exception | None = None


class GroupResult(NamedTuple):
    """The result of one group commit. A worker's first result, without answers, reports it open.

    `answers` are by request number. `head` is the end of the log. `failure` is why nothing more is
    written until a restart. The group had `commands` commands and took `seconds`.
    """

    head: Head
    tables: TablesState
    answers: Sequence[tuple[int, Answer]] = ()
    failure: StorageFailedError | None = None
    commands: int = 0
    seconds: float = 0.0

    @property
    def behind(self) -> bool:
        """Whether the tables lack events of the log."""
        return self.tables.position < self.head.position


class Committed(NamedTuple):
    """A command that is durable in the log. `behind`: the tables lack its events so far."""

    appended: Appended
    behind: bool


class Listener(Protocol):
    """The receiver of a worker's results, on the event loop."""

    def receive(self, result: GroupResult) -> None:
        """Take a result. Results arrive in the order of the commits."""

    def lose(self, reason: str) -> None:
        """Handle the death of the worker: the outcome of each request under way is unknown."""


class Worker(Protocol):
    """Where group commits run: a thread of this process, or a process of its own."""

    @property
    def eager(self) -> int:
        """The number of waiting requests to send before the loop iteration ends."""

    async def open(self, listener: Listener) -> GroupResult:
        """Open all files to write; called again after `lose`. Raises DataFolderError."""

    def send(self, requests: Sequence[Request]) -> None:
        """Queue these requests for commit, in this order."""

    def give_up(self) -> None:
        """Treat the worker as dead: `lose` follows, and `open` ends it. A thread cannot be ended:
        then do nothing."""

    async def close(self) -> None:
        """Commit what was sent, then close the files."""
