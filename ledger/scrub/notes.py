"""What the scrub remembers: a row for each part of a ledger, in `scrub.db`.

A part is a content, 256 events, or a table of the log. The file may be deleted at any time: its
rows are made again from the log. A command and a server may use it at the same time.
"""

import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, NamedTuple

from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.sqlite import BESIDE, is_fatal, open_reader, transaction

Cause = Literal["changed", "missing", "unreadable"]

AT_ONCE: Final = 256
"""Parts that are read, or whose results are stored, together."""
MOST: Final = 1_000
"""Damaged parts that are returned at most."""
REPEAT: Final = 3_600
"""Seconds after which a damaged part is read again."""

_DIGEST: Final = "sha256:"
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS followed (
        id INTEGER PRIMARY KEY, position INTEGER NOT NULL, leaf BLOB NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS parts (
        name BLOB PRIMARY KEY, size INTEGER NOT NULL, due REAL NOT NULL, checked_at REAL,
        cause TEXT, what TEXT) WITHOUT ROWID, STRICT""",
    "CREATE INDEX IF NOT EXISTS parts_due ON parts (due)",
    "CREATE INDEX IF NOT EXISTS parts_checked ON parts (checked_at)",
    "CREATE INDEX IF NOT EXISTS parts_damaged ON parts (name) WHERE cause IS NOT NULL",
)
_FOLLOWED: Final = "SELECT position, leaf FROM followed"
_FOLLOW: Final = "INSERT OR REPLACE INTO followed VALUES (1, ?, ?)"
_ADD: Final = "INSERT INTO parts (name, size, due) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_REMOVE: Final = "DELETE FROM parts WHERE name = ?"
_DUE: Final = "SELECT name, size FROM parts WHERE due <= ? ORDER BY due LIMIT ?"
_NEXT: Final = "SELECT name, size FROM parts WHERE name > ? ORDER BY name LIMIT ?"
_CHECKED: Final = "UPDATE parts SET checked_at = ?, due = ?, cause = ?, what = ? WHERE name = ?"
_DAMAGED: Final = "SELECT name, size, cause, what FROM parts WHERE cause IS NOT NULL LIMIT ?"
_WHOLE: Final = "SELECT 1 FROM parts WHERE name = ? AND checked_at IS NOT NULL AND cause IS NULL"
_BRING_FORWARD: Final = "UPDATE parts SET due = ? WHERE name = ? AND due > ?"
_BRING_FORWARD_UNREAD: Final = """UPDATE parts SET due = ?
    WHERE name = ? AND checked_at IS NULL"""
_LIMIT_DUE: Final = "UPDATE parts SET due = ? WHERE due > ?"
_TOTALS: Final = "SELECT count(*), coalesce(sum(size), 0) FROM parts"
_EARLIEST: Final = "SELECT min(due) FROM parts"
_OLDEST_CHECK: Final = "SELECT min(checked_at) FROM parts"
_CHECKS: Final = """SELECT name, checked_at, cause, what FROM parts WHERE name > ?
    ORDER BY name LIMIT ?"""
_LAST_CHECK: Final = "SELECT checked_at FROM parts WHERE name = ?"
_LEAF: Final = "SELECT hash FROM event_leaves WHERE position = ?"

logger = logging.getLogger(__name__)


class LedgerPart(NamedTuple):
    """A content by its digest, `events N` (256 of them, after 256 N) or `table NAME`."""

    name: str
    size: int

    @property
    def is_content(self) -> bool:
        """Whether the part is a content; else it belongs to the log."""
        return self.name.startswith(_DIGEST)


class Checked(NamedTuple):
    """A part that was read; `cause` and `what` are wrong with it, or None if it is whole.

    `is_gone`: it was collected.
    """

    part: LedgerPart
    cause: Cause | None = None
    what: str | None = None
    is_gone: bool = False


class LastCheck(NamedTuple):
    """When a part was read again (None: not yet), and what was wrong with it then."""

    name: str
    checked_at: float | None
    cause: Cause | None
    what: str | None


class ScrubNotes:
    """The file of one ledger. Threads may share it; its methods block. Raises sqlite3.Error."""

    def __init__(self, path: Path, log: Path, interval: float) -> None:
        """Open the file, made if absent; empty it if it belongs to another log.

        `interval`: the seconds in which every part is to be read once.
        """
        self._interval, self._lock = interval, Lock()
        try:
            self._db = _open(path)
        except sqlite3.Error as error:
            if not is_fatal(error):
                raise
            logger.warning("%s is damaged and is made again: %s", path, error)
            for suffix in ("", *BESIDE):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._db = _open(path)
        self.position = self._begin(log)

    def follow(self, changes: Mapping[str, int | None], upto: int, leaf: bytes) -> None:
        """Note the parts that the events up to a position added, with their sizes, or removed."""
        now = time.time()
        added = [
            (_key(name), size, now + self._interval * _spread(name))
            for name, size in changes.items()
            if size is not None
        ]
        with self._lock, transaction(self._db) as db:
            db.executemany(_ADD, added)
            db.executemany(_REMOVE, [(_key(n),) for n, size in changes.items() if size is None])
            db.execute(_FOLLOW, (upto, leaf))
        self.position = upto

    def due(self) -> list[LedgerPart]:
        """Return up to 256 parts that are due, the most overdue first."""
        return self._parts(_DUE, time.time(), AT_ONCE)

    def all(self) -> Iterator[LedgerPart]:
        """Yield the damaged parts, then every part, some of them twice."""
        yield from [each.part for each in self.damaged()]
        after = b""
        while parts := self._parts(_NEXT, after, AT_ONCE):
            yield from parts
            after = _key(parts[-1].name)

    def damaged(self) -> list[Checked]:
        """Return up to 1,000 damaged parts."""
        with self._lock:
            rows = self._db.execute(_DAMAGED, (MOST,)).fetchall()
        return [
            Checked(LedgerPart(_name(key), size), cause, what) for key, size, cause, what in rows
        ]

    def keep(self, results: Sequence[Checked]) -> None:
        """Store the results of checks. A damaged part is due again after an hour."""
        now = time.time()
        with self._lock, transaction(self._db) as db:
            for part, cause, what, is_gone in results:
                due = now + (self._interval if cause is None else min(self._interval, REPEAT))
                if is_gone:
                    db.execute(_REMOVE, (_key(part.name),))
                else:
                    db.execute(_CHECKED, (now, due, cause, what, _key(part.name)))

    def bring_forward(self, names: Iterable[str]) -> None:
        """Make these parts due now."""
        now = time.time()
        with self._lock, transaction(self._db) as db:
            db.executemany(_BRING_FORWARD, [(now, _key(name), now) for name in names])

    def bring_forward_unread(self, names: Iterable[str]) -> None:
        """Make those of these parts due now that were never read."""
        now = time.time()
        with self._lock, transaction(self._db) as db:
            db.executemany(_BRING_FORWARD_UNREAD, [(now, _key(name)) for name in names])

    def are_whole(self, names: Iterable[str]) -> set[str]:
        """Return which of these parts were checked and are not damaged."""
        with self._lock:
            return {name for name in names if self._db.execute(_WHOLE, (_key(name),)).fetchone()}

    def checks(self) -> Iterator[LastCheck]:
        """Yield the last check of every part. Nothing is locked between two pages."""
        after = b""
        while rows := self._rows(_CHECKS, after, AT_ONCE):
            for key, *check in rows:
                yield LastCheck(_name(key), *check)
            after = rows[-1][0]

    def totals(self) -> tuple[int, int]:
        """Return the number of parts and their bytes."""
        with self._lock:
            count, size = self._db.execute(_TOTALS).fetchone()
        return count, size

    def lateness(self) -> float:
        """Return the seconds since the most overdue part became due; 0 if none is."""
        with self._lock:
            (earliest,) = self._db.execute(_EARLIEST).fetchone()
        return 0.0 if earliest is None else max(0.0, time.time() - earliest)

    def oldest_check(self) -> float | None:
        """Return when the part was read that was not read again for the longest time.

        None before the first check. Parts that were never read do not count.
        """
        with self._lock:
            (oldest,) = self._db.execute(_OLDEST_CHECK).fetchone()
        return None if oldest is None else float(oldest)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _parts(self, sql: str, *parameters: object) -> list[LedgerPart]:
        return [LedgerPart(_name(key), size) for key, size in self._rows(sql, *parameters)]

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, parameters).fetchall()

    def _begin(self, log: Path) -> int:
        """Return the position up to which the log was followed; 0, and no parts, for another log.

        The times of parts are those of another interval if the setting was changed.
        """
        latest = time.time() + self._interval
        with self._lock, transaction(self._db) as db:
            position, leaf = db.execute(_FOLLOWED).fetchone() or (0, b"")
            if leaf and _has_another_leaf(log, position, leaf):
                db.execute("DELETE FROM parts")
                position = 0
            db.execute(_LIMIT_DUE, (latest, latest))
        return int(position)


def last_check(path: Path, digest: Digest) -> float | None:
    """Return when a content was read again, also by another process; None if not yet.

    A file that is absent or cannot be read has no checks: it is made again.
    """
    with suppress(sqlite3.Error), closing(open_reader(path)) as db:
        found = db.execute(_LAST_CHECK, (_key(digest),)).fetchone()
        return None if found is None else found[0]
    return None


def time_of(check: float | None) -> str | None:
    """Return the time of a check as text; None if there was none."""
    return iso(datetime.fromtimestamp(check, UTC)) if check else None


def _open(path: Path) -> sqlite3.Connection:
    """Open the file with a rollback journal, as two processes may write to it."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        for statement in ("PRAGMA synchronous=NORMAL", *_TABLES):
            db.execute(statement)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _has_another_leaf(log: Path, position: int, leaf: bytes) -> bool:
    """Return whether a log has another event at a position. What cannot be read is the same."""
    try:
        with closing(open_reader(log)) as db:
            rows = db.execute(_LEAF, (position,)).fetchall()
    except sqlite3.Error as error:
        if is_fatal(error):
            return False
        raise
    return rows != [(leaf,)]


def _spread(name: str) -> float:
    """Return a number from 0 to 1 that a name always has."""
    return zlib.crc32(name.encode()) / 2**32


def _key(name: str) -> bytes:
    """Return the primary key of a part: 32 bytes for a content."""
    return bytes.fromhex(name.removeprefix(_DIGEST)) if name.startswith(_DIGEST) else name.encode()


def _name(key: bytes) -> str:
    return f"{_DIGEST}{key.hex()}" if len(key) == 32 else key.decode()
