"""What is answered, as models: for the API's description and for clients. The server does not use
them to write, since its rows hold their JSON ready; the tests hold its answers against them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from asset_ledger.ledger.domain.job import JobStatus

_ID = r"^[0-9a-f]{32}$"
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_DIGEST = r"^sha256:[0-9a-f]{64}$"

Id = Annotated[str, Field(pattern=_ID)]
Time = Annotated[str, Field(pattern=_TIME, description="UTC, 27 characters: text order is time.")]
Digest = Annotated[str, Field(pattern=_DIGEST)]


class AnswerModel(BaseModel):
    """The base of every answer: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AssetOut(AnswerModel):
    """An asset: NodeTool's fifteen fields, then ours. Every field is always there."""

    id: Annotated[str, Field(description="32 hex digits; that of the home folder: the user's id.")]
    user_id: str
    workflow_id: str | None
    parent_id: Annotated[str, Field(description="A folder's id; the user's id: home.")]
    name: str
    content_type: str
    size: int
    metadata: dict[str, Any] | None
    created_at: Annotated[Time, Field(description="As claimed, else as recorded.")]
    get_url: str | None
    thumb_url: str | None
    duration: float | None
    node_id: str | None
    job_id: str | None
    etag: Annotated[str, Field(pattern=r"^v\d+$")]
    digest: Digest | None
    version: int
    position: Annotated[int, Field(description="Of its last event in the log.")]
    updated_at: Time
    tags: list[str]
    derived_from: list[Id]


class ImportedOut(AnswerModel):
    """What became of a line: `filled` got its bytes now, `empty` is there and has none yet."""

    id: Id
    outcome: Literal["recorded", "filled", "known", "refused", "empty", "unknown"]
    reason: str | None


class ImportsOut(AnswerModel):
    """What became of each line that was about an asset."""

    outcomes: list[ImportedOut]


class ProvenEventOut(AnswerModel):
    """An event's stored bytes as they were hashed, and its inclusion path, both in base64."""

    position: int
    leaf: str
    path: list[str]


class ProofOut(AnswerModel):
    """Events, and the signed checkpoint that their paths lead to."""

    format: Literal["asset-ledger-proof/1"]
    checkpoint: Annotated[str, Field(description="A C2SP signed note.")]
    key: Annotated[str, Field(description="A C2SP verifier key: compare it with the one you keep.")]
    rotations: Annotated[
        list[ProvenEventOut], Field(description="How an earlier key leads to this one.")
    ]
    events: list[ProvenEventOut]


class RecordedOut(AssetOut):
    """A new asset; with the proof of its event where `Prefer: return=receipt` asked for it."""

    receipt: ProofOut | None = None


class TombstoneOut(AssetOut):
    """A deleted asset, as lists show it that are asked for them."""

    deleted_at: Time
    deleted_by: str


class AssetPage(AnswerModel):
    """Some assets, and the cursor of the next page: `""` on the last. `count` if asked for."""

    assets: list[AssetOut | TombstoneOut]
    next: str
    count: int | None = None


class DeletedOut(AnswerModel):
    """The assets that this call made tombstones."""

    deleted_asset_ids: list[Id]


class AssetTree(AnswerModel):
    """Everything in a folder, at any depth: a folder before what is in it."""

    assets: list[AssetOut]


class BulkDeletedOut(AnswerModel):
    """How many assets match; once they were deleted, all that were, with what was in folders."""

    count: int
    deleted_asset_ids: list[Id] | None = None


class FoundOut(AssetOut):
    """An asset that a search found, with the folder that it is in."""

    folder_name: str
    folder_path: Annotated[str, Field(description="From home: `Home / Pictures / Cats`.")]
    folder_id: Annotated[str, Field(description="The user's id: home.")]


class FoundPage(AnswerModel):
    """Some of what was found, how much that is in all, and the cursor of the next page."""

    assets: list[FoundOut]
    next_cursor: str
    total_count: int
    is_global_search: bool


class UsageOut(AnswerModel):
    """What the live assets of one group come to. `key`: null for those that name none."""

    key: str | None
    count: int
    bytes: int
    largest: int
    first_seen: Annotated[Time, Field(description="The earliest `created_at`.")]
    last_seen: Annotated[Time, Field(description="The latest `created_at`.")]


class UsagePage(AnswerModel):
    """Some groups, and the cursor of the next page: `""` on the last."""

    group_by: str
    usage: list[UsageOut]
    next: str


class JobOut(AnswerModel):
    """A job. `assets` and `bytes` count its live assets; `untracked`: nobody started or ended it."""

    job_id: str
    user_id: str
    workflow_id: str | None
    parent_job_id: str | None
    status: JobStatus
    error: str | None
    parameters: dict[str, Any] | None
    started_at: Time | None
    finished_at: Time | None
    assets: int
    bytes: int
    first_position: int
    last_position: int


class JobPage(AnswerModel):
    """Some jobs, and the cursor of the next page: `""` on the last."""

    jobs: list[JobOut]
    next: str


class ComparedOut(AnswerModel):
    """Two assets that correspond: by node, by name, and by how many so named came before."""

    node_id: str | None
    name: str
    nth: Annotated[int, Field(description="Counts from 1.")]
    status: Literal["same", "different", "only_a", "only_b"]
    a: AssetOut | None
    b: AssetOut | None


class ComparisonOut(AnswerModel):
    """Two jobs side by side. `first_divergence` is the first row that is not `same`."""

    a: str
    b: str
    counts: dict[str, int]
    rows: list[ComparedOut]
    first_divergence: ComparedOut | None


class EdgeOut(BaseModel):
    """From a source to what was made from it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: Annotated[Id, Field(alias="from")]
    derived: Annotated[Id, Field(alias="to")]


class LineageOut(AnswerModel):
    """The assets around `root`, an asset or a digest. `truncated`: there are more."""

    root: str
    nodes: list[AssetOut | TombstoneOut]
    edges: list[EdgeOut]
    truncated: bool


class EventOut(AnswerModel):
    """An event. `data` holds its own fields: an absent one was not touched, null was cleared."""

    position: int
    topic: str
    time: Time
    by: str
    asset_id: Id | None
    job_id: str | None
    workflow_id: str | None
    node_id: str | None
    job_seq: int | None
    version: int
    data: dict[str, Any]


class EventsOut(AnswerModel):
    """Some events in the order of the log. `next` is the integer to pass as `after`."""

    events: list[EventOut]
    next: int


class EventPage(AnswerModel):
    """Some events in the order of the log, and the cursor of the next page."""

    events: list[EventOut]
    next: str


class LogKeyOut(AnswerModel):
    """A C2SP verifier key, and the smallest tree whose checkpoint it signs."""

    since: int
    key: str


class NamedKeyOut(LogKeyOut):
    """A key, with the leaf of the event that names it, in base64: its position is `since`."""

    leaf: str


class LogKeysOut(AnswerModel):
    """Every key of the log, the first one first: each later one was signed by the one before."""

    keys: list[NamedKeyOut]


class ConsistencyOut(AnswerModel):
    """The consistency path (RFC 6962, 2.1.2) between two sizes of the log, in base64."""

    first: int
    second: int
    path: list[str]


class ErrorOut(AnswerModel):
    """One parameter or field that was at fault."""

    parameter: str | None = None
    field: str | None = None
    message: str


class ProblemOut(BaseModel):
    """RFC 9457. `type` is `urn:asset-ledger:<slug>`; some kinds have further members."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: Annotated[str, Field(pattern=r"^urn:asset-ledger:[a-z-]+$")]
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ErrorOut]
