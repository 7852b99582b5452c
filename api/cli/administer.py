"""What a command does to a ledger is done in its folder, or by the server that has the folder.

Promise: no command needs the server to stop, and none needs a token where it can read the folder.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from asset_ledger.api.contract.errors import UnauthenticatedError
from asset_ledger.ledger.errors import FolderLockedError
from asset_ledger.ledger.storage.data_folder import check_log
from asset_ledger.ledger.storage.folder_lock import hold_folder, holder_of

T = TypeVar("T")

TRIES: Final = 5
"""The secret in a lock file admits once: another command may have been faster."""


class Errand(NamedTuple):
    """What to ask a server for."""

    method: str
    path: str
    document: dict[str, Any] | None = None


def administer(
    folder: Path, errand: Errand, here: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """What `here` answers, with the folder locked; what its server answers, if one has it."""

    def locked() -> dict[str, Any]:
        with hold_folder(folder):
            check_log(folder)
            return here(folder)

    return here_or_there(folder, errand, locked)


def here_or_there(
    folder: Path, errand: Errand, here: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What `here` answers, which takes the lock; what the folder's server does, if it has one."""
    try:
        return here()
    except FolderLockedError as locked:
        return ask_holder(folder, errand, locked)


def ask(url: str, token: str | None, errand: Errand) -> dict[str, Any]:
    """What a server answers. Raises what it refuses, and UnreachableError."""
    return asyncio.run(_ask(url, token, errand))


def ask_holder(folder: Path, errand: Errand, locked: FolderLockedError) -> dict[str, Any]:
    """What the server that has the folder answers. Raises `locked` where it does not listen."""
    return as_holder(folder, locked, lambda url, secret: ask(url, secret, errand))


def as_holder(folder: Path, locked: FolderLockedError, call: Callable[[str, str], T]) -> T:
    """What comes of a call to the server that has the folder, by its address and its secret."""
    for _ in range(TRIES):
        holder = holder_of(folder)
        if holder is None or holder.address is None:
            raise locked
        with suppress(UnauthenticatedError):
            return call(holder.address, holder.secret)
    raise locked


async def _ask(url: str, token: str | None, errand: Errand) -> dict[str, Any]:
    from asset_ledger.api.sdk.client import Client
    from asset_ledger.api.sdk.form import json_body
    from asset_ledger.api.sdk.retry import PATIENT

    client = Client(url, token, PATIENT)
    document = errand.document
    body = None if document is None else partial(json_body, orjson.dumps(document))
    try:
        return await client.ask(errand.method, errand.path, body=body)
    finally:
        await client.close()
