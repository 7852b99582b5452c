"""Recording a new asset: with the bytes that came along, with bytes that its owner has already, or
without any.
"""

from collections.abc import Callable, Mapping

from asset_ledger.ledger.commands.call import CallContext, Receipt
from asset_ledger.ledger.commands.tables import TableQueries
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.commit.requests import Committed
from asset_ledger.ledger.content.store import HEAD, Content, ContentStore, OwnedContent, Staged
from asset_ledger.ledger.domain.asset import AssetCreated, fold
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
        contents: ContentStore,
        tables: TableQueries,
        new_id: Callable[[], AssetId] = new_asset_id,
    ) -> None:
        self._committer, self._replay, self._contents = committer, replay, contents
        self._tables, self._new_id = tables, new_id

    async def asset(
        self, call: CallContext, wanted: NewAsset, staged: Staged | None, fields: Mapping[str, Json]
    ) -> Receipt:
        """Record a new asset with its content, or without (a folder, or metadata only).

        `fields` are the wire fields that were sent, to tell a retry from another request.
        Raises FieldError, TooLargeError, KeyReusedError, and the UnavailableErrors.
        """
        size, digest = (staged.size, staged.digest) if staged else (0, None)
        key = call.command_key("create-asset", fields=fields, size=size, digest=digest)
        origin, asset_id = call.origin(key), self._new_id()

        async def decide() -> Decision:
            events = create(wanted, asset_id=asset_id, size=size, digest=digest, origin=origin)
            guards = await self._surroundings(call.user_id, wanted)
            if isinstance(staged, OwnedContent):
                guards |= await self._owner(call.user_id, staged.digest)
            elif staged is not None and staged.small is None:
                await self._contents.publish(staged)
            return events, guards

        committed = await self._committer.commit(key, decide, (staged,) if staged else ())
        return await self._receipt(committed)

    async def find_content(self, call: CallContext, digest: Digest) -> OwnedContent | None:
        """A content that the caller owns: a live asset of his has it now, or this very
        Idempotency-Key made one that had. None for any other. Raises ProjectionBehindError.
        """
        owner = await self._tables.owner_of(call.user_id, digest)
        if owner is None and not await self._was_made(call, digest):
            return None
        content = await self._contents.open(digest)
        return None if content is None else await _owned_content(digest, content)

    async def _surroundings(self, user_id: str, wanted: NewAsset) -> dict[str, int]:
        """The folder that an asset goes into must be as it was when the event is recorded."""
        if wanted.derived_from:
            await self._replay(Replay.sources, user_id, wanted.derived_from)
        if wanted.parent_id is None:
            return {}
        folder = await self._replay(Replay.folder, user_id, wanted.parent_id)
        return {folder.id: folder.version}

    async def _owner(self, user_id: str, digest: Digest) -> dict[str, int]:
        """The asset that the bytes belong to must have them still when the event is recorded."""
        owner_id = await self._tables.owner_of(user_id, digest)
        if owner_id is None:
            raise not_owned()
        owner = await self._replay(Replay.asset, user_id, owner_id)
        if owner.deleted or owner.digest != digest:
            raise VersionConflictError(f"{owner_id} changed since it was found")
        return {owner.id: owner.version}

    async def _was_made(self, call: CallContext, digest: Digest) -> bool:
        """Whether the request that used this key before recorded an asset with these bytes."""
        if call.key is None:
            return False
        known = await self._replay(Replay.command_of, call.user_id, call.key)
        recorded = await self._replay.recorded(known) if known else ()
        made = (each.event for each in recorded)
        return any(isinstance(event, AssetCreated) and event.digest == digest for event in made)

    async def _receipt(self, committed: Committed | None) -> Receipt:
        asset = fold(await self._replay.recorded(committed.appended)) if committed else None
        if committed is None or asset is None:
            raise CorruptLogError("a new asset was recorded without the event that creates it")
        appended = committed.appended
        return Receipt(asset, appended.last, appended.replayed, committed.behind)


def not_owned() -> FieldError:
    """The refusal of a digest: whether somebody else has such bytes is not told."""
    return FieldError("digest", "is not that of an asset of yours: send the bytes along")


async def _owned_content(digest: Digest, content: Content) -> OwnedContent:
    try:
        head = [chunk async for chunk in content.chunks(0, min(HEAD, content.size))]
    finally:
        await content.close()
    return OwnedContent(digest, content.size, b"".join(head))
