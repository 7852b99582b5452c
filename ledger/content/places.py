"""The places of small contents: a row for each in the table `contents` of the log. The table
`objects` has those of large ones in an object store.

A row is stored in the transaction of the events that name its content, after its bytes are durable
in a pack (`content.packs`). Rows are not events: collection may change and delete them.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.ids import Digest, digest_from_hex
from asset_ledger.ledger.storage.sqlite import insert_rows

CONTENTS_TABLE: Final = """CREATE TABLE IF NOT EXISTS contents (
    digest BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL
    ) WITHOUT ROWID, STRICT"""

OBJECTS_TABLE: Final = """CREATE TABLE IF NOT EXISTS objects (
    digest BLOB PRIMARY KEY, url TEXT NOT NULL UNIQUE, size INTEGER NOT NULL
    ) WITHOUT ROWID, STRICT"""

# The newest object is taken: its bytes were complete a moment ago, and the former may be damaged.
INSERT_OBJECT: Final = """INSERT INTO objects VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE
    SET url = excluded.url, size = excluded.size"""
FIND_OBJECT: Final = "SELECT url FROM objects WHERE digest = ?"
DELETE_OBJECT: Final = "DELETE FROM objects WHERE digest = ?"

COLLECTED_TABLE: Final = """CREATE TABLE IF NOT EXISTS collected (
    digest BLOB PRIMARY KEY, position INTEGER NOT NULL, recorded_at TEXT NOT NULL
    ) WITHOUT ROWID, STRICT"""
"""The contents that were collected and not stored again since, with the event and its time."""

COLLECTED_AT: Final = "SELECT recorded_at FROM collected WHERE digest = ?"

# The content was appended again because the pack that the old row names has lost it.
_INSERT: Final = """INSERT INTO contents VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE
    SET pack = excluded.pack, offset = excluded.offset, size = excluded.size"""
_FIND: Final = "SELECT digest, pack, offset, size FROM contents WHERE digest IN ({})"
_AT_ONCE: Final = 64

Select = Callable[[str, Sequence[Any]], list[Any]]
"""Run a SELECT, and return its rows."""


class Place(NamedTuple):
    """Where a small content is: its record starts at byte `offset` of a pack."""

    digest: Digest
    pack: int
    offset: int
    size: int


def place_query(digests: Sequence[Digest]) -> tuple[str, list[bytes]]:
    """Return the SQL and the parameters that select the places of 1 to 64 contents."""
    keys = [key_of(digest) for digest in digests]
    marks = 1 << (len(keys) - 1).bit_length()  # few different statements, each prepared once
    return _find(marks), keys + keys[:1] * (marks - len(keys))


def find_places(select: Select, digests: Sequence[Digest]) -> dict[Digest, Place]:
    """Return the places of those of these contents that are packed."""
    found: dict[Digest, Place] = {}
    for start in range(0, len(digests), _AT_ONCE):
        for row in select(*place_query(digests[start : start + _AT_ONCE])):
            place = place_of(row)
            found[place.digest] = place
    return found


def insert_places(db: sqlite3.Connection, places: Sequence[Place]) -> None:
    """Insert these rows. The caller owns the transaction."""
    insert_rows(db, _INSERT, [(key_of(digest), *place) for digest, *place in places])


def place_of(row: Sequence[Any]) -> Place:
    """Return the place in a row of `place_query`."""
    key, pack, offset, size = row
    return Place(digest_from_hex(key.hex()), pack, offset, size)


def key_of(digest: Digest) -> bytes:
    """Return the 32 bytes of a digest, as rows and records hold it."""
    return bytes.fromhex(digest.removeprefix("sha256:"))


@lru_cache
def _find(count: int) -> str:
    return _FIND.format(", ".join("?" * count))
