"""The tables of the Merkle tree: leaf hashes, full tiles of level 1 and above, signed checkpoints.

The log writes their rows in its own transactions; they never change.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.merkle.tiles import WIDTH, Tiles, completed
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.ledger.storage.sqlite import RESTORE, transaction

TREE_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS merkle_tiles (
        level INTEGER NOT NULL, idx INTEGER NOT NULL, hashes BLOB NOT NULL,
        PRIMARY KEY (level, idx)) STRICT""",
    "CREATE TABLE IF NOT EXISTS checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT",
)
TREE_GUARDS: Final = tuple(
    f"""CREATE TRIGGER IF NOT EXISTS {table}_never_{verb} BEFORE {verb} ON {table}
    BEGIN SELECT RAISE(ABORT, 'events never change'); END"""
    for table in ("merkle_tiles", "checkpoints")
    for verb in ("UPDATE", "DELETE")
) + tuple(
    f"""CREATE TRIGGER IF NOT EXISTS {table}_never_REPLACE BEFORE INSERT ON {table}
    WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
    BEGIN SELECT RAISE(ABORT, 'events never change'); END"""
    for table, same in (
        ("merkle_tiles", "level = NEW.level AND idx = NEW.idx OR rowid = NEW.rowid"),
        ("checkpoints", "size = NEW.size"),
    )
)

_LEAF_HASHES: Final = """SELECT hash FROM event_leaves
    WHERE position > ? AND position <= ? ORDER BY position"""
_TILE: Final = "SELECT hashes FROM merkle_tiles WHERE level = ? AND idx = ?"
_INSERT_TILE: Final = "INSERT INTO merkle_tiles VALUES (?, ?, ?)"
_CHECKPOINTS: Final = "SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size LIMIT ?"
_INSERT_CHECKPOINT: Final = "INSERT INTO checkpoints VALUES (?, ?)"
_TILED: Final = "SELECT coalesce(max(idx) + 1, 0) FROM merkle_tiles WHERE level = 1"
_SIGNED: Final = "SELECT coalesce(max(size), 0) FROM checkpoints"

_TILE_EVENTS: Final = WIDTH**2
"""The number of events under a full tile of level 1."""

_COMMIT_EVENTS: Final = 64 * _TILE_EVENTS

logger = logging.getLogger(__name__)


class TreeRows:
    """Reads the tables of the tree through a function that runs a SELECT."""

    def __init__(self, select: Callable[[str, Sequence[Any]], list[Any]]) -> None:
        self._select = select

    def leaf_hashes(self, after: int, limit: int) -> list[bytes]:
        """Return the leaf hashes of the next `limit` events after a position."""
        return [hashed for (hashed,) in self._select(_LEAF_HASHES, (after, after + limit))]

    def full_tile(self, level: int, index: int) -> bytes | None:
        """Return a full tile of level 1 or above, 256 hashes of 32 bytes; None until it is full."""
        rows = self._select(_TILE, (level, index))
        return rows[0][0] if rows else None

    def checkpoints(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Return up to `limit` (size, signed checkpoint) of trees larger than `after`, in order."""
        return self._select(_CHECKPOINTS, (after, limit))


def keep_tiles(db: SqlConnection, before: int, size: int) -> None:
    """Insert the tiles that the events after `before` filled. The caller owns the transaction.

    Raises CorruptLogError if leaf hashes are missing.
    """
    if before // _TILE_EVENTS == size // _TILE_EVENTS:
        return
    tiles = Tiles(_rows_of(db))
    for tile in completed(before, size):
        db.execute(_INSERT_TILE, (tile.level, tile.index, tiles.hashes(tile)))


def add_missing_tiles(db: sqlite3.Connection, size: int) -> None:
    """Insert the tiles that an earlier release did not store; continue if that was interrupted.

    Raises CorruptLogError if the log has fewer events than its tiles or checkpoints.
    """
    (tiled,), (signed,) = (db.execute(sql).fetchone() for sql in (_TILED, _SIGNED))
    grown = max(tiled * _TILE_EVENTS, signed)
    if grown > size:
        loss = f"the log has {size:,} events and had {grown:,}: its end is missing"
        raise CorruptLogError(f"{loss}. {RESTORE}")
    for before in range(tiled * _TILE_EVENTS, size - size % _TILE_EVENTS, _COMMIT_EVENTS):
        done = min(before + _COMMIT_EVENTS, size)
        with transaction(db):
            keep_tiles(db, before, done)
        logger.info("stored the Merkle tiles of %d of %d events", done, size)


def keep_checkpoint(db: SqlConnection, size: int, note: str) -> str:
    """Store a signed checkpoint unless one of its size is stored. Return the stored one.

    The caller owns the transaction.
    """
    stored = dict(_rows_of(db).checkpoints(size - 1, 1)).get(size)
    if stored is None:
        db.execute(_INSERT_CHECKPOINT, (size, note))
    return stored or note


def _rows_of(db: SqlConnection) -> TreeRows:
    return TreeRows(lambda sql, parameters: db.execute(sql, parameters).fetchall())
