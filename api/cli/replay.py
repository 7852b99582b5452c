"""`asset-ledger replay`: a job's history from the events, whether a server runs or not."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import click
import orjson

from asset_ledger.api.cli.options import JSON, SOURCE

_HEADINGS: Final = ("position", "time", "by", "node", "event", "asset", "what changed")


@click.command()
@click.argument("job_id")
@SOURCE
@click.option("--as-of", help="Only up to this position, or this time (RFC 3339).")
@JSON
def replay(job_id: str, as_of: str | None, as_json: bool, **where: Any) -> None:
    """List the events of JOB_ID in order: what happened, when, by whom, and what it changed.

    Reads the log alone, without a lock: it works while a server runs and while the tables are
    missing. Or asks a server. With --json, one event a line.
    """
    from asset_ledger.api.cli.source import open_source
    from asset_ledger.api.cli.tables import print_table

    with open_source(**where) as source:
        events = source.job_events(job_id, as_of)
        if as_json:
            _print_lines(events)
        else:
            print_table(f"job {job_id}", _HEADINGS, _rows(events))


def _print_lines(events: Iterable[dict[str, Any]]) -> None:
    for event in events:
        click.echo(orjson.dumps(event))


def _rows(events: Iterable[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for event in events:
        who = (event["position"], event["time"], event["by"], event["node_id"])
        yield *who, event["topic"], event["asset_id"], _changed(event["data"])


def _changed(data: dict[str, Any]) -> str:
    said = ((name, value) for name, value in data.items() if value or value == 0)
    return "  ".join(f"{name}={_short(value)}" for name, value in said)


def _short(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
