"""A proxy in front of PostgreSQL that cuts connections, or drops what they send."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.journeys.server import until

SOCKET = ".s.PGSQL.5432"
CHUNK = 1 << 16


class CuttingProxy:
    """Listens at a socket in a folder, and passes every byte on but those after a cut.

    What it drops for a while arrives late, as what TCP sends again does.
    """

    def __init__(self, folder: Path, url: str) -> None:
        """`url`: the address of the database behind it."""
        self._target = f"{parse_qs(urlsplit(url).query)['host'][0]}/{SOCKET}"
        self.url = re.sub(r"host=[^&]+", f"host={folder}", url)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        self._cuts: threading.Event | None = None
        self._lock = threading.Lock()
        self._passes, self._holds = threading.Event(), threading.Event()
        self._passes.set()
        self.sent = 0
        """Bytes that clients have sent."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def cut_after_next_commit(self) -> threading.Event:
        """Cut the connection of the next COMMIT of events after it took effect.

        Return what is set then.
        """
        with self._lock:
            self._cuts = threading.Event()
            return self._cuts

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """Pass nothing on in either direction until the block ends; connections stay open."""
        self._passes.clear()
        try:
            yield
        finally:
            self._passes.set()

    @contextmanager
    def dropping_next_commit(self) -> Iterator[None]:
        """Wait for the next COMMIT of events, and drop it and all else until the block ends."""
        self._holds.set()
        until(lambda: not self._holds.is_set(), "a COMMIT was dropped")
        with self.dropping():
            yield

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, suppress(OSError):
            server.connect(self._target)
            back = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            back.start()
            appends = False
            while data := client.recv(CHUNK):
                self.sent += len(data)
                appends |= b"INSERT INTO stored_events" in data
                if appends and b"COMMIT\0" in data and (cuts := self._take()) is not None:
                    client.shutdown(socket.SHUT_RDWR)  # it gets no answer any more
                    server.sendall(data)
                    back.join()
                    cuts.set()
                    return
                if appends and b"COMMIT\0" in data and self._holds.is_set():
                    self._passes.clear()
                    self._holds.clear()
                self._passes.wait()
                server.sendall(data)

    def _take(self) -> threading.Event | None:
        with self._lock:
            cuts, self._cuts = self._cuts, None
            return cuts

    def _pass_on(self, origin: socket.socket, target: socket.socket) -> None:
        """Pass bytes on until either end is gone: then the COMMIT was answered, to no client."""
        with suppress(OSError):
            while data := origin.recv(CHUNK):
                self._passes.wait()
                target.sendall(data)
        for each in (origin, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
