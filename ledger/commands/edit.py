"""Change the label and the content of a live asset.

A decision depends on the asset and on all folders above its new parent. Their versions are guards
of the command: if one of them changes before the commit, the command is decided again. So two
folders that are moved into each other at the same time end as one move and one refusal.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from asset_ledger.ledger.commands.call import CallContext, Receipt
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.commit.requests import Committed
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.asset import Asset, AssetContentReplaced, AssetDescribed
from asset_ledger.ledger.domain.decisions import (
    Label,
    check_live,
    check_path,
    check_version,
    describe,
    replace_content,
)
from asset_ledger.ledger.domain.event import UNSET, Event, Json, Origin
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.log.event_log import Appended, CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

CHANGES: Final = (AssetContentReplaced, AssetDescribed)


class Edit:
    """Changes live assets."""

    def __init__(
        self, committer: Committer, replay: AsyncReplay, contents: CheckedContents
    ) -> None:
        self._committer, self._replay, self._contents = committer, replay, contents

    async def asset(
        self,
        call: CallContext,
        asset_id: AssetId,
        label: Label,
        staged: Staged | None,
        fields: Mapping[str, Json],
    ) -> Receipt:
        """Change the label of an asset, its bytes, or both at once.

        Raises UnknownAssetError, AssetDeletedError, PreconditionFailedError, FieldError, and what
        every write may raise.
        """
        size, digest = (staged.size, staged.digest) if staged else (None, None)
        key = _key(call, asset_id, fields, size, digest)
        origin = call.origin(key)

        async def decide() -> Decision:
            asset = await self.current(call, asset_id)
            events = _changes(asset, label, staged, origin)
            guards = await self._path_guards(asset, label)
            if staged is not None:
                await self._contents.publish(staged)
            return events, guards

        contents = (staged,) if staged else ()
        with self._contents.using(contents):
            committed = await self._committer.commit(key, decide, contents)
        return await self.receipt(call, asset_id, committed)

    async def check(
        self, call: CallContext, asset_id: AssetId, label: Label, staged: Staged
    ) -> None:
        """Raise what changing this asset would raise now, if its new content had arrived."""
        asset = await self.current(call, asset_id)
        _changes(asset, label, staged, call.origin(None))
        await self._path_guards(asset, label)

    async def recorded(
        self,
        call: CallContext,
        asset_id: AssetId,
        fields: Mapping[str, Json],
        size: int,
        digest: Digest | None,
    ) -> Receipt | None:
        """Return what an earlier request with this Idempotency-Key changed, or None.

        `digest` None: whatever bytes of this size it had. Raises KeyReusedError if it was another
        request.
        """
        earlier = await self._earlier(call)
        if earlier is None:  # what the server records after this look is no other request
            return None
        receipt = await self._changed_by(call, earlier)
        digest = digest or (receipt.asset.digest if receipt else None)
        key = _key(call, asset_id, fields, size, digest)
        if key is not None:
            await self._replay(Replay.command, key)
        return receipt

    async def changed(self, call: CallContext) -> Receipt | None:
        """Return the asset that a command with this Idempotency-Key changed, as it left it."""
        earlier = await self._earlier(call)
        return None if earlier is None else await self._changed_by(call, earlier)

    async def _earlier(self, call: CallContext) -> Appended | None:
        if call.key is None:
            return None
        return await self._replay(Replay.command_of, call.user_id, call.key)

    async def _changed_by(self, call: CallContext, earlier: Appended) -> Receipt | None:
        events = await self._replay.recorded(earlier)
        changed = next((e.event for e in events if isinstance(e.event, CHANGES)), None)
        if changed is None:
            return None
        committed = Committed(earlier, behind=False)
        return await self.receipt(call, AssetId(changed.originator_id), committed)

    async def current(self, call: CallContext, asset_id: AssetId) -> Asset:
        """Return the asset before a change.

        Raises UnknownAssetError, AssetDeletedError and PreconditionFailedError, in this order.
        """
        asset = await self._replay(Replay.asset, call.user_id, asset_id)
        check_live(asset)
        check_version(asset, call.if_match)
        return asset

    async def receipt(
        self, call: CallContext, asset_id: AssetId, committed: Committed | None
    ) -> Receipt:
        """Return the asset as its command left it; as it is now, if nothing was recorded."""
        upto = committed.appended.last if committed else None
        asset = await self._replay(Replay.asset, call.user_id, asset_id, upto=upto)
        if committed is None:
            return Receipt(asset, asset.position, replayed=False, behind=False)
        appended = committed.appended
        return Receipt(asset, appended.last, appended.replayed, committed.behind)

    async def _path_guards(self, asset: Asset, label: Label) -> Mapping[str, int]:
        """Check a move; return the versions that the new folders must have at the commit."""
        if label.parent_id is UNSET or label.parent_id == asset.parent_id:
            return {}
        path = await self._replay(Replay.path, asset.user_id, label.parent_id)
        check_path(asset, path)
        return {folder.id: folder.version for folder in path}


def _key(
    call: CallContext,
    asset_id: AssetId,
    fields: Mapping[str, Json],
    size: int | None,
    digest: Digest | None,
) -> CommandKey | None:
    return call.command_key(
        "update-asset", asset_id=asset_id, fields=fields, size=size, digest=digest
    )


def _changes(asset: Asset, label: Label, staged: Staged | None, origin: Origin) -> Sequence[Event]:
    """Return the events of a change. New content comes first, with the label's content type."""
    if staged is None:
        return describe(asset, label, origin=origin)
    content_type = label.content_type if label.content_type is not UNSET else asset.content_type
    replaced = replace_content(
        asset, size=staged.size, digest=staged.digest, content_type=content_type, origin=origin
    )
    after = asset._replace(content_type=content_type, version=asset.version + len(replaced))
    return [*replaced, *describe(after, label, origin=origin)]
