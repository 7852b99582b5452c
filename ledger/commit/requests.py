"""The messages between the committer and the worker that runs its group commits.

All of it is plain data, so that the worker may be a thread or another process.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.event_log import Appended, Command, Outcome

MAX_GROUP: Final = 256
"""A group that has this many requests takes no more."""


class CommandRequest(NamedTuple):
    """Record a command's events, after its small contents. `number` names the request."""

    number: int
    command: Command
    contents: Sequence[tuple[Digest, bytes]] = ()


class CheckpointRequest(NamedTuple):
    """Keep a signed checkpoint of a tree of `size` leaves."""

    number: int
    size: int
    note: str


class SwitchRequest(NamedTuple):
    """Fill another generation of the tables from here on, and put it in use.

    `retire`: a rollback, which marks the present generation retired instead of the other one ready.
    """

    number: int
    generation: int
    retire: bool = False


Request = CommandRequest | CheckpointRequest | SwitchRequest

Answer = Outcome | str | int
"""Of a command its outcome; of a checkpoint the note that is kept; of a switch the generation.
An exception refuses the request."""


class TablesState(NamedTuple):
    """The tables that the worker fills: their generation, position, and the error they stall at."""

    generation: int
    position: int
    error: Exception | None = None


class GroupResult(NamedTuple):
    """What one group commit did. The first result of a worker, without answers, says it is open.

    `answers` are by request number. `head` is the log's last position, `failure` why nothing more
    is written until a restart. `commands` were in the group, which took `seconds`.
    """

    head: int
    tables: TablesState
    answers: Sequence[tuple[int, Answer]] = ()
    failure: StorageFailedError | None = None
    commands: int = 0
    seconds: float = 0.0

    @property
    def behind(self) -> bool:
        """Whether the tables lack events of the log."""
        return self.tables.position < self.head


class Committed(NamedTuple):
    """A command is in the log, durable. `behind`: the tables do not show it yet."""

    appended: Appended
    behind: bool


class Listener(Protocol):
    """What a worker reports to, on the event loop."""

    def receive(self, result: GroupResult) -> None:
        """Take a result. Results arrive in the order of the commits."""

    def lose(self, reason: str) -> None:
        """The worker died: the outcome of every request under way is unknown."""


class Worker(Protocol):
    """Where group commits run: a thread of this process, or a process of its own."""

    @property
    def eager(self) -> int:
        """Send this many waiting requests before the loop iteration ends."""

    async def open(self, listener: Listener) -> GroupResult:
        """Open every file that is written to; called again after `lose`. Raises DataFolderError."""

    def send(self, requests: Sequence[Request]) -> None:
        """Have these requests committed, in this order."""

    async def close(self) -> None:
        """Commit what was sent, then close the files."""
