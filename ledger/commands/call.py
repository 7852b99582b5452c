"""The context of a request to the ledger, and the receipts that commands return."""

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
    """The owner, Idempotency-Key, If-Match version and trace of one request.

    `actor`: the acting user, if not the owner. Keys belong to the owner: an admin's requests for
    two users with one key are two commands.
    """

    user_id: str
    key: str | None = None
    if_match: int | None = None
    traceparent: str | None = None
    actor: str | None = None

    def origin(self, key: CommandKey | None) -> Origin:
        """Return what the events of this request record about their origin."""
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
        """Return the request's key with the fingerprint of its fields; None if it has no key."""
        if self.key is None:
            return None
        fields_hash = fingerprint(
            operation,
            asset_id=asset_id or job_id,
            if_match=self.if_match,
            fields=fields,
            size=size,
            digest=digest,
        )
        return CommandKey(self.user_id, self.key, operation, fields_hash)


class Receipt(NamedTuple):
    """An asset as its command left it. `behind`: the tables lack its events so far."""

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
    """The number of matching assets, and the deletion of them and of what their folders hold."""

    matched: int
    deletion: Deletion


class Edition(NamedTuple):
    """The assets that a bulk change changed, and the position of the last of these events."""

    ids: Sequence[AssetId]
    position: int
    replayed: bool
    behind: bool


class BulkEdition(NamedTuple):
    """The number of assets of a bulk change, and its effect on those that it changed."""

    matched: int
    edition: Edition
