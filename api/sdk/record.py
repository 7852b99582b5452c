"""Assets and events as the SDK gives them: the API's JSON with types, and nothing that asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Literal, Self, TypedDict

from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.ledger.domain.event import parse_time

Sort = Literal["created_at", "-created_at", "name", "-name", "size", "-size"]


class Filters(TypedDict, total=False):
    """What narrows a list of assets. All have to match; of several values, any may."""

    workflow_id: str | Sequence[str] | None
    node_id: str | Sequence[str] | None
    job_id: str | Sequence[str] | None
    parent_id: str | Sequence[str] | None
    content_type: str | Sequence[str] | None
    """A prefix: `image/` matches every image."""
    name: str | Sequence[str] | None
    tag: str | Sequence[str] | None
    digest: str | Sequence[str] | None
    created_after: datetime | str | None
    """At this time or later."""
    created_before: datetime | str | None
    size_min: int | None
    size_max: int | None
    missing: str | Sequence[str] | None
    """`job_id`: made outside of any job; also `node_id` and `workflow_id`."""
    deleted: Literal["false", "true", "any"] | None
    sort: Sort | None
    """`created_at`, oldest first, unless another order is asked for."""


@dataclass(frozen=True, kw_only=True)
class AssetRecord:
    """An asset as it was when it was asked for.

    `digest` is None for a folder and for metadata without a file; `parent_id` at home is the
    user's id; `etag` is `v<version>`; `position` is that of its last event.
    """

    id: str
    user_id: str
    name: str
    content_type: str
    size: int
    digest: str | None
    version: int
    position: int
    etag: str
    created_at: datetime
    updated_at: datetime
    workflow_id: str | None = None
    node_id: str | None = None
    job_id: str | None = None
    parent_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    tags: Sequence[str] = ()
    duration: float | None = None
    derived_from: Sequence[str] = ()
    get_url: str | None = None
    thumb_url: str | None = None
    gateway: Gateway = field(repr=False, compare=False)

    @classmethod
    def of(cls, document: Document, gateway: Gateway) -> Self:
        """The asset that a document describes; fields of a later release are left out."""
        known = {name: document[name] for name in _NAMES if name in document}
        for name in ("created_at", "updated_at"):
            known[name] = parse_time(known[name])
        for name in ("tags", "derived_from"):
            known[name] = tuple(known[name])
        return cls(**known, gateway=gateway)

    def __hash__(self) -> int:
        return hash((self.id, self.version))  # metadata has no hash

    @property
    def is_folder(self) -> bool:
        """Does it hold other assets instead of bytes?"""
        return self.content_type == "folder"


_NAMES: Final = tuple(f.name for f in fields(AssetRecord) if f.name != "gateway")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the live assets of one node (or job, workflow, content type, day) come to.

    `key` is None for what was made outside of any; `largest` is the size of the largest, in bytes.
    """

    key: str | None
    count: int
    bytes: int
    largest: int
    first_seen: datetime
    last_seen: datetime

    @classmethod
    def of(cls, document: Document) -> Self:
        """The row that a document of the API describes."""
        known = {f.name: document[f.name] for f in fields(cls)}
        seen = {name: parse_time(known[name]) for name in ("first_seen", "last_seen")}
        return cls(**known | seen)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event, as it was recorded: `position` is its place in the log, `job_seq` in its job.

    In `data`, an absent key says that this event did not touch a field, None that it has none.
    """

    position: int
    topic: str
    time: datetime
    by: str
    asset_id: str | None
    job_id: str | None
    workflow_id: str | None
    node_id: str | None
    job_seq: int | None
    version: int
    data: Mapping[str, Any]

    @classmethod
    def of(cls, document: Document) -> Self:
        """The event that a document of the API describes."""
        known = {f.name: document[f.name] for f in fields(cls)}
        return cls(**known | {"time": parse_time(known["time"])})
