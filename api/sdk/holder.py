"""Calls to a server as an admin of it: by its address, or by the data folder that it has.

The lock file of a data folder holds the address of its server and a secret that admits an admin
once. Only the owner of the folder can read it.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from asset_ledger.api.contract.errors import UnauthenticatedError
from asset_ledger.api.sdk.client import Client
from asset_ledger.api.sdk.retry import DEFAULT_RETRIES
from asset_ledger.ledger.errors import FolderLockedError
from asset_ledger.ledger.storage.folder_lock import holder_of

T = TypeVar("T")

TRIES: Final = 5
"""How often the secret is read again: another command may have used it first."""

Call = Callable[[Client], Awaitable[T]]


async def call_server(url: str, token: str | None, call: Call[T]) -> T:
    """Return the result of a call to the server at an address."""
    client = Client(url, token, DEFAULT_RETRIES)
    try:
        return await call(client)
    finally:
        await client.close()


async def call_holder(folder: Path, locked: FolderLockedError, call: Call[T]) -> T:
    """Return the result of a call to the server that has the folder, as its admin.

    Raises `locked` if that does not listen.
    """
    for _ in range(TRIES):
        holder = holder_of(folder)
        if holder is None or holder.address is None:
            raise locked
        with suppress(UnauthenticatedError):
            return await call_server(holder.address, holder.secret, call)
    raise locked
