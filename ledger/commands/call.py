"""How a request came, and what it is answered: the words at the ledger's front door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import Json, Origin
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.log.command import command_hash, fingerprint
from asset_ledger.ledger.log.event_log import CommandKey


@dataclass(frozen=True, slots=True)
class CallContext:
    """Whose call it is, with which Idempotency-Key, If-Match version and trace.

    `actor` is who acts, where that is not the owner. The key is the owner's: an admin who does the
    same for two users with one key does two things.
    """

    user_id: str
    key: str | None = None
    if_match: int | None = None
    traceparent: str | None = None
    actor: str | None = None

    def origin(self, key: CommandKey | None) -> Origin:
        """What the events of this call say about where they come from."""
        return Origin(
            by=self.actor or self.user_id,
            user_id=self.user_id,
            command=command_hash(key),
            traceparent=self.traceparent,
        )

    def command_key(
        self,
        operation: str,
        *,
        asset_id: AssetId | None = None,
        job_id: str | None = None,
        fields: Mapping[str, Json] | None = None,
        size: int | None = None,
        digest: Digest | None = None,
    ) -> CommandKey | None:
        """The call's key with the fingerprint of what it asks for; None where it sent no key."""
        if self.key is None:
            return None
        asked = fingerprint(
            operation,
            asset_id=asset_id or job_id,
            if_match=self.if_match,
            fields=fields,
            size=size,
            digest=digest,
        )
        return CommandKey(self.user_id, self.key, operation, asked)


class Receipt(NamedTuple):
    """An asset as its command left it. `behind`: the tables do not show it yet."""

    asset: Asset
    position: int
    replayed: bool
    behind: bool


class Deletion(NamedTuple):
    """The assets that became tombstones, and the position of the last of these events."""

    ids: Sequence[AssetId]
    position: int
    replayed: bool
    behind: bool


class BulkDeletion(NamedTuple):
    """How many assets matched and became tombstones, and all that did, contents included."""

    matched: int
    deletion: Deletion
