"""Change the tags or the folder of many assets, one batch per command.

Everything is checked before anything is recorded. A retry of an interrupted request changes the
rest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from asset_ledger.ledger.commands.call import BulkEdition, CallContext, Edition
from asset_ledger.ledger.commands.delete import BATCH, Find, assets_of, batch_key
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.decisions import Label, check_path, describe
from asset_ledger.ledger.domain.event import UNSET, Event, Json, Origin, UnsetType
from asset_ledger.ledger.errors import VersionConflictError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.event_log import Appended, CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkChange:
    """The intent to change many assets. UNSET leaves them where they are, None moves them home."""

    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    parent_id: AssetId | UnsetType | None = UNSET

    def label_of(self, asset: Asset) -> Label:
        """Return the label of an asset after the change."""
        kept = dict.fromkeys(asset.tags)  # an asset may have thousands
        for tag in self.remove_tags:
            kept.pop(tag, None)
        return Label(tags=[*(kept | dict.fromkeys(self.add_tags))], parent_id=self.parent_id)


@dataclass(slots=True)
class _Changed:
    """What one request has recorded so far."""

    ids: list[AssetId] = field(default_factory=list)
    commands: int = 0
    position: int = 0
    replayed: bool = False
    behind: bool = False


class BulkEdit:
    """Changes many live assets."""

    def __init__(self, committer: Committer, replay: AsyncReplay) -> None:
        self._committer, self._replay = committer, replay

    async def assets(
        self,
        call: CallContext,
        find: Find,
        expected: int | None,
        change: BulkChange,
        fields: Mapping[str, Json],
    ) -> BulkEdition:
        """Change the assets that `find` returns. Assets that are deleted meanwhile are left out.

        Raises VersionConflictError if another number of assets than `expected` is found,
        UnknownAssetError, AssetDeletedError, FieldError, and what every write may raise.
        """
        call = replace(call, if_match=None)
        key = call.command_key("bulk-update", fields=fields)
        done = _Changed()
        if key is not None:
            await self._add_earlier(key, done)
        found = list(await find())
        if not done.replayed:
            await self._check(call, found, expected, change)
        earlier = frozenset(done.ids)
        left = [asset_id for asset_id in found if asset_id not in earlier]
        if expected is not None:  # the assets after these began to match after the first request
            left = left[: expected - len(earlier)]
        if not done.replayed or len(done.ids) + len(left) > BATCH:  # one command is atomic
            await self._change(call, key, left, change, done)
        position = done.position or await self._replay(Replay.head)
        edition = Edition(done.ids, position, done.replayed, done.behind)
        return BulkEdition(len(found) if expected is None else expected, edition)

    async def _check(
        self, call: CallContext, found: Sequence[AssetId], expected: int | None, change: BulkChange
    ) -> None:
        """Raise every error of the change before any of it is recorded."""
        if expected is not None and len(found) != expected:
            raise VersionConflictError(
                f"{len(found):,} assets match by now, not {expected:,}: list them first"
            )
        for batch in _batches(found):
            assets = await self._replay(assets_of, call.user_id, batch)
            await self._decided(assets, change, call.origin(None))

    async def _change(
        self,
        call: CallContext,
        key: CommandKey | None,
        ids: Sequence[AssetId],
        change: BulkChange,
        done: _Changed,
    ) -> None:
        for batch in _batches(ids):
            decide = self._decision(call, key, batch, change)
            committed = await self._committer.commit(batch_key(key, done.commands), decide)
            if committed is not None:
                done.behind |= committed.behind
                await self._add(committed.appended, done)

    def _decision(
        self, call: CallContext, key: CommandKey | None, ids: Sequence[AssetId], change: BulkChange
    ) -> Callable[[], Awaitable[Decision]]:
        async def decide() -> Decision:
            found = await self._replay(assets_of, call.user_id, ids)
            live = [asset for asset in found if not asset.deleted]
            return await self._decided(live, change, call.origin(key))

        return decide

    async def _decided(
        self, assets: Sequence[Asset], change: BulkChange, origin: Origin
    ) -> Decision:
        events: list[Event] = []
        guards: dict[str, int] = {}
        if assets and change.parent_id is not UNSET:
            path = await self._replay(Replay.path, assets[0].user_id, change.parent_id)
            guards = {folder.id: folder.version for folder in path}
            for asset in assets:
                check_path(asset, path)
        for asset in assets:
            events += describe(asset, change.label_of(asset), origin=origin)
            await asyncio.sleep(0)  # thousands of tags take a millisecond
        return events, guards

    async def _add_earlier(self, key: CommandKey, done: _Changed) -> None:
        """Add the commands of an earlier request with this key."""
        while batch := batch_key(key, done.commands):
            earlier = await self._replay(Replay.command, batch)
            if earlier is None:
                return
            await self._add(earlier, done)

    async def _add(self, appended: Appended, done: _Changed) -> None:
        events = await self._replay.recorded(appended)
        done.ids += [AssetId(recorded.event.originator_id) for recorded in events]
        done.commands += 1
        done.position = max(done.position, appended.last)
        done.replayed |= appended.replayed


def _batches(ids: Sequence[AssetId]) -> list[Sequence[AssetId]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
