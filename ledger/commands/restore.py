"""Restore a deleted asset, or a folder with the contents that were deleted with it.

The folder is restored first, because a start deletes live assets in deleted folders. Its contents
follow, one batch per command. Restoring the folder again finishes an interrupted restore. Contents
that were deleted before the folder stay deleted.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from asset_ledger.ledger.commands.call import CallContext, Edition, Receipt
from asset_ledger.ledger.commands.delete import BATCH, assets_of, batch_key
from asset_ledger.ledger.commands.edit import Edit
from asset_ledger.ledger.commands.tables import TableQueries
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.decisions import check_version, restore
from asset_ledger.ledger.domain.event import Event, Json, Origin
from asset_ledger.ledger.errors import FieldError, NotRestorableError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.event_log import CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import DeletionPeriod, Replay


class RestoreTarget(NamedTuple):
    """Where to restore an asset (`homeless`: to home), and the versions of the folders above."""

    homeless: bool
    guards: Mapping[str, int]


@dataclass(slots=True)
class _Restored:
    """The commands of one request that restored contents of folders, and the last position."""

    commands: int = 0
    position: int = 0


class Restore:
    """Restores deleted assets."""

    def __init__(
        self,
        committer: Committer,
        replay: AsyncReplay,
        edit: Edit,
        tables: TableQueries,
        contents: CheckedContents,
    ) -> None:
        self._committer, self._replay, self._edit, self._tables = committer, replay, edit, tables
        self._contents = contents

    async def asset(self, call: CallContext, asset_id: AssetId) -> Receipt:
        """Restore an asset, to home if its folder is gone; a folder with its contents.

        Raises UnknownAssetError, PreconditionFailedError, ProjectionBehindError (restore it again
        to continue with the contents), and what every write may raise.
        """
        key = call.command_key("restore-asset", asset_id=asset_id)
        origin = call.origin(key)

        async def decide() -> Decision:
            asset = await self._replay(Replay.asset, call.user_id, asset_id)
            check_version(asset, call.if_match)
            return await self._restored([asset], origin)

        committed = await self._committer.commit(key, decide)
        receipt = await self._edit.receipt(call, asset_id, committed)
        if receipt.asset.is_folder:
            last = await self._restore_contents(call, key, [asset_id])
            return receipt._replace(position=max(receipt.position, last))
        return receipt

    async def assets(
        self, call: CallContext, asset_ids: Sequence[AssetId], fields: Mapping[str, Json]
    ) -> Edition:
        """Restore assets in one command, then the contents of the folders among them.

        Raises what `asset` raises; then none of them is restored.
        """
        key = call.command_key("bulk-restore", fields=fields)
        origin = call.origin(key)

        async def decide() -> Decision:
            return await self._restored(
                await self._replay(assets_of, call.user_id, asset_ids), origin
            )

        committed = await self._committer.commit(key, decide)
        assets = await self._replay(assets_of, call.user_id, asset_ids)
        folders = [asset.id for asset in assets if asset.is_folder and not asset.deleted]
        last = await self._restore_contents(call, key, folders)
        if committed is None:
            return Edition((), last or await self._replay(Replay.head), False, False)
        appended = committed.appended
        events = await self._replay.recorded(appended)
        ids = dict.fromkeys(AssetId(recorded.event.originator_id) for recorded in events)
        return Edition([*ids], max(appended.last, last), appended.replayed, committed.behind)

    async def _restored(self, assets: Sequence[Asset], origin: Origin) -> Decision:
        """Return the events that restore tombstones, and guards. Raises NotRestorableError."""
        events: list[Event] = []
        guards = await self._ledger_guard()
        returning = frozenset(asset.id for asset in assets if asset.deleted)
        for asset in assets:
            target = await self._replay(_target, asset, returning)
            guards |= target.guards
            if (when := await self._collected(asset)) is not None:
                raise NotRestorableError(asset.id, when)
            events += restore(asset, folder_gone=target.homeless, origin=origin)
        return events, guards

    async def _restore_contents(
        self, call: CallContext, key: CommandKey | None, folder_ids: Sequence[AssetId]
    ) -> int:
        """Restore the contents that were deleted with folders, and with the folders in them.

        Return the position of the last event; 0 if there was nothing to restore.
        """
        folders, done = [*folder_ids], _Restored()
        while folders:
            folder_id = folders.pop()
            deletion = await self._replay(Replay.last_deletion, folder_id)
            if deletion is not None:
                await self._restore_in(call, key, folder_id, deletion, done)
                folders += await self._restored_with(call.user_id, folder_id, deletion)
        return done.position

    async def _restore_in(
        self,
        call: CallContext,
        key: CommandKey | None,
        folder_id: AssetId,
        deletion: DeletionPeriod,
        done: _Restored,
    ) -> None:
        """Restore what was deleted directly in a folder during its deletion."""
        await self._tables.reach(await self._replay(Replay.head))
        seq, find = 0, self._tables.tombstones
        while page := await find(call.user_id, folder_id, *deletion, seq, BATCH):
            await self._restore_batch(call, key, folder_id, [each for _, each in page], done)
            seq, _ = page[-1]

    async def _restored_with(
        self, user_id: str, folder_id: AssetId, deletion: DeletionPeriod
    ) -> Sequence[AssetId]:
        """Return the live folders in a folder that were deleted with it.

        An interrupted restore may have restored them without their contents.
        """
        await self._tables.reach(await self._replay(Replay.head))
        found = []
        for each in await self._tables.folders_in(user_id, folder_id):
            own = await self._replay(Replay.last_deletion, each)
            if own is not None and deletion.deleted < own.deleted < deletion.restored:
                found.append(each)
        return found

    async def _restore_batch(
        self,
        call: CallContext,
        key: CommandKey | None,
        folder_id: AssetId,
        ids: Sequence[AssetId],
        done: _Restored,
    ) -> None:
        replayed = True
        while replayed:  # an earlier request with this key recorded that command: take the next key
            done.commands += 1
            batch = batch_key(key, done.commands)
            decide = self._decision(call.user_id, folder_id, ids, call.origin(batch))
            committed = await self._committer.commit(batch, decide)
            replayed = committed is not None and committed.appended.replayed
            if committed is not None:
                done.position = max(done.position, committed.appended.last)

    def _decision(
        self, user_id: str, folder_id: AssetId, ids: Sequence[AssetId], origin: Origin
    ) -> Callable[[], Awaitable[Decision]]:
        async def decide() -> Decision:
            folder, *assets = await self._replay(assets_of, user_id, [folder_id, *ids])
            guards = {folder.id: folder.version, **await self._ledger_guard()}
            still = [] if folder.deleted else _still_deleted(folder, assets)
            found = [each for each in still if await self._collected(each) is None]
            return [e for a in found for e in restore(a, folder_gone=False, origin=origin)], guards

        return decide

    async def _collected(self, asset: Asset) -> str | None:
        """Return when the bytes of a tombstone were collected; None if they can be read."""
        if not asset.deleted or asset.digest is None:
            return None
        return await self._contents.collected(asset.digest)

    async def _ledger_guard(self) -> dict[str, int]:
        """Return the version of the ledger's own stream, where a collection would be recorded."""
        return dict([await self._replay(Replay.ledger_stream)])


def _target(replay: Replay, asset: Asset, returning: Collection[AssetId]) -> RestoreTarget:
    """Return where to restore an asset; the folders in `returning` are restored with it."""
    guards: dict[str, int] = {}
    folder_id = asset.parent_id
    while folder_id is not None:
        if folder_id in returning:
            folder = replay.asset(asset.user_id, folder_id)
        else:
            try:
                folder = replay.folder(asset.user_id, folder_id)
            except FieldError:
                return RestoreTarget(homeless=True, guards={})
            guards[folder.id] = folder.version
        folder_id = folder.parent_id
    return RestoreTarget(homeless=False, guards=guards)


def _still_deleted(folder: Asset, assets: Sequence[Asset]) -> list[Asset]:
    """Return the tombstones in this folder: another request may have restored some meanwhile."""
    return [asset for asset in assets if asset.deleted and asset.parent_id == folder.id]
