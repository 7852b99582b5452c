"""`asset-ledger tail`: print events as they are recorded."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, SOURCE
from asset_ledger.api.cli.output import echo


@click.command()
@click.option("--after", type=click.IntRange(0), help="Begin after this position (default: now).")
@click.option("--count", type=click.IntRange(1), help="Stop after so many events.")
@click.option("--job", "job_id", help="Only events of this job.")
@click.option("--attempt", type=click.IntRange(1), help="Only events of this attempt of a job.")
@click.option("--node", "node_id", help="Only events of this node.")
@click.option("--workflow", "workflow_id", help="Only events of this workflow.")
@click.option("--asset", "asset_id", help="Only events of this asset.")
@click.option("--topic", multiple=True, help="Only events such as asset.created; repeatable.")
@SOURCE
@JSON
def tail(
    after: int | None,
    count: int | None,
    data_dir: Path | None,
    url: str | None,
    token: str | None,
    user: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Print events as they are recorded, until Ctrl-C. With --json, one event a line.

    Reads only the log, without a lock. With --url, asks a server, and reconnects if it restarts.
    """
    from asset_ledger.api.cli.source import open_source

    chosen = [(name, value) for name, values in filters.items() for value in _each(values)]
    opened = open_source(data_dir, url, token, user)
    with suppress(KeyboardInterrupt), opened as source:
        for event in islice(source.events(chosen, after), count):
            echo(orjson.dumps(event) if as_json else _line(event))


def _each(values: str | int | Sequence[str] | None) -> Sequence[str]:
    return [str(values)] if isinstance(values, str | int) else values or ()


def _line(event: Mapping[str, Any]) -> str:
    names = ("job", "node", "asset")
    shown = [f"{name}={event[f'{name}_id']}" for name in names if event[f"{name}_id"]]
    if event["clock"]:
        shown.append(f"clock={event['clock']}")
    if event["data"].get("name"):
        shown.append(f"name={event['data']['name']}")
    return f"{event['position']:>9}  {event['time']}  {event['topic']:<22}  {'  '.join(shown)}"
