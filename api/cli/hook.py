"""`asset-ledger hook`: add, list and remove the webhooks of a ledger."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click
import orjson

from asset_ledger.api.cli.administer import ServerCall, ask_or_administer
from asset_ledger.api.cli.options import JSON, WHERE
from asset_ledger.api.cli.output import echo
from asset_ledger.api.contract.principal import LOCAL_USER

if TYPE_CHECKING:
    from asset_ledger.api.engine import Engine
    from asset_ledger.api.hooks.store import Hooks

Run = Callable[["Hooks", int], Awaitable[dict[str, Any]]]

_HEADINGS: Final = ("id", "url", "events of", "topics", "status", "lag", "arrived", "error")
_TAGS: Final = ("job_id", "node_id", "workflow_id")


@click.group()
def hook() -> None:
    """Add, list or remove the webhooks of a ledger."""


@hook.command()
@click.argument("address")
@click.option("--user", default=LOCAL_USER, show_default=True, help="Whose events.")
@click.option("--all", "all_users", is_flag=True, help="Events of all users.")
@click.option("--topic", "topics", multiple=True, help="Such as asset.created; repeatable.")
@click.option("--job", "job_id", help="Only events of this job.")
@click.option("--node", "node_id", help="Only events of this node.")
@click.option("--workflow", "workflow_id", help="Only events of this workflow.")
@click.option("--after", type=click.IntRange(0), help="From this position on (default: now).")
@WHERE
@JSON
def add(address: str, user: str, all_users: bool, topics: tuple[str, ...], **options: Any) -> None:
    """Send events to ADDRESS, and print the secret that signs them. It is printed once."""
    sent: dict[str, Any] = {"url": address, "topics": [*topics] or None, "after": options["after"]}
    sent |= {"all": True} if all_users else {"user_id": user}
    sent |= {name: options[name] for name in _TAGS}
    call = ServerCall("POST", "/api/hooks", sent)
    made = _run(call, lambda hooks, head: hooks.create(sent, user, head), options)
    if options["as_json"]:
        echo(orjson.dumps(made))
    else:
        echo(f"webhook {made['id']} starts after event {made['position']:,}; its secret:")
        echo(made["secret"])


@hook.command("list")
@WHERE
@JSON
def list_hooks(**where: Any) -> None:
    """Print every webhook, and how far it is."""
    from asset_ledger.api.cli.tables import print_table

    answer = _run(ServerCall("GET", "/api/hooks"), _listed, where)
    if where["as_json"]:
        for each in answer["hooks"]:
            echo(orjson.dumps(each))
    else:
        print_table(None, _HEADINGS, map(_cells, answer["hooks"]))


@hook.command()
@click.argument("hook_id")
@WHERE
@JSON
def remove(hook_id: str, **where: Any) -> None:
    """Remove the webhook HOOK_ID: nothing more is sent to it."""
    call = ServerCall("DELETE", f"/api/hooks/{quote(hook_id, safe='')}")
    removed = _run(call, lambda hooks, head: hooks.remove(hook_id, head), where)
    text = f"webhook {removed['id']} is removed; its last event was {removed['position']:,}"
    echo(orjson.dumps(removed) if where["as_json"] else text)


def _run(call: ServerCall, run: Run, where: dict[str, Any]) -> dict[str, Any]:
    """Call a server, or run `run` on the hooks of a ledger that exists. Raises DataFolderError."""
    return ask_or_administer(call, where, lambda engine: _run_in(engine, run, where))


def _run_in(engine: "Engine", run: Run, where: dict[str, Any]) -> dict[str, Any]:
    from asset_ledger.api.cli.opening import reading
    from asset_ledger.api.hooks.store import Hooks

    with reading(where["data_dir"]) as log:
        head = log.head().position

    async def running() -> dict[str, Any]:
        with closing(Hooks(engine.stores().hooks())) as hooks:
            return await run(hooks, head)

    return asyncio.run(running())


async def _listed(hooks: "Hooks", head: int) -> dict[str, Any]:
    return {"hooks": [each.document(head) for each in hooks.all()]}


def _cells(each: dict[str, Any]) -> tuple[Any, ...]:
    owner = "all users" if each["user_id"] is None else each["user_id"]
    counts = (each["status"], each["lag"], each["delivered"], each["error"])
    return (each["id"], each["url"], owner, " ".join(each["topics"]), *counts)
