"""The event loop's own connection to a file, for statements that find a few rows by an index.

Such a statement takes less time than a hop to a thread and back. Promise: none blocks the event
loop for longer than `LONGEST` and the rows of `STEPS`. Slow statements of one user block it for a
fiftieth of the time, and those of all users for a sixth, because only threads read after each.
"""

import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.storage.sqlite import open_reader
from asset_ledger.ledger.storage.turns import Rests

LONGEST: Final = 0.002
"""Seconds after which a statement is interrupted, thirty times what a page of 50 rows takes. The
disk is slow then, or the rows are large, or other threads keep the interpreter busy."""
STEPS: Final = 100
"""SQLite virtual machine steps between two looks at the clock: about six rows of a page."""
REST: Final = 50
"""After a slow statement, only threads read for its user for this many times as long as it took."""
REST_OF_ALL: Final = 5
"""Times as long as it took in which only threads read for any user."""

MAPPED: Final = 2_147_418_112
"""Bytes of the file to map into memory, the most that SQLite maps. Copying pages instead takes a
third of a page's time. A disk error under a mapping ends the process (SIGBUS), so only tables may
be read like this: they can be rebuilt from the log."""


class BriefReader:
    """A connection of one event loop, which the first statement opens.

    `clock` returns seconds. `mapped`: read the file through memory, for tables only.
    """

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.perf_counter, mapped: bool = True
    ) -> None:
        self._path, self._clock, self._mapped = path, clock, mapped
        self._db: sqlite3.Connection | None = None
        self._end = self._rests_until = 0.0
        self._rests = Rests()

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Any] | None:
        """Return all rows of one statement; None if a thread has to read them."""
        began = self._clock()
        if began < max(self._rests_until, self._rests.until):
            return None
        self._end = began + LONGEST
        try:
            return self._opened().execute(sql, parameters).fetchall()
        except sqlite3.OperationalError:  # interrupted or locked; a thread gets any other error too
            return None
        finally:
            self._note(began, self._clock())

    def close(self) -> None:
        """Close the connection, if it was opened. From now on, only threads read."""
        self._rests_until = math.inf
        if self._db is not None:
            self._db.close()

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            db = open_reader(self._path, timeout=0)  # never wait for a lock on the event loop
            db.execute(f"PRAGMA mmap_size={MAPPED if self._mapped else 0}")
            db.set_progress_handler(self._is_late, STEPS)
            self._db = db
        return self._db

    def _is_late(self) -> bool:
        return self._clock() > self._end

    def _note(self, began: float, ended: float) -> None:
        if ended > self._end:
            self._rests_until = ended + REST_OF_ALL * (ended - began)
            self._rests.until = ended + REST * (ended - began)
