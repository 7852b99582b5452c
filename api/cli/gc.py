"""`asset-ledger gc`: list or remove the contents that no retained version of an asset names."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.administer import ServerCall, ask, run_or_ask_server
from asset_ledger.api.cli.options import JSON, WHERE
from asset_ledger.api.cli.output import echo


@click.command()
@WHERE
@click.option("--plan/--apply", default=True, help="List what would go (default), or remove it.")
@click.option("--retain-versions", help="As the setting of serve, for this run.")
@click.option("--retain-deleted", help="As the setting of serve, for this run.")
@JSON
def gc(
    data_dir: Path | None,
    url: str | None,
    token: str | None,
    plan: bool,
    retain_versions: str | None,
    retain_deleted: str | None,
    as_json: bool,
) -> None:
    """Remove contents that no retained version of an asset names; by default, only list them.

    The list, and the JSON, have at most the 1,000 oldest of them, and the number of all.

    Works in the data folder, or through the server that has it, with the server's settings.
    """
    from asset_ledger.api.cli.opening import existing_engine

    sent = {
        "apply": not plan,
        "retain_versions": retain_versions,
        "retain_deleted": retain_deleted,
    }
    call = ServerCall("POST", "/api/collection", sent)
    if url is not None:
        document = ask(url, token, call)
    else:
        folder = existing_engine(data_dir).folder
        document = run_or_ask_server(folder, call, partial(_in_folder, folder, sent))
    for line in [orjson.dumps(document)] if as_json else _lines(document):
        echo(line)


def _in_folder(folder: Path, sent: dict[str, Any]) -> dict[str, Any]:
    return asyncio.run(_collect(folder, sent))


async def _collect(folder: Path, sent: dict[str, Any]) -> dict[str, Any]:
    from asset_ledger.api.backend import open_backend
    from asset_ledger.api.cli.flags import settings_of
    from asset_ledger.api.contract.collection import collected_out, plan_out, read_retention
    from asset_ledger.ledger.domain.ledger import SYSTEM

    given = {name: sent[name] for name in ("retain_versions", "retain_deleted") if sent[name]}
    settings = settings_of(folder, **given)
    retention = read_retention(settings.retain_versions, settings.retain_deleted)
    async with open_backend(settings) as backend:
        if sent["apply"]:
            return collected_out(await backend.collect.run(SYSTEM, retention))
        return plan_out(await backend.collect.plan(retention))


def _lines(document: dict[str, Any]) -> list[str]:
    listed = [
        f"{each['since'] or 'never recorded':27} {each['size']:>15,} {each['reason']:10}"
        f" {each['digest']}"
        for each in document["contents"]
    ]
    if document["count"] > len(listed) and not document["applied"]:
        left = document["count"] - len(listed)
        listed.append(f"... and {left:,} more: the list has the oldest {len(listed):,}")
    verb = "collected" if document["applied"] else "would collect"
    total = f"{verb} {document['count']:,} contents ({document['size']:,} bytes)"
    if document["skipped"]:
        total += f"; {document['skipped']:,} are needed again"
    return [*listed, total]
