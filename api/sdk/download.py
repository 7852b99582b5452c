"""A download that goes on where the network broke it off.

Promise: what is given are the bytes of one content, in order and without a gap; where they were
replaced in between, the download fails instead of joining two contents.
"""

from collections.abc import AsyncGenerator

import aiohttp

from asset_ledger.api.sdk.client import BROKEN, Client
from asset_ledger.ledger.errors import VersionConflictError


class Download:
    """One content of one server, from its first byte to its last."""

    def __init__(self, client: Client, path: str) -> None:
        self._client, self._path = client, path
        self._etag = ""
        self._got = 0

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes. Raises VersionConflictError if they were replaced while they were read."""
        broken = 0
        while True:
            before = self._got
            async with await self._client.open(self._path, self._rest()) as response:
                self._check_same(response)
                try:
                    async for piece in response.content.iter_any():
                        self._got += len(piece)
                        yield piece
                    return
                except BROKEN as error:
                    broken = 0 if self._got > before else broken + 1
                    if broken == self._client.retries.attempts:
                        raise self._client.broken(error) from error

    def _rest(self) -> dict[str, str]:
        """Headers that ask for what is still missing."""
        return {"Range": f"bytes={self._got}-", "If-Range": self._etag} if self._got else {}

    def _check_same(self, response: aiohttp.ClientResponse) -> None:
        if self._got and response.status != 206:
            raise VersionConflictError("the content was replaced while it was read")
        self._etag = response.headers.get("ETag", "")
