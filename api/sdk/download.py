"""Downloads that resume after a network failure.

Promise: the bytes of one content come in order and without a gap. If the content is replaced
meanwhile, the download fails and does not join two contents. Bytes of another digest raise an
error.
"""

import hashlib
from collections.abc import AsyncGenerator

import aiohttp

from asset_ledger.api.sdk.client import BROKEN_OFF, Client
from asset_ledger.ledger.errors import ContentDamagedError, VersionConflictError
from asset_ledger.ledger.ids import digest_from_hex


class Download:
    """The download of one content from one server."""

    def __init__(self, client: Client, path: str) -> None:
        self._client, self._path = client, path
        self._etag = ""
        self._received = 0
        self._hash = hashlib.sha256()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the bytes. Raises VersionConflictError if the content was replaced meanwhile, and
        ContentDamagedError at the end if they are not those of the digest."""
        broken = 0
        while True:
            before = self._received
            async with await self._client.open(self._path, self._range_headers()) as response:
                self._check_same(response)
                try:
                    async for piece in response.content.iter_any():
                        self._received += len(piece)
                        self._hash.update(piece)
                        yield piece
                    self._check_digest()
                    return
                except BROKEN_OFF as error:
                    broken = 0 if self._received > before else broken + 1
                    if broken == self._client.retry.attempts:
                        raise self._client.broken(error) from error

    def _check_digest(self) -> None:
        """Compare the bytes with the entity tag, which is their digest (docs/http.md)."""
        digest, found = self._etag.strip('"'), digest_from_hex(self._hash.hexdigest())
        if digest.startswith("sha256:") and digest != found:
            raise ContentDamagedError(digest, f"the bytes that arrived have the digest {found}")

    def _range_headers(self) -> dict[str, str]:
        """Return the headers that request the missing bytes."""
        return (
            {"Range": f"bytes={self._received}-", "If-Range": self._etag} if self._received else {}
        )

    def _check_same(self, response: aiohttp.ClientResponse) -> None:
        if self._received and response.status != 206:
            raise VersionConflictError("the content was replaced while it was read: read it again")
        self._etag = response.headers.get("ETag", "")
