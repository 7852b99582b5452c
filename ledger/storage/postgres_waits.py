"""Connections to PostgreSQL that do not wait for a server that stands still, or has vanished.

Promise: a statement may take any time while its server answers new connections. Once it does not,
the statement fails within `SILENT` and `ANSWERING` seconds, as if its connection had broken.
"""

import os
import socket
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Final, NoReturn, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq.abc import PGconn

T = TypeVar("T")

SILENT: Final = 3.0
"""Seconds without a byte of an answer, after which the server is tested with a new connection."""
ANSWERING: Final = 5.0
"""Seconds that it has to answer that one."""
AWAY: Final = 1.0
"""Seconds in which no connection is tried, after one that got no answer: each task that waits for
its turn to connect would wait as long. Seconds that a server has for an answer once another
connection to it got none."""
REMEMBERED: Final = 10.0
"""Seconds for which the latter holds."""

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
"""The first message of a connection. A server answers it before it knows user and database, and
however many connections it has."""

_LISTS: Final = ("host", "hostaddr", "port")

_away: dict[str, float] = {}
_still: dict[Any, float] = {}
_last: dict[str, tuple[str, str]] = {}


class WatchedConnection(psycopg.Connection[Any]):
    """A connection of psycopg whose waits end with its server."""

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer. Raises OperationalError if the server stands still."""
        return super().wait(_watched(gen, self.pgconn), *args, **kwargs)


class WatchedAsyncConnection(psycopg.AsyncConnection[Any]):
    """An asynchronous connection of psycopg whose waits end with its server."""

    async def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer. Raises OperationalError if the server stands still."""
        return await super().wait(_watched(gen, self.pgconn), *args, **kwargs)


def connect(address: str, factory: Any) -> WatchedConnection:
    """Connect. Raises OperationalError, at once if it got no answer a moment ago."""
    with _connecting(address):
        db = WatchedConnection.connect(_ordered(address), autocommit=True, cursor_factory=factory)
    _last[address] = (db.info.host, str(db.info.port))
    return db


async def connect_async(address: str, factory: Any) -> WatchedAsyncConnection:
    """Connect. Raises OperationalError, at once if it got no answer a moment ago."""
    with _connecting(address):
        db = await WatchedAsyncConnection.connect(
            _ordered(address), autocommit=True, cursor_factory=factory
        )
    _last[address] = (db.info.host, str(db.info.port))
    return db


@contextmanager
def _connecting(address: str) -> Iterator[None]:
    began = monotonic()
    if began < _away.get(address, 0.0):
        raise psycopg.errors.ConnectionTimeout("it did not answer a moment ago")
    try:
        yield
    except psycopg.OperationalError:
        if monotonic() > began + AWAY:
            _away[address] = monotonic() + AWAY
        raise


def _ordered(address: str) -> str:
    """Return an address whose hosts begin with the last one that was connected to: a connection
    would wait for one that stands still."""
    given = conninfo_to_dict(address)
    lists = {name: str(given[name]).split(",") for name in _LISTS if given.get(name)}
    hosts = lists.get("host") or lists.get("hostaddr") or []
    ports = lists.get("port", ["5432"])
    places = [*zip(hosts, ports if len(ports) > 1 else ports * len(hosts), strict=True)]
    if _last.get(address) not in places:
        return address
    n = places.index(_last[address])
    turned = {name: ",".join([*items[n:], *items[:n]]) for name, items in lists.items()}
    return make_conninfo(address, **turned)


def _watched(waiting: Generator[Any, Any, T], connection: PGconn) -> Generator[Any, Any, T]:
    """Pass on what a generator of psycopg waits for, and what became ready: 0 or None if nothing
    did for 0.1 seconds."""
    silence: _Silence | None = None
    try:
        wanted = next(waiting)
        while True:
            if not (ready := (yield wanted)):
                silence = silence or _Silence(connection)
                silence.check()
            elif silence:
                silence.close()
                silence = None
            wanted = waiting.send(ready)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
    finally:
        if silence:
            silence.close()


class _Silence:
    """The time without an answer on a connection, and the new connection that tests its server."""

    def __init__(self, connection: PGconn) -> None:
        self._connection = connection
        self._test: socket.socket | None = None
        try:
            with socket.socket(fileno=os.dup(connection.socket)) as tested:
                self._family, self._peer = tested.family, tested.getpeername()
        except OSError:
            self._end("the connection broke")
        is_known = monotonic() < _still.get(self._peer, 0.0)
        self._due = monotonic() + (0.0 if is_known else SILENT)
        self._patience = AWAY if is_known else ANSWERING

    def close(self) -> None:
        """Close the connection of the test."""
        if self._test is not None:
            self._test.close()
            self._test = None

    def check(self) -> None:
        """Close the connection, and raise OperationalError, if the server stands still."""
        now = monotonic()
        if self._test is not None and self._is_answered(self._test):
            _still.pop(self._peer, None)
            self._due, self._patience = now + SILENT, ANSWERING
            self.close()
        elif now < self._due:
            return
        elif self._test is None:
            self._test, self._unsent = socket.socket(self._family), _SSL_REQUEST
            self._test.setblocking(False)
            self._due = now + self._patience
        else:
            _still[self._peer] = now + REMEMBERED
            self._end("its server answers nothing")

    def _is_answered(self, test: socket.socket) -> bool:
        with suppress(OSError):  # it is not connected yet, or there is no answer yet
            test.connect_ex(self._peer)
            self._unsent = self._unsent[test.send(self._unsent) :]
            return bool(test.recv(1))
        return False

    def _end(self, reason: str) -> NoReturn:
        self._connection.finish()
        raise psycopg.OperationalError(reason)
