"""Resumable uploads: each arrives in several requests and becomes exactly one asset, or version.

The id of an upload is the id of its new asset, and its key makes the finish idempotent: a server
that is killed after the last byte finishes the upload at its next start, or when the client asks.
"""

import asyncio
import logging
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Final, Generic, NamedTuple, Protocol, TypeVar
from uuid import NAMESPACE_URL, uuid5

from asset_ledger.api.contract.assets import announced_by, check_announced
from asset_ledger.api.contract.errors import (
    UnknownUploadError,
    UploadLockedError,
    UploadOffsetError,
)
from asset_ledger.api.contract.fields import Fields
from asset_ledger.api.contract.uploads import ASSET_ID
from asset_ledger.api.uploads.target import own_key, receipt_of, target_of
from asset_ledger.ledger.clock import Clock
from asset_ledger.ledger.commands.call import CallContext, Receipt
from asset_ledger.ledger.content.receiving import Announced
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.content.unfinished import UploadState
from asset_ledger.ledger.errors import (
    WITHOUT_MEMORY,
    BusyError,
    DigestMismatchError,
    KeyReusedError,
    LedgerError,
    PreconditionFailedError,
    RefusedError,
)
from asset_ledger.ledger.ids import AssetId, digest_of, new_asset_id
from asset_ledger.ledger.service import Ledger

MOST: Final = 10_000
"""Unfinished uploads in all; a user may have half of them, if there can be others."""

STALLED: Final = 2.0
"""Seconds without a byte after which another request may take an upload over."""

SWEEP: Final = 60.0
"""Seconds between two looks for expired uploads, at most."""

logger = logging.getLogger(__name__)


class UploadRecord(Protocol):
    """Where the state of an upload is stored."""

    state: UploadState


S = TypeVar("S", bound=UploadRecord)


class OpenUpload(Generic[S]):
    """An unfinished upload in this process. Its lock is held while bytes of it arrive.

    `sender` ends the request that sends them; `moved`: when a byte arrived, in the loop's time.
    """

    def __init__(self, stored: S) -> None:
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

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are durable."""
        return self.state.offset == self.state.size

    def take_over(self) -> None:
        """End another request that sends, if it stalls; else raise UploadLockedError."""
        if self.sender is not None:
            if _now() - self.moved < STALLED:
                raise UploadLockedError
            self.sender()

    @contextmanager
    def sending(self, sender: Callable[[], None]) -> Iterator[None]:
        """Note which request sends, until the block ends."""
        self.sender, self.moved = sender, _now()
        try:
            yield
        finally:
            self.sender = None

    async def noted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield chunks, and note when each has arrived."""
        async for chunk in chunks:
            self.moved = _now()
            yield chunk


class Declared(NamedTuple):
    """What a client declares of an upload; `metadata` is the header as it was sent."""

    size: int
    fields: Fields
    metadata: str


class FinishedUpload(NamedTuple):
    """What an upload became: an asset as its command left it."""

    id: AssetId
    receipt: Receipt


