"""`Job`: read, list and compare the jobs of a ledger."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Literal, Self, TypedDict, Unpack

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.found import Comparison, whole_comparison
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.api.sdk.html import record_html
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.node_list import nodes_of
from asset_ledger.api.sdk.record import NodeSort, NodeSummary, known_fields
from asset_ledger.api.sdk.snapshot import Snapshot
from asset_ledger.api.sdk.wire import query_of

JobSort = Literal["created_at", "-created_at", "-bytes", "-assets", "-duration", "-finished_at"]
Several = str | Sequence[str] | None


class JobFilters(TypedDict, total=False):
    """Filters of a list of jobs, and its order. All must match; of several values, one must."""

    status: Several
    workflow_id: Several
    parent_job_id: Several
    node_id: Several
    """Matches jobs with an asset or a run of this node."""
    query: str | None
    """What the id begins with."""
    started_after: datetime | str | None
    started_before: datetime | str | None
    sort: JobSort
    """Default: `created_at`, by first event."""


@dataclass(frozen=True, kw_only=True, repr=False)
class JobRecord(Snapshot):
    """A job as it was read. Status, error, parameters and times are those of its last attempt.

    `assets` and `bytes` count its live assets. `status` is `untracked` without a start or an end.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("job_id", "status", "attempt", "workflow_id", "assets", "bytes", "started_at", "error"),
    )

    job_id: str
    user_id: str
    workflow_id: str | None
    parent_job_id: str | None
    attempt: int
    status: str
    error: str | None
    parameters: Mapping[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None
    assets: int
    bytes: int
    gateway: Gateway = field(repr=False, compare=False)

    @classmethod
    def of(cls, document: Document, gateway: Gateway) -> Self:
        """Return the job of a document. Fields of a later release are ignored."""
        return cls(**known_fields(cls, document, "started_at", "finished_at"), gateway=gateway)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.job_id!r} {self.status} {self.assets} assets>"

    def _repr_html_(self) -> str:
        return record_html(self)


class Job(JobRecord):
    """A job as it was read. Every method may raise UnavailableError."""

    @classmethod
    async def get(cls, job_id: str, *, gateway: Gateway | None = None) -> Self:
        """Return one job. Raises UnknownJobError."""
        gateway = gateway or current_gateway()
        return cls.of(await gateway.job(job_id), gateway)

    @classmethod
    async def paginate(
        cls,
        *,
        limit: int = 100,
        cursor: str = "",
        gateway: Gateway | None = None,
        **filters: Unpack[JobFilters],
    ) -> tuple[Listing[Self], str]:
        """Return a page of the matching jobs, and the cursor of the next page, `""` on the last.

        `limit` is at most 1,000. Raises ParameterError, CursorError.
        """
        gateway = gateway or current_gateway()
        query = query_of({**filters, "page_size": limit, "cursor": cursor})
        page = await gateway.jobs(query)
        found = (cls.of(document, gateway) for document in page["jobs"])
        return Listing(cls, found), page["next"]

    @classmethod
    async def iterate(
        cls,
        *,
        gateway: Gateway | None = None,
        **filters: Unpack[JobFilters],
    ) -> AsyncGenerator[Self]:
        """Yield all matching jobs, read page by page. Raises ParameterError."""
        gateway, cursor, more = gateway or current_gateway(), "", True
        while more:
            jobs, cursor = await cls.paginate(
                limit=1_000, cursor=cursor, gateway=gateway, **filters
            )
            more = bool(cursor)
            for job in jobs:
                yield job

    async def nodes(
        self, *, attempt: int | None = None, sort: NodeSort = "created_at"
    ) -> Listing[NodeSummary]:
        """Return every node of this job, or of one attempt: runs, failures, seconds, live assets.

        Raises UnknownJobError.
        """
        return await nodes_of(self.gateway, self.job_id, attempt, sort)

    async def compare(self, other: "JobRecord | str") -> Comparison[Asset]:
        """Compare the assets of this job (a) with those of another (b). Raises UnknownJobError."""
        page = partial(self.gateway.compare, self.job_id, id_of(other))
        document = await whole_comparison(page)
        return Comparison.of(document, partial(Asset.of, gateway=self.gateway))


def id_of(job: JobRecord | str) -> str:
    """Return the id of a job."""
    return job if isinstance(job, str) else job.job_id
