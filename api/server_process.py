"""`python -m asset_ledger.api.server_process`: one of several processes that serve an address.

It reads what it is to do from its standard input, and exits as soon as its parent has died.
"""

import os
import pickle
import socket
import sys
from collections.abc import Iterable
from typing import Any

import uvloop

from asset_ledger.api.backend import Backend
from asset_ledger.api.logs import configure
from asset_ledger.api.processes import Given, Ready
from asset_ledger.api.serving import Listening, run
from asset_ledger.api.workers.child import exit_with_server
from asset_ledger.api.workers.committer_process import spawned
from asset_ledger.api.workers.committer_wire import Failure, Opening, frame
from asset_ledger.api.workers.own_process import tune
from asset_ledger.ledger.errors import LedgerError
from asset_ledger.ledger.storage.descriptors import raise_limit
from asset_ledger.ledger.storage.folder_lock import SharedLock

STDOUT = 1


def main() -> None:
    """Serve until SIGTERM. Exit with 2 if the start is refused."""
    given: Given = pickle.load(sys.stdin.buffer)
    exit_with_server()
    tune()
    raise_limit()
    configure(given.settings.log_level, given.settings.log_format)
    sockets = Listening(_opened(given.http), _opened(given.s3))
    try:
        uvloop.run(_serve(given, sockets))
    except (LedgerError, OSError) as error:
        _send(Failure.of(error))
        sys.exit(2)


async def _serve(given: Given, sockets: Listening) -> None:
    async with spawned(given.settings, _progress) as worker:
        await run(given.settings, sockets, _progress, _ready, worker, SharedLock(given.folder))


def _opened(descriptors: Iterable[int]) -> list[socket.socket]:
    return [socket.socket(fileno=each) for each in descriptors]


def _progress(step: str, done: int, total: int) -> None:
    _send(Opening(step, done, total))


def _ready(_: Backend) -> None:
    _send(Ready())


def _send(message: Any) -> None:
    os.write(STDOUT, frame(message))


if __name__ == "__main__":
    main()
