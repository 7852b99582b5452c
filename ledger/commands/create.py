"""Create an asset: with uploaded bytes, with bytes that its owner has already, or without any.

Crash points before those of `commit/group_commit.py`. After a kill there, the next start finds:

    A    during the upload: a private file, which the start removes
    B    after a large content is published: a content that no event names, which stays
"""

from collections.abc import Callable, Mapping

from asset_ledger.ledger.commands.call import CallContext, Receipt
from asset_ledger.ledger.commands.tables import TableQueries
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.commit.requests import Committed
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.content.store import HEAD, Content, OwnedContent, Staged
from asset_ledger.ledger.domain.asset import Asset, AssetCreated, fold
from asset_ledger.ledger.domain.decisions import NewAsset, create
from asset_ledger.ledger.domain.event import Json
from asset_ledger.ledger.errors import CorruptLogError, FieldError, VersionConflictError
from asset_ledger.ledger.ids import AssetId, Digest, new_asset_id
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay


class Create:
    """Creates assets."""

    def __init__(
        self,
        committer: Committer,
        replay: AsyncReplay,
        contents: CheckedContents,
        tables: TableQueries,
        new_id: Callable[[], AssetId] = new_asset_id,
    ) -> None:
        self._committer, self._replay, self._contents = committer, replay, contents
        self._tables, self._new_id = tables, new_id

    async def asset(
        self,
        call: CallContext,
        new: NewAsset,
        staged: Staged | None,
        fields: Mapping[str, Json],
        asset_id: AssetId | None = None,
    ) -> Receipt:
        """Record a new asset with its content, or without (a folder, or metadata only).

        `fields` are the fields of the request, which distinguish a retry from another request.
        `asset_id`: the id of the asset, by default a new one.
        Raises FieldError, TooLargeError, KeyReusedError, and the UnavailableErrors.
        """
        size, digest = (staged.size, staged.digest) if staged else (0, None)
        key = call.command_key("create-asset", fields=fields, size=size, digest=digest)
        origin, asset_id = call.origin(key), asset_id or self._new_id()

        async def decide() -> Decision:
            events = create(new, asset_id=asset_id, size=size, digest=digest, origin=origin)
            guards = await self._folder_guard(call.user_id, new)
            if isinstance(staged, OwnedContent):
                guards |= await self._owner_guard(call.user_id, staged.digest)
            elif staged is not None:
                await self._contents.publish(staged)  # B
            return events, guards

        contents = (staged,) if staged else ()
        with self._contents.using(contents):
            committed = await self._committer.commit(key, decide, contents)
        return await self._receipt(committed)

    async def check(self, call: CallContext, new: NewAsset, staged: Staged) -> None:
        """Raise what recording this asset would raise now, if its content had arrived."""
        create(
            new,
            asset_id=self._new_id(),
            size=staged.size,
            digest=staged.digest,
            origin=call.origin(None),
        )
        await self._folder_guard(call.user_id, new)

    async def recorded(self, call: CallContext) -> Asset | None:
        """Return the asset that an earlier request with this Idempotency-Key created, or None."""
        if call.key is None:
            return None
        earlier = await self._replay(Replay.command_of, call.user_id, call.key)
        events = await self._replay.recorded(earlier) if earlier else ()
        return next((fold([each]) for each in events if isinstance(each.event, AssetCreated)), None)

    async def find_content(self, call: CallContext, digest: Digest) -> OwnedContent | None:
        """Return the content if a live asset of the user has it, or if an earlier request with this
        Idempotency-Key recorded it; else None. Raises ProjectionBehindError, ContentDamagedError.
        """
        size = await self._size_of_owned(call, digest)
        if size is None:
            return None
        return await _owned_content(digest, await self._contents.open(digest, size))

    async def _folder_guard(self, user_id: str, new: NewAsset) -> dict[str, int]:
        """Check sources and folder; return the version that the folder must have at the commit."""
        if new.derived_from:
            await self._replay(Replay.check_sources, user_id, new.derived_from)
        if new.parent_id is None:
            return {}
        folder = await self._replay(Replay.folder, user_id, new.parent_id)
        return {folder.id: folder.version}

    async def _owner_guard(self, user_id: str, digest: Digest) -> dict[str, int]:
        """Return the version that the asset with these bytes must have at the commit."""
        owner_id = await self._tables.owner_of(user_id, digest)
        if owner_id is None:
            raise not_owned()
        owner = await self._replay(Replay.asset, user_id, owner_id)
        if owner.deleted or owner.digest != digest:
            raise VersionConflictError(f"{owner_id} changed since it was found")
        return {owner.id: owner.version}

    async def _size_of_owned(self, call: CallContext, digest: Digest) -> int | None:
        """Return the recorded size of a content that the user may name; None if there is none."""
        owner_id = await self._tables.owner_of(call.user_id, digest)
        if owner_id is None:
            return await self._size_of_retry(call, digest)
        owner = await self._replay(Replay.asset, call.user_id, owner_id)
        return owner.size if owner.digest == digest else None

    async def _size_of_retry(self, call: CallContext, digest: Digest) -> int | None:
        """Return the size that an earlier request with this key recorded for these bytes."""
        earlier = await self.recorded(call)
        return earlier.size if earlier and earlier.digest == digest else None

    async def _receipt(self, committed: Committed | None) -> Receipt:
        asset = fold(await self._replay.recorded(committed.appended)) if committed else None
        if committed is None or asset is None:
            raise CorruptLogError("a new asset was recorded without the event that creates it")
        appended = committed.appended
        return Receipt(asset, appended.last, appended.replayed, committed.behind)


def not_owned() -> FieldError:
    """Refuse a digest, without revealing whether another user has such bytes."""
    return FieldError("digest", "is not the digest of an asset of yours: send the bytes")


async def _owned_content(digest: Digest, content: Content) -> OwnedContent:
    try:
        head = [chunk async for chunk in content.chunks(0, min(HEAD, content.size))]
    finally:
        await content.close()
    return OwnedContent(digest, content.size, b"".join(head))
