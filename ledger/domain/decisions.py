"""Decisions about an asset: from its state and an intent to the events to record, or an error.

Pure. If a decision depends on other streams (the folders above an asset), its caller reads them
and passes their versions as guards of the command: see `ledger/commands/edit.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.asset import (
    FOLDER,
    PRIVATE_FIELDS,
    Asset,
    AssetContentReplaced,
    AssetCreated,
    AssetDeleted,
    AssetDescribed,
    AssetRestored,
)
from asset_ledger.ledger.domain.checks import (
    MAX_NAME,
    check_attempt,
    check_content_type,
    check_duration,
    check_metadata,
    check_tag,
    check_tags,
    check_text,
)
from asset_ledger.ledger.domain.event import UNSET, Event, Json, Origin, UnsetType, iso
from asset_ledger.ledger.errors import AssetDeletedError, FieldError, PreconditionFailedError
from asset_ledger.ledger.ids import AssetId, Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAsset:
    """The intent to create an asset. None means: not given."""

    name: str
    content_type: str
    workflow_id: str | None = None
    node_id: str | None = None
    job_id: str | None = None
    attempt: int | None = None
    parent_id: AssetId | None = None
    metadata: Mapping[str, Json] | None = None
    tags: Sequence[str] = ()
    duration: float | None = None
    derived_from: Sequence[AssetId] = ()
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The intent to change fields of an asset. UNSET leaves a field as it is, None clears it.

    `patch`: `metadata` is a merge patch (RFC 7396) of the asset's metadata.
    """

    name: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    parent_id: AssetId | UnsetType | None = UNSET
    metadata: Mapping[str, Json] | UnsetType | None = UNSET
    tags: Sequence[str] | UnsetType | None = UNSET
    duration: float | UnsetType | None = UNSET
    patch: bool = False

    def merged(self, asset: Asset) -> "Label":
        """Return the label with its patch applied to the asset's metadata."""
        if not self.patch or not isinstance(self.metadata, Mapping):
            return self
        metadata = merge_patch(asset.metadata or {}, self.metadata)
        return replace(self, metadata=metadata, patch=False)

    def given(self) -> dict[str, Any]:
        """Return the fields that are not UNSET, by name."""
        fields = {name: getattr(self, name) for name in LABEL_FIELDS}
        return {name: value for name, value in fields.items() if value is not UNSET}

    def difference(self, asset: Asset) -> dict[str, Any]:
        """Return the given fields whose values differ from the asset's."""
        given = self.given()
        return {
            name: value
            for name, value in given.items()
            if _comparable(value) != _comparable(getattr(asset, name))
        }


LABEL_FIELDS: Final = ("name", "content_type", "parent_id", "metadata", "tags", "duration")


def _comparable(value: Any) -> Any:
    """Make values comparable: JSON distinguishes 1, 1.0 and True; no tags equal cleared tags."""
    if isinstance(value, Mapping):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if isinstance(value, list | tuple):
        return list(value) or None
    return value


def merge_patch(target: Mapping[str, Json], patch: Mapping[str, Json]) -> Mapping[str, Json]:
    """Apply a merge patch (RFC 7396): null removes a key, objects merge, the rest is replaced."""
    result = dict(target)
    below = [(result, patch)]
    while below:  # no recursion: JSON may be deeper than Python's stack
        into, changes = below.pop()
        for name, value in changes.items():
            if value is None:
                into.pop(name, None)
            elif isinstance(value, Mapping):
                before = into.get(name)
                inner = dict(before) if isinstance(before, Mapping) else {}
                into[name] = inner
                below.append((inner, value))
            else:
                into[name] = value
    return result


def create(
    new: NewAsset, *, asset_id: AssetId, size: int, digest: Digest | None, origin: Origin
) -> list[Event]:
    """Create an asset. Raises FieldError for an invalid value, TooLargeError for the metadata."""
    check_new(new, digest)
    private: dict[str, Json] = {"name": new.name}
    if new.metadata is not None:
        private["metadata"] = new.metadata
    if new.tags:
        private["tags"] = new.tags
    if new.duration is not None:
        private["duration"] = new.duration
    return [
        AssetCreated(
            originator_id=asset_id,
            originator_version=1,
            by=origin.by,
            user_id=origin.user_id,
            workflow_id=new.workflow_id,
            node_id=new.node_id,
            job_id=new.job_id,
            attempt=new.attempt,
            command=origin.command,
            traceparent=origin.traceparent,
            private=private,
            size=size,
            content_type=new.content_type,
            digest=digest,
            parent_id=new.parent_id,
            derived_from=tuple(new.derived_from),
            made_at=new.made_at,
        )
    ]


