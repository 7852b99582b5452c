"""Large contents in an object store: S3, Google Cloud Storage, Azure, or a folder by its path.

    objects/<id of the log>/<random>    a content of more than 64 KiB

A row of the table `objects` of the log names the object of a digest. The transaction of the events
that name the content stores it, so a content exists only if it is complete. Objects without a
row are removed after a day. Small contents, and large ones from before there was a store, are
in a local store.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import orjson

from asset_ledger.ledger.content.local import LocalContents
from asset_ledger.ledger.content.places import FIND_OBJECT, key_of
from asset_ledger.ledger.content.reading import PIECE
from asset_ledger.ledger.content.staging import Spilled
from asset_ledger.ledger.content.store import (
    HEAD,
    SMALL,
    Content,
    ContentStore,
    Stage,
    Staged,
    StoredObject,
)
from asset_ledger.ledger.errors import (
    DataFolderError,
    MissingBytesError,
    StorageFailedError,
    StoreUnavailableError,
    TooLargeError,
)
from asset_ledger.ledger.ids import Digest, digest_from_hex, digest_of
from asset_ledger.ledger.storage.object_store import PREFIX, ObjectStore, ObjectWriter, split_url

_ANY: Final = "SELECT EXISTS (SELECT 1 FROM objects)"
_ANY_AT: Final = "SELECT EXISTS (SELECT 1 FROM objects WHERE substr(url, 1, ?) = ?)"
_KNOWN: Final = "SELECT o.url FROM json_each(?) j CROSS JOIN objects o ON o.url = j.value"

BATCH: Final = 512 << 10
"""Bytes that are hashed and sent to the store together."""
RANGE: Final = 4 << 20
"""Bytes of one request to the store. One is read ahead."""

ORPHANED: Final = timedelta(days=1)
"""The age at which an object without a row is removed. S3 counts from the begin of its upload."""
LONGEST: Final = timedelta(hours=12)
"""How long an upload may take, so that none is removed before it is recorded."""


class ObjectRows(Protocol):
    """Reads the log's tables, for one event loop."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Awaitable[list[Any]]:
        """Return all rows of one statement."""

    async def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStaged(Staged):
    """A large content that is on its way to an object store."""

    stage: "ObjectStage" = field(repr=False, compare=False)


