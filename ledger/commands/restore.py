"""Bringing back what was deleted: an asset, and a folder with what was deleted along with it.

The folder comes first: whatever is live in a folder that is a tombstone is deleted at the next
start. Its contents follow, a batch a command; restoring the folder again finishes what was cut
short. What had been deleted before the folder was stays deleted.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from asset_ledger.ledger.commands.call import CallContext, Receipt
from asset_ledger.ledger.commands.delete import BATCH, assets_of, batch_key
from asset_ledger.ledger.commands.edit import Edit
from asset_ledger.ledger.commands.tables import TableQueries
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.decisions import check_version, restore
from asset_ledger.ledger.errors import FieldError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.event_log import CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay


class Place(NamedTuple):
    """Where a tombstone comes back to, and the folders that have to stay as they are for it."""

    homeless: bool
    guards: Mapping[str, int]


class Restore:
    """Restores deleted assets."""

    def __init__(
        self, committer: Committer, replay: AsyncReplay, edit: Edit, tables: TableQueries
    ) -> None:
        self._committer, self._replay, self._edit, self._tables = committer, replay, edit, tables

    async def asset(self, call: CallContext, asset_id: AssetId) -> Receipt:
        """Restore an asset, to its home where its folder is gone; a folder with its contents.

        Raises UnknownAssetError, PreconditionFailedError, ProjectionBehindError (restoring it again goes
        on with the contents), and what every write may raise.
        """
        key = call.command_key("restore-asset", asset_id=asset_id)
        origin = call.origin(key)

        async def decide() -> Decision:
            asset = await self._replay(Replay.asset, call.user_id, asset_id)
            check_version(asset, call.if_match)
            place = await self._replay(_place, asset)
            return restore(asset, homeless=place.homeless, origin=origin), place.guards

        committed = await self._committer.commit(key, decide)
        receipt = await self._edit.receipt(call, asset_id, committed)
        if receipt.asset.is_folder:
            last = await self._refill(call, key, asset_id)
            return receipt._replace(position=max(receipt.position, last))
        return receipt

    async def _refill(self, call: CallContext, key: CommandKey | None, folder_id: AssetId) -> int:
        """Restore what was deleted along with a folder, and with the folders in it.

        Answers the position of the last event; 0 where there was nothing to restore.
        """
        folders, commands, last = [folder_id], 0, 0
        while folders:
            commands += 1
            back, position = await self._restore_in(call, batch_key(key, commands), folders[-1])
            if not back:
                folders.pop()
            folders += [asset.id for asset in back if asset.is_folder]
            last = max(last, position)
        return last

    async def _restore_in(
        self, call: CallContext, key: CommandKey | None, folder_id: AssetId
    ) -> tuple[Sequence[Asset], int]:
        """One command: the next contents of a folder are back, and the position of the last."""
        origin = call.origin(key)
        found: list[Asset] = []
        ids = await self._deleted_with(call.user_id, folder_id)

        async def decide() -> Decision:
            folder, *assets = await self._replay(assets_of, call.user_id, [folder_id, *ids])
            found[:] = [] if folder.deleted else _gone_with(folder, assets)
            events = [f for a in found for f in restore(a, homeless=False, origin=origin)]
            return events, {folder.id: folder.version}

        committed = await self._committer.commit(key, decide) if ids else None
        return (found, committed.appended.last) if committed else ([], 0)

    async def _deleted_with(self, user_id: str, folder_id: AssetId) -> Sequence[AssetId]:
        absence = await self._replay(Replay.absence, folder_id)
        if absence is None:
            return ()
        await self._tables.reach(await self._replay(Replay.head))
        return await self._tables.tombstones(user_id, folder_id, *absence, BATCH)


def _place(replay: Replay, asset: Asset) -> Place:
    try:
        path = replay.path(asset.user_id, asset.parent_id)
    except FieldError:
        return Place(homeless=True, guards={})
    return Place(homeless=False, guards={folder.id: folder.version for folder in path})


def _gone_with(folder: Asset, assets: Sequence[Asset]) -> list[Asset]:
    """Those that still are tombstones in this folder: somebody may have been faster."""
    return [asset for asset in assets if asset.deleted and asset.parent_id == folder.id]
