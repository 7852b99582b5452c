"""`--skip POSITION --because REASON`: make the tables skip an event that they cannot take."""

import asyncio
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from asset_ledger.api.cli.administer import ServerCall, ask, run_or_ask_server
from asset_ledger.api.cli.output import echo

Command = Callable[..., None]


def skipping(command: Command) -> Command:
    """Add the two options to a command. The event is skipped before the command runs."""

    @click.option("--skip", type=int, metavar="POSITION", help="Skip this event, for ever.")
    @click.option("--because", metavar="REASON", help="Why; the log records it.")
    @wraps(command)
    def before(*arguments: Any, skip: int | None, because: str | None, **options: Any) -> None:
        if (skip is None) != (because is None):
            raise click.UsageError("--skip and --because go together: give both")
        if skip is not None and because is not None:
            echo(_line(_skipped(skip, because, options)), err=True)
        command(*arguments, **options)

    return before


def _skipped(position: int, because: str, options: dict[str, Any]) -> dict[str, Any]:
    from asset_ledger.api.cli.opening import existing_engine

    sent = {"position": position, "because": because}
    call = ServerCall("POST", "/api/projections/skip", sent)
    if options.get("url"):
        return ask(options["url"], options["token"], call)
    folder = existing_engine(options["data_dir"]).folder
    return run_or_ask_server(folder, call, lambda: asyncio.run(_skip(folder, sent)))


def _line(skip: dict[str, Any]) -> str:
    names = ", ".join(skip["projections"])
    return (
        f"event {skip['skipped']:,} is skipped by {names}: recorded as event {skip['position']:,}"
    )


async def _skip(folder: Path, sent: dict[str, Any]) -> dict[str, Any]:
    """Raises FieldError if no projection is stuck before the event."""
    from asset_ledger.api.backend import open_backend
    from asset_ledger.api.cli.flags import settings_of
    from asset_ledger.api.contract.fields import read_as
    from asset_ledger.api.contract.skipping import SkipIn, skip_out
    from asset_ledger.ledger.commands.call import CallContext
    from asset_ledger.ledger.domain.ledger import SYSTEM

    fields, position, because = read_as(SkipIn, sent), sent["position"], sent["because"]
    async with open_backend(settings_of(folder)) as backend:
        skipped = await backend.ledger.skip.event(CallContext(SYSTEM), position, because, fields)
        return skip_out(position, skipped)
