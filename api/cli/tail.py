"""`asset-ledger tail`: facts as they are recorded."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, SOURCE


@click.command()
@click.option("--after", type=click.IntRange(0), help="Begin after this position (default: now).")
@click.option("--count", type=click.IntRange(1), help="Stop after so many facts.")
@click.option("--job", "job_id", help="Only facts of this job.")
@click.option("--node", "node_id", help="Only facts of this node.")
@click.option("--workflow", "workflow_id", help="Only facts of this workflow.")
@click.option("--asset", "asset_id", help="Only facts of this asset.")
@click.option("--topic", multiple=True, help="Only this kind, such as asset.created; repeats.")
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
    """Print facts as they are recorded, until Ctrl-C. With --json, one fact a line.

    Reads the log alone, without a lock; or asks a server, and comes back when it was away.
    """
    from asset_ledger.api.cli.source import open_source

    asked = [(name, value) for name, values in filters.items() for value in _each(values)]
    with suppress(KeyboardInterrupt), open_source(data_dir, url, token, user) as source:
        for fact in islice(source.events(asked, after), count):
            click.echo(orjson.dumps(fact) if as_json else _line(fact))


def _each(values: str | Sequence[str] | None) -> Sequence[str]:
    return [values] if isinstance(values, str) else values or ()


def _line(fact: Mapping[str, Any]) -> str:
    names = ("job", "node", "asset")
    said = [f"{name}={fact[f'{name}_id']}" for name in names if fact[f"{name}_id"]]
    if fact["data"].get("name"):
        said.append(f"name={fact['data']['name']}")
    return f"{fact['position']:>9}  {fact['time']}  {fact['topic']:<22}  {'  '.join(said)}"
