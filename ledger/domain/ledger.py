"""What the ledger records about itself, in the stream that bears the log's own id.

Event 1 of every log is `LedgerOpened`: it says which log this is and whose signature to expect.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from asset_ledger.ledger.domain.event import Event

FORMAT: Final = 2
"""The version of everything that is frozen into stored bytes: envelope, leaves, command hashes."""

SYSTEM: Final = "system"
"""The actor of events that no caller asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOpened(Event):
    """A log began: its id (32 hex digits), its origin line and its verifier key (both C2SP)."""

    TOPIC: ClassVar[str] = "ledger.opened"
    log_id: str
    origin: str
    public_key: str
    format: int = 0
    erasable: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotated(Event):
    """Checkpoints are signed by another key from here on; both keys signed this change."""

    TOPIC: ClassVar[str] = "key.rotated"
    old_key: str
    new_key: str
    old_signature: str
    new_signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionSkipped(Event):
    """Somebody set an event aside that a projection could not read, and said why.

    `command` and `user_id`: the hash and the owner of the Idempotency-Key that came along, if any.
    """

    TOPIC: ClassVar[str] = "projection.skipped"
    projection: str
    position: int
    reason: str
    user_id: str | None = None
    command: str | None = None


def origin_line(log_id: str) -> str:
    """The name under which a log signs its checkpoints."""
    return f"asset-ledger/{log_id}"
