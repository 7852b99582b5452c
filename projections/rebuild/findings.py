"""Report the differences of tables as findings: file and table, row key, and what is wrong."""

from collections.abc import Iterator
from typing import Final

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.projections.rebuild.comparison import FileComparison
from asset_ledger.projections.rebuild.difference import RowDifference, TableDifference

WHOLE: Final = "as a whole"
"""Replaces the row key in a finding about a whole file or table."""


def row_findings(comparison: FileComparison) -> Iterator[Finding]:
    """Yield a finding for each example row, and the number of all if there are more."""
    for table in comparison.tables:
        name = f"{comparison.file} {table.table}"
        yield from (Finding(name, _key(row), _problem(row)) for row in table.rows)
        yield from (Finding(name, WHOLE, what) for what in _table_findings(table))


def _table_findings(table: TableDifference) -> Iterator[str]:
    if table.differing > len(table.rows):
        named = f"{len(table.rows):,} are named"
        yield f"{table.differing:,} rows are not what the events make them; {named}"
    yield from (f"lacks the column {name}" for name in table.new_columns)
    yield from (f"has a column of no migration, {name}" for name in table.lost_columns)


def _key(row: RowDifference) -> str:
    return " ".join(f"{name}={value}" for name, value in row.key.items())


def _problem(row: RowDifference) -> str:
    if row.change == "added":
        return "is missing"
    if row.change == "removed":
        return "is there, and no event makes it"
    return f"is not what the events make it: {', '.join(row.columns)}"
