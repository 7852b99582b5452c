"""Run by test_kills: kills a start, and then a rebuild, before each of their SQL statements.

`python -m tests.projections.kills FOLDER` takes a folder with a log and the tables from before the
second migration. With `expands` its log counts as a long one.
For each k it copies the folder, forks a child that dies before the k-th statement on the projections'
own connection, and starts from what that child left. Prints a JSON object a kill: what was killed,
k, and the digest and error of the start after it. Ends where a child outlives its last statement.
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
from asset_ledger.projections.runtime import bulk, database, migrate, registry, runner
from asset_ledger.projections.runtime import start as rebuild
from tests.projections.world import digest_of, world

DEAD, ALIVE = 9, 0


class Mortal(sqlite3.Connection):
    """Dies before a statement, at once and without a goodbye, as a SIGKILL does."""

    lives = 0

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.set_trace_callback(self.live)

    @staticmethod
    def live(sql: str) -> None:
        if sql.startswith("-- "):  # what an index of words does inside of a statement
            return
        if not Mortal.lives:
            os._exit(DEAD)
        Mortal.lives -= 1


def doomed(folder: Path, lives: int, work: Callable[[Path], None]) -> int:
    """How a child ended that had so many statements to live."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    Mortal.lives = lives
    runner.BATCH = 5  # type: ignore[misc]  # so that kills fall between batches too
    bulk.BATCH = 5  # type: ignore[attr-defined]
    bulk.BATCHES_PER_TRANSACTION = 2  # type: ignore[misc]
    database.open_writer = partial(open_writer, factory=Mortal)  # type: ignore[attr-defined]
    work(folder)
    os._exit(ALIVE)


def starts(folder: Path) -> None:
    """Bring the tables from before forward."""
    with world(folder) as here, here.projections() as live:
        for projection in registry.FOLLOWING:
            rebuild.follow(folder, live.database.number, projection, here.feed).close()


def expands(folder: Path) -> None:
    """Expand the tables from before in place: they serve while others are made."""
    migrate.LONG = 0  # type: ignore[misc]
    starts(folder)


def rebuilds(folder: Path) -> None:
    """Make today's projections anew."""
    with world(folder) as here:
        build.rebuild(folder, here.feed)


def after(folder: Path) -> dict[str, Any]:
    """What the next start makes of the folder."""
    with world(folder) as here, here.projections() as runner:
        return {
            "digest": digest_of(runner),
            "error": runner.error and repr(runner.error),
            "state": runner.database.state,
        }


def kills(origin: Path, work: Callable[[Path], None], every: int = 1) -> Iterator[dict[str, Any]]:
    """Kills of one kind of work, each on a copy of this folder: before every n-th statement."""
    lives, end = 0, DEAD
    while end == DEAD:
        folder = origin.with_name(f"{origin.name}-{work.__name__}-{lives}")
        shutil.copytree(origin, folder)
        end = doomed(folder, lives, work)
        yield {"work": work.__name__, "lives": lives, "end": end, **after(folder)}
        shutil.rmtree(folder)
        lives += every


def main(origin: Path) -> None:
    for kill in kills(origin, starts):
        print(orjson.dumps(kill).decode())
    starts(origin)
    for kill in kills(origin, rebuilds, every=3):  # four files, alike: three times as many
        print(orjson.dumps(kill).decode())


if __name__ == "__main__":
    if sys.argv[2:] == ["expands"]:
        for one in kills(Path(sys.argv[1]), expands):
            print(orjson.dumps(one).decode())
    else:
        main(Path(sys.argv[1]))
