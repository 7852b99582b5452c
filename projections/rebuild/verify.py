"""The tables held against the log: made again beside those in use, up to where those stand, and
compared row by row. Nothing of either is changed, so that their server may run.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.ledger.storage.sqlite import open_reader, read_only
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.rebuild.digest import digest
from asset_ledger.projections.runtime.database import Database, in_use, path_of
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, others
from asset_ledger.projections.runtime.runner import Progress, Runner

MOST: Final = 1_000
"""How many rows of a table are told of at most."""

_POSITIONS: Final = "SELECT position, log_id, leaf FROM main.positions"
_DIFFERENT: Final = """
    SELECT {key} FROM (SELECT * FROM main."{table}" EXCEPT SELECT * FROM again."{table}")
    UNION SELECT {key} FROM (SELECT * FROM again."{table}" EXCEPT SELECT * FROM main."{table}")
"""


class Verified(NamedTuple):
    """A file of tables, the position that it stands at, and the digest that its facts give."""

    file: str
    position: int
    digest: str


def verify_tables(
    folder: Path, scratch: Path, feed: FeedUpTo, progress: Progress
) -> Iterator[Finding | Verified]:
    """What is wrong with the tables in use, and what they should be. Made again in `scratch`.

    Raises DataFolderError for tables of another release, which only a start can bring here.
    """
    number = in_use(folder)
    if number is None:
        return
    parts: list[tuple[str, Sequence[Projection]]] = [("", PROJECTIONS)]
    found = others()
    parts += [(each.name, [each]) for each in (*FOLLOWING, *found.projections)]
    yield from (Finding(name, "as a whole", reason) for name, reason in found.broken.items())
    for part, projections in parts:
        path = path_of(folder, number, part)
        if path.exists():
            again = Database(scratch, 1, projections, part)
            with closing(again):
                yield from _Comparison(path, again, feed, progress).findings()


class _Comparison:
    """One file of tables, and its twin that is made from the log."""

    def __init__(self, path: Path, again: Database, feed: FeedUpTo, progress: Progress) -> None:
        self._path, self._again, self._feed, self._progress = path, again, feed, progress

    def findings(self) -> Iterator[Finding | Verified]:
        """Catch up with the file, then once more inside of a snapshot of it, and compare."""
        migrate(self._again)
        runner = Runner(self._again, self._feed)
        with closing(open_reader(self._path)) as db:
            self._refuse_other_schema(db)
            db.execute("ATTACH ? AS again", (read_only(self._again.path),))
            self._reach(runner, db)
            db.execute("BEGIN")
            if wrong := self._reach(runner, db):
                yield wrong
                return
            for table in self._again.tables:
                yield from _differences(db, self._path.name, table)
        yield Verified(self._path.name, runner.position, digest(self._again.tables))

    def _reach(self, runner: Runner, db: sqlite3.Connection) -> Finding | None:
        """Bring the twin to where the file stands; why it cannot be, where it cannot."""
        stands = set(db.execute(_POSITIONS))
        if len(stands) != 1:
            return self._finding("its projections stand at different positions")
        ((position, log_id, leaf),) = stands
        if position and (log_id, leaf) != (self._feed.log_id, self._feed.leaf_hash(position)):
            return self._finding(f"stands at a fact {position} that this log does not have")
        self._feed.upto = position
        runner.catch_up(self._progress)
        return self._finding(f"cannot be made again: {runner.error}") if runner.error else None

    def _finding(self, what: str) -> Finding:
        return Finding(self._path.name, "as a whole", what)

    def _refuse_other_schema(self, db: sqlite3.Connection) -> None:
        ours, theirs = (_schema(each) for each in (self._again.write, db))
        if ours != theirs:
            raise DataFolderError(
                f"{self._path.name} has the schema of another release: start the server once, "
                "or leave the tables out with --no-tables"
            )


def _schema(db: sqlite3.Connection) -> list[Any]:
    return db.execute("SELECT name FROM main.schema_migrations ORDER BY name").fetchall()


def _differences(db: sqlite3.Connection, file: str, table: str) -> Iterator[Finding]:
    """The rows, by their keys, that are only in one of the two, or not the same in both."""
    columns = db.execute(f'PRAGMA main.table_info("{table}")').fetchall()
    key = ", ".join(f'"{name}"' for _, name, *_, rank in columns if rank)
    for row in db.execute(_DIFFERENT.format(key=key, table=table)).fetchmany(MOST):
        yield Finding(f"{file} {table}", " ".join(map(str, row)), "is not what the facts make it")
