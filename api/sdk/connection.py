"""`connect`: choose the ledger to use, inside an `async with` or for the whole process.

Without a connection, ASSET_LEDGER_URL names the ledger, and ASSET_LEDGER_TOKEN is its token.
"""

import os
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final, Protocol, Self

from asset_ledger.api.sdk.errors import NotConnectedError
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.remote import LOCAL_USER, RemoteGateway

ambient: Final[ContextVar[Gateway | None]] = ContextVar("asset_ledger_gateway", default=None)
"""The gateway of the innermost `async with connect(...)` around the running code."""


synchronous: Final[ContextVar[bool]] = ContextVar("asset_ledger_synchronous", default=False)
"""Whether the running code does a call of `asset_ledger.sync`."""

blocks: Final[list[tuple[int, Gateway]]] = []
"""The open `with sync.connect(...)` blocks: thread and gateway. A new thread has no `ambient`."""


class _Process:
    """The connection that `install` made for the whole process."""

    gateway: Gateway | None = None


class OpenGateway(Gateway, Protocol):
    """A gateway that holds what its calls need, until `close`."""

    async def open(self) -> None:
        """Open what the calls need. Raises DataFolderError, and NotConnectedError after `close`."""

    async def close(self) -> None:
        """Close it: later calls raise NotConnectedError."""


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    user_id: str = LOCAL_USER,
) -> "Connection":
    """Return a connection to the ledger at a URL, or to a data folder opened in this process.

    `url` defaults to ASSET_LEDGER_URL, `token` to ASSET_LEDGER_TOKEN. `user_id` is the owner of
    the assets in a data folder. Opening a folder raises DataFolderError. Raises ValueError for
    both at once or for an invalid address; NotConnectedError without any address.
    """
    if data_dir is None:
        token = token or os.environ.get("ASSET_LEDGER_TOKEN")
        address = url or os.environ.get("ASSET_LEDGER_URL")
        if not address:
            raise NotConnectedError("connect() needs a url or a data_dir, or set ASSET_LEDGER_URL")
        return Connection(RemoteGateway(address, token))
    if url is not None or token is not None:
        raise ValueError("connect() takes a url (and a token) or a data_dir, not both")
    return Connection(in_process(Path(data_dir), user_id))


def current_gateway() -> Gateway:
    """Return the gateway that calls use here. Raises NotConnectedError if there is none."""
    if gateway := ambient.get() or _of_a_block() or _Process.gateway:
        return gateway
    url = os.environ.get("ASSET_LEDGER_URL")
    if not url:
        raise NotConnectedError("no ledger is connected: use connect(), or set ASSET_LEDGER_URL")
    return _from_environment(url, os.environ.get("ASSET_LEDGER_TOKEN"))


def _of_a_block() -> Gateway | None:
    """Return the gateway of the innermost `with` block for a thread without a block of its own.

    Raises NotConnectedError if several threads have blocks: one of them would be the wrong ledger.
    """
    if not synchronous.get() or not blocks:
        return None
    if len({thread for thread, _ in blocks}) > 1:
        raise NotConnectedError(
            "several threads are connected, and this one is not:"
            " use connect() in this thread, or pass the gateway"
        )
    return blocks[-1][1]


class Connection:
    """A connection to one ledger: use it with `async with`, or `install()` it for the process."""

    def __init__(self, gateway: OpenGateway) -> None:
        self._gateway = gateway
        self._before: Gateway | None = None

    async def __aenter__(self) -> Gateway:
        """Open the ledger and use it inside the block. Raises DataFolderError for a folder."""
        await self._gateway.open()
        self._before = ambient.get()
        ambient.set(self._gateway)
        return self._gateway

    async def __aexit__(self, *_: object) -> None:
        # Not `reset(token)`: a fixture or a notebook may leave the block in another context.
        ambient.set(self._before)
        await self.close()

    async def install(self) -> Self:
        """Use the ledger in the whole process, in every event loop, until `close`.

        A data folder is open in one event loop at a time: it closes with the loop, and the next
        loop opens it. Raises DataFolderError for a folder.
        """
        await self._gateway.open()
        _Process.gateway = self._gateway
        return self

    async def close(self) -> None:
        """Close the connection; undo `install`. Raises EventLoopError where a folder is not open.

        Later calls, also of the assets that it returned, raise NotConnectedError.
        """
        await self._gateway.close()
        if _Process.gateway is self._gateway:
            _Process.gateway = None


def in_process(data_dir: Path, user_id: str, database: str | None = None) -> OpenGateway:
    """Return a gateway to a data folder, or to a database with this folder for the rest."""
    # Imported here: a client over HTTP must load neither a server nor eventsourcing.
    from asset_ledger.api.sdk.embedded import EmbeddedGateway  # noqa: PLC0415
    from asset_ledger.api.sdk.open_folder import OpenFolder  # noqa: PLC0415

    return EmbeddedGateway(OpenFolder(data_dir, database=database), user_id)


@cache
def _from_environment(url: str, token: str | None) -> RemoteGateway:
    return RemoteGateway(url, token)
