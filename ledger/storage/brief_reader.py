"""The event loop's own connection to a file, for statements that find a few rows by an index.

Such a statement costs less than the way to a thread and back. Promise: none holds the event loop up
for longer than `LONGEST` and the rows of `STEPS`; and those that were broken off there hold it up
for a fiftieth of the time in all, since threads read for so long after each.
"""

import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.storage.sqlite import open_reader

LONGEST: Final = 0.002
"""Seconds after which a statement is broken off, thirty times what a page of 50 takes: the disk is
slow then, or the rows are large, or other threads keep the interpreter busy."""
STEPS: Final = 100
"""How often that is looked at: so many steps of SQLite's machine are about six rows of a page."""
REST: Final = 50
"""After a statement that took too long, threads read for so many times as long as it took."""

MAPPED: Final = 2_147_418_112
"""Bytes of the file to map into memory, the most that SQLite maps: pages are copied beyond them.
Copying takes a third of a page's time. A disk that fails under a mapping ends the process (SIGBUS):
projections may be read like this, since the log has all that is in them, but nothing else."""


class BriefReader:
    """One connection, used on one event loop, which the first statement opens.

    `clock` answers seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.perf_counter) -> None:
        self._path, self._clock = path, clock
        self._db: sqlite3.Connection | None = None
        self._end = self._rests_until = 0.0

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Any] | None:
        """All rows of one statement; None where a thread has to read them."""
        began = self._clock()
        if began < self._rests_until:
            return None
        self._end = began + LONGEST
        try:
            return self._opened().execute(sql, parameters).fetchall()
        except sqlite3.OperationalError:  # broken off or locked; any other, the thread meets too
            return None
        finally:
            self._note(began, self._clock())

    def close(self) -> None:
        """Close the connection, if it was opened: from here on it is threads that are asked."""
        self._rests_until = math.inf
        if self._db is not None:
            self._db.close()

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            db = open_reader(self._path, timeout=0)  # waiting for a lock is for threads
            db.execute(f"PRAGMA mmap_size={MAPPED}")
            db.set_progress_handler(self._is_late, STEPS)
            self._db = db
        return self._db

    def _is_late(self) -> bool:
        return self._clock() > self._end

    def _note(self, began: float, ended: float) -> None:
        if ended > self._end:
            self._rests_until = ended + REST * (ended - began)
