"""`asset-ledger usage`: which nodes, jobs or workflows made how much."""

import asyncio
from typing import Any, Final

import click

from asset_ledger.api.cli.options import LEDGER, LISTED, Listing, Where

_GROUPS: Final = {
    "node": "node_id",
    "job": "job_id",
    "workflow": "workflow_id",
    "type": "content_type",
    "day": "day",
}


@click.command()
@click.option("--by", type=click.Choice(list(_GROUPS)), default="node", show_default=True)
@click.option("--job", "job_id", multiple=True, help="Only of this job; repeatable.")
@click.option("--node", "node_id", multiple=True, help="Only of this node; repeatable.")
@click.option("--workflow", "workflow_id", multiple=True, help="Only of this workflow; repeatable.")
@click.option(
    "--sort",
    default="-bytes",
    show_default=True,
    help="Or -count, -largest, -seconds, -failed, key.",
)
@LEDGER
@LISTED
def usage(by: str, where: Where, listing: Listing, **query: Any) -> None:
    """Count live assets, their bytes, and runs: by node, job, workflow, media type or day."""
    asyncio.run(_usage(by, query, where, listing))


async def _usage(by: str, query: dict[str, Any], where: Where, listing: Listing) -> None:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.showing import column, documents, show_list, size
    from asset_ledger.api.sdk.wire import query_of

    columns = (
        *(column("key", by), column("count"), size("bytes"), size("largest")),
        *(column("runs"), column("failed"), column("seconds")),
    )
    async with open_ledger(where) as gateway:
        query = {"group_by": _GROUPS[by], **query}
        found = documents(gateway.usage, query_of(query), "usage", listing)
        await show_list(found, "usage", columns, listing)
