"""The nodes of a job, read page by page."""

from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.record import NodeSort, NodeSummary
from asset_ledger.api.sdk.wire import query_of


async def nodes_of(
    gateway: Gateway, job_id: str, attempt: int | None, sort: NodeSort
) -> Listing[NodeSummary]:
    """Return every node of a job, or of one attempt. Raises UnknownJobError without events."""
    query = query_of({"attempt": attempt, "sort": sort, "page_size": 1000})
    page = await gateway.nodes(job_id, query)
    found = list(page["nodes"])
    while page["next"]:
        page = await gateway.nodes(job_id, [*query, ("cursor", page["next"])])
        found += page["nodes"]
    return Listing(NodeSummary, map(NodeSummary.of, found))
