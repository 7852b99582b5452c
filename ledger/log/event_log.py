"""The protocol of an event log, with the promises of every implementation, and its types.

Every method blocks: call it from a thread, never on the event loop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from eventsourcing.persistence import Notification

from asset_ledger.ledger.content.places import Place
from asset_ledger.ledger.content.store import StoredObject
from asset_ledger.ledger.domain.event import Event, Recorded
from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import Digest

TagKind = Literal["workflow", "node", "job"]


class Tag(NamedTuple):
    """A workflow, node or job of one user, by which the events that name it can be read."""

    user_id: str
    kind: TagKind
    value: str


@dataclass(frozen=True, slots=True)
class CommandKey:
    """An Idempotency-Key of a user, and the operation and the fingerprint of its request."""

    user_id: str
    key: str
    operation: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Command:
    """Events to record together: all of them or none.

    Each event has the next version of its stream. `guards` are the versions of streams that the
    decision only read: the command is refused if one of them has changed. `collects`: the command
    collects contents that no event up to this position needs, and is refused if a later one does.
    `objects`: the large contents of the events that are in an object store.
    """

    events: Sequence[Event]
    guards: Mapping[str, int] = field(default_factory=dict)
    key: CommandKey | None = None
    collects: int | None = None
    objects: Sequence[StoredObject] = ()


@dataclass(frozen=True, slots=True)
class Appended:
    """The outcome of a recorded command: its events are durable at positions `first` to `last`.

    `replayed`: an earlier command with the same key recorded them; `recorded` is empty then. `leaf`
    is the leaf hash of the last event, `prepared` the result of `prepare` for the events.
    """

    first: int
    last: int
    replayed: bool = False
    recorded: Sequence[Recorded] = ()
    leaf: bytes = b""
    prepared: object = None


Outcome = Appended | Exception
"""The outcome of one command. An error is returned, so that it does not affect other commands."""

Prepare = Callable[[Sequence[Recorded]], object]
"""Called with the stamped events of a command before the insert. An exception refuses them."""


class Head(NamedTuple):
    """The end of the log: the position and time of its last event; 0 and None if it is empty."""

    position: int
    recorded_at: datetime | None


class LogReader(Protocol):
    """Reads an event log, also while another process appends to it.

    - Positions MUST be 1, 2, 3 ... without gaps, in the order in which readers see the events.
    - A reader that continues after its last position MUST see every event once, in order.
    - Leaf hashes MUST be those of the stored bytes. A full tile of level 1 or above MUST be
      readable as soon as its last event is (`merkle.tiles.TileSource`).
    """

    def head(self) -> Head:
        """Return the end of the log."""

    def read(
        self,
        after: int,
        limit: int,
        *,
        tag: Tag | None = None,
        upto: int | None = None,
        max_bytes: int | None = None,
        newest_first: bool = False,
    ) -> list[Notification]:
        """Return at most `limit` stored events after a position, only those of `tag` if given.

        `newest_first`: the last ones up to `upto`, in reverse order. The event whose stored bytes
        bring their sum to `max_bytes` is the last one.
        """

    def stream(
        self,
        originator_id: str,
        *,
        after: int = 0,
        upto: int | None = None,
        max_bytes: int | None = None,
        topics: Sequence[str] = (),
    ) -> list[Notification]:
        """Return the stored events of a stream, in order: those after version `after`, up to
        position `upto` and `max_bytes`, and with one of these topics, if given."""

    def version_at(self, originator_id: str, position: int | None = None) -> int:
        """Return the version that a stream had at a position, by default the version that it has; 0
        before its first event."""

    def find_command(self, user_id: str, key: str) -> tuple[CommandKey, int, int] | None:
        """Return the use of an Idempotency-Key, and its first and last position."""

    def needed(self, after: int, upto: int) -> set[Digest]:
        """Return the contents that the events after a position need, up to another one: those that
        they name, and those of the assets that they restored."""

    def leaf_hash(self, position: int) -> bytes | None:
        """Return the Merkle leaf hash of the event at a position, or None beyond the end."""

    def leaf_hashes(self, after: int, limit: int) -> Sequence[bytes]:
        """Return the leaf hashes of the next `limit` events after a position."""

    def full_tile(self, level: int, index: int) -> bytes | None:
        """Return a full tile of level 1 or above, 256 hashes of 32 bytes; None until it is full."""

    def checkpoints(self, after: int, limit: int) -> Sequence[tuple[int, str]]:
        """Return up to `limit` (size, signed checkpoint) of trees larger than `after`, in order."""

    def close(self) -> None:
        """Close files and connections."""


class EventLog(LogReader, Protocol):
    """An append-only log of events.

    - `append` MUST return one outcome for each command, in order. A refused command leaves no trace
      and does not affect the others. When `append` returns, every `Appended` is durable.
    - `append` MUST refuse a command if a stream or guard is at another version
      (VersionConflictError), or if its key was used for another request (KeyReusedError). For the
      same key and the same request it MUST return the first outcome and record nothing.
    - `recorded_at` MUST NOT be before that of the previous event. `clock` MUST be the time of the
      machine if that is more than `MAX_CLOCK_LAG` behind `recorded_at`, else None. `job_seq` MUST
      be 1, 2, 3 ... in each job of each user.
    - Stored events MUST refuse UPDATE, DELETE and REPLACE.
    """

    @property
    def failure(self) -> StorageFailedError | None:
        """The error that prevents all appends until a restart, or None."""

    def append(self, commands: Sequence[Command], prepare: Prepare) -> list[Outcome]:
        """Record or refuse each command. One thread at a time may call it."""

    def keep_checkpoint(self, size: int, note: str) -> str:
        """Store a signed checkpoint unless one of its size is stored. Return the stored one.

        Only the thread that calls `append` may call it. Raises StorageFailedError.
        """


class PackingLog(EventLog, Protocol):
    """An EventLog that has the places of small contents in pack files.

    The places are stored also if every command is refused.
    """

    def append(
        self, commands: Sequence[Command], prepare: Prepare, places: Sequence[Place] = ()
    ) -> list[Outcome]:
        """Record or refuse each command.

        `places`: where the new small contents of these commands are durable already.
        """

    def places(self, digests: Sequence[Digest]) -> dict[Digest, Place]:
        """Return the places of those of these contents that are packed.

        Only the thread that calls `append` may call it. Raises StorageFailedError.
        """

    def keep_places(self, places: Sequence[Place]) -> None:
        """Store the places of contents that were moved. Raises StorageFailedError."""

    def has_places(self, pack: int) -> bool:
        """Return whether a content has its place in a pack. Raises StorageFailedError."""
