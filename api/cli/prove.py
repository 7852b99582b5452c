"""`asset-ledger prove` and `head`: proofs of assets, and the log as its checkpoint has it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, LEDGER, Where
from asset_ledger.api.cli.output import echo


@click.command()
@click.argument("assets", nargs=-1, required=True, metavar="ASSET...")
@click.option(
    "--size",
    type=click.IntRange(1),
    help="Under the checkpoint of this size, which was signed before (default: a new one).",
)
@LEDGER
def prove(assets: Sequence[str], size: int | None, where: Where) -> None:
    """Print the proof of every event of ASSETs, by their ids or their paths from home.

    It is JSON, which docs/audit.md shows how to check. Deleted assets are proven by their ids.
    """
    echo(orjson.dumps(asyncio.run(_proof(assets, size, where))))


async def _proof(texts: Sequence[str], size: int | None, where: Where) -> Mapping[str, Any]:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.naming import asset_named, is_id

    async with open_ledger(where) as gateway:
        ids = [text if is_id(text) else (await asset_named(gateway, text))["id"] for text in texts]
        return await gateway.prove(ids, size)


@click.command()
@LEDGER
@JSON
def head(where: Where, as_json: bool) -> None:
    """Print the size, root and times of the log, as its newest checkpoint has it."""
    from asset_ledger.api.cli.showing import echo_fields

    state = asyncio.run(_head(where))
    echo(orjson.dumps(state)) if as_json else echo_fields(state)


async def _head(where: Where) -> Mapping[str, Any]:
    from asset_ledger.api.cli.ledger import open_ledger

    async with open_ledger(where) as gateway:
        return await gateway.tree_head()
