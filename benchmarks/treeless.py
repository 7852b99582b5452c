"""The product without its Merkle tree: no leaf is hashed or stored.

    python -m benchmarks.treeless FOLDER

Promise: it differs from the product in nothing else. Its log cannot be opened again.
"""

from pathlib import Path
from unittest.mock import patch

import click
import uvloop

from asset_ledger.api.backend import open_backend
from asset_ledger.api.serving import reserve, serve
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.log.group import Group
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader


class TreelessLog(SqliteLog):
    """A log without leaves."""

    def _insert(self, group: Group) -> None:
        group.rows.leaves.clear()
        super()._insert(group)


async def run(folder: Path) -> None:
    settings = Settings(data_dir=folder, port=0)
    sockets = reserve(settings)
    async with open_backend(settings) as backend:
        await serve(backend, sockets, click.echo)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Serve FOLDER, which must not exist yet, and print the address."""
    with (
        patch("asset_ledger.api.engine.SqliteLog", TreelessLog),
        patch("asset_ledger.ledger.log.group.leaf_of", lambda *_: b""),
        patch("asset_ledger.ledger.log.group.leaf_hash", lambda _: b""),
        patch("asset_ledger.ledger.log.sqlite.keep_tiles", lambda *_: None),
        # The projections store the leaf hash of their position.
        patch.object(SqliteLogReader, "leaf_hash", lambda *_: b""),
    ):
        uvloop.run(run(folder))


if __name__ == "__main__":
    main()
