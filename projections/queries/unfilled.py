"""Columns that a migration added and that only a rebuild fills: nobody is answered from them.

A filter on a column that is NULL in every older row would find nothing, and say nothing of why.
"""

from collections.abc import Callable, Collection

from asset_ledger.ledger.errors import ViewBehindError

Unfilled = Callable[[], Collection[str]]
"""The columns of the generation in use that are not to be asked for: `assets.node_id`."""


def check_filled(unfilled: Unfilled, table: str, columns: Collection[str]) -> None:
    """Raises ViewBehindError where one of these is not filled yet."""
    lacking = unfilled()
    for column in sorted(columns) if lacking else ():
        if f"{table}.{column}" in lacking:
            raise ViewBehindError(f"{column} is being filled from the log; ask again in a while")
