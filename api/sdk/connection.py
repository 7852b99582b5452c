"""`connect`: which ledger is asked, for the length of an `async with`, or for the whole process.

Without either, the ledger that ASSET_LEDGER_URL names is asked (with ASSET_LEDGER_TOKEN).
"""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final, Self

from asset_ledger.api.sdk.errors import NotConnectedError
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.open_resource import OpenResource
from asset_ledger.api.sdk.remote import LOCAL_USER, RemoteGateway

ambient: Final[ContextVar[Gateway | None]] = ContextVar("asset_ledger_gateway", default=None)
"""The ledger of an `async with connect(...)`, for what is inside of it."""


class _Process:
    """What `install` sets."""

    gateway: Gateway | None = None
    installed: "Connection | None" = None  # else its task, which a loop holds weakly, is collected


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    user_id: str = LOCAL_USER,
) -> "Connection":
    """A connection to the ledger at a URL, or to a data folder, opened in this process.

    With neither, ASSET_LEDGER_URL names it. `token` is for a URL (default: ASSET_LEDGER_TOKEN),
    `user_id` for a folder: whose assets these are. Opening a folder raises DataFolderError.
    Raises ValueError for both at once or for what is no address, NotConnectedError for neither.
    """
    if data_dir is None:
        token = token or os.environ.get("ASSET_LEDGER_TOKEN")
        return Connection(_remotely(RemoteGateway(_address(url), token)))
    if url is not None or token is not None:
        raise ValueError("a ledger has a url (and a token), or a data_dir: not both")
    return Connection(_in_process(Path(data_dir), user_id))


def current_gateway() -> Gateway:
    """The ledger to ask here and now. Raises NotConnectedError."""
    gateway = ambient.get() or _Process.gateway
    return gateway or _of_the_environment(_address(None), os.environ.get("ASSET_LEDGER_TOKEN"))


class Connection:
    """One way into a ledger: `async with` it, or `install()` it for the whole process."""

    def __init__(self, opening: AbstractAsyncContextManager[Gateway]) -> None:
        self._opening = opening
        self._before: Gateway | None = None
        self._installed: OpenResource[Gateway] | None = None

    async def __aenter__(self) -> Gateway:
        """Open it, and ask it from here on. Raises DataFolderError for a folder."""
        gateway = await self._opening.__aenter__()
        self._before = ambient.get()
        ambient.set(gateway)
        return gateway

    async def __aexit__(self, *_: object) -> None:
        # Not reset by token: a fixture or a notebook may leave in another context than it came.
        ambient.set(self._before)
        await self._opening.__aexit__(None, None, None)

    async def install(self) -> Self:
        """Open it for the whole process, until `close` or the end of this event loop.

        Raises DataFolderError for a folder.
        """
        self._installed = OpenResource(self._opening)
        _Process.gateway = await self._installed.opened()
        _Process.installed = self
        return self

    async def close(self) -> None:
        """Undo `install`."""
        if self._installed is not None:
            _forget(await self._installed.opened())
            await self._installed.release()


@asynccontextmanager
async def _remotely(gateway: RemoteGateway) -> AsyncIterator[Gateway]:
    try:
        yield gateway
    finally:
        await gateway.close()


@asynccontextmanager
async def _in_process(data_dir: Path, user_id: str) -> AsyncIterator[Gateway]:
    # Imported here, so that who asks over HTTP loads neither a server nor eventsourcing.
    from asset_ledger.api.sdk.embedded import open_embedded  # noqa: PLC0415

    async with open_embedded(data_dir, user_id) as gateway:
        try:
            yield gateway
        finally:
            _forget(gateway)  # a closed folder answers nobody


def _forget(gateway: Gateway) -> None:
    if _Process.gateway is gateway:
        _Process.gateway = _Process.installed = None


@cache
def _of_the_environment(url: str, token: str | None) -> RemoteGateway:
    return RemoteGateway(url, token)


def _address(url: str | None) -> str:
    found = url or os.environ.get("ASSET_LEDGER_URL")
    if not found:
        raise NotConnectedError("connect to a ledger first, or set ASSET_LEDGER_URL")
    return found
