"""Resumable uploads: each arrives in several requests and becomes exactly one asset, or version.

The id of an upload is the id of its new asset, and its key makes the finish idempotent: a server
that is killed after the last byte finishes the upload at its next start, or when the client asks.
"""

import asyncio
import logging
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar
from uuid import NAMESPACE_URL, uuid5

from asset_ledger.api.contract.assets import announced_by, check_announced
from asset_ledger.api.contract.errors import (
    UnknownUploadError,
    UploadLockedError,
    UploadOffsetError,
)
from asset_ledger.api.contract.fields import Fields
from asset_ledger.api.contract.uploads import ASSET_ID
from asset_ledger.api.upload_target import own_key, receipt_of, target_of
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.commands.call import CallContext, Receipt
from asset_ledger.ledger.content.batches import Batches
from asset_ledger.ledger.content.receiving import Announced, ReceivingStage
from asset_ledger.ledger.content.store import HEAD, Staged
from asset_ledger.ledger.content.unfinished import (
    UnfinishedUpload,
    UploadState,
    find_unfinished,
)
from asset_ledger.ledger.errors import (
    BusyError,
    ContentCollectedError,
    ContentDamagedError,
    DigestMismatchError,
    DiskFullError,
    KeyReusedError,
    LedgerError,
    PreconditionFailedError,
    RefusedError,
    StorageFailedError,
)
from asset_ledger.ledger.ids import AssetId, digest_of, new_asset_id
from asset_ledger.ledger.service import Ledger

T = TypeVar("T")

MOST: Final = 10_000
"""Unfinished uploads in all; a user may have half of them, if there can be others."""

STALLED: Final = 2.0
"""Seconds without a byte after which another request may take an upload over."""

SWEEP: Final = 60.0
"""Seconds between two looks for expired uploads, at most."""

THREADS: Final = 4

logger = logging.getLogger(__name__)


class OpenUpload:
    """An unfinished upload in this process. Its lock is held while bytes of it arrive.

    `sender` ends the request that sends them; `moved`: when a byte arrived, in the loop's time.
    """

    def __init__(self, stored: UnfinishedUpload) -> None:
        self.stored = stored
        self.lock = asyncio.Lock()
        self.sender: Callable[[], None] | None = None
        self.moved = 0.0
        self.is_refused = False

    @property
    def state(self) -> UploadState:
        return self.stored.state

    @property
    def call(self) -> CallContext:
        """The request that created it."""
        return CallContext(**self.state.declared["call"])


class Declared(NamedTuple):
    """What a client declares of an upload; `metadata` is the header as it was sent."""

    size: int
    fields: Fields
    metadata: str


class FinishedUpload(NamedTuple):
    """What an upload became: an asset as its command left it."""

    id: AssetId
    receipt: Receipt


