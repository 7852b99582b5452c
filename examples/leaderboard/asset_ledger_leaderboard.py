"""Nodes by the number of assets they made on a day: a projection as an installable package.

    pip install ./examples/leaderboard      # next to the server; then restart the server
    python -m asset_ledger_leaderboard data 2026-01-24

Promise: it counts creations, so a later deletion does not change a day.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from asset_ledger.ledger.domain.asset import AssetCreated
from asset_ledger.ledger.domain.event import Recorded, iso, moment
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.projection import Statement
from asset_ledger.projections.runtime.store import in_use
from asset_ledger.projections.runtime.table_files import TableFiles

COUNT = """
    INSERT INTO leaderboard (user_id, day, node_id, assets, bytes) VALUES (?, ?, ?, 1, ?)
    ON CONFLICT DO UPDATE SET assets = assets + 1, bytes = bytes + excluded.bytes
"""
BEST = """
    SELECT node_id, assets, bytes FROM leaderboard WHERE user_id = ? AND day = ?
    ORDER BY assets DESC, bytes DESC, node_id LIMIT ?
"""


def create(db: SqlConnection) -> None:
    """Create the table. It has a primary key, as every table of a projection must."""
    db.execute(
        """
        CREATE TABLE leaderboard (
            user_id TEXT NOT NULL,
            day TEXT NOT NULL,      -- in UTC, of the recording
            node_id TEXT NOT NULL,
            assets INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            PRIMARY KEY (user_id, day, node_id)
        ) WITHOUT ROWID
        """
    )


class Leaderboard:
    """A projection with one table."""

    name = "leaderboard"
    migrations = (Migration("20260124_000000_create_leaderboard", create, needs_events=True),)

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Count a new asset for its node, if it has one."""
        event = recorded.event
        if isinstance(event, AssetCreated) and event.node_id is not None:
            day = iso(moment(event))[:10]
            row = (event.user_id, day, event.node_id, event.size)
            yield Statement(COUNT, row, independent=True)


class Place(NamedTuple):
    """A node and its assets on a day."""

    node_id: str
    assets: int
    bytes: int


def best(folder: Path, day: str, user_id: str = "1", limit: int = 10) -> list[Place]:
    """Return the nodes with most assets on a day, [] without this table. A server may run."""
    tables = TableFiles(folder)
    generation = in_use(tables)
    if generation is None or not tables.has(generation, Leaderboard.name):
        return []
    with tables.reading(generation, Leaderboard.name) as db:
        return [Place(*row) for row in db.execute(BEST, (user_id, day, limit))]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("day")
@click.option("--user", default="1", show_default=True, help="The owner of the assets.")
def main(folder: Path, day: str, user: str) -> None:
    """Print the nodes with most assets on DAY (2026-01-24) in the ledger of FOLDER."""
    line = "{:>3}  {:<24}{:>8,} assets{:>16,} bytes".format
    for rank, place in enumerate(best(folder, day, user), 1):
        click.echo(line(rank, *place))


if __name__ == "__main__":
    main()
