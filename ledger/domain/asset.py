"""The events of an asset, and the state that they fold into. `decisions.py` makes new events.

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
"""The content type of an asset that contains other assets and has no content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetCreated(TaggedEvent):
    """An asset was created. `private`: name, metadata, tags, duration."""

    TOPIC: ClassVar[str] = "asset.created"
    MAY_BE_LATE: ClassVar[bool] = True
    size: int
    content_type: str
    digest: Digest | None = None
    parent_id: AssetId | None = None
    derived_from: tuple[AssetId, ...] = ()
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDescribed(TaggedEvent):
    """The label changed, the content did not. An absent field is unchanged."""

    TOPIC: ClassVar[str] = "asset.described"
    parent_id: AssetId | UnsetType | None = UNSET
    content_type: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetContentReplaced(TaggedEvent):
    """The content changed; the old content stays readable by version."""

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
    """The tombstone was restored."""

    TOPIC: ClassVar[str] = "asset.restored"
    reason: str | None = None


class Asset(NamedTuple):
    """The state of one asset: the fold of the events of its stream.

    `created_at` is the claimed time (`made_at`) if the client gave it, else the time of recording.
    `seq` is the position of the first event, `position` that of the last.
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
    attempt: int | None = None

    @property
    def deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def is_folder(self) -> bool:
        return self.content_type == FOLDER


PRIVATE_FIELDS: Final = ("name", "metadata", "tags", "duration")


def evolve(asset: Asset | None, recorded: Recorded) -> Asset | None:
    """Return the state after the next event of the stream. Ignore events of other kinds."""
    event = recorded.event
    if isinstance(event, AssetCreated):
        return _created(recorded.position, event)
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


def fold(events: Iterable[Recorded], asset: Asset | None = None) -> Asset | None:
    """Fold the events of one stream, in order, from a state on. Return None if no event created an
    asset."""
    for recorded in events:
        asset = evolve(asset, recorded)
    return asset


def _created(position: int, event: AssetCreated) -> Asset:
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
        attempt=event.attempt,
        created_at=event.made_at or recorded_at,
        updated_at=recorded_at,
    )


def content_of(event: Event) -> Digest | None:
    """Return the digest of the content that an event names, else None."""
    return event.digest if isinstance(event, AssetCreated | AssetContentReplaced) else None


def changes_of(event: Event) -> dict[str, Any] | None:
    """Return the `Asset` fields that a later event sets, or None if it is no event of an asset."""
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
    """Return the `Asset` fields that a new label sets: absent is unchanged, None is cleared."""
    private = private_of(event)
    changes: dict[str, Any] = {name: private[name] for name in PRIVATE_FIELDS if name in private}
    if "tags" in changes and changes["tags"] is None:
        changes["tags"] = ()
    if event.parent_id is not UNSET:
        changes["parent_id"] = event.parent_id
    if event.content_type is not UNSET:
        changes["content_type"] = event.content_type
    return changes
