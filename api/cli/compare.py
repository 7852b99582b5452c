"""`asset-ledger compare`: where the assets of two jobs differ."""

from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, SOURCE
from asset_ledger.api.cli.output import echo

DIFFERENT = 1


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--attempt",
    "attempts",
    type=click.IntRange(1),
    multiple=True,
    help="Of both jobs; given twice, of A, then of B (default: the last of each).",
)
@SOURCE
@JSON
def compare(a: str, b: str, attempts: tuple[int, ...], as_json: bool, **where: Any) -> None:
    """Compare the assets of jobs A and B, by node and name. Exit code 1 when they differ.

    Reads only the log, without a lock; or, with --url, asks a server.
    """
    from asset_ledger.api.cli.source import open_source

    with open_source(**where) as source:
        comparison = source.comparison(a, b, attempts)
    if as_json:
        echo(orjson.dumps(comparison))
    else:
        _print_table(comparison)
    if comparison["first_divergence"] is not None:
        click.get_current_context().exit(DIFFERENT)


def _print_table(comparison: dict[str, Any]) -> None:
    from asset_ledger.api.cli.tables import print_table

    rows = [_cells(row) for row in comparison["rows"] if row["status"] != "same"]
    if rows:
        title = f"differences between {comparison['a']} (a) and {comparison['b']} (b)"
        print_table(title, ("status", "node", "name", "nth", "digest in a", "digest in b"), rows)
    counts = comparison["counts"].items()
    echo("  ".join(f"{status.replace('_', ' in ')} {count:,}" for status, count in counts))


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    status = row["status"].replace("_", " in ")
    return status, row["node_id"], row["name"], row["nth"], _digest(row["a"]), _digest(row["b"])


def _digest(asset: dict[str, Any] | None) -> str | None:
    if asset is None or asset["digest"] is None:
        return None
    return str(asset["digest"].removeprefix("sha256:")[:12])
