"""Run by test_kills: kill a start, and then a rebuild, before each of their SQL statements.

`python -m tests.projections.kills FOLDER` takes a folder with a log and the tables from before the
second migration. With the argument `expands`, its log counts as long. For each k the program copies
the folder, forks a child that exits before its k-th statement on the tables, and starts from the
files that the child left. It prints a JSON object for each kill: the work, k, and the digest, error
and state after the next start. It ends once a child survives all of its statements.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from asset_ledger.ledger.storage.sqlite import open_writer
from asset_ledger.projections.rebuild import build
from asset_ledger.projections.runtime import bulk, migrate, registry, runner, table_files
from asset_ledger.projections.runtime import start as rebuild
from asset_ledger.projections.runtime.table_files import TableFiles
from tests.projections.world import digest_of, world

DEAD, ALIVE = 9, 0


class Mortal(sqlite3.Connection):
    """A connection that exits the process before a statement, as a SIGKILL does."""

    allowed = 0

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.set_trace_callback(self.count)

    @staticmethod
    def count(sql: str) -> None:
        if sql.startswith("-- "):  # the inner statements of a full-text index
            return
        if not Mortal.allowed:
            os._exit(DEAD)
        Mortal.allowed -= 1


def run_child(folder: Path, allowed: int, work: Callable[[Path], None]) -> int:
    """Return the exit code of a child that may run so many statements."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    Mortal.allowed = allowed
    runner.BATCH = 5  # type: ignore[misc]  # so that kills happen between batches too
    bulk.BATCH = 5  # type: ignore[attr-defined]
    bulk.BATCHES_PER_TRANSACTION = 2  # type: ignore[misc]
    table_files.open_writer = partial(open_writer, factory=Mortal)  # type: ignore[attr-defined]
    work(folder)
    os._exit(ALIVE)


def starts(folder: Path) -> None:
    """Start: migrate the older tables."""
    with world(folder) as here, here.projections() as live:
        for projection in registry.FOLLOWING:
            rebuild.follow(TableFiles(folder), live.database.number, projection, here.feed).close()


def expands(folder: Path) -> None:
    """Start with a long log: expand the older tables in place."""
    migrate.LONG = 0  # type: ignore[misc]
    starts(folder)


def rebuilds(folder: Path) -> None:
    """Rebuild the tables."""
    with world(folder) as here:
        build.rebuild(TableFiles(folder), here.feed)


def after(folder: Path) -> dict[str, Any]:
    """Return the digest, error and state after the next start."""
    with world(folder) as here, here.projections() as runner:
        return {
            "digest": digest_of(runner),
            "error": runner.error and repr(runner.error),
            "state": runner.database.state,
        }


def kills(origin: Path, work: Callable[[Path], None], every: int = 1) -> Iterator[dict[str, Any]]:
    """Kill one kind of work before every n-th statement, each time on a copy of the folder."""
    allowed, end = 0, DEAD
    while end == DEAD:
        folder = origin.with_name(f"{origin.name}-{work.__name__}-{allowed}")
        shutil.copytree(origin, folder)
        end = run_child(folder, allowed, work)
        yield {"work": work.__name__, "allowed": allowed, "end": end, **after(folder)}
        shutil.rmtree(folder)
        allowed += every


def main(origin: Path) -> None:
    for kill in kills(origin, starts):
        print(orjson.dumps(kill).decode())
    starts(origin)
    for kill in kills(origin, rebuilds, every=3):  # four files: three times as many statements
        print(orjson.dumps(kill).decode())


if __name__ == "__main__":
    if sys.argv[2:] == ["expands"]:
        for kill in kills(Path(sys.argv[1]), expands):
            print(orjson.dumps(kill).decode())
    else:
        main(Path(sys.argv[1]))
