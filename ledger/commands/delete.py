"""Deleting an asset, and a folder with all that is in it.

A folder's own tombstone comes first: from then on nothing can be put into it, so what is found in
it afterwards is all there ever will be. Its contents follow, a batch a command; a deletion that
was interrupted is finished at the next start.
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
"""How many contents of a folder are deleted by one command."""


Find = Callable[[], Awaitable[Sequence[AssetId]]]
"""Tells which assets are to go, when it is asked."""


@dataclass(slots=True)
class _Tally:
    """What one deletion has recorded so far, command by command."""

    ids: list[AssetId] = field(default_factory=list)
    folders: list[AssetId] = field(default_factory=list)
    commands: int = 0
    position: int = 0
    replayed: bool = False
    behind: bool = False


class Delete:
    """Makes tombstones: one by one, by the folder, or of all that a filter matches."""

    def __init__(self, committer: Committer, replay: AsyncReplay, tables: TableQueries) -> None:
        self._committer, self._replay, self._tables = committer, replay, tables

    async def asset(self, call: CallContext, asset_id: AssetId) -> Deletion:
        """Delete an asset; a folder with its contents. Deleting a tombstone deletes what was left.

        Raises UnknownAssetError, PreconditionFailedError, VersionConflictError, KeyReusedError, and
        the UnavailableErrors.
        """
        asset = await self._asset(call, asset_id)
        key = call.command_key("delete-asset", asset_id=asset_id)
        tally = _Tally()
        await self._bury(call, key, [asset_id], tally)
        if tally.replayed and key is not None:
            await self._recall(key, tally)
        if asset.is_folder:
            await self._empty(replace(call, if_match=None), key, tally)
        return Deletion(tally.ids, tally.position or asset.position, tally.replayed, tally.behind)

    async def matching(
        self, call: CallContext, find: Find, expected: int, fields: Mapping[str, Json]
    ) -> BulkDeletion:
        """Delete what is found, folders with their contents, if it is as many as expected.

        A retry of a request that was cut short deletes the rest, and never more than was expected.
        Raises VersionConflictError if another number is found.
        """
        call = replace(call, if_match=None)
        key = call.command_key("bulk-delete", fields=fields)
        tally = _Tally()
        if key is not None:
            await self._recall(key, tally, ceil(expected / BATCH))
        if not tally.replayed or len(tally.ids) < expected:
            await self._bury_found(call, key, await find(), expected, tally)
        count = len(tally.ids)
        if key is not None and tally.replayed:
            await self._recall(key, tally)
        await self._empty(call, key, tally)
        position = tally.position or await self._replay(Replay.head)
        return BulkDeletion(count, Deletion(tally.ids, position, tally.replayed, tally.behind))

    async def _bury_found(
        self,
        call: CallContext,
        key: CommandKey | None,
        found: Sequence[AssetId],
        expected: int,
        tally: _Tally,
    ) -> None:
        if not tally.replayed and len(found) != expected:
            raise VersionConflictError(f"{len(found):,} assets match by now, not {expected:,}")
        left = found[: expected - len(tally.ids)]
        for start in range(0, len(left), BATCH):
            batch = batch_key(key, tally.commands)
            await self._bury(call, batch, left[start : start + BATCH], tally)

    async def finish_interrupted(self) -> int:
        """Delete what a killed server left in deleted folders; answers how many assets."""
        tally = _Tally()
        while orphans := await self._tables.orphans(BATCH):
            owner = orphans[0][0]
            ids = [asset_id for user_id, asset_id in orphans if user_id == owner]
            if not await self._bury(CallContext(owner, actor=SYSTEM), None, ids, tally):
                break  # the tables stand still, and would show these for ever
        return len(tally.ids)

    async def _empty(self, call: CallContext, key: CommandKey | None, tally: _Tally) -> None:
        """Delete what is in the buried folders, and in the folders in them, until nothing is."""
        while tally.folders:
            folder_id = tally.folders[-1]
            found = await self._tables.children(call.user_id, folder_id, BATCH)
            batch = batch_key(key, tally.commands)
            if found and await self._bury(call, batch, found, tally, inside=folder_id):
                continue
            if found:  # somebody else was faster, or has restored the folder
                await self._tables.reach(await self._replay(Replay.head))
            if not found or not (await self._asset(call, folder_id)).deleted:
                tally.folders.remove(folder_id)

    async def _asset(self, call: CallContext, asset_id: AssetId) -> Asset:
        return await self._replay(Replay.asset, call.user_id, asset_id)

    async def _bury(
        self,
        call: CallContext,
        key: CommandKey | None,
        ids: Sequence[AssetId],
        tally: _Tally,
        inside: AssetId | None = None,
    ) -> bool:
        """One command: a tombstone for each that has none yet. Its folders are to be emptied.

        `inside`: they go because of this folder, unless they have left it, or it is back by now.
        False if there was nothing to record.
        """
        origin = call.origin(key)

        async def decide() -> Decision:
            found = await self._replay(assets_of, call.user_id, ids)
            guards: dict[str, int] = {}
            if inside is not None:
                folder = await self._asset(call, inside)
                found = _doomed(folder, found)
                guards[folder.id] = folder.version
            for asset in found:
                check_version(asset, call.if_match)
            tally.folders += [a.id for a in found if a.is_folder and a.id not in tally.folders]
            return [event for asset in found for event in delete(asset, origin=origin)], guards

        committed = await self._committer.commit(key, decide)
        if committed is not None:
            tally.behind |= committed.behind
            await self._count(committed.appended, tally)
        return committed is not None

    async def _recall(self, key: CommandKey, tally: _Tally, commands: float = inf) -> None:
        """Add what the first request with this key recorded beyond what is counted already.

        At most up to so many commands of it.
        """
        while tally.commands < commands and (batch := batch_key(key, tally.commands)):
            known = await self._replay(Replay.command, batch)
            if known is None:
                return
            await self._count(known, tally)

    async def _count(self, appended: Appended, tally: _Tally) -> None:
        events = [recorded.event for recorded in await self._replay.recorded(appended)]
        buried = [
            AssetId(event.originator_id) for event in events if isinstance(event, AssetDeleted)
        ]
        tally.ids += buried
        tally.commands += 1
        tally.position = max(tally.position, appended.last)
        tally.replayed |= appended.replayed


def assets_of(replay: Replay, user_id: str, ids: Sequence[AssetId]) -> list[Asset]:
    """These assets, tombstones too. Raises UnknownAssetError."""
    return [replay.asset(user_id, asset_id) for asset_id in ids]


def _doomed(folder: Asset, contents: Sequence[Asset]) -> list[Asset]:
    """Those that go with a deleted folder: they are still in it, and it is not back."""
    return [asset for asset in contents if folder.deleted and asset.parent_id == folder.id]


def batch_key(key: CommandKey | None, batch: int) -> CommandKey | None:
    """The key of a request's further commands: no client can send it, for it holds U+0000."""
    return replace(key, key=f"{key.key}\0{batch}") if key and batch else key
