"""What a command does to a ledger is done in its folder, or by the server that has the folder.

Promise: no command needs the server to stop, and none needs a token where it can read the folder.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from asset_ledger.ledger.errors import FolderLockedError
from asset_ledger.ledger.storage.data_folder import check_log
from asset_ledger.ledger.storage.folder_lock import hold_folder

if TYPE_CHECKING:
    from asset_ledger.api.sdk.client import Client


class Errand(NamedTuple):
    """What to ask a server for."""

    method: str
    path: str
    document: dict[str, Any] | None = None

    async def run(self, client: "Client") -> dict[str, Any]:
        """Return what the server of this client answers."""
        from asset_ledger.api.sdk.form import json_body

        document = self.document
        body = None if document is None else partial(json_body, orjson.dumps(document))
        return await client.request(self.method, self.path, body=body)


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
    from asset_ledger.api.sdk.holder import call_server

    return asyncio.run(call_server(url, token, errand.run))


def ask_holder(folder: Path, errand: Errand, locked: FolderLockedError) -> dict[str, Any]:
    """What the server that has the folder answers. Raises `locked` where it does not listen."""
    from asset_ledger.api.sdk.holder import call_holder

    return asyncio.run(call_holder(folder, locked, errand.run))
