"""Administration of a data folder: in this process, or by the server that has the folder.

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


class ServerCall(NamedTuple):
    """A request to a server, as method, path and JSON body."""

    method: str
    path: str
    document: dict[str, Any] | None = None

    async def run(self, client: "Client") -> dict[str, Any]:
        """Send the request. Return the JSON object in the response."""
        from asset_ledger.api.sdk.form import json_body

        document = self.document
        body = None if document is None else partial(json_body, orjson.dumps(document))
        return await client.request(self.method, self.path, body=body)


def administer(
    folder: Path, call: ServerCall, in_folder: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """Run `in_folder(folder)` under the folder's lock, or `call` a server that has the lock."""

    def locked() -> dict[str, Any]:
        with hold_folder(folder):
            check_log(folder)
            return in_folder(folder)

    return run_or_ask_server(folder, call, locked)


def run_or_ask_server(
    folder: Path, call: ServerCall, run: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return `run()`, which takes the folder's lock. If a server has the lock, call that server."""
    try:
        return run()
    except FolderLockedError as locked:
        return ask_holder(folder, call, locked)


def ask(url: str, token: str | None, call: ServerCall) -> dict[str, Any]:
    """Return the server's answer. Raises the errors of the API, and UnreachableError."""
    from asset_ledger.api.sdk.holder import call_server

    return asyncio.run(call_server(url, token, call.run))


def ask_holder(folder: Path, call: ServerCall, locked: FolderLockedError) -> dict[str, Any]:
    """Return the answer of the folder's server. Raises `locked` if the holder does not listen."""
    from asset_ledger.api.sdk.holder import call_holder

    return asyncio.run(call_holder(folder, locked, call.run))
