"""A commit that stops half-way for as long as a test likes: somebody else holds the lock."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_locked(path: Path) -> Iterator[None]:
    """Keep everybody from writing to a file of SQLite's. Nothing is written by it.

    SQLite waits for five seconds before a writer is told.
    """
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")
    finally:
        db.close()
