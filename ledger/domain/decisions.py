"""What may become of an asset: the state and an intent in, the events to record out, or a refusal.

Pure, like the events. What a decision takes for granted of other streams (the folders above an
asset) is read by its caller, who guards it: see `editing.py`.
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
class Label:
    """The intent to say something else of an asset. UNSET: leave it as it is; None: clear it.

    `patch`: the metadata is a merge patch (RFC 7396) of what is there.
    """

    name: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    parent_id: AssetId | UnsetType | None = UNSET
    metadata: Mapping[str, Json] | UnsetType | None = UNSET
    tags: Sequence[str] | UnsetType | None = UNSET
    duration: float | UnsetType | None = UNSET
    patch: bool = False

    def merged(self, asset: Asset) -> "Label":
        """The label with the metadata that its patch makes of the asset's."""
        if not self.patch or not isinstance(self.metadata, Mapping):
            return self
        metadata = merge_patch(asset.metadata or {}, self.metadata)
        return replace(self, metadata=metadata, patch=False)

    def given(self) -> dict[str, Any]:
        """What is to be set, by name."""
        wanted = {name: getattr(self, name) for name in LABEL_FIELDS}
        return {name: value for name, value in wanted.items() if value is not UNSET}

    def difference(self, asset: Asset) -> dict[str, Any]:
        """What of it the asset does not have yet."""
        given = self.given()
        return {
            name: value
            for name, value in given.items()
            if _comparable(value) != _comparable(getattr(asset, name))
        }


LABEL_FIELDS: Final = ("name", "content_type", "parent_id", "metadata", "tags", "duration")


def _comparable(value: Any) -> Any:
    """Python calls 1, 1.0 and True the same, JSON does not; no tags and cleared tags are one."""
    if isinstance(value, Mapping):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if isinstance(value, list | tuple):
        return list(value) or None
    return value


def merge_patch(target: Mapping[str, Json], patch: Mapping[str, Json]) -> Mapping[str, Json]:
    """RFC 7396: null removes a key, objects merge, everything else takes the place of what was."""
    result = dict(target)
    below = [(result, patch)]
    while below:  # not by recursion: JSON may be deeper than Python's stack
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
    wanted: NewAsset, *, asset_id: AssetId, size: int, digest: Digest | None, origin: Origin
) -> list[Event]:
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


def describe(asset: Asset, wanted: Label, *, origin: Origin) -> list[Event]:
    """Decide a new label. Asking for the one it has records nothing.

    Raises AssetDeletedError, FieldError and TooLargeError.
    """
    check_live(asset)
    wanted = wanted.merged(asset)
    check_label(asset, wanted)
    changed = wanted.difference(asset)
    if not changed:
        return []
    private: dict[str, Json] = {n: changed.pop(n) for n in PRIVATE_FIELDS if n in changed}
    return [AssetDescribed(**next_version(asset, origin), private=private, **changed)]


def replace_content(
    asset: Asset, *, size: int, digest: Digest, content_type: str, origin: Origin
) -> list[Event]:
    """Decide that an asset has other bytes, of this type. The same ones again record nothing.

    Raises AssetDeletedError and FieldError.
    """
    check_live(asset)
    if asset.is_folder:
        raise FieldError("data", "a folder has no file")
    check_kind(asset, content_type)
    if (asset.digest, asset.content_type) == (digest, content_type):
        return []
    return [
        AssetContentReplaced(
            **next_version(asset, origin), size=size, digest=digest, content_type=content_type
        )
    ]


def delete(asset: Asset, *, origin: Origin, reason: str | None = None) -> list[Event]:
    """Decide that an asset becomes a tombstone. One that is a tombstone already records nothing."""
    if asset.deleted:
        return []
    return [AssetDeleted(**next_version(asset, origin), reason=reason)]


def restore(asset: Asset, *, folder_gone: bool, origin: Origin) -> list[Event]:
    """Decide that a tombstone becomes an asset again. One that is none records nothing.

    `folder_gone`: the folder that it was in is not there any more, so that it goes home.
    """
    if not asset.deleted:
        return []
    restored = AssetRestored(**next_version(asset, origin))
    if not folder_gone:
        return [restored]
    back = asset._replace(version=restored.originator_version)
    return [restored, AssetDescribed(**next_version(back, origin), parent_id=None)]


def next_version(asset: Asset, origin: Origin) -> dict[str, Any]:
    """The envelope of the next event in an asset's stream: its owner and tags are the asset's."""
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


def check_live(asset: Asset) -> None:
    """Raises AssetDeletedError for a tombstone."""
    if asset.deleted_at is not None:
        when, by = iso(asset.deleted_at), asset.deleted_by or ""
        raise AssetDeletedError(asset.id, by=by, when=when, position=asset.position)


def check_version(asset: Asset, if_match: int | None) -> None:
    """Raises PreconditionFailedError unless the asset is at the version that was asked for."""
    if if_match is not None and asset.version != if_match:
        raise PreconditionFailedError(asset.id, asset.version)


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


def check_label(asset: Asset, wanted: Label) -> None:
    """Refuse what this asset cannot be said to be. Raises FieldError or TooLargeError."""
    if wanted.name is not UNSET:
        check_text("name", wanted.name, MAX_NAME)
    if wanted.content_type is not UNSET:
        check_kind(asset, wanted.content_type)
    if wanted.metadata is not UNSET and wanted.metadata is not None:
        check_metadata(wanted.metadata)
    if wanted.tags is not UNSET and wanted.tags is not None:
        check_tags(wanted.tags)
    if wanted.duration is not UNSET and wanted.duration is not None:
        check_duration(wanted.duration)


def check_kind(asset: Asset, content_type: str) -> None:
    """A folder stays one, and nothing else becomes one: what is in it would hang in the air."""
    check_content_type(content_type)
    if asset.is_folder and content_type != FOLDER:
        raise FieldError("content_type", "a folder stays a folder")
    if content_type == FOLDER and not asset.is_folder:
        raise FieldError("content_type", "only what is created as a folder is one")


def check_path(asset: Asset, path: Sequence[Asset]) -> None:
    """Refuse to put a folder into itself: `path` are the folders it would be in. FieldError."""
    if any(folder.id == asset.id for folder in path):
        raise FieldError("parent_id", "a folder cannot be inside of itself")