def describe(asset: Asset, label: Label, *, origin: Origin) -> list[Event]:
    """Change the label. An unchanged label records nothing.

    Raises AssetDeletedError, FieldError and TooLargeError.
    """
    check_live(asset)
    label = label.merged(asset)
    check_label(asset, label)
    changed = label.difference(asset)
    if not changed:
        return []
    private: dict[str, Json] = {n: changed.pop(n) for n in PRIVATE_FIELDS if n in changed}
    return [AssetDescribed(**next_version(asset, origin), private=private, **changed)]


def replace_content(
    asset: Asset, *, size: int, digest: Digest, content_type: str, origin: Origin
) -> list[Event]:
    """Replace the content. The same digest and content type record nothing.

    Raises AssetDeletedError and FieldError.
    """
    check_live(asset)
    if asset.is_folder:
        raise FieldError("data", "a folder has no file: choose an asset that is no folder")
    check_kind(asset, content_type)
    if (asset.digest, asset.content_type) == (digest, content_type):
        return []
    return [
        AssetContentReplaced(
            **next_version(asset, origin), size=size, digest=digest, content_type=content_type
        )
    ]


def delete(asset: Asset, *, origin: Origin, reason: str | None = None) -> list[Event]:
    """Delete the asset: make it a tombstone. A tombstone records nothing."""
    if asset.deleted:
        return []
    return [AssetDeleted(**next_version(asset, origin), reason=reason)]


def restore(asset: Asset, *, folder_gone: bool, origin: Origin) -> list[Event]:
    """Restore a tombstone, to the home folder if `folder_gone`. A live asset records nothing."""
    if not asset.deleted:
        return []
    restored = AssetRestored(**next_version(asset, origin))
    if not folder_gone:
        return [restored]
    live = asset._replace(version=restored.originator_version)
    return [restored, AssetDescribed(**next_version(live, origin), parent_id=None)]


def next_version(asset: Asset, origin: Origin) -> dict[str, Any]:
    """Return the common fields of the next event in an asset's stream."""
    return {
        "originator_id": asset.id,
        "originator_version": asset.version + 1,
        "by": origin.by,
        "user_id": asset.user_id,
        "workflow_id": asset.workflow_id,
        "node_id": asset.node_id,
        "job_id": asset.job_id,
        "attempt": asset.attempt,
        "command": origin.command,
        "traceparent": origin.traceparent,
    }


def check_live(asset: Asset) -> None:
    """Raise AssetDeletedError for a tombstone."""
    if asset.deleted_at is not None:
        when, by = iso(asset.deleted_at), asset.deleted_by or ""
        raise AssetDeletedError(asset.id, by=by, when=when, position=asset.position)


def check_version(asset: Asset, if_match: int | None) -> None:
    """Raise PreconditionFailedError if the asset is not at version `if_match`, if given."""
    if if_match is not None and asset.version != if_match:
        raise PreconditionFailedError(asset.id, asset.version)


def check_new(new: NewAsset, digest: Digest | None) -> None:
    """Check the fields of a new asset. Raises FieldError or TooLargeError."""
    check_text("name", new.name, MAX_NAME)
    check_content_type(new.content_type)
    if new.content_type == FOLDER and digest is not None:
        raise FieldError("content_type", "a folder has no file: send none, or choose another type")
    check_tag("workflow_id", new.workflow_id)
    check_tag("node_id", new.node_id)
    check_tag("job_id", new.job_id)
    check_attempt(new.attempt, new.job_id)
    if new.metadata is not None:
        check_metadata(new.metadata)
    if new.tags:
        check_tags(new.tags)
    if new.duration is not None:
        check_duration(new.duration)


def check_label(asset: Asset, label: Label) -> None:
    """Check the given fields of a label of `asset`. Raises FieldError or TooLargeError."""
    if label.name is not UNSET:
        check_text("name", label.name, MAX_NAME)
    if label.content_type is not UNSET:
        check_kind(asset, label.content_type)
    if label.metadata is not UNSET and label.metadata is not None:
        check_metadata(label.metadata)
    if label.tags is not UNSET and label.tags is not None:
        check_tags(label.tags)
    if label.duration is not UNSET and label.duration is not None:
        check_duration(label.duration)


def check_kind(asset: Asset, content_type: str) -> None:
    """Check a new content type. A folder stays a folder, because it may contain assets."""
    check_content_type(content_type)
    if asset.is_folder and content_type != FOLDER:
        raise FieldError("content_type", "a folder stays a folder: create a new asset for a file")
    if content_type == FOLDER and not asset.is_folder:
        raise FieldError("content_type", "an asset cannot become a folder: create a new folder")


def check_path(asset: Asset, path: Sequence[Asset]) -> None:
    """Raise FieldError if `path`, the folders above its new parent, contains the asset itself."""
    if any(folder.id == asset.id for folder in path):
        raise FieldError("parent_id", "a folder cannot be inside of itself: choose another folder")
