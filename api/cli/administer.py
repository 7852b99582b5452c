"""Administration of a ledger: in this process, or by the server that has its data folder.

Promise: no command needs a server to stop, and none needs a token where it can read the folder, or
the database.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from asset_ledger.api.cli.options import database_of, folder_of
from asset_ledger.ledger.errors import FolderLockedError
from asset_ledger.ledger.storage.folder_lock import hold_folder

if TYPE_CHECKING:
    from asset_ledger.api.engine import Engine
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


Run = Callable[["Engine"], dict[str, Any]]


def ask_or_administer(call: ServerCall, where: dict[str, Any], run: Run) -> dict[str, Any]:
    """Call the server at --url. Without one, run `run` on the database, whose servers see what it
    changes, or administer the data folder."""
    from asset_ledger.api.engine import engine_of

    if where["url"]:
        return ask(where["url"], where["token"], call)
    engine = engine_of(folder_of(where["data_dir"]), database_of(where["data_dir"]))
    return administer(engine, call, run) if engine.database is None else run(engine)


def administer(engine: "Engine", call: ServerCall, run: Run) -> dict[str, Any]:
    """Run `run` under the lock of a data folder, or `call` the server that has the lock."""

    def locked() -> dict[str, Any]:
        with hold_folder(engine.folder):
            engine.check()
            return run(engine)

    return run_or_ask_server(engine.folder, call, locked)


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
