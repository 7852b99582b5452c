"""The events of the ledger itself, in the stream whose id is the log's id.

Event 1 of every log is `LedgerOpened`: the id of the log and the key that signs its checkpoints.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.ids import Digest

FORMAT: Final = 2
"""The version of the stored format: event fields, Merkle leaves, command hashes."""

SYSTEM: Final = "system"
"""The acting user (`by`) of events that no user requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOpened(Event):
    """A log was created: its id (32 hex digits), origin line and verifier key (both C2SP)."""

    TOPIC: ClassVar[str] = "ledger.opened"
    log_id: str
    origin: str
    public_key: str
    format: int = 0
    erasable: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotated(Event):
    """Another key signs checkpoints from here on. Both keys signed this change."""

    TOPIC: ClassVar[str] = "key.rotated"
    old_key: str
    new_key: str
    old_signature: str
    new_signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionSkipped(Event):
    """An administrator skipped an event that a projection could not apply, with a reason.

    `command` and `user_id` are the hash and the owner of the request's Idempotency-Key, if any.
    """

    TOPIC: ClassVar[str] = "projection.skipped"
    projection: str
    position: int
    reason: str
    user_id: str | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreated(Event):
    """A token authenticates `owner` from here on, until `expires_at` or `TokenRevoked`.

    `hash`: the SHA-256 of its text in hex. The text has 256 random bits, so that the hash reveals
    nothing.
    """

    TOPIC: ClassVar[str] = "token.created"
    token_id: str
    hash: str
    owner: str
    scopes: tuple[str, ...]
    name: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked(Event):
    """A token is refused from here on."""

    TOPIC: ClassVar[str] = "token.revoked"
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCollected(Event):
    """The bytes of these contents were removed, as no retained version of an asset named them.

    `size`: their bytes together. Uploading the same bytes again stores them again.
    """

    TOPIC: ClassVar[str] = "content.collected"
    digests: tuple[Digest, ...]
    size: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerForked(Event):
    """The events before this one were restored from a backup, and written on instead of the rest.

    `original_events`: the number of events that the original ledger had in its backups.
    """

    TOPIC: ClassVar[str] = "ledger.forked"
    original_events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageFound(Event):
    """The scrub found damaged parts: contents by their digests, `events N` or `table NAME`.

    `cause`: `changed`, `missing` or `unreadable`.
    """

    TOPIC: ClassVar[str] = "damage.found"
    parts: tuple[str, ...]
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageRepaired(Event):
    """The scrub read these parts again, which were damaged, and they are whole."""

    TOPIC: ClassVar[str] = "damage.repaired"
    parts: tuple[str, ...]


def origin_line(log_id: str) -> str:
    """Return the name under which a log signs its checkpoints (C2SP origin line)."""
    return f"asset-ledger/{log_id}"
