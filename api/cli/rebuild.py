"""`asset-ledger rebuild`: the tables made anew from the events, beside those in use."""

from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, WHERE
from asset_ledger.api.cli.skip import skipping

FOUND = 1


@click.command()
@WHERE
@click.option("--dry-run", is_flag=True, help="Build, compare, and throw away.")
@click.option("--diff", is_flag=True, help="The same, and show which rows would change.")
@click.option("--rollback", is_flag=True, help="Go back to the tables from before the last one.")
@click.option("--cancel", is_flag=True, help="End the one that the server is at.")
@JSON
@skipping
@click.pass_context
def rebuild(
    context: click.Context,
    data_dir: Path | None,
    url: str | None,
    token: str | None,
    dry_run: bool,
    diff: bool,
    rollback: bool,
    cancel: bool,
    as_json: bool,
) -> None:
    """Make the tables anew from the log, beside those in use, which serve until the switch.

    In the data folder, or by the server that has it: nobody waits for it. With --skip, an event that
    they cannot take is set aside first, for ever.

    Exit code 1 where rows were not what the events make them, or where a projection that is not ours
    could not be made.
    """
    from asset_ledger.api.cli.rebuilding import RebuildRequest, make
    from asset_ledger.api.cli.rebuilding import cancel as cancel_there

    if (dry_run or diff) + rollback + cancel > 1:
        raise click.UsageError("--dry-run and --diff, --rollback, and --cancel exclude each other")
    if cancel:
        cancel_there(data_dir, url, token)
        return
    made = make(data_dir, url, token, RebuildRequest(dry_run or diff, rollback))
    _tell(made, diff=diff, as_json=as_json)
    context.exit(FOUND if _differs(made) or made.get("broken") else 0)


def _differs(made: dict[str, Any]) -> bool:
    compared = made.get("comparison")
    return compared is not None and any(
        table["added"] or table["removed"] or table["changed"] for table in compared["tables"]
    )


def _tell(made: dict[str, Any], *, diff: bool, as_json: bool) -> None:
    if as_json:
        compared = made.get("comparison")
        counted = {"differences": compared["differences"] if compared else None}
        shown = {**made, **counted} if diff else {**_without_rows(made), **counted}
        click.echo(orjson.dumps(shown))
    else:
        _tell_people(made, diff=diff)
    for name, reason in made.get("broken", {}).items():
        click.echo(f"asset-ledger: {name} was not made: {reason}", err=True)


def _without_rows(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name != "comparison"}


def _tell_people(made: dict[str, Any], *, diff: bool) -> None:
    from asset_ledger.api.cli.differences import print_differences, summary

    number = made["generation"]
    if made.get("digest") is None:
        click.echo(f"generation {number} is in use again")
        return
    holds = "would hold" if made["result"] == "discarded" else "holds"
    click.echo(
        f"generation {number} {holds} all {made['position']:,} events; "
        f"its digest is {made['digest']}"
    )
    for name, value in made["others"].items():
        click.echo(f"{name}: its digest is {value}")
    if diff:
        print_differences(made["comparison"])
    elif _differs(made):
        click.echo(summary(made["comparison"]))
