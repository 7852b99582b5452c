"""`asset-ledger show`, `tag`, `mv`, `rm`, `restore`: one asset, or a few."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, LEDGER, Where
from asset_ledger.api.cli.output import echo

_EVENTS = ("position", "time", "by", "event", "what changed")


@click.command()
@click.argument("asset")
@LEDGER
@JSON
def show(asset: str, where: Where, as_json: bool) -> None:
    """Show the fields and the events of ASSET, by its id or its path from home."""
    asyncio.run(_show(asset, where, as_json))


async def _show(text: str, where: Where, as_json: bool) -> None:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.naming import asset_named
    from asset_ledger.api.cli.replay import changed
    from asset_ledger.api.cli.showing import echo_fields
    from asset_ledger.api.cli.tables import print_table

    async with open_ledger(where) as gateway:
        found = await asset_named(gateway, text)
        history = [event async for event in gateway.asset_history(found["id"])]
    if as_json:
        echo(orjson.dumps({"asset": found, "history": history}))
        return
    echo_fields(found)
    rows = [(e["position"], e["time"], e["by"], e["topic"], changed(e["data"])) for e in history]
    print_table(None, _EVENTS, rows)


@click.command()
@click.argument("assets", nargs=-1, required=True, metavar="ASSET...")
@click.option("-r", "--recursive", is_flag=True, help="Delete folders with all they contain.")
@LEDGER
@JSON
def rm(assets: Sequence[str], recursive: bool, where: Where, as_json: bool) -> None:
    """Delete ASSETs, by id or by path from home. Their events stay; restore brings them back."""
    deleted = asyncio.run(_rm(assets, recursive, where))
    if as_json:
        echo(orjson.dumps({"deleted_asset_ids": deleted}))
    else:
        for asset_id in deleted:
            echo(f"deleted  {asset_id}")


async def _rm(texts: Sequence[str], recursive: bool, where: Where) -> list[str]:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.naming import asset_named, is_folder

    async with open_ledger(where) as gateway:
        found = [await asset_named(gateway, text, alone=True) for text in texts]
        for text, asset in zip(texts, found, strict=True):
            if is_folder(asset) and not recursive:
                raise click.ClickException(f"{text} is a folder: -r deletes all it contains")
        return [each for asset in found for each in await gateway.delete(asset["id"])]


@click.command()
@click.argument("assets", nargs=-1, required=True, metavar="ASSET...")
@click.option("--add", "add_tags", multiple=True, metavar="TAG", help="Add a tag; repeatable.")
@click.option("--remove", "remove_tags", multiple=True, metavar="TAG", help="Remove a tag.")
@LEDGER
@JSON
def tag(assets: Sequence[str], where: Where, as_json: bool, **change: Sequence[str]) -> None:
    """Add tags to ASSETs and remove tags from them, by id or by path from home."""
    if not any(change.values()):
        raise click.UsageError("name a tag with --add or --remove")
    _print_changed("tagged", asyncio.run(_update(assets, change, where)), as_json)


@click.command()
@click.argument("assets", nargs=-1, required=True, metavar="ASSET...")
@click.argument("folder")
@LEDGER
@JSON
def mv(assets: Sequence[str], folder: str, where: Where, as_json: bool) -> None:
    """Move ASSETs into FOLDER, each by id or by path from home; / is home."""
    changed = asyncio.run(_update(assets, {}, where, folder))
    _print_changed("moved", changed, as_json)


async def _update(
    texts: Sequence[str], change: Mapping[str, Any], where: Where, folder: str | None = None
) -> Sequence[str]:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.naming import asset_named, folder_named

    async with open_ledger(where) as gateway:
        ids = [(await asset_named(gateway, text, alone=True))["id"] for text in texts]
        if folder is not None:
            home = (await gateway.find(ids[0]))["user_id"]
            change = {**change, "parent_id": await folder_named(gateway, folder) or home}
        answer = await gateway.bulk_update({"ids": ids, **change})
        return list(answer["updated_asset_ids"])


def _print_changed(verb: str, ids: Sequence[str], as_json: bool) -> None:
    if as_json:
        echo(orjson.dumps({"updated_asset_ids": ids}))
    else:
        for asset_id in ids:
            echo(f"{verb}  {asset_id}")


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@LEDGER
@JSON
def restore(ids: Sequence[str], where: Where, as_json: bool) -> None:
    """Restore deleted assets, a folder with its contents. find --deleted true lists them."""
    asyncio.run(_restore(ids, where, as_json))


async def _restore(ids: Sequence[str], where: Where, as_json: bool) -> None:
    from asset_ledger.api.cli.ledger import open_ledger

    async with open_ledger(where) as gateway:
        restored = [await gateway.restore(asset_id) for asset_id in ids]
    if as_json:
        echo(orjson.dumps({"assets": restored}))
    else:
        for asset in restored:
            echo(f"restored  {asset['id']}  {asset['name']}")
