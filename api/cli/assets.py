"""`asset-ledger ls` and `find`: list assets by folder, by the API's filters, by words."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from asset_ledger.api.cli.options import LEDGER, LISTED, Listing, Where, moments, together

FILTERS: Final[Mapping[str, tuple[str, str]]] = {
    "id": ("id", "With this id."),
    "workflow_id": ("workflow", "Made by this workflow."),
    "node_id": ("node", "Made by this node."),
    "job_id": ("job", "Made in this job."),
    "attempt": ("attempt", "Made in this attempt of a job."),
    "parent_id": ("in", "In this folder: its id, or its path from home."),
    "content_type": ("type", "With a media type that starts with this: image/."),
    "name": ("name", "With exactly this name."),
    "tag": ("tag", "With this tag."),
    "digest": ("digest", "With exactly these bytes."),
    "created_after": ("created-after", "Created then or later: 2026-01-31 (UTC), or 7d ago."),
    "created_before": ("created-before", "Created before then: 2026-01-31T12:00:00Z, or 12h ago."),
    "size_min": ("size-min", "With at least this many bytes."),
    "size_max": ("size-max", "With at most this many bytes."),
    "missing": ("missing", "Without job_id, node_id or workflow_id."),
}
"""The flag and the help of each filter. The contract is not imported: it would slow --help."""

_SORT: Final = "created_at, name or size; -size is descending."
OF_FILTERS: Final = together(
    *(
        click.option(
            f"--{flag}",
            name,
            multiple=True,
            metavar="VALUE",
            help=about,
            callback=moments if name.startswith("created_") else None,
        )
        for name, (flag, about) in FILTERS.items()
    )
)
_OF_A_LIST: Final = together(
    OF_FILTERS,
    click.option("--deleted", type=click.Choice(["true", "any"]), help="Deleted ones, or all."),
    click.option("--sort", default="-created_at", show_default=True, metavar="ORDER", help=_SORT),
)


@click.command()
@click.argument("path", default="")
@click.option("--sort", default="name", show_default=True, metavar="ORDER", help=_SORT)
@LEDGER
@LISTED
def ls(path: str, sort: str, where: Where, listing: Listing) -> None:
    """List the assets in a folder, by default in the home folder.

    PATH is the id of a folder, or its path from home, such as project/tables.
    """
    from asset_ledger.api.cli.finding import list_folder

    asyncio.run(list_folder(path, sort, where, listing))


@click.command()
@click.argument("words", nargs=-1)
@_OF_A_LIST
@LEDGER
@LISTED
def find(
    words: Sequence[str],
    deleted: str | None,
    sort: str,
    where: Where,
    listing: Listing,
    **filters: Any,
) -> None:
    """Find assets by filters, and by WORDS in their names, tags and metadata; newest first.

    All filters and words must match; of several values of one filter, one.
    """
    from asset_ledger.api.cli.finding import list_matching

    given = {name: values for name, values in filters.items() if values}
    query = {"query": " ".join(words) or None, "deleted": deleted, "sort": sort}
    asyncio.run(list_matching(given, query, where, listing))
