"""The synchronous `Job`: the names of `asset_ledger.api.sdk.job` without `await`."""

from collections.abc import Iterator
from functools import partial
from typing import Self, Unpack

from asset_ledger.api.sdk import job as jobs
from asset_ledger.api.sdk.found import Comparison, whole_comparison
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.job import JobFilters, JobRecord, id_of
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.node_list import nodes_of
from asset_ledger.api.sdk.portal import drain, run
from asset_ledger.api.sdk.record import NodeSort, NodeSummary
from asset_ledger.api.sdk.sync_asset import Asset


class Job(JobRecord):
    """A job as it was read."""

    @classmethod
    def get(cls, job_id: str, *, gateway: Gateway | None = None) -> Self:
        """Return one job. Raises UnknownJobError."""
        return cls(**vars(run(jobs.Job.get(job_id, gateway=gateway))))

    @classmethod
    def paginate(
        cls,
        *,
        limit: int = 100,
        cursor: str = "",
        gateway: Gateway | None = None,
        **filters: Unpack[JobFilters],
    ) -> tuple[Listing[Self], str]:
        """Return a page of the matching jobs, and the cursor of the next page, `""` on the last."""
        page = jobs.Job.paginate(limit=limit, cursor=cursor, gateway=gateway, **filters)
        found, following = run(page)
        return Listing(cls, (cls(**vars(each)) for each in found)), following

    @classmethod
    def iterate(
        cls,
        *,
        gateway: Gateway | None = None,
        **filters: Unpack[JobFilters],
    ) -> Iterator[Self]:
        """Yield all matching jobs, read page by page."""
        found = jobs.Job.iterate(gateway=gateway, **filters)
        return (cls(**vars(each)) for each in drain(found))

    def nodes(
        self, *, attempt: int | None = None, sort: NodeSort = "created_at"
    ) -> Listing[NodeSummary]:
        """Return every node of this job, or of one attempt: its runs, seconds and live assets."""
        return run(nodes_of(self.gateway, self.job_id, attempt, sort))

    def compare(self, other: JobRecord | str) -> Comparison[Asset]:
        """Compare the assets of this job (a) with those of another (b). Raises UnknownJobError."""
        page = partial(self.gateway.compare, self.job_id, id_of(other))
        document = run(whole_comparison(page))
        return Comparison.of(document, partial(Asset.of, gateway=self.gateway))
