"""`asset-ledger replay`: a job's history from the facts, whether a server runs or not."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import orjson

from api.cli.options import DATA_DIR, JSON, USER, existing_log

PAGE: Final = 1_000


@click.command()
@click.argument("job_id")
@DATA_DIR
@USER
@JSON
def replay(job_id: str, data_dir: Path | None, user: str, as_json: bool) -> None:
    """List the facts of JOB_ID in order: what happened, when, by whom, and what it changed.

    Reads the log alone, without a lock: it works while a server runs and while the tables are
    missing. With --json, one fact a line.
    """
    from ledger.codec import Codec
    from ledger.log.sqlite_reader import SqliteLogReader
    from ledger.replay import Replay

    log = SqliteLogReader(existing_log(data_dir))
    try:
        facts = _facts(Replay(log, Codec()), user, job_id)
        if as_json:
            _print_lines(facts)
        else:
            _print_table(job_id, facts)
    finally:
        log.close()


def _facts(replay: Any, user: str, job_id: str) -> Iterator[dict[str, Any]]:
    """The job's facts as the API shows them, a page at a time. Raises UnknownJobError."""
    from api.contract.facts import fact_out

    after, page = 0, [None]
    while page:
        page = replay.job(user, job_id, after, PAGE)
        for recorded in page:
            after = recorded.position
            yield fact_out(recorded)


def _print_lines(facts: Iterable[dict[str, Any]]) -> None:
    for fact in facts:
        click.echo(orjson.dumps(fact))


def _print_table(job_id: str, facts: Iterable[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Into a pipe no screen is too narrow: one fact stays one line.
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    table = Table(title=Text(f"job {job_id}"), title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("position", "time", "by", "node", "fact", "asset", "what changed"):
        table.add_column(heading, overflow="fold")
    for fact in facts:
        cells = (fact["position"], fact["time"], fact["by"], fact["node_id"], fact["topic"])
        what = (fact["asset_id"], _changed(fact["data"]))
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in (*cells, *what)))
    console.print(table)


def _changed(data: dict[str, Any]) -> str:
    said = ((name, value) for name, value in data.items() if value or value == 0)
    return "  ".join(f"{name}={_short(value)}" for name, value in said)


def _short(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
