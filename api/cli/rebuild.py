"""`asset-ledger rebuild`: make a new generation of the tables from the log."""

from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, WHERE
from asset_ledger.api.cli.output import echo
from asset_ledger.api.cli.skip import skipping

FOUND = 1


@click.command()
@WHERE
@click.option("--dry-run", is_flag=True, help="Build, compare with the tables in use, discard.")
@click.option("--diff", is_flag=True, help="Like --dry-run; show which rows would change.")
@click.option("--rollback", is_flag=True, help="Go back to the generation before this one.")
@click.option("--cancel", is_flag=True, help="Cancel the rebuild that the server is running.")
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
    """Rebuild the tables from the log. The tables in use serve until the new ones take over.

    Runs in the data folder, or in the server that has it. With --skip, the tables leave an event
    out, for ever.

    Exit code 1 when rows in use differ from what the events make or could not be compared, or when
    the projection of a package could not be built.
    """
    from asset_ledger.api.cli.rebuilding import RebuildRequest, make
    from asset_ledger.api.cli.rebuilding import cancel as cancel_rebuild

    if (dry_run or diff) + rollback + cancel > 1:
        raise click.UsageError("use only one of --dry-run (or --diff), --rollback and --cancel")
    if cancel:
        cancelled = cancel_rebuild(data_dir, url, token)
        text = f"no rebuild is running now; generation {cancelled['serving']['generation']} is used"
        echo(orjson.dumps(cancelled) if as_json else text)
        return
    made = make(data_dir, url, token, RebuildRequest(dry_run or diff, rollback))
    _print_result(made, diff=diff, as_json=as_json)
    context.exit(FOUND if _differs(made) or _incomparable(made) or made.get("broken") else 0)


def _incomparable(made: dict[str, Any]) -> list[str]:
    """Return why files in use could not be compared, such as a damaged page."""
    compared = made.get("comparison")
    return list(compared["incomparable"]) if compared else []


def _differs(made: dict[str, Any]) -> bool:
    compared = made.get("comparison")
    return compared is not None and any(
        table["added"] or table["removed"] or table["changed"] for table in compared["tables"]
    )


def _print_result(made: dict[str, Any], *, diff: bool, as_json: bool) -> None:
    if as_json:
        compared = made.get("comparison")
        counted = {
            "differences": compared["differences"] if compared else None,
            "incomparable": _incomparable(made),
        }
        shown = {**made, **counted} if diff else {**_without_rows(made), **counted}
        echo(orjson.dumps(shown))
    else:
        _print_text(made, diff=diff)
    for reason in _incomparable(made):
        echo(f"asset-ledger: not compared: {reason}", err=True)
    for name, reason in made.get("broken", {}).items():
        echo(f"asset-ledger: {name} was not built: {reason}", err=True)


def _without_rows(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name != "comparison"}


def _print_text(made: dict[str, Any], *, diff: bool) -> None:
    from asset_ledger.api.cli.differences import print_differences, summary

    number = made["generation"]
    if made.get("digest") is None:
        echo(f"generation {number} is in use again")
        return
    holds = "would hold" if made["result"] == "discarded" else "holds"
    echo(
        f"generation {number} {holds} all {made['position']:,} events; "
        f"its digest is {made['digest']}"
    )
    for name, value in made["others"].items():
        echo(f"{name}: its digest is {value}")
    if diff:
        print_differences(made["comparison"])
    elif _differs(made):
        echo(summary(made["comparison"]))
