"""Listen at the ports of the settings, and serve until a signal stops the server."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

from aiohttp import web

from asset_ledger.api.backend import Backend, open_backend
from asset_ledger.api.http.app import Server
from asset_ledger.api.http.auth import verifier_of
from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.child import freeze_heap
from asset_ledger.api.workers.committer_process import ProcessWorker
from asset_ledger.ledger.errors import AddressError
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.folder_lock import FolderLock, refuse_if_held

DRAIN: Final = 30.0
"""Seconds that open requests have to finish after a stop signal."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Listening(NamedTuple):
    """Bound sockets, of the API and of the S3 door."""

    http: Sequence[socket.socket]
    s3: Sequence[socket.socket]

    @property
    def address(self) -> str:
        """The URL of the API."""
        return _url(self.http[0])

    @property
    def s3_addresses(self) -> list[str]:
        """The URLs of the S3 door."""
        return [*map(_url, self.s3)]

    def close(self) -> None:
        """Close the sockets in this process."""
        for each in (*self.http, *self.s3):
            each.close()


def reserve(settings: Settings) -> Listening:
    """Return a socket bound to each address of the settings, before the data folder is made.

    Raises FolderLockedError, TokenKeyError, AddressError.
    """
    refuse_if_held(settings.data_dir)
    verifier_of(settings)
    http = _bound_to(settings.host, settings.port)
    return Listening(
        http, [] if settings.s3_port is None else _bound_to(settings.host, settings.s3_port)
    )


def _bound_to(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_bound(family, address) for family, *_, address in found]
    except OSError as error:
        where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        reason = error.strerror or error
        raise AddressError(f"cannot listen at {where}: {reason}. Choose another one") from error


def _bound(family: int, address: Any) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


async def run(
    settings: Settings,
    sockets: Listening,
    progress: Progress,
    ready: Callable[[Backend], None],
    worker: ProcessWorker | None,
    lock: FolderLock | None = None,
) -> None:
    """Open the backend of these settings and serve it until a signal. `ready`: see `serve`.

    `worker`: the committer process; None for a thread. `lock`: admits callers with its secret, in
    place of the lock of the data folder.
    Raises DataFolderError.
    """
    async with open_backend(settings, progress, worker, is_server=True) as backend:
        await serve(replace(backend, lock=lock or backend.lock), sockets, ready)


async def serve(backend: Backend, sockets: Listening, ready: Callable[[Backend], None]) -> None:
    """Listen at bound sockets until SIGINT or SIGTERM, then finish the open requests.

    `ready` is called once requests are answered.
    """
    server = Server(backend)
    with ExitStack() as stack:
        if sockets.s3:
            # Without S3 clients, awscrt would cost a start 70 ms and 7 MB.
            from asset_ledger.api.s3.door import S3Door  # noqa: PLC0415

            door = S3Door(backend, server.authenticator, server.admit)
            server.doors = {each.getsockname()[1]: door for each in sockets.s3}
            stack.callback(asyncio.create_task(door.watch()).cancel)
        await _serve(server, sockets, lambda: ready(backend), backend.settings.stop_delay)


async def _serve(
    server: Server, sockets: Listening, ready: Callable[[], None], delay: float
) -> None:
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        sites = [web.SockSite(runner, each) for each in (*sockets.http, *sockets.s3)]
        for site in sites:
            await site.start()
        freeze_heap()
        with _stop_signal() as stop:
            ready()
            await stop.wait()
            stop.clear()
            server.leave()
            if delay:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), delay)  # a second signal ends it
        for site in sites:
            await site.stop()
        await server.drain(DRAIN)
    finally:
        await runner.cleanup()


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """Yield an event that SIGINT or SIGTERM sets. After the block a signal ends the process."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
