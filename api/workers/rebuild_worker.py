"""`python -m asset_ledger.api.workers.rebuild_worker FOLDER TASK GENERATION`: builds a generation
while a server uses another one. It reads the address of the database, or null, from the first line
of standard input, and writes its progress and its result as one JSON object a line.

It only reads the log, runs at low priority, and exits when the server dies.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson

from asset_ledger.api.engine import Engine, engine_of
from asset_ledger.api.workers.child import exit_with_server, give_way, server_has_died
from asset_ledger.api.workers.second_rebuild_worker import start_second_for
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.progress import Progress, ThrottledProgress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.folder_lock import hold_build_lock
from asset_ledger.projections.rebuild.build import build, catch_up
from asset_ledger.projections.rebuild.second_worker import StartSecond
from asset_ledger.projections.runtime.store import TableStore

NICE: Final = 19
INTERVAL: Final = 0.05
"""Seconds between two lines about the same step, at least."""


def main() -> None:
    """Run the task. The last line is `{"done": ...}` or `{"error": ...}`."""
    folder, task, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    give_way(nice=NICE)
    exit_with_server()
    with hold_build_lock(folder) as lock:
        # Check with the lock held: the next server waits for the lock before it uses this number,
        # and the thread that watches the server may not have run yet.
        if server_has_died():
            return
        try:
            database = orjson.loads(sys.stdin.buffer.readline())
            write({"done": _do(engine_of(folder, database), TASKS[task], number, lock)})
        except Exception as error:  # the server reports it: standard error is /dev/null
            write({"error": f"{type(error).__name__}: {error}"})


Task = Callable[[TableStore, int, Feed, Progress, StartSecond], dict[str, Any]]


def _do(engine: Engine, task: Task, number: int, lock: int) -> dict[str, Any]:
    with engine.building(), closing(engine.reader()) as log, closing(engine.tables()) as tables:
        progress = ThrottledProgress(write_progress, INTERVAL)
        second = start_second_for(engine, lock)
        return task(tables, number, Feed.of_log(log, Codec()), progress, second)


def _build(
    tables: TableStore, number: int, feed: Feed, progress: Progress, start_second: StartSecond
) -> dict[str, Any]:
    return build(tables, number, feed, progress, start_second).document()


def _catch_up(
    tables: TableStore, number: int, feed: Feed, progress: Progress, _: StartSecond
) -> dict[str, Any]:
    catch_up(tables, number, feed, progress)
    return {}


TASKS: Final[Mapping[str, Task]] = {"build": _build, "catch-up": _catch_up}


def write_progress(step: str, position: int, target: int) -> None:
    """Write a line about the progress."""
    write({"step": step, "position": position, "target": target})


def write(document: dict[str, Any]) -> None:
    """Write one line to standard output, at once."""
    sys.stdout.buffer.write(orjson.dumps(document) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
