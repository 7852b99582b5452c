"""Models of responses, for the API description and for clients.

The server does not build responses from them, because its rows hold ready JSON. The tests check
its responses against them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from asset_ledger.api.contract.fields import StrictModel
from asset_ledger.ledger.domain.job import JobStatus
from asset_ledger.ledger.domain.node import NodeStatus

_ID = r"^[0-9a-f]{32}$"
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_DIGEST = r"^sha256:[0-9a-f]{64}$"

Id = Annotated[str, Field(pattern=_ID)]
Time = Annotated[str, Field(pattern=_TIME, description="UTC, 27 characters: sorts by time.")]
Digest = Annotated[str, Field(pattern=_DIGEST)]


class AnswerModel(StrictModel):
    """The base class of responses."""


class AssetOut(AnswerModel):
    """An asset: NodeTool's fifteen fields, then this ledger's. Every field is always present."""

    id: Annotated[str, Field(description="32 hex digits; for the home folder, the user's id.")]
    user_id: str
    workflow_id: str | None
    parent_id: Annotated[str, Field(description="A folder's id; the user's id is home.")]
    name: str
    content_type: str
    size: int
    metadata: dict[str, Any] | None
    created_at: Annotated[Time, Field(description="`made_at`, else the time of recording.")]
    get_url: str | None
    thumb_url: str | None
    duration: float | None
    node_id: str | None
    job_id: str | None
    etag: Annotated[str, Field(pattern=r"^v\d+$")]
    digest: Digest | None
    version: int
    position: Annotated[int, Field(description="The position of its last event.")]
    updated_at: Time
    tags: list[str]
    derived_from: list[Id]
    attempt: Annotated[int | None, Field(description="Of its job, from 1; null without a job.")]


class ImportedOut(AnswerModel):
    """The outcome of a line. `filled`: got its bytes now; `empty`: exists without bytes."""

    id: Id
    outcome: Literal["recorded", "filled", "known", "refused", "empty", "unknown"]
    reason: str | None


class ImportsOut(AnswerModel):
    """The outcome of the line of each asset."""

    outcomes: list[ImportedOut]


class ProvenEventOut(AnswerModel):
    """The stored bytes of an event, which were hashed, and its inclusion path, in base64."""

    position: int
    leaf: str
    path: list[str]


class ProofOut(AnswerModel):
    """Events with their inclusion proofs, and the signed checkpoint that these lead to."""

    format: Literal["asset-ledger-proof/1"]
    checkpoint: Annotated[str, Field(description="A C2SP signed note.")]
    key: Annotated[str, Field(description="A C2SP verifier key: compare it with yours.")]
    rotations: Annotated[list[ProvenEventOut], Field(description="Proofs of the key's rotations.")]
    events: list[ProvenEventOut]


class RecordedOut(AssetOut):
    """A new asset; with an inclusion proof of its event for `Prefer: return=receipt`."""

    receipt: ProofOut | None = None


class TombstoneOut(AssetOut):
    """A deleted asset in a list with `deleted`."""

    deleted_at: Time
    deleted_by: str


class AssetPage(AnswerModel):
    """A page of assets, and the cursor of the next: `""` on the last. `count` on request."""

    assets: list[AssetOut | TombstoneOut]
    next: str
    count: int | None = None


class DeletedOut(AnswerModel):
    """The assets that this request deleted."""

    deleted_asset_ids: list[Id]


class AssetTree(AnswerModel):
    """Everything in a folder, at any depth: each folder before its contents."""

    assets: list[AssetOut]


class BulkDeletedOut(AnswerModel):
    """The number of matching assets; after a deletion, the ids of all deleted assets."""

    count: int
    deleted_asset_ids: list[Id] | None = None


class FoundOut(AssetOut):
    """An asset that a search found, with its folder."""

    folder_name: str
    folder_path: Annotated[str, Field(description="From home: `Home / Pictures / Cats`.")]
    folder_id: Annotated[str, Field(description="The user's id is home.")]


class FoundPage(AnswerModel):
    """A page of found assets, their total number, and the cursor of the next page."""

    assets: list[FoundOut]
    next_cursor: str
    total_count: int
    is_global_search: bool


class UsageOut(AnswerModel):
    """The live assets of one group, and the runs of nodes that ended in it.

    `key` is null for assets without a value; `subkey` is that of the second grouping, if asked for.
    An hour is the time in UTC at which it begins.
    """

    key: str | None
    subkey: str | None = None
    count: int
    bytes: int
    largest: int
    first_seen: Annotated[Time | None, Field(description="The earliest `created_at`.")]
    last_seen: Annotated[Time | None, Field(description="The latest `created_at`.")]
    runs: int
    failed: int
    seconds: Annotated[float, Field(description="The time that the runs took together.")]


class UsagePage(AnswerModel):
    """A page of groups, and the cursor of the next: `""` on the last."""

    group_by: str
    usage: list[UsageOut]
    next: str


class AttemptOut(AnswerModel):
    """An attempt of a job whose start or end was recorded."""

    attempt: int
    status: JobStatus
    error: str | None
    started_at: Time | None
    finished_at: Time | None


class JobOut(AnswerModel):
    """A job. Status, error, parameters, start and end are those of its last attempt.

    `assets` and `bytes` count its live assets. `untracked`: no start or end was recorded; `stale`:
    running, but without an event for a day (or `job_silence`).
    """

    job_id: str
    user_id: str
    workflow_id: str | None
    parent_job_id: str | None
    attempt: Annotated[int, Field(description="The number of its last attempt, from 1.")]
    status: JobStatus
    error: str | None
    parameters: dict[str, Any] | None
    started_at: Time | None
    finished_at: Time | None
    assets: int
    bytes: int
    attempts: list[AttemptOut]
    first_position: int
    last_position: int
    updated_at: Annotated[Time, Field(description="The time of its last event.")]


class ListedJobOut(JobOut):
    """A job in a list, with pictures on request."""

    preview: Annotated[
        list[str] | None, Field(description="On request: `thumb_url` of its newest pictures.")
    ] = None


class JobPage(AnswerModel):
    """A page of jobs, and the cursor of the next: `""` on the last. Counts on request."""

    jobs: list[ListedJobOut]
    next: str
    count: int | None = None
    counts: dict[JobStatus, int] | None = None


class NodeRunOut(AnswerModel):
    """One run of a node in an attempt of a job."""

    job_id: str
    attempt: int
    node_id: str
    run: str
    user_id: str
    workflow_id: str | None
    status: NodeStatus
    error: str | None
    seconds: Annotated[float | None, Field(description="As sent, else the time since the start.")]
    started_at: Annotated[Time | None, Field(description="`made_at`, else the time of recording.")]
    finished_at: Annotated[Time | None, Field(description="`made_at`, else the time of recording.")]
    position: Annotated[int, Field(description="The position of its last event.")]


class NodeOut(AnswerModel):
    """A node of a job: its runs, and its live assets. `node_id` is null for assets without one.

    `status` is that of the run with the last event; `untracked`: no run is recorded.
    """

    node_id: str | None
    status: NodeStatus | Literal["untracked"]
    runs: int
    running: int
    failed: int
    seconds: Annotated[float, Field(description="Of all runs together.")]
    longest: Annotated[float | None, Field(description="The seconds of the longest run.")]
    started_at: Annotated[Time | None, Field(description="Of the first run.")]
    finished_at: Annotated[Time | None, Field(description="Of the last run.")]
    error: Annotated[str | None, Field(description="Of the last run that failed.")]
    assets: int
    bytes: int


class NodePage(AnswerModel):
    """A page of nodes, and the cursor of the next: `""` on the last."""

    nodes: list[NodeOut]
    next: str


class ComparedOut(AnswerModel):
    """Two assets with the same node, name, and number among those of that name."""

    node_id: str | None
    name: str
    nth: Annotated[int, Field(description="Counts from 1.")]
    status: Literal["same", "different", "only_a", "only_b"]
    a: AssetOut | None
    b: AssetOut | None


class ComparisonOut(AnswerModel):
    """A page of the comparison of an attempt each of two jobs.

    `counts` and `first_divergence`, the first row that is not `same`, are those of all pages.
    """

    a: str
    b: str
    attempt_a: int
    attempt_b: int
    counts: dict[str, int]
    rows: list[ComparedOut]
    first_divergence: ComparedOut | None
    next: str


class EdgeOut(AnswerModel):
    """An edge from a source to an asset that was made from it."""

    source: Annotated[Id, Field(alias="from")]
    derived: Annotated[Id, Field(alias="to")]


class LineageOut(AnswerModel):
    """The lineage of `root`, an asset or a digest. `truncated`: there are more assets."""

    root: str
    nodes: list[AssetOut | TombstoneOut]
    edges: list[EdgeOut]
    truncated: bool


class EventOut(AnswerModel):
    """An event. `data` has its own fields: absent means unchanged, null means cleared.

    `late`: it created an asset after the attempt of its job had ended.
    """

    position: int
    topic: str
    time: Time
    clock: Annotated[
        Time | None,
        Field(description="The machine's time if over a minute behind `time`, else null."),
    ]
    by: str
    asset_id: Id | None
    job_id: str | None
    workflow_id: str | None
    node_id: str | None
    job_seq: int | None
    attempt: int | None
    late: bool
    version: int
    data: dict[str, Any]


class EventsOut(AnswerModel):
    """Events. Pass `next`, an integer, as `after`; as `before` for the newest first."""

    events: list[EventOut]
    next: int


class EventPage(AnswerModel):
    """A page of events in the order of the log, and the cursor of the next."""

    events: list[EventOut]
    next: str


class LogKeyOut(AnswerModel):
    """A C2SP verifier key, and the smallest tree whose checkpoint it signs."""

    since: int
    key: str


class NamedKeyOut(LogKeyOut):
    """A key, and the leaf, in base64, of the event at position `since` that names it."""

    leaf: str


class LogKeysOut(AnswerModel):
    """Every key of the log, oldest first. Each one was signed with the one before."""

    keys: list[NamedKeyOut]


class ConsistencyOut(AnswerModel):
    """The consistency path (RFC 6962, 2.1.2) between two sizes of the log, in base64."""

    first: int
    second: int
    path: list[str]


class ErrorOut(AnswerModel):
    """One parameter or field at fault."""

    parameter: str | None = None
    field: str | None = None
    message: str


class ProblemOut(BaseModel):
    """An error (RFC 9457). `type` is `urn:asset-ledger:<slug>`; some have further members."""

    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)

    type: Annotated[str, Field(pattern=r"^urn:asset-ledger:[a-z-]+$")]
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ErrorOut]
