"""`asset-ledger usage`: which nodes, jobs or workflows made how much."""

import asyncio
from typing import Any, Final

import click

from asset_ledger.api.cli.assets import OF_FILTERS
from asset_ledger.api.cli.options import LEDGER, LISTED, Listing, Where

_GROUPS: Final = {
    "node": "node_id",
    "job": "job_id",
    "workflow": "workflow_id",
    "type": "content_type",
    "day": "day",
    "hour": "hour",
}


def _read_groups(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    """Return one or two groupings. Raises BadParameter."""
    words = text.split(",")
    if len(words) > 2 or not set(words) <= set(_GROUPS):
        choices = ", ".join(_GROUPS)
        raise click.BadParameter(f"{text!r} is not one or two of {choices}, as in day,node")
    return words


@click.command()
@click.option(
    "--by",
    default="node",
    show_default=True,
    callback=_read_groups,
    metavar="GROUP[,GROUP]",
    help=f"One or two of {', '.join(_GROUPS)}.",
)
@click.option("--tz", metavar="ZONE", help="The zone of days and hours, such as Europe/Berlin.")
@OF_FILTERS
@click.option(
    "--sort",
    default="-bytes",
    show_default=True,
    help="Or -count, -largest, -seconds, -failed, key.",
)
@LEDGER
@LISTED
def usage(by: list[str], tz: str | None, where: Where, listing: Listing, **query: Any) -> None:
    """Count live assets, their bytes, and runs: by node, job, workflow, media type or time."""
    asyncio.run(_usage(by, {**query, "tz": tz}, where, listing))


async def _usage(by: list[str], query: dict[str, Any], where: Where, listing: Listing) -> None:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.naming import with_folders
    from asset_ledger.api.cli.showing import column, documents, show_list, size
    from asset_ledger.api.sdk.wire import query_of

    columns = (
        *(column(key, name) for key, name in zip(("key", "subkey"), by, strict=False)),
        *(column("count"), size("bytes"), size("largest")),
        *(column("runs"), column("failed"), column("seconds")),
    )
    async with open_ledger(where) as gateway:
        groups = ",".join(_GROUPS[each] for each in by)
        query = {"group_by": groups, **await with_folders(gateway, query)}
        found = documents(gateway.usage, query_of(query), "usage", listing)
        await show_list(found, "usage", columns, listing)
