"""Large contents of a copied ledger in an object store."""

import asyncio
import secrets
from collections.abc import Coroutine, Iterator
from typing import Any

from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.content.store import StoredObject
from asset_ledger.ledger.errors import StorageFailedError, StoreUnavailableError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.copying import LogCopy
from asset_ledger.ledger.storage.object_store import (
    PREFIX,
    ObjectReader,
    ObjectStore,
    reason_of,
    split_url,
)


class CopiedObjects:
    """`content.copying.LargeContents` in an object store, by the rows of a copied log.

    What the source has in the same store stays where it is.
    """

    def __init__(
        self, store: ObjectStore, log_id: str, source: OfflineContents, log: LogCopy
    ) -> None:
        self._store, self._log_id, self._source, self._log = store, log_id, source, log
        self._reader = ObjectReader()

    def pieces(self, digest: Digest) -> Iterator[bytes]:
        """Yield a content in pieces. Raises FileNotFoundError and OSError."""
        url = self._log.object_url(digest)
        if url is None:
            raise FileNotFoundError(digest)
        return self._reader.pieces(url)

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether a content of this size is in a store, and has its row. Raises OSError."""
        kept, there = self._log.object_url(digest), self._source.url_of(digest)
        url = there if there is not None and self._is_here(there) else kept
        if url is None or not self._has_size(url, size):
            return False
        if url != kept:
            self._log.keep_object(StoredObject(digest, url, size))
        return True

    def _is_here(self, url: str) -> bool:
        return split_url(url)[0] == self._store.url

    def _has_size(self, url: str, size: int) -> bool:
        try:
            return self._reader.size(url) == size
        except FileNotFoundError:
            return False

    def write(self, digest: Digest, size: int, pieces: Iterator[bytes]) -> None:
        """Store a content, then its row. Raises StorageFailedError, and what `pieces` raises."""
        name = f"{PREFIX}/{self._log_id}/{secrets.token_hex(16)}"
        self._run(self._send(name, pieces))
        self._log.keep_object(StoredObject(digest, f"{self._store.url}/{name}", size))

    async def _send(self, name: str, pieces: Iterator[bytes]) -> None:
        writer = self._store.writer(name)
        try:
            for piece in pieces:
                await writer.write([piece])
            await writer.close()
        finally:
            await writer.abort()  # harmless after `close`

    def delete(self, digest: Digest) -> int:
        """Delete the object of a content, unless it is that of the source. Leave its row."""
        url = self._log.object_url(digest)
        if url is not None and self._is_here(url) and url != self._source.url_of(digest):
            self._run(self._store.delete([split_url(url)[1]]))
        return 0

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run(work)
        except StoreUnavailableError as error:
            cause = error.__cause__ or error
            is_late = isinstance(cause, TimeoutError)
            reason = "no answer in time" if is_late else reason_of(cause)
            raise StorageFailedError(
                f"the store {self._store.url} failed: {reason}; run the command again to go on"
            ) from error
