"""`python -m asset_ledger.api.workers.second_rebuild_worker DESCRIPTOR`: builds some parts of a
generation for the process at the other end of a pipe, and exits when that process dies.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from asset_ledger.api.engine import Engine, engine_of
from asset_ledger.api.workers.child import exit_with_server
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.rebuild.second_worker import StartSecond, build_second

MODULE: Final = "asset_ledger.api.workers.second_rebuild_worker"


def start_second_for(engine: Engine, lock: int) -> StartSecond:
    """Return what starts this process for the rebuild of a ledger.

    `lock`: the descriptor of the lock of the rebuild, which the process holds, too.
    """
    return partial(_started, engine.folder, engine.database, lock)


@contextmanager
def _started(folder: Path, database: str | None, lock: int, number: int) -> Iterator[Connection]:
    """Start the process; kill it at the end of the block, and wait for its end."""
    here, there = Pipe()
    with here:
        with there:
            process = subprocess.Popen(
                (sys.executable, "-P", "-m", MODULE, str(there.fileno())),
                stdin=subprocess.DEVNULL,
                pass_fds=(there.fileno(), lock),
            )
        try:
            with suppress(OSError):  # it has died: the reader of the pipe raises
                here.send((folder, database, number))  # no arguments: `ps` would show the address
            yield here
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """Build the parts. Whatever happens is sent to the other process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the other process, and so this one
    pipe = Connection(int(sys.argv[1]))
    exit_with_server(pipe.fileno())
    with suppress(EOFError, BrokenPipeError):  # the other process died: the thread exits, too
        folder, database, number = pipe.recv()
        engine, codec = engine_of(folder, database), Codec()
        with closing(engine.reader()) as log, closing(engine.tables()) as tables:
            feed = Feed.of_log(log, codec)
            build_second(tables, number, feed, pipe)


if __name__ == "__main__":
    main()
