"""Admin calls to a running server, by its address or by its data folder.

The lock file of a data folder has the address of its server and a secret for one admin call. Only
the owner of the folder can read it.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from asset_ledger.api.contract.errors import UnauthenticatedError
from asset_ledger.api.sdk.client import Client
from asset_ledger.api.sdk.retry import RETRIES
from asset_ledger.ledger.errors import FolderLockedError
from asset_ledger.ledger.storage.folder_lock import holder_of

T = TypeVar("T")

TRIES: Final = 5
"""Attempts to use the secret: another command may use it first, and the server writes a new one."""

Call = Callable[[Client], Awaitable[T]]


async def call_server(url: str, token: str | None, call: Call[T]) -> T:
    """Return the result of a call to the server at an address."""
    client = Client(url, token, RETRIES)
    try:
        return await call(client)
    finally:
        await client.close()


async def call_holder(folder: Path, locked: FolderLockedError, call: Call[T]) -> T:
    """Return the result of an admin call to the server that holds the lock of a folder.

    Raises `locked` if no server with an address holds it.
    """
    for _ in range(TRIES):
        holder = holder_of(folder)
        if holder is None or holder.address is None:
            raise locked
        with suppress(UnauthenticatedError):
            return await call_server(holder.address, holder.secret, call)
    raise locked
