"""`asset-ledger replay`: list the events of a job from the log, or from a server."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import click
import orjson

from asset_ledger.api.cli.options import ATTEMPT, JSON, SOURCE
from asset_ledger.api.cli.output import echo

_HEADINGS: Final = ("position", "time", "by", "node", "event", "asset", "what changed")


@click.command()
@click.argument("job_id")
@ATTEMPT
@SOURCE
@click.option("--as-of", help="Only up to this position, or this time (RFC 3339).")
@JSON
def replay(
    job_id: str, attempt: int | None, as_of: str | None, as_json: bool, **where: Any
) -> None:
    """List the events of JOB_ID in order, with the values that each one set.

    Reads only the log, without a lock: a server may run, and the tables may be missing. With
    --url, asks a server. With --json, prints one event a line.
    """
    from asset_ledger.api.cli.source import open_source
    from asset_ledger.api.cli.tables import print_table

    with open_source(**where) as source:
        events = source.job_events(job_id, attempt, as_of)
        if as_json:
            _print_lines(events)
        else:
            print_table(f"job {job_id}", _HEADINGS, _rows(events))


def _print_lines(events: Iterable[dict[str, Any]]) -> None:
    for event in events:
        echo(orjson.dumps(event))


def _rows(events: Iterable[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for event in events:
        first = (event["position"], event["time"], event["by"], event["node_id"])
        clock = {"clock": event["clock"], **event["data"]}
        yield *first, event["topic"], event["asset_id"], changed(clock)


def changed(data: Mapping[str, Any]) -> str:
    """Return the values that an event set."""
    shown = ((name, value) for name, value in data.items() if value or value == 0)
    return "  ".join(f"{name}={_short(value)}" for name, value in shown)


def _short(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
