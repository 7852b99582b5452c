"""`asset-ledger jobs`: list jobs, or show one with its nodes."""

import asyncio
from functools import partial
from typing import Any

import click

from asset_ledger.api.cli.options import LEDGER, LISTED, Listing, Where, moments


@click.command()
@click.argument("job_id", required=False)
@click.option("--status", multiple=True, help="Only with this status; repeatable.")
@click.option("--workflow", "workflow_id", multiple=True, help="Only of this workflow; repeatable.")
@click.option("--parent", "parent_job_id", multiple=True, help="Only started by this job.")
@click.option("--node", "node_id", multiple=True, help="Only with this node; repeatable.")
@click.option("--prefix", "query", help="Only those whose ids begin with this.")
@click.option(
    "--started-after", callback=moments, help="Only started then or later: 2026-01-31, or 7d ago."
)
@click.option(
    "--started-before", callback=moments, help="Only before then: 2026-01-31T12:00:00Z, or 12h ago."
)
@click.option(
    "--sort",
    default="-created_at",
    show_default=True,
    help="Or created_at, -bytes, -assets, -duration, -finished_at.",
)
@LEDGER
@LISTED
def jobs(job_id: str | None, where: Where, listing: Listing, **filters: Any) -> None:
    """List jobs, newest first; or show the job JOB_ID and its nodes."""
    asyncio.run(_list(filters, where, listing) if job_id is None else _show(job_id, where, listing))


async def _list(filters: dict[str, Any], where: Where, listing: Listing) -> None:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.showing import column, documents, show_list, size, time
    from asset_ledger.api.sdk.wire import query_of

    columns = (
        *(column("job_id", "job"), column("status"), column("workflow_id", "workflow")),
        *(column("assets"), size("bytes"), time("started_at", "started")),
    )
    async with open_ledger(where) as gateway:
        found = documents(gateway.jobs, query_of(filters), "jobs", listing)
        await show_list(found, "jobs", columns, listing)


async def _show(job_id: str, where: Where, listing: Listing) -> None:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.showing import column, documents, echo_fields, show_list, size

    columns = (
        *(column("node_id", "node"), column("status"), column("runs"), column("failed")),
        *(column("seconds"), column("assets"), size("bytes")),
    )
    async with open_ledger(where) as gateway:
        job = await gateway.job(job_id)
        if not (listing.as_json or listing.ndjson):
            echo_fields(job)
        found = documents(partial(gateway.nodes, job_id), [], "nodes", listing)
        await show_list(found, "nodes", columns, listing, {"job": job})
