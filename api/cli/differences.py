"""Print what a rebuild changes in the tables: counts by table, then some of the rows."""

from collections.abc import Iterator, Mapping
from typing import Any

from asset_ledger.api.cli.output import echo
from asset_ledger.api.cli.tables import print_table

_HEADINGS = ("table", "rows before", "after", "added", "removed", "changed", "columns")


def print_differences(comparison: Mapping[str, Any] | None) -> None:
    """Print the counts as a table, then one line for each row of the comparison."""
    if comparison is None:
        echo("no tables are in use to compare these with")
        return
    generations = comparison["generations"]
    title = f"generation {generations['after']} against {generations['before']}"
    tables = comparison["tables"]
    print_table(title, _HEADINGS, [_counts(table) for table in tables])
    for table in tables:
        for row in table["rows"]:
            echo(_line(table["table"], row))


def summary(comparison: Mapping[str, Any]) -> str:
    """Return one line: how many rows differ, and in which tables."""
    count = comparison["differences"]
    of = [f"{n} of {t['table']}" for t in comparison["tables"] if (n := _differing(t))]
    return f"{count:,} rows differ" + (f": {', '.join(of)}" if of else "")


def _differing(table: Mapping[str, Any]) -> int:
    return int(table["added"] + table["removed"] + table["changed"])


def _counts(table: Mapping[str, Any]) -> tuple[Any, ...]:
    counts = (table[name] for name in ("before", "after", "added", "removed", "changed"))
    return (table["table"], *counts, " ".join(_columns(table)))


def _columns(table: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name}:{count}" for name, count in table["columns"].items())
    yield from (f"+{name}" for name in table["new_columns"])
    yield from (f"-{name}" for name in table["lost_columns"])


def _line(table: str, row: Mapping[str, Any]) -> str:
    key = " ".join(f"{name}={value}" for name, value in row["key"].items())
    values = (f"{n}: {v['before']!r} -> {v['after']!r}" for n, v in row["columns"].items())
    return "  ".join([f"{table} {key} {row['change']}", *values])
