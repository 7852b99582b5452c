"""Assets, events and usage as typed values, made from the JSON of the API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self, TypedDict

from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.api.sdk.html import previews, record_html
from asset_ledger.api.sdk.snapshot import Snapshot, Values
from asset_ledger.ledger.domain.event import parse_time

NodeSort = Literal["created_at", "-seconds", "-failed", "-bytes", "-assets"]
Sort = Literal["created_at", "-created_at", "name", "-name", "size", "-size"]


class AssetFilters(TypedDict, total=False):
    """Filters of assets. All must match; of several values, one must match."""

    id: str | Sequence[str] | None
    workflow_id: str | Sequence[str] | None
    node_id: str | Sequence[str] | None
    job_id: str | Sequence[str] | None
    attempt: int | Sequence[int] | None
    parent_id: str | Sequence[str] | None
    content_type: str | Sequence[str] | None
    """A prefix: `image/` matches every image."""
    name: str | Sequence[str] | None
    tag: str | Sequence[str] | None
    digest: str | Sequence[str] | None
    created_after: datetime | str | None
    """Matches this time and later."""
    created_before: datetime | str | None
    size_min: int | None
    size_max: int | None
    missing: str | Sequence[str] | None
    """`job_id`, `node_id` or `workflow_id`: matches assets without it."""


class Filters(AssetFilters, total=False):
    """Filters of a list of assets, its words and its order."""

    query: str | None
    """Words that an asset must all have in its name, tags or metadata."""
    deleted: Literal["false", "true", "any"] | None
    sort: Sort | None
    """Default: `created_at`, oldest first."""


@dataclass(frozen=True, kw_only=True, repr=False)
class AssetRecord(Snapshot):
    """An asset at the version that was read.

    `size` is in bytes, `duration` in seconds. `digest` is None for a folder and for metadata
    without a file. `parent_id` is the user's id outside of any folder. `etag` is `v<version>`.
    `position` is the position of its last event in the log.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("name", "content_type", "size", "node_id", "job_id", "attempt", "created_at", "id"),
    )

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
    attempt: int | None = None
    get_url: str | None = None
    thumb_url: str | None = None
    gateway: Gateway = field(repr=False, compare=False)

    @classmethod
    def of(cls, document: Document, gateway: Gateway) -> Self:
        """Return the asset of a document. Fields of a later release are ignored."""
        known = {name: document[name] for name in _NAMES if name in document}
        for name in ("created_at", "updated_at"):
            known[name] = parse_time(known[name])
        for name in ("tags", "derived_from"):
            known[name] = tuple(known[name])
        return cls(**known, gateway=gateway)

    def __hash__(self) -> int:
        return hash((self.id, self.version))  # metadata is a dict and cannot be hashed

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.name!r} {self.size:,} bytes {self.id} v{self.version}>"
        )

    def _repr_html_(self) -> str:
        return record_html(self, previews([self]).get(self.id))

    @property
    def is_folder(self) -> bool:
        """Whether this asset is a folder."""
        return self.content_type == "folder"


_NAMES: Final = tuple(f.name for f in fields(AssetRecord) if f.name != "gateway")


@dataclass(frozen=True, kw_only=True)
class Usage(Values):
    """Count and bytes of the live assets of one node (or job, workflow, content type, day).

    `key` is None for the assets without one; `subkey` is that of a second grouping.
    `largest` is the size of the largest, in bytes. `runs` is the number of runs of nodes that
    ended, `failed` how many of them failed, and `seconds` the time that they took together.
    """

    key: str | None
    count: int
    bytes: int
    largest: int
    first_seen: datetime | None
    last_seen: datetime | None
    runs: int
    failed: int
    seconds: float
    subkey: str | None = None

    def __repr__(self) -> str:
        keys = repr(self.key) if self.subkey is None else f"{self.key!r} {self.subkey!r}"
        return f"<Usage {keys} {self.count:,} assets {self.bytes:,} bytes>"

    @classmethod
    def of(cls, document: Document) -> Self:
        """Return the usage of a document."""
        return cls(**known_fields(cls, document, "first_seen", "last_seen"))


@dataclass(frozen=True, kw_only=True)
class NodeSummary(Values):
    """The recorded runs of one node of a job, and its live assets.

    `node_id` is None for the assets without one. `status` is that of the run with the last event,
    `untracked` without runs; `error` is that of the last failure. `seconds` is the time of all runs
    together, `longest` that of the longest.
    """

    node_id: str | None
    status: str
    runs: int
    running: int
    failed: int
    seconds: float
    longest: float | None
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    assets: int
    bytes: int

    def __repr__(self) -> str:
        counts = f"{self.runs:,} runs {self.assets:,} assets"
        return f"<NodeSummary {self.node_id!r} {self.status} {counts}>"

    @classmethod
    def of(cls, document: Document) -> Self:
        """Return the summary of a document."""
        return cls(**known_fields(cls, document, "started_at", "finished_at"))


def known_fields(kind: Any, document: Document, *times: str) -> dict[str, Any]:
    """Return the fields of a class in a document, with these times parsed."""
    known = {f.name: document[f.name] for f in fields(kind) if f.name in document}
    return known | {name: parse_time(known[name]) for name in times if known[name] is not None}


@dataclass(frozen=True, kw_only=True)
class Event(Values):
    """One recorded event. `position` is its number in the log, `job_seq` its number in its job.

    `late`: it created an asset after the attempt of its job had ended.
    `clock` is the time of the server's machine if it was over a minute behind `time`, else None.
    A key that is absent in `data` is a field that the event did not change; None is a cleared one.
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
    attempt: int | None
    late: bool
    version: int
    data: Mapping[str, Any]
    clock: datetime | None = None

    def __repr__(self) -> str:
        return f"<Event {self.position} {self.topic} {self.asset_id or self.job_id}>"

    @classmethod
    def of(cls, document: Document) -> Self:
        """Return the event of a document."""
        clock = document.get("clock")
        parsed = {"clock": parse_time(clock) if clock else None}
        return cls(**known_fields(cls, document, "time") | parsed)