class Uploads:
    """The unfinished uploads of a data folder, for one event loop."""

    def __init__(
        self, folder: Path, ledger: Ledger, lifetime: timedelta, per_user: int, clock: Clock
    ) -> None:
        self._folder, self._ledger, self._lifetime = folder, ledger, lifetime
        self._per_user, self._clock = per_user, clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="uploads")
        self._batches = Batches(2)
        self._all: dict[AssetId, OpenUpload] = {}
        self._of_user = Counter[str]()
        self.expired = self.finished = 0

    @classmethod
    async def open(
        cls,
        folder: Path,
        ledger: Ledger,
        lifetime: timedelta,
        *,
        shared: bool,
        clock: Clock = utc_now,
    ) -> Self:
        """Find the uploads that were not finished. `shared`: by several users."""
        uploads = cls(folder, ledger, lifetime, MOST // 2 if shared else MOST, clock)
        for stored in await asyncio.to_thread(lambda: [*find_unfinished(folder)]):
            uploads._add(OpenUpload(stored))
        return uploads

    def __len__(self) -> int:
        return len(self._all)

    @property
    def size(self) -> int:
        """The bytes that unfinished uploads take."""
        return sum(each.state.offset for each in self._all.values())

    def find(self, user_id: str, upload_id: AssetId) -> OpenUpload:
        """Return an unfinished upload of a user. Raises UnknownUploadError."""
        found = self._all.get(upload_id)
        if found is None or found.state.user_id != user_id or self._is_expired(found):
            raise UnknownUploadError(upload_id)
        return found

    def expires(self, upload: OpenUpload) -> datetime:
        """Return when an upload to which nothing is added any more is removed."""
        changed = datetime.fromtimestamp(upload.state.changed_at, tz=self._clock().tzinfo)
        return changed + self._lifetime

    async def outcome(self, call: CallContext, upload_id: AssetId) -> FinishedUpload:
        """Return what an upload of this user became. Raises UnknownUploadError.

        `call`: a request with the Idempotency-Key of the creation, or without one.
        """
        key = call.key if call.key and _id_of(call) == upload_id else None
        receipt = await receipt_of(self._ledger, call.user_id, upload_id, key)
        return FinishedUpload(upload_id, receipt)

    async def create(self, call: CallContext, declared: Declared) -> OpenUpload | FinishedUpload:
        """Store a new upload, or return the one, or the asset, that this key has created before.

        Raises what recording the asset would raise now, KeyReusedError, BusyError for too many
        uploads, DiskFullError.
        """
        target, upload_id = target_of(self._ledger, declared.fields), _id_of(call)
        if (earlier := await target.recorded(call, declared.size)) is not None:
            is_new = ASSET_ID not in declared.fields
            return FinishedUpload(earlier.asset.id if is_new else upload_id, earlier)
        digest = announced_by(declared.fields) or digest_of(b"")
        await target.check(call, Staged(digest, declared.size, b""))
        if upload_id in self._all:
            return await self._same(self._all[upload_id], call, declared)
        self._check_room(call.user_id, declared.size)
        state = UploadState(
            id=upload_id,
            user_id=call.user_id,
            size=declared.size,
            declared={"call": asdict(call), **declared._asdict()},
            changed_at=self._clock().timestamp(),
        )
        upload = self._add(OpenUpload(UnfinishedUpload(self._folder, state)))
        async with upload.lock:
            try:
                await self._in_thread(upload.stored.save)
            except BaseException:
                self._drop(upload)
                raise
        return upload

    async def append(
        self,
        upload: OpenUpload,
        offset: int,
        chunks: AsyncIterator[bytes],
        checksum: Announced | None,
        sender: Callable[[], None],
    ) -> FinishedUpload | None:
        """Add bytes at an offset, durably. Return what it became once all are there.

        `sender` ends the request that sends them. What arrived before it broke off is kept, unless
        it has a checksum. Raises UploadLockedError, UploadOffsetError, UnknownUploadError,
        TooLargeError, ChecksumMismatchError, StorageFailedError, and what recording raises.
        """
        self._check_free(upload)
        async with upload.lock:
            if offset != upload.state.offset:
                raise UploadOffsetError(upload.state.offset)
            if self._all.get(upload.state.id) is not upload:  # finished or removed meanwhile
                return await self.outcome(upload.call, upload.state.id)
            upload.sender, upload.moved = sender, _now()
            try:
                stage = ReceivingStage(upload.stored, self._threads, self._batches, self._clock)
                await stage.receive(_noted(upload, chunks), checksum)
            finally:
                upload.sender = None
            return await self._finish(upload) if upload.stored.is_whole else None

    async def finish(self, upload: OpenUpload) -> FinishedUpload:
        """Record a whole upload, once. Raises what recording raises."""
        async with upload.lock:
            if self._all.get(upload.state.id) is upload:
                return await self._finish(upload)
        return await self.outcome(upload.call, upload.state.id)

    async def delete(self, upload: OpenUpload) -> None:
        """Remove an unfinished upload; end the request that sends bytes of it.

        Raises UnknownUploadError if it was finished meanwhile.
        """
        if upload.sender is not None:
            upload.sender()
        async with upload.lock:
            if self._all.get(upload.state.id) is not upload:
                raise UnknownUploadError(upload.state.id)
            await self._remove(upload)

    async def watch(self) -> None:
        """Finish whole uploads, of which the client may not know, and remove expired ones."""
        while True:
            for upload in [*self._all.values()]:
                try:
                    await self._look_at(upload)
                except RefusedError as error:
                    logger.warning("the upload %s cannot be recorded: %s", upload.state.id, error)
                    upload.is_refused = True
                except (LedgerError, OSError, sqlite3.Error):
                    logger.exception("the upload %s was left as it is", upload.state.id)
            await asyncio.sleep(min(SWEEP, self._lifetime.total_seconds()))

    async def close(self) -> None:
        """Wait for the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _look_at(self, upload: OpenUpload) -> None:
        if upload.lock.locked():
            return
        if self._is_expired(upload):
            async with upload.lock:
                await self._remove(upload)
            self.expired += 1
        elif upload.stored.is_whole and not upload.is_refused:
            await self.finish(upload)

    async def _finish(self, upload: OpenUpload) -> FinishedUpload:
        """Record a whole upload. The caller holds the lock."""
        state, call, fields = upload.state, upload.call, dict(upload.state.declared["fields"])
        whole = await self._staged(upload)
        if call.key is None:
            call = replace(call, key=own_key(state.id))
        try:
            check_announced(fields, whole)
            async with self._ledger.contents.taking(whole) as staged:
                receipt = await target_of(self._ledger, fields).record(call, staged, state.id)
        except (DigestMismatchError, PreconditionFailedError):  # it can never be recorded
            await self._remove(upload)
            raise
        self.finished += 1
        await self._remove(upload)
        return FinishedUpload(state.id, receipt)

    async def _staged(self, upload: OpenUpload) -> Staged:
        staged = await self._in_thread(upload.stored.complete)
        if staged is not None:
            return staged
        digest, size = upload.state.digest or digest_of(b""), upload.state.size
        try:  # published before a kill, or before its event was refused
            content = await self._ledger.open_content(digest, size)
        except (ContentCollectedError, ContentDamagedError) as error:
            self._ledger.contents.forget(digest)
            await self._remove(upload)
            raise UnknownUploadError(upload.state.id) from error
        try:
            head = b"".join([piece async for piece in content.chunks(0, min(HEAD, size))])
        finally:
            await content.close()
        return upload.stored.staged(head)

    async def _same(
        self, upload: OpenUpload, call: CallContext, declared: Declared
    ) -> OpenUpload | FinishedUpload:
        """Return the upload of an earlier request with this key. Raises KeyReusedError."""
        async with upload.lock:  # until it is stored, or while it is finished
            known, earlier = upload.state.declared, upload.call
            if (known["size"], known["fields"]) != (declared.size, declared.fields) or (
                earlier.if_match != call.if_match
            ):
                raise KeyReusedError(call.key or "")
            if self._all.get(upload.state.id) is upload:
                return upload
        return await self.outcome(earlier, upload.state.id)

    def _check_room(self, user_id: str, size: int) -> None:
        if self._of_user[user_id] >= self._per_user or len(self._all) >= MOST:
            raise BusyError(
                f"there are {len(self._all):,} unfinished uploads, {self._of_user[user_id]:,} of"
                " them of this user: finish or delete some, or wait until they expire",
                "unfinished-uploads",
            )
        free = shutil.disk_usage(self._folder).free
        if free < size:
            raise DiskFullError(f"the disk has {free:,} free bytes; the upload has {size:,}")

    def _check_free(self, upload: OpenUpload) -> None:
        """Raise UploadLockedError while another request sends; end one that stalls."""
        if upload.sender is not None:
            if _now() - upload.moved < STALLED:
                raise UploadLockedError
            upload.sender()

    def _is_expired(self, upload: OpenUpload) -> bool:
        return not upload.lock.locked() and self.expires(upload) <= self._clock()

    def _add(self, upload: OpenUpload) -> OpenUpload:
        self._all[upload.state.id] = upload
        self._of_user[upload.state.user_id] += 1
        return upload

    def _drop(self, upload: OpenUpload) -> None:
        if self._all.pop(upload.state.id, None) is not None:
            self._of_user[upload.state.user_id] -= 1
            self._of_user += Counter()  # drops the users without uploads

    async def _remove(self, upload: OpenUpload) -> None:
        """Remove an upload. If its files stay, the next start finishes or expires it again."""
        self._drop(upload)
        try:
            await self._in_thread(upload.stored.remove)
        except StorageFailedError:
            logger.exception("the files of the upload %s were not removed", upload.state.id)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _id_of(call: CallContext) -> AssetId:
    """Return the id of a new upload; with an Idempotency-Key, always the same one."""
    if call.key is None:
        return new_asset_id()
    return AssetId(uuid5(NAMESPACE_URL, f"asset-ledger:upload:{call.user_id}\0{call.key}").hex)


async def _noted(upload: OpenUpload, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        upload.moved = _now()
        yield chunk


def _now() -> float:
    return asyncio.get_running_loop().time()
