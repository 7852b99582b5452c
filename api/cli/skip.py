"""`--skip POSITION --because REASON`: an event that the tables cannot take is set aside, in a data
folder, or by the server that has it.
"""

import asyncio
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from asset_ledger.api.cli.administer import Errand, ask, here_or_there
from asset_ledger.api.cli.options import existing_log

Command = Callable[..., None]


def skipping(command: Command) -> Command:
    """Give a command the two options: what they name is set aside before it runs."""

    @click.option(
        "--skip", type=int, metavar="POSITION", help="Go on without this event, for ever."
    )
    @click.option("--because", metavar="REASON", help="Why it is left out: the log keeps it.")
    @wraps(command)
    def before(*arguments: Any, skip: int | None, because: str | None, **options: Any) -> None:
        if (skip is None) != (because is None):
            raise click.UsageError("--skip and --because go together")
        if skip is not None and because is not None:
            click.echo(_line(_skipped(skip, because, options)), err=True)
        command(*arguments, **options)

    return before


def _skipped(position: int, because: str, options: dict[str, Any]) -> dict[str, Any]:
    sent = {"position": position, "because": because}
    errand = Errand("POST", "/api/projections/skip", sent)
    if options.get("url"):
        return ask(options["url"], options["token"], errand)
    folder = existing_log(options["data_dir"]).parent
    return here_or_there(folder, errand, lambda: asyncio.run(_skip(folder, sent)))


def _line(said: dict[str, Any]) -> str:
    names = ", ".join(said["projections"])
    return f"event {said['skipped']:,} is set aside for {names}: event {said['position']:,} says so"


async def _skip(folder: Path, sent: dict[str, Any]) -> dict[str, Any]:
    """Raises FieldError where no projection stands still before the event."""
    from asset_ledger.api.backend import open_backend
    from asset_ledger.api.cli.flags import settings_from
    from asset_ledger.api.contract.fields import read_as
    from asset_ledger.api.contract.skipping import SkipIn, skip_out
    from asset_ledger.ledger.commands.call import CallContext
    from asset_ledger.ledger.domain.ledger import SYSTEM

    fields = read_as(SkipIn, sent)
    position, because = sent["position"], sent["because"]
    async with open_backend(settings_from({"data_dir": folder})) as backend:
        skipped = await backend.ledger.skip.event(CallContext(SYSTEM), position, because, fields)
        return skip_out(position, skipped)
