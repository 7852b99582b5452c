"""Group commits in PostgreSQL with their rows, and the statements that they send, by psycopg."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import psycopg

from asset_ledger.api.database.engine import DatabaseEngine
from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.commit.requests import CommandRequest
from asset_ledger.ledger.storage.postgres import LOG, adapt, settings
from benchmarks.durable import Scale
from benchmarks.fill import command
from benchmarks.pairs import Pair, compared, timed
from benchmarks.recorded_sql import Step, recording, replay
from benchmarks.rows import Row

BARS: Final = {1: 0.8, 8: 0.75, 64: 0.6}
"""The least ratio for groups of so many events."""
WARM: Final = 5
"""Groups before those that are measured."""


@contextmanager
def committing(url: str, folder: Path) -> Iterator[GroupCommit]:
    """Open a ledger to commit groups."""
    folder.mkdir(parents=True, exist_ok=True)
    with DatabaseEngine(url, folder).open(None) as group_commit:
        yield group_commit


def commit(group_commit: GroupCommit, numbers: Iterator[int], groups: int, size: int) -> int:
    """Commit groups of so many events, with their rows. Return the number of events."""
    for _ in range(groups):
        requests = [CommandRequest(n, command(n)) for n in (next(numbers) for _ in range(size))]
        for _, answer in group_commit.run(requests).answers:
            if isinstance(answer, Exception):
                raise answer
    return groups * size


def rows(scale: Scale) -> Iterator[Row]:
    """Compare group commits with rows: the product, and the statements that it sends."""
    for size, bar in BARS.items():
        groups = max(20, scale.events // size)
        pairs = [_pair(scale, size, groups) for _ in range(scale.rounds)]
        yield compared(f"group commits of {size} over their SQL by psycopg", pairs, bar, "events/s")


def _pair(scale: Scale, size: int, groups: int) -> Pair:
    with (
        scale.server.database() as noted,
        scale.server.database() as empty,
        scale.server.database() as used,
        tempfile.TemporaryDirectory(dir=scale.scratch) as place,
    ):
        steps = _recorded(noted, Path(place) / "noted", size, groups)
        with committing(empty, Path(place) / "empty"):
            pass  # makes the tables
        with committing(used, Path(place) / "used") as group_commit:
            numbers = count(1)
            commit(group_commit, numbers, WARM, size)
            product = timed(lambda: commit(group_commit, numbers, groups, size))
        with psycopg.connect(empty, autocommit=True, cursor_factory=psycopg.RawCursor) as db:
            adapt(db.adapters)
            db.execute(settings(("g1", LOG), read_only=False, is_log=True).encode())
            replay(db, steps[0], 0)
            floor = timed(lambda: replay(db, steps[1], groups * size))
    return Pair(product, floor)


def _recorded(url: str, folder: Path, size: int, groups: int) -> tuple[list[Step], list[Step]]:
    """Return the steps of the first groups, and of the groups after them."""
    with recording() as steps, committing(url, folder) as group_commit:
        numbers = count(1)
        before = len(steps)
        commit(group_commit, numbers, WARM, size)
        warm = len(steps)
        commit(group_commit, numbers, groups, size)
        return steps[before:warm], steps[warm:]
