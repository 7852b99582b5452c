"""Delete an asset, or a folder with everything in it.

A folder's own tombstone is recorded first. After that the folder accepts no more assets. Its
contents are deleted next, one batch per command. The next start finishes an interrupted deletion.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf
from typing import Final

from asset_ledger.ledger.commands.call import BulkDeletion, CallContext, Deletion
from asset_ledger.ledger.commands.tables import TableQueries
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.domain.asset import Asset, AssetDeleted
from asset_ledger.ledger.domain.decisions import check_version, delete
from asset_ledger.ledger.domain.event import Json
from asset_ledger.ledger.domain.ledger import SYSTEM
from asset_ledger.ledger.errors import VersionConflictError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.event_log import Appended, CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

BATCH: Final = 256
"""The number of assets that one command deletes at most."""

Find = Callable[[], Awaitable[Sequence[AssetId]]]
"""Return the ids of the assets to delete."""


@dataclass(slots=True)
class _Deleted:
    """What one deletion has recorded so far. `folders` are still to be emptied."""

    ids: list[AssetId] = field(default_factory=list)
    folders: list[AssetId] = field(default_factory=list)
    commands: int = 0
    position: int = 0
    replayed: bool = False
    behind: bool = False


class Delete:
    """Deletes one asset, a folder with its contents, or all assets that a filter matches."""

    def __init__(self, committer: Committer, replay: AsyncReplay, tables: TableQueries) -> None:
        self._committer, self._replay, self._tables = committer, replay, tables

    async def asset(self, call: CallContext, asset_id: AssetId) -> Deletion:
        """Delete an asset; a folder with its contents, also if the folder is deleted already.

        Raises UnknownAssetError, PreconditionFailedError, VersionConflictError, KeyReusedError, and
        the UnavailableErrors.
        """
        asset = await self._asset(call, asset_id)
        key = call.command_key("delete-asset", asset_id=asset_id)
        done = _Deleted()
        await self._delete(call, key, [asset_id], done)
        if done.replayed and key is not None:
            await self._add_earlier(key, done)
        if asset.is_folder:
            await self._empty(replace(call, if_match=None), key, done)
        return Deletion(done.ids, done.position or asset.position, done.replayed, done.behind)

    async def matching(
        self, call: CallContext, find: Find, expected: int, fields: Mapping[str, Json]
    ) -> BulkDeletion:
        """Delete the assets that `find` returns, folders with their contents.

        A retry of an interrupted request deletes the rest, and never more than `expected` assets.
        Raises VersionConflictError if another number of assets than `expected` matches.
        """
        call = replace(call, if_match=None)
        key = call.command_key("bulk-delete", fields=fields)
        done = _Deleted()
        if key is not None:
            await self._add_earlier(key, done, ceil(expected / BATCH))
        if not done.replayed or len(done.ids) < expected:
            await self._delete_found(call, key, await find(), expected, done)
        count = len(done.ids)
        if key is not None and done.replayed:
            await self._add_earlier(key, done)
            await self._add_folders(call.user_id, done)
        await self._empty(call, key, done)
        position = done.position or await self._replay(Replay.head)
        return BulkDeletion(count, Deletion(done.ids, position, done.replayed, done.behind))

    async def _delete_found(
        self,
        call: CallContext,
        key: CommandKey | None,
        found: Sequence[AssetId],
        expected: int,
        done: _Deleted,
    ) -> None:
        if not done.replayed and len(found) != expected:
            raise VersionConflictError(
                f"{len(found):,} assets match by now, not {expected:,}: list them first"
            )
        left = found[: expected - len(done.ids)]
        for start in range(0, len(left), BATCH):
            batch = batch_key(key, done.commands)
            await self._delete(call, batch, left[start : start + BATCH], done)

    async def finish_interrupted(self) -> int:
        """Delete live assets in deleted folders, which a kill left. Return their number."""
        done = _Deleted()
        while orphans := await self._tables.orphans(BATCH):
            owner = orphans[0][0]
            ids = [asset_id for user_id, asset_id in orphans if user_id == owner]
            if not await self._delete(CallContext(owner, actor=SYSTEM), None, ids, done):
                break  # stalled tables would list these assets for ever
        return len(done.ids)

    async def _empty(self, call: CallContext, key: CommandKey | None, done: _Deleted) -> None:
        """Delete the contents of the deleted folders, and of the folders in them."""
        while done.folders:
            folder_id = done.folders[-1]
            found = await self._tables.children(call.user_id, folder_id, BATCH)
            batch = batch_key(key, done.commands)
            if found and await self._delete(call, batch, found, done, inside=folder_id):
                continue
            if found:  # another request deleted them already, or restored the folder
                await self._tables.reach(await self._replay(Replay.head))
            if not found or not (await self._asset(call, folder_id)).deleted:
                done.folders.remove(folder_id)

    async def _asset(self, call: CallContext, asset_id: AssetId) -> Asset:
        return await self._replay(Replay.asset, call.user_id, asset_id)

    async def _delete(
        self,
        call: CallContext,
        key: CommandKey | None,
        ids: Sequence[AssetId],
        done: _Deleted,
        inside: AssetId | None = None,
    ) -> bool:
        """Record one command: a tombstone for each asset that is live. False if none is.

        `inside`: the deleted folder that holds them. Assets that were moved out of it meanwhile
        stay, and all of them stay if it was restored.
        """
        origin = call.origin(key)

        async def decide() -> Decision:
            found = await self._replay(assets_of, call.user_id, ids)
            guards: dict[str, int] = {}
            if inside is not None:
                folder = await self._asset(call, inside)
                found = _still_inside(folder, found)
                guards[folder.id] = folder.version
            for asset in found:
                check_version(asset, call.if_match)
            done.folders += [a.id for a in found if a.is_folder and a.id not in done.folders]
            return [event for asset in found for event in delete(asset, origin=origin)], guards

        committed = await self._committer.commit(key, decide)
        if committed is not None:
            done.behind |= committed.behind
            await self._add(committed.appended, done)
        return committed is not None

    async def _add_earlier(self, key: CommandKey, done: _Deleted, commands: float = inf) -> None:
        """Add further commands of an earlier request with this key, up to `commands` in all."""
        while done.commands < commands and (batch := batch_key(key, done.commands)):
            earlier = await self._replay(Replay.command, batch)
            if earlier is None:
                return
            await self._add(earlier, done)

    async def _add_folders(self, user_id: str, done: _Deleted) -> None:
        """Add the folders that an earlier request with this key deleted, and may not have emptied.

        Folders that were restored since then are left out.
        """
        for asset_id in done.ids:
            asset = await self._replay(Replay.asset, user_id, asset_id)
            if asset.is_folder and asset.deleted and asset_id not in done.folders:
                done.folders.append(asset_id)

    async def _add(self, appended: Appended, done: _Deleted) -> None:
        events = [recorded.event for recorded in await self._replay.recorded(appended)]
        done.ids += [AssetId(e.originator_id) for e in events if isinstance(e, AssetDeleted)]
        done.commands += 1
        done.position = max(done.position, appended.last)
        done.replayed |= appended.replayed


def assets_of(replay: Replay, user_id: str, ids: Sequence[AssetId]) -> list[Asset]:
    """Return these assets, including tombstones. Raises UnknownAssetError."""
    return [replay.asset(user_id, asset_id) for asset_id in ids]


def _still_inside(folder: Asset, assets: Sequence[Asset]) -> list[Asset]:
    """Return the assets that are still in a deleted folder; none if the folder was restored."""
    return [asset for asset in assets if folder.deleted and asset.parent_id == folder.id]


def batch_key(key: CommandKey | None, batch: int) -> CommandKey | None:
    """Return the key of a request's n-th command. It has U+0001, which no client can send."""
    return replace(key, key=f"{key.key}\x01{batch}") if key and batch else key
