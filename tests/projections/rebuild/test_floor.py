"""The SQL statements that the benchmarks of rebuilds compare with make the rows of the product."""

from pathlib import Path

import pytest
from rich.progress import Progress

from benchmarks.fill import ledger
from benchmarks.making import compare
from tests.postgres import Postgres


def test_statement_makes_the_rows_of_the_projection(tmp_path: Path) -> None:
    log = ledger(tmp_path, 200, Progress(disable=True)) / "ledger.db"

    compare(log, tmp_path)  # raises if a row differs


@pytest.mark.slow
def test_statement_of_postgresql_makes_the_rows_of_the_projection(
    postgres: Postgres, tmp_path: Path
) -> None:
    sizes = pytest.importorskip("benchmarks.postgres_sizes")
    making = pytest.importorskip("benchmarks.postgres_making")

    with sizes.filled(postgres, tmp_path, 200) as ledger, sizes.opened(ledger) as (store, feed):
        assert making.compare(store, feed) == 200  # raises if a row differs
