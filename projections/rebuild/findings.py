"""Differences of tables as findings: the file and table, the key of the row, what is wrong."""

from collections.abc import Iterator
from typing import Final

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.projections.rebuild.comparison import FileComparison
from asset_ledger.projections.rebuild.difference import RowDifference, TableDifference

WHOLE: Final = "as a whole"
"""Stands for a row, where a finding is about all of a file or table."""


def row_findings(comparison: FileComparison) -> Iterator[Finding]:
    """Name each row that differs; of a table with many, some of them and their number."""
    for table in comparison.tables:
        name = f"{comparison.file} {table.table}"
        yield from (Finding(name, _key(row), _wrong(row)) for row in table.rows)
        yield from (Finding(name, WHOLE, what) for what in _wrong_as_a_whole(table))


def _wrong_as_a_whole(table: TableDifference) -> Iterator[str]:
    if table.differing > len(table.rows):
        named = f"{len(table.rows):,} are named"
        yield f"{table.differing:,} rows are not what the events make them; {named}"
    yield from (f"lacks the column {name}" for name in table.new_columns)
    yield from (f"has a column of no migration, {name}" for name in table.lost_columns)


def _key(row: RowDifference) -> str:
    return " ".join(f"{name}={value}" for name, value in row.key.items())


def _wrong(row: RowDifference) -> str:
    if row.change == "added":
        return "is missing"
    if row.change == "removed":
        return "is there, and no event makes it"
    return f"is not what the events make it: {', '.join(row.columns)}"