class Uploads(ABC, Generic[S]):
    """The unfinished uploads of a ledger, for one event loop."""

    def __init__(self, ledger: Ledger, lifetime: timedelta, per_user: int, clock: Clock) -> None:
        self._ledger, self._lifetime = ledger, lifetime
        self._per_user, self._clock = per_user, clock
        self.expired = self.finished = 0

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def size(self) -> int:
        """The bytes that unfinished uploads take."""

    @abstractmethod
    async def find(self, user_id: str, upload_id: AssetId) -> OpenUpload[S]:
        """Return an unfinished upload of a user. Raises UnknownUploadError."""

    @abstractmethod
    async def close(self) -> None:
        """Wait for what is under way."""

    def expires(self, upload: OpenUpload[S]) -> datetime:
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

    async def create(self, call: CallContext, declared: Declared) -> OpenUpload[S] | FinishedUpload:
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
        if (known := await self._known(upload_id)) is not None:
            with suppress(UnknownUploadError):  # a power cut took its bytes: they are sent again
                return await self._same(known, call, declared)
        await self._check_room(call.user_id, declared.size)
        state = UploadState(
            id=upload_id,
            user_id=call.user_id,
            size=declared.size,
            declared={"call": asdict(call), **declared._asdict()},
            changed_at=self._clock().timestamp(),
        )
        return await self._begin(state)

    async def append(
        self,
        upload: OpenUpload[S],
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
        upload.take_over()
        async with upload.lock:
            is_known = await self._is_known(upload)
            if offset != upload.state.offset:
                raise UploadOffsetError(upload.state.offset)
            if not is_known:  # finished or removed meanwhile
                return await self.outcome(upload.call, upload.state.id)
            with upload.sending(sender):
                await self._receive(upload, upload.noted(chunks), checksum)
            return await self._finish(upload) if upload.is_whole else None

    async def finish(self, upload: OpenUpload[S]) -> FinishedUpload:
        """Record a whole upload, once. Raises what recording raises."""
        async with upload.lock:
            if await self._is_known(upload):
                return await self._finish(upload)
        return await self.outcome(upload.call, upload.state.id)

    async def delete(self, upload: OpenUpload[S]) -> None:
        """Remove an unfinished upload; end the request that sends bytes of it.

        Raises UnknownUploadError if it was finished meanwhile.
        """
        if upload.sender is not None:
            upload.sender()
        async with upload.lock:
            if not await self._is_known(upload):
                raise UnknownUploadError(upload.state.id)
            await self._remove(upload)

    async def watch(self) -> None:
        """Finish whole uploads, of which the client may not know, and remove expired ones."""
        while True:
            try:
                await self._remove_unreadable()
                for upload in await self._all_known():
                    await self._care_for(upload)
            except LedgerError as error:
                logger.warning("unfinished uploads were not looked at: %s", error)
            await asyncio.sleep(min(SWEEP, self._lifetime.total_seconds()))

    async def _care_for(self, upload: OpenUpload[S]) -> None:
        try:
            await self._look_at(upload)
        except RefusedError as error:
            logger.warning("the upload %s cannot be recorded: %s", upload.state.id, error)
            upload.is_refused = True
        except (LedgerError, OSError, sqlite3.Error, *WITHOUT_MEMORY):
            logger.exception("the upload %s was left as it is", upload.state.id)

    async def _look_at(self, upload: OpenUpload[S]) -> None:
        if upload.lock.locked():
            return
        if self._is_expired(upload):
            async with upload.lock:
                self.expired += await self._remove_expired(upload)
        elif upload.is_whole and not upload.is_refused and await self._is_left(upload):
            await self.finish(upload)

    async def _finish(self, upload: OpenUpload[S]) -> FinishedUpload:
        """Record a whole upload. The caller holds the lock."""
        state, call, fields = upload.state, upload.call, dict(upload.state.declared["fields"])
        if call.key is None:
            call = replace(call, key=own_key(state.id))
        try:
            async with self._whole(upload) as whole:
                check_announced(fields, whole)
                async with self._ledger.contents.taking(whole) as staged:
                    receipt = await target_of(self._ledger, fields).record(call, staged, state.id)
        except (DigestMismatchError, PreconditionFailedError):  # it can never be recorded
            await self._remove(upload)
            raise
        self.finished += 1
        await self._remove(upload)
        return FinishedUpload(state.id, receipt)

    async def _same(
        self, upload: OpenUpload[S], call: CallContext, declared: Declared
    ) -> OpenUpload[S] | FinishedUpload:
        """Return the upload of an earlier request with this key. Raises KeyReusedError."""
        async with upload.lock:  # until it is stored, or while it is finished
            known, earlier = upload.state.declared, upload.call
            if (known["size"], known["fields"]) != (declared.size, declared.fields) or (
                earlier.if_match != call.if_match
            ):
                raise KeyReusedError(call.key or "")
            if await self._is_known(upload):
                return await self._finish(upload) if upload.is_whole else upload
        return await self.outcome(earlier, upload.state.id)

    def _check_number(self, uploads: int, own: int) -> None:
        """Raise BusyError if a user has too many uploads, or all users have."""
        if own >= self._per_user or uploads >= MOST:
            raise BusyError(
                f"there are {uploads:,} unfinished uploads, {own:,} of"
                " them of this user: finish or delete some, or wait until they expire",
                "unfinished-uploads",
            )

    def _is_expired(self, upload: OpenUpload[S]) -> bool:
        return not upload.lock.locked() and self.expires(upload) <= self._clock()

    async def _remove_expired(self, upload: OpenUpload[S]) -> bool:
        """Remove an upload. Return False if another server has changed it meanwhile: it stays."""
        await self._remove(upload)
        return True

    @abstractmethod
    async def _known(self, upload_id: AssetId) -> OpenUpload[S] | None:
        """Return an unfinished upload of any user."""

    @abstractmethod
    async def _is_known(self, upload: OpenUpload[S]) -> bool:
        """Return whether it was neither finished nor removed. The caller holds its lock."""

    @abstractmethod
    async def _all_known(self) -> Iterable[OpenUpload[S]]:
        """Return every unfinished upload."""

    async def _remove_unreadable(self) -> None:
        """Remove expired uploads whose stored state cannot be read."""

    @abstractmethod
    async def _is_left(self, upload: OpenUpload[S]) -> bool:
        """Return whether this server has to finish a whole upload."""

    @abstractmethod
    async def _check_room(self, user_id: str, size: int) -> None:
        """Raise BusyError or DiskFullError if a user cannot begin an upload."""

    @abstractmethod
    async def _begin(self, state: UploadState) -> OpenUpload[S]:
        """Store a new upload."""

    @abstractmethod
    async def _receive(
        self, upload: OpenUpload[S], chunks: AsyncIterator[bytes], checksum: Announced | None
    ) -> None:
        """Add bytes. The caller holds the lock."""

    @abstractmethod
    def _whole(self, upload: OpenUpload[S]) -> AbstractAsyncContextManager[Staged]:
        """Lend the content of a whole upload."""

    @abstractmethod
    async def _remove(self, upload: OpenUpload[S]) -> None:
        """Remove an upload. If its bytes stay, they are removed later."""


def _id_of(call: CallContext) -> AssetId:
    """Return the id of a new upload; with an Idempotency-Key, always the same one."""
    if call.key is None:
        return new_asset_id()
    return AssetId(uuid5(NAMESPACE_URL, f"asset-ledger:upload:{call.user_id}\0{call.key}").hex)


def _now() -> float:
    return asyncio.get_running_loop().time()
