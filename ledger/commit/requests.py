"""What waits for a writer, and what becomes of it.

All of it is plain data: it may cross into another process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.log.event_log import Appended, Command, Outcome

GROUP: Final = 256
"""Once a group has so many, no more join it."""

UNFORESEEN: Final = "the write failed in an unforeseen way; ask again"
"""What a caller is told where a defect of ours stood in the way of his group."""


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