class ObjectStage:
    """A `content.store.Stage` that sends a large content to an object store as it arrives."""

    def __init__(self, store: ObjectStore, name: str, ending: set[asyncio.Task[None]]) -> None:
        """`ending` gets the tasks that drop what was sent, which may outlive the caller."""
        self._store, self._name, self._ending = store, name, ending
        self._began = time.monotonic()
        self._gathered: list[bytes] = []
        self._size = self._waiting = 0
        self._head = b""
        self._sha256 = hashlib.sha256()
        self._writer: ObjectWriter | None = None
        self._closing: asyncio.Task[None] | None = None

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes. Waits while the store takes those before them."""
        self._gathered.append(chunk)
        self._size += len(chunk)
        self._waiting += len(chunk)
        if self._size > SMALL and (self._writer is None or self._waiting >= BATCH):
            await self._send()

    async def finish(self) -> Staged:
        """Return the whole content."""
        if self._writer is None:
            small = b"".join(self._gathered)
            return Staged(digest_of(small), len(small), small[:HEAD], small)
        await self._send()
        digest, url = digest_from_hex(self._sha256.hexdigest()), f"{self._store.url}/{self._name}"
        stored = StoredObject(digest, url, self._size)
        return ObjectStaged(digest, self._size, self._head, stored=stored, stage=self)

    async def publish(self) -> None:
        """Make the object, once. Raises StoreUnavailableError, TooLargeError after 12 hours."""
        if time.monotonic() - self._began > LONGEST.total_seconds():
            raise TooLargeError(f"the upload took more than {LONGEST}: send it as a resumable one")
        if self._writer is None:
            raise StorageFailedError("the upload failed before; send the content again")
        if self._closing is None:
            self._closing = asyncio.create_task(self._writer.close())
        # Without the shield, a cancelled caller would leave parts in the store.
        await asyncio.shield(self._closing)

    async def discard(self) -> None:
        """Drop the bytes, and what was sent of them unless it was published."""
        self._gathered = []
        if (writer := self._writer) is not None:
            self._writer = None
            task = asyncio.create_task(self._end(writer))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _send(self) -> None:
        batch, self._gathered, self._waiting = self._gathered, [], 0
        if self._writer is None:
            self._head = b"".join(batch)[:HEAD]
            self._writer = self._store.writer(self._name)
        hashing = asyncio.create_task(asyncio.to_thread(self._hash, batch))
        try:
            await self._writer.write(batch)
        finally:
            await hashing

    def _hash(self, batch: Sequence[bytes]) -> None:
        for piece in batch:
            self._sha256.update(piece)

    async def _end(self, writer: ObjectWriter) -> None:
        if self._closing is not None:
            await asyncio.gather(self._closing, return_exceptions=True)
        await writer.abort()


class ObjectContent:
    """A content in an object store. `find` returns its present object: it may be replaced."""

    def __init__(
        self,
        store: ObjectStore,
        name: str,
        size: int,
        find: Callable[[], Awaitable["_Found | None"]],
    ) -> None:
        self.size = size
        self.path: Path | None = None
        self._store, self._name, self._find = store, name, find

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop). Raises StoreUnavailableError; MissingBytesError without
        the object; StorageFailedError if it is shorter."""
        stop = min(stop, self.size)
        ahead = self._read_ahead(start, stop)
        try:
            while ahead is not None:
                read = await ahead
                start += len(read)
                ahead = self._read_ahead(start, stop)
                for first in range(0, len(read), PIECE):
                    yield bytes(read[first : first + PIECE])
        finally:
            if ahead is not None:
                await _cancelled(ahead)

    def _read_ahead(self, start: int, stop: int) -> "asyncio.Task[memoryview] | None":
        if start >= stop:
            return None
        return asyncio.create_task(self._read(start, min(RANGE, stop - start)))

    async def _read(self, start: int, length: int) -> memoryview:
        try:
            read = await self._store.read(self._name, start, length)
        except FileNotFoundError as error:
            found = await self._find()
            if found is None or found.name == self._name:
                raise MissingBytesError("its bytes are missing") from error
            self._store, self._name = found.store, found.name
            return await self._read(start, length)
        if len(read) != length:
            raise StorageFailedError("its object became shorter after it was opened")
        return read

    async def close(self) -> None:
        """Do nothing: each request ends by itself."""


class _Found(NamedTuple):
    store: ObjectStore
    name: str


async def open_contents(
    store: ObjectStore | None,
    log_id: str,
    rows: ObjectRows,
    local: LocalContents,
    known: Sequence[str] = (),
) -> ContentStore:
    """Open the contents of a log. New large ones go to the store, if there is one.

    `known`: see `ObjectContents`. Raises DataFolderError for a folder without its objects.
    """
    if store is None and not (await rows.rows(_ANY))[0][0]:
        await rows.close()
        return local
    contents = ObjectContents(store, log_id, rows, local, known)
    try:
        await contents.check()
    except BaseException:
        await contents.close()
        raise
    return contents


