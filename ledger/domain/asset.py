"""What can happen to an asset, and the state that it adds up to. What is to happen: `decisions.py`.

Pure: nothing here awaits, reads a clock or touches a disk. `evolve` folds events into an `Asset`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from asset_ledger.ledger.domain.event import (
    UNSET,
    Event,
    Json,
    Recorded,
    TaggedEvent,
    UnsetType,
    moment,
    private_of,
)
from asset_ledger.ledger.ids import AssetId, Digest

FOLDER: Final = "folder"
"""The content type of an asset that holds others and has no bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetCreated(TaggedEvent):
    """A node, a job or a person made something. Private: name, metadata, tags, duration."""

    TOPIC: ClassVar[str] = "asset.created"
    size: int
    content_type: str
    digest: Digest | None = None
    parent_id: AssetId | None = None
    derived_from: tuple[AssetId, ...] = ()
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDescribed(TaggedEvent):
    """The label changed; the bytes and their history did not. What is absent did not change."""

    TOPIC: ClassVar[str] = "asset.described"
    parent_id: AssetId | UnsetType | None = UNSET
    content_type: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetContentReplaced(TaggedEvent):
    """New bytes under the same id; the old ones stay readable by version."""

    TOPIC: ClassVar[str] = "asset.content_replaced"
    size: int
    digest: Digest
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDeleted(TaggedEvent):
    """The asset became a tombstone."""

    TOPIC: ClassVar[str] = "asset.deleted"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRestored(TaggedEvent):
    """The tombstone became an asset again."""

    TOPIC: ClassVar[str] = "asset.restored"
    reason: str | None = None


class Asset(NamedTuple):
    """What the events about one asset add up to.

    `created_at` is the claimed time where one was given, else the recorded one; `seq` is the
    position of its first event, `position` that of its last.
    """

    id: AssetId
    version: int
    seq: int
    position: int
    user_id: str
    workflow_id: str | None
    node_id: str | None
    job_id: str | None
    parent_id: AssetId | None
    name: str
    content_type: str
    size: int
    digest: Digest | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, Json] | None = None
    tags: Sequence[str] = ()
    duration: float | None = None
    derived_from: Sequence[AssetId] = ()
    deleted_at: datetime | None = None
    deleted_by: str | None = None

    @property
    def deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def is_folder(self) -> bool:
        return self.content_type == FOLDER


PRIVATE_FIELDS: Final = ("name", "metadata", "tags", "duration")


def evolve(asset: Asset | None, recorded: Recorded) -> Asset | None:
    """The state after one more event of the asset's stream. Events of other kinds change nothing."""
    event = recorded.event
    if isinstance(event, AssetCreated):
        return _born(recorded.position, event)
    if asset is None:
        return None
    changes = changes_of(event)
    if changes is None:
        return asset
    return asset._replace(
        version=event.originator_version,
        position=recorded.position,
        updated_at=moment(event),
        **changes,
    )


def fold(events: Iterable[Recorded]) -> Asset | None:
    """The asset that these events of one stream, in order, add up to; None if there are none."""
    asset: Asset | None = None
    for recorded in events:
        asset = evolve(asset, recorded)
    return asset


def _born(position: int, event: AssetCreated) -> Asset:
    private: Mapping[str, Any] = private_of(event)
    recorded_at = moment(event)
    return Asset(
        id=AssetId(event.originator_id),
        version=event.originator_version,
        seq=position,
        position=position,
        user_id=event.user_id,
        workflow_id=event.workflow_id,
        node_id=event.node_id,
        job_id=event.job_id,
        parent_id=event.parent_id,
        name=private.get("name", ""),
        content_type=event.content_type,
        size=event.size,
        digest=event.digest,
        metadata=private.get("metadata"),
        tags=private.get("tags", ()),
        duration=private.get("duration"),
        derived_from=event.derived_from,
        created_at=event.made_at or recorded_at,
        updated_at=recorded_at,
    )


def content_of(event: Event) -> Digest | None:
    """Return the digest of the content that an event names, if it names one."""
    return event.digest if isinstance(event, AssetCreated | AssetContentReplaced) else None


def changes_of(event: Event) -> dict[str, Any] | None:
    """The fields of the state that a later event sets; None for an event that is not an asset's."""
    match event:
        case AssetDescribed():
            return described_changes(event)
        case AssetContentReplaced(size=size, digest=digest, content_type=content_type):
            return {"size": size, "digest": digest, "content_type": content_type}
        case AssetDeleted(by=by):
            return {"deleted_at": moment(event), "deleted_by": by}
        case AssetRestored():
            return {"deleted_at": None, "deleted_by": None}
    return None


def described_changes(event: AssetDescribed) -> dict[str, Any]:
    """Only what a new label sets: an absent key is unchanged, null is cleared."""
    private = private_of(event)
    changes: dict[str, Any] = {name: private[name] for name in PRIVATE_FIELDS if name in private}
    if "tags" in changes and changes["tags"] is None:
        changes["tags"] = ()
    if event.parent_id is not UNSET:
        changes["parent_id"] = event.parent_id
    if event.content_type is not UNSET:
        changes["content_type"] = event.content_type
    return changes
