"""The rows that the Merkle tree is read from: leaf hashes, full tiles of level 1 and up, and the
checkpoints that were signed. They are written in the log's own transactions and never change.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.merkle.tiles import WIDTH, Tiles, completed
from asset_ledger.ledger.storage.sqlite import transaction

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

_A_TILE: Final = WIDTH**2
"""How many events fill a tile of level 1."""

_A_COMMIT: Final = 64 * _A_TILE

logger = logging.getLogger(__name__)


class TreeRows:
    """The tree's rows, through whatever answers a SELECT."""

    def __init__(self, select: Callable[[str, Sequence[Any]], list[Any]]) -> None:
        self._select = select

    def leaf_hashes(self, after: int, limit: int) -> list[bytes]:
        """The leaf hashes of the next events after a position."""
        return [hashed for (hashed,) in self._select(_LEAF_HASHES, (after, after + limit))]

    def full_tile(self, level: int, index: int) -> bytes | None:
        """A full tile of level 1 or up, if it is kept: 256 hashes in one piece."""
        rows = self._select(_TILE, (level, index))
        return rows[0][0] if rows else None

    def checkpoints(self, after: int, limit: int) -> list[tuple[int, str]]:
        """The signed checkpoints of trees larger than this, with their sizes, in order."""
        return self._select(_CHECKPOINTS, (after, limit))


def keep_tiles(db: sqlite3.Connection, before: int, size: int) -> None:
    """Insert the tiles that the events after `before` filled, into a transaction that is ours."""
    if before // _A_TILE == size // _A_TILE:
        return
    tiles = Tiles(_rows_of(db))
    try:
        rows = [(tile.level, tile.index, tiles.hashes(tile)) for tile in completed(before, size)]
    except CorruptLogError as error:  # to a writer, a file that lacks rows is a broken file
        raise _broken(error) from error
    db.executemany(_INSERT_TILE, rows)


def _broken(error: CorruptLogError) -> sqlite3.DatabaseError:
    broken = sqlite3.DatabaseError(str(error))
    broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return broken


def bring_tree_up(db: sqlite3.Connection, size: int) -> None:
    """Keep the tiles that an earlier release did not, and go on where that was interrupted.

    Raises CorruptLogError for a log that is shorter than its tree was.
    """
    (tiled,), (signed,) = (db.execute(sql).fetchone() for sql in (_TILED, _SIGNED))
    grown = max(tiled * _A_TILE, signed)
    if grown > size:
        raise CorruptLogError(f"the log has {size:,} events and had {grown:,}: its end is missing")
    for before in range(tiled * _A_TILE, size - size % _A_TILE, _A_COMMIT):
        with transaction(db):
            keep_tiles(db, before, min(before + _A_COMMIT, size))
        logger.info("the tree has tiles over %d of %d events", min(before + _A_COMMIT, size), size)


def keep_checkpoint(db: sqlite3.Connection, size: int, note: str) -> str:
    """Keep a signed checkpoint, unless one of its size is kept: answers the one that is."""
    with transaction(db):
        kept = dict(_rows_of(db).checkpoints(size - 1, 1)).get(size)
        if kept is None:
            db.execute(_INSERT_CHECKPOINT, (size, note))
    return kept or note


def _rows_of(db: sqlite3.Connection) -> TreeRows:
    return TreeRows(lambda sql, parameters: db.execute(sql, parameters).fetchall())
