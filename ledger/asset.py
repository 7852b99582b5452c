"""What can happen to an asset, the state it adds up to, and the decisions that make it happen.

Pure: nothing here awaits, reads a clock or touches a disk. `evolve` folds facts into an `Asset`;
a decision takes the folded state and an intent, and answers the facts to record, or refuses.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

import orjson

from ledger.errors import FieldError, TooLargeError
from ledger.fact import (
    UNSET,
    Fact,
    Json,
    Recorded,
    TaggedFact,
    UnsetType,
    moment,
    private_of,
)
from ledger.ids import AssetId, Digest

FOLDER: Final = "folder"
"""The content type of an asset that holds others and has no bytes."""

MAX_METADATA: Final = 32 * 1024
MAX_ID: Final = 1024
MAX_NAME: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetCreated(TaggedFact):
    """A node, a job or a person made something. Private: name, metadata, tags, duration."""

    TOPIC: ClassVar[str] = "asset.created"
    size: int
    content_type: str
    digest: Digest | None = None
    parent_id: AssetId | None = None
    derived_from: tuple[AssetId, ...] = ()
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDescribed(TaggedFact):
    """The label changed; the bytes and their history did not. What is absent did not change."""

    TOPIC: ClassVar[str] = "asset.described"
    parent_id: AssetId | UnsetType | None = UNSET
    content_type: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetContentReplaced(TaggedFact):
    """New bytes under the same id; the old ones stay readable by version."""

    TOPIC: ClassVar[str] = "asset.content_replaced"
    size: int
    digest: Digest
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDeleted(TaggedFact):
    """The asset became a tombstone."""

    TOPIC: ClassVar[str] = "asset.deleted"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRestored(TaggedFact):
    """The tombstone became an asset again."""

    TOPIC: ClassVar[str] = "asset.restored"
    reason: str | None = None


class Asset(NamedTuple):
    """What the facts about one asset add up to.

    `created_at` is the claimed time where one was given, else the recorded one; `seq` is the
    position of its first fact, `position` that of its last.
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
    """The state after one more fact of the asset's stream. Facts of other kinds change nothing."""
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


def fold(facts: Iterable[Recorded]) -> Asset | None:
    """The asset that these facts of one stream, in order, add up to; None if there are none."""
    asset: Asset | None = None
    for recorded in facts:
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


def changes_of(event: Fact) -> dict[str, Any] | None:
    """The fields of the state that a later fact sets; None for a fact that is not an asset's."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAsset:
    """The intent to record an asset. None means: not given."""

    name: str
    content_type: str
    workflow_id: str | None = None
    node_id: str | None = None
    job_id: str | None = None
    parent_id: AssetId | None = None
    metadata: Mapping[str, Json] | None = None
    tags: Sequence[str] = ()
    duration: float | None = None
    derived_from: Sequence[AssetId] = ()
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asks: the actor, the owner, and what came with the request."""

    by: str
    user_id: str
    command: str | None = None
    traceparent: str | None = None


def create(
    wanted: NewAsset, *, asset_id: AssetId, size: int, digest: Digest | None, origin: Origin
) -> list[Fact]:
    """Decide that a new asset exists.

    Raises FieldError for a value that a field cannot have, TooLargeError for too much metadata.
    """
    check_new(wanted, digest)
    private: dict[str, Json] = {"name": wanted.name}
    if wanted.metadata is not None:
        private["metadata"] = wanted.metadata
    if wanted.tags:
        private["tags"] = wanted.tags
    if wanted.duration is not None:
        private["duration"] = wanted.duration
    return [
        AssetCreated(
            originator_id=asset_id,
            originator_version=1,
            by=origin.by,
            user_id=origin.user_id,
            workflow_id=wanted.workflow_id,
            node_id=wanted.node_id,
            job_id=wanted.job_id,
            command=origin.command,
            traceparent=origin.traceparent,
            private=private,
            size=size,
            content_type=wanted.content_type,
            digest=digest,
            parent_id=wanted.parent_id,
            derived_from=tuple(wanted.derived_from),
            made_at=wanted.made_at,
        )
    ]


def delete(asset: Asset, *, origin: Origin, reason: str | None = None) -> list[Fact]:
    """Decide that an asset becomes a tombstone. One that is a tombstone already records nothing."""
    if asset.deleted:
        return []
    return [AssetDeleted(**next_version(asset, origin), reason=reason)]


def next_version(asset: Asset, origin: Origin) -> dict[str, Any]:
    """The envelope of the next fact in an asset's stream: its owner and tags are the asset's."""
    return {
        "originator_id": asset.id,
        "originator_version": asset.version + 1,
        "by": origin.by,
        "user_id": asset.user_id,
        "workflow_id": asset.workflow_id,
        "node_id": asset.node_id,
        "job_id": asset.job_id,
        "command": origin.command,
        "traceparent": origin.traceparent,
    }


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}(?:\s*;.{0,255})?", re.ASCII)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def check_new(wanted: NewAsset, digest: Digest | None) -> None:
    """Refuse what no asset can have. Raises FieldError or TooLargeError."""
    check_text("name", wanted.name, MAX_NAME)
    check_content_type(wanted.content_type)
    if wanted.content_type == FOLDER and digest is not None:
        raise FieldError("content_type", "a folder has no file")
    check_tag("workflow_id", wanted.workflow_id)
    check_tag("node_id", wanted.node_id)
    check_tag("job_id", wanted.job_id)
    if wanted.metadata is not None:
        check_metadata(wanted.metadata)
    if wanted.tags:
        check_tags(wanted.tags)
    if wanted.duration is not None:
        check_duration(wanted.duration)


def check_text(field_name: str, text: str, limit: int) -> None:
    """A text that people read: 1 to `limit` characters, no control characters among them."""
    if not text:
        raise FieldError(field_name, "must not be empty")
    if len(text) > limit:
        raise FieldError(field_name, f"must be at most {limit:,} characters")
    if _CONTROL.search(text):
        raise FieldError(field_name, "must not contain control characters")


def check_tag(field_name: str, value: str | None) -> None:
    """An id that some engine gave: opaque to us, and None where there is none."""
    if value is not None:
        check_text(field_name, value, MAX_ID)


def check_duration(seconds: float) -> None:
    """Seconds, zero or more."""
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise FieldError("duration", "must be a number of seconds, zero or more")


def check_content_type(content_type: str) -> None:
    """`type/subtype`, with parameters where there are any, or `folder`."""
    if content_type != FOLDER and not _MEDIA_TYPE.fullmatch(content_type):
        raise FieldError("content_type", "must be a media type such as image/png, or folder")
    check_text("content_type", content_type, MAX_NAME)


def check_metadata(metadata: Mapping[str, Json], field_name: str = "metadata") -> None:
    """A JSON object of at most 32 KiB, without U+0000 and without integers beyond 64 bits."""
    try:
        encoded = orjson.dumps(metadata)
    except TypeError as error:
        raise FieldError(field_name, f"must be a JSON object: {error}") from error
    if len(encoded) > MAX_METADATA:
        size = f"{len(encoded):,} bytes; the limit is {MAX_METADATA:,}"
        raise TooLargeError(f"{field_name} is {size}")
    if _NUL.search(encoded):
        raise FieldError(field_name, "must not contain U+0000")


def check_tags(tags: Sequence[str]) -> None:
    """Unique texts, each as short as an id."""
    for tag in tags:
        check_text("tags", tag, MAX_ID)
    if len(set(tags)) != len(tags):
        raise FieldError("tags", "must be unique")
