"""The SQL statement that the benchmark of a rebuild compares with makes the rows of the product."""

from pathlib import Path

from rich.progress import Progress

from benchmarks.fill import ledger
from benchmarks.making import compare


def test_statement_makes_the_rows_of_the_projection(tmp_path: Path) -> None:
    log = ledger(tmp_path, 200, Progress(disable=True)) / "ledger.db"

    compare(log, tmp_path)  # raises if a row differs