class ObjectContents:
    """A ContentStore in an object store, beside a local one. See the protocol for its promises.

    A published content can be opened once the log has its `StoredObject`. Without a store, new
    contents are local, and those that are in stores can be read. `known`: statements that select
    the URLs, of a JSON array of them, which rows of other tables name.
    """

    def __init__(
        self,
        store: ObjectStore | None,
        log_id: str,
        rows: ObjectRows,
        local: LocalContents,
        known: Sequence[str] = (),
    ) -> None:
        self._known = (_KNOWN, *known)
        self._store, self._prefix = store, f"{PREFIX}/{log_id}"
        self._rows, self._local = rows, local
        self._stores = {store.url: store} if store is not None else {}
        self._ending = set[asyncio.Task[None]]()

    @property
    def failure(self) -> StorageFailedError | None:
        """Why large contents are refused until a restart; None if they are not."""
        return self._local.failure

    async def check(self) -> None:
        """Raise DataFolderError for a folder that has no object, but ought to: if its disk is not
        mounted, the mount would later hide what is stored in it until then."""
        if (store := self._store) is None or store.has(self._prefix):
            return
        base = f"{store.url}/{self._prefix}/"
        if (await self._rows.rows(_ANY_AT, (len(base), base)))[0][0]:
            raise DataFolderError(
                f"{store.url} lacks the objects that the log names: mount its disk; if they are"
                f" lost, make the folder {self._prefix} in it, and go on without them"
            )

    def stage(self) -> Stage:
        """Begin to receive a content."""
        if self._store is None:
            return self._local.stage()
        name = f"{self._prefix}/{secrets.token_hex(16)}"
        return ObjectStage(self._store, name, self._ending)

    def local_stage(self) -> Stage:
        """Begin to receive bytes that stay in the data folder, such as a part of a content."""
        return self._local.stage()

    @asynccontextmanager
    async def taking(self, staged: Staged) -> AsyncIterator[Staged]:
        """Send a content in a local file to the store, for the block that records it."""
        if not isinstance(staged, Spilled) or self._store is None:
            yield staged
            return
        stage = self.stage()
        try:
            with await asyncio.to_thread(staged.file.path.open, "rb") as file:
                while piece := await asyncio.to_thread(file.read, BATCH):
                    await stage.write(piece)
            yield await stage.finish()
        finally:
            await stage.discard()

    async def publish(self, staged: Staged) -> None:
        """Make a large content durable. Raises StoreUnavailableError."""
        if isinstance(staged, ObjectStaged):
            await staged.stage.publish()
        else:
            await self._local.publish(staged)

    async def open(self, digest: Digest) -> Content | None:
        """Open the content with this digest; None if it is absent. Raises StoreUnavailableError."""
        known = None
        while (found := await self._find(digest)) is not None and found != known:
            if (size := await found.store.size(found.name)) is not None:
                return ObjectContent(found.store, found.name, size, lambda: self._find(digest))
            known = found
        return await self._local.open(digest)

    async def collected(self, digest: Digest) -> str | None:
        """Return when a content was collected; None if it was not."""
        return await self._local.collected(digest)

    async def removal(self, digests: Sequence[Digest]) -> Callable[[], Awaitable[None]]:
        """Return what removes these large contents, once an event has collected them."""
        found = [each for digest in digests if (each := await self._find(digest)) is not None]
        local = await self._local.removal(digests)

        async def remove() -> None:
            for store in {each.store for each in found}:
                await store.delete([each.name for each in found if each.store is store])
            await local()

        return remove

    async def sweep(self, age: timedelta = ORPHANED) -> int:
        """Remove old objects that no row names: of uploads that were not recorded, or of contents
        that were stored again. Return their number. Raises StoreUnavailableError."""
        if (store := self._store) is None:
            return 0
        removed = 0
        async for names in store.old(self._prefix, age):
            urls = {f"{store.url}/{name}": name for name in names}
            named = (orjson.dumps([*urls]).decode(),)
            known = [row for sql in self._known for row in await self._rows.rows(sql, named)]
            orphans = urls.keys() - {url for (url,) in known}
            if orphans:
                await store.delete([urls[url] for url in orphans])
            removed += len(orphans)
        await asyncio.to_thread(store.remove_unfinished, self._prefix, age)
        return removed

    @property
    def has_store(self) -> bool:
        """Whether new large contents go to a store."""
        return self._store is not None

    def object_at(self, stored: StoredObject) -> ObjectContent:
        """Return an object to read, which no other one replaces."""
        found = self._at(stored.url)

        async def find() -> _Found:
            return found

        return ObjectContent(found.store, found.name, stored.size, find)

    async def remove_objects(self, urls: Sequence[str]) -> None:
        """Remove objects. Those that a failing store keeps have no row, and are swept."""
        for found in map(self._at, urls):
            with suppress(StoreUnavailableError):
                await found.store.delete([found.name])

    def forget_packs(self) -> None:
        """Close packs that may have been removed."""
        self._local.forget_packs()

    async def close(self) -> None:
        """Drop what unfinished uploads sent. Close files, connections and threads."""
        await asyncio.gather(*self._ending)
        await self._rows.close()
        await self._local.close()

    async def _find(self, digest: Digest) -> _Found | None:
        """Return where a content is now. Raises DataFolderError for the URL of no store."""
        rows = await self._rows.rows(FIND_OBJECT, (key_of(digest),))
        return self._at(rows[0][0]) if rows else None

    def _at(self, of: str) -> _Found:
        url, name = split_url(of)
        if url not in self._stores:  # it was stored before the setting was changed
            self._stores[url] = ObjectStore(url)
        return _Found(self._stores[url], name)


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait([task])
