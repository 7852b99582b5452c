"""`OpenFolder`: a data folder that is open in one event loop of this process at a time.

It closes with its event loop, and the next loop that uses it opens it again.
"""

import asyncio
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from asset_ledger.api.backend import Backend, open_backend
from asset_ledger.api.engine import open_group_commit
from asset_ledger.api.sdk.errors import EventLoopError, NotConnectedError
from asset_ledger.api.sdk.open_resource import OpenResource
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.commit.thread import ThreadWorker
from asset_ledger.ledger.errors import DataFolderError


class OpenFolder:
    """The backend of a data folder, and the event loop where it is open.

    `clock`: the times of its events. `database`: the address of the database that has the ledger.
    """

    def __init__(
        self, data_dir: Path, clock: Clock = utc_now, *, database: str | None = None
    ) -> None:
        self._data_dir, self._clock, self._closed = data_dir, clock, False
        self._database = SecretStr(database) if database else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._backend: OpenResource[Backend] | None = None

    async def backend(self) -> Backend:
        """Return the backend, opened in the running event loop.

        Raises EventLoopError while it is open in another one, NotConnectedError after `close` or
        at the end of the running loop, and DataFolderError.
        """
        self._check_loop()
        if self._closed:
            raise NotConnectedError()
        if self._backend is None:
            self._loop = asyncio.get_running_loop()
            settings = Settings(data_dir=self._data_dir, database_url=self._database)
            files = partial(open_group_commit, self._data_dir, clock=self._clock)
            worker = None if self._database else ThreadWorker(files)
            self._backend = OpenResource(open_backend(settings, worker=worker))
        opening = self._backend
        try:
            return await opening.opened()
        except DataFolderError:
            if self._backend is opening:
                self._backend = None  # the next call tries again
            raise

    async def close(self) -> None:
        """Close the folder for good. Raises EventLoopError while it is open in another loop."""
        self._check_loop()
        self._closed = True
        if self._backend is not None:
            await self._backend.release()

    def _check_loop(self) -> None:
        """Raise EventLoopError if another loop has the folder; forget a loop that has ended."""
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return
        if not self._loop.is_closed():
            raise EventLoopError(
                "this data folder was opened in another event loop or process:"
                " use the connection there, or close it there and connect here"
            )
        self._loop = self._backend = None
