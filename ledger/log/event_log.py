"""The log of events: the promises that every log makes, and the words for talking to one.

All of it blocks: it is called from threads, never on the event loop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from eventsourcing.persistence import Notification

from asset_ledger.ledger.domain.event import Event, Recorded
from asset_ledger.ledger.errors import StorageFailedError

TagKind = Literal["workflow", "node", "job"]


class Tag(NamedTuple):
    """One user's workflow, node or job: every event that names it can be read by it."""

    user_id: str
    kind: TagKind
    value: str


@dataclass(frozen=True, slots=True)
class CommandKey:
    """An Idempotency-Key and what it was used for. `user_id` is the caller's."""

    user_id: str
    key: str
    operation: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Command:
    """What one caller wants recorded: all of it, or nothing.

    Each event names the version it makes of its stream. `guards` are streams that were only read,
    with the version they had: if one has moved on, the decision is stale.
    """

    events: Sequence[Event]
    guards: Mapping[str, int] = field(default_factory=dict)
    key: CommandKey | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """The command's events are in the log, durable. `replayed`: they were there before, by its key.

    `recorded` is empty for a replay; read the log between the two positions instead. `leaf` is the
    leaf hash of the last event, `prepared` what the caller's `prepare` made of the events.
    """

    first: int
    last: int
    replayed: bool = False
    recorded: Sequence[Recorded] = ()
    leaf: bytes = b""
    prepared: object = None


Outcome = Appended | Exception
"""What became of one command: its refusal (or failure) is a value, so that it is its own alone."""

Prepare = Callable[[Sequence[Recorded]], object]
"""Called with a command's stamped events before they are inserted; what it raises refuses them."""


class Head(NamedTuple):
    """The end of the log: its last position and that event's time. 0 and None while it is empty."""

    position: int
    recorded_at: datetime | None


class LogReader(Protocol):
    """A log of events, read: also while somebody else appends to it.

    - Positions MUST be 1, 2, 3 ... without gaps, in the order in which readers see the events.
    - A reader that reads from its last position on MUST see every event once, in order.
    - The leaf hashes MUST be those of the stored bytes, and a full tile of level 1 or up MUST be
      there as soon as its last event is (`merkle.tiles.TileSource`).
    """

    def head(self) -> Head:
        """Where the log ends now."""

    def read(
        self, after: int, limit: int, *, tag: Tag | None = None, upto: int | None = None
    ) -> list[Notification]:
        """The next `limit` stored events after a position, in order; only a tag's, where given."""

    def stream(self, originator_id: str, *, upto: int | None = None) -> list[Notification]:
        """All stored events of one stream, in order, up to a position where given."""

    def find_command(self, user_id: str, key: str) -> tuple[CommandKey, int, int] | None:
        """What an Idempotency-Key was used for, and its first and last position."""

    def leaf_hash(self, position: int) -> bytes | None:
        """The Merkle leaf hash of the event at a position."""

    def leaf_hashes(self, after: int, limit: int) -> Sequence[bytes]:
        """The leaf hashes of the next events after a position."""

    def full_tile(self, level: int, index: int) -> bytes | None:
        """A full tile of level 1 or up: 256 hashes in one piece; None while it is not full."""

    def checkpoints(self, after: int, limit: int) -> Sequence[tuple[int, str]]:
        """The signed checkpoints of trees larger than this, with their sizes, in order."""

    def close(self) -> None:
        """Give everything back."""


class EventLog(LogReader, Protocol):
    """An append-only log of events.

    - `append` MUST answer each command by itself, in order: a refused one leaves no trace and
      does not touch the others. When it returns, every `Appended` is durable.
    - `append` MUST refuse a command whose stream or guard is at another version
      (VersionConflictError), and whose key was used for another request (KeyReusedError). The
      same key with the same request MUST answer the first outcome and record nothing.
    - `recorded_at` MUST NOT be below that of the event before; `job_seq` MUST be 1, 2, 3 ... for
      each owner's job.
    - Stored events MUST refuse UPDATE, DELETE and REPLACE.
    """

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is appended any more; None while all is well."""

    def append(self, commands: Sequence[Command], prepare: Prepare) -> list[Outcome]:
        """Record each command or refuse it. One caller at a time."""

    def keep_checkpoint(self, size: int, note: str) -> str:
        """Keep a signed checkpoint, unless one of its size is kept: answers the one that is.

        The caller of `append` calls it too. Raises StorageFailedError.
        """
