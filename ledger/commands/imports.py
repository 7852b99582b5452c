"""Import assets that another program made, with their own ids and times.

Promise: an id is recorded once. A repeated import, also after a kill, adds what is new and changes
nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.asset import FOLDER, Asset
from asset_ledger.ledger.domain.decisions import NewAsset, create, replace_content
from asset_ledger.ledger.domain.event import Event, Origin
from asset_ledger.ledger.errors import FieldError, TooLargeError, VersionConflictError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

MOST: Final = 256
"""The number of assets that one command records at most."""

ImportOutcome = Literal["recorded", "filled", "known", "refused"]
"""`filled`: the asset was in the log without bytes, and got them now."""

Presence = Literal["known", "empty"]
"""`empty`: the asset is in the log without bytes, which a later import can add."""


@dataclass(frozen=True, slots=True)
class Import:
    """An asset to import: its id, owner, label, and bytes if it has any."""

    asset_id: AssetId
    user_id: str
    new: NewAsset
    staged: Staged | None = None


class Imported(NamedTuple):
    """The outcome for one asset. `reason`: why it was refused."""

    asset_id: AssetId
    outcome: ImportOutcome
    reason: str | None = None


class ImportReceipt(NamedTuple):
    """The outcomes of a batch, by asset. `position`: of its last event; None if it has none."""

    imported: Sequence[Imported]
    position: int | None
    behind: bool


@dataclass(slots=True)
class ImportPlan:
    """The events and outcomes of a batch, decided in its order: folders before their contents."""

    replay: Replay
    by: str
    events: list[Event] = field(default_factory=list)
    guards: dict[str, int] = field(default_factory=dict)
    imported: list[Imported] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)
    created: dict[AssetId, Import] = field(default_factory=dict)

    def add(self, item: Import) -> None:
        """Decide about the next asset."""
        try:
            outcome = self._outcome(item)
        except (FieldError, TooLargeError) as refusal:
            self.imported.append(Imported(item.asset_id, "refused", str(refusal)))
        else:
            self.imported.append(Imported(item.asset_id, outcome))

    def _outcome(self, item: Import) -> ImportOutcome:
        if item.asset_id in self.created:
            return "known"
        asset = self.replay.asset_of_any_user(item.asset_id)
        if asset is None:
            self._create(item)
            return "recorded"
        if asset.user_id != item.user_id:
            raise FieldError("id", "is that of another user's asset")
        if item.staged is None or presence(asset) == "known":
            return "known"
        self._fill(asset, item.staged)
        return "filled"

    def _create(self, item: Import) -> None:
        size, digest = (item.staged.size, item.staged.digest) if item.staged else (0, None)
        origin = Origin(by=self.by, user_id=item.user_id)
        events = create(item.new, asset_id=item.asset_id, size=size, digest=digest, origin=origin)
        self._check_sources(item)
        self.guards |= self._folder_guard(item)
        self.events += events
        self.created[item.asset_id] = item
        self._publish(item.staged)

    def _fill(self, asset: Asset, staged: Staged) -> None:
        origin = Origin(by=self.by, user_id=asset.user_id)
        self.events += replace_content(
            asset,
            size=staged.size,
            digest=staged.digest,
            content_type=asset.content_type,
            origin=origin,
        )
        self._publish(staged)

    def _publish(self, staged: Staged | None) -> None:
        if staged is not None:
            self.staged.append(staged)

    def _folder_guard(self, item: Import) -> dict[str, int]:
        """Return the version that the asset's folder must have at the commit."""
        parent_id = item.new.parent_id
        if parent_id is None or self._is_new_folder(item, parent_id):
            return {}
        folder = self.replay.folder(item.user_id, parent_id)
        return {folder.id: folder.version}

    def _is_new_folder(self, item: Import, parent_id: AssetId) -> bool:
        parent = self.created.get(parent_id)
        return (
            parent is not None
            and parent.user_id == item.user_id
            and parent.new.content_type == FOLDER
        )

    def _check_sources(self, item: Import) -> None:
        created = (s for s, source in self.created.items() if source.user_id == item.user_id)
        self.replay.check_sources(item.user_id, set(item.new.derived_from).difference(created))


def presence(asset: Asset) -> Presence:
    """Return whether an import could still add bytes to an asset of the log."""
    lacks_bytes = asset.digest is None and not asset.is_folder and not asset.deleted
    return "empty" if lacks_bytes else "known"


def presences(replay: Replay, asset_ids: Iterable[AssetId]) -> dict[AssetId, Presence]:
    """Return the presence of those assets that are in the log already."""
    found = ((asset_id, replay.asset_of_any_user(asset_id)) for asset_id in asset_ids)
    return {asset_id: presence(asset) for asset_id, asset in found if asset is not None}


class Imports:
    """Imports assets."""

    def __init__(
        self, committer: Committer, replay: AsyncReplay, contents: CheckedContents
    ) -> None:
        self._committer, self._replay, self._contents = committer, replay, contents

    async def present(self, asset_ids: Sequence[AssetId]) -> Mapping[AssetId, Presence]:
        """Return the presence of those assets that are in the log already."""
        return await self._replay(presences, asset_ids)

    async def record(self, by: str, batch: Sequence[Import]) -> ImportReceipt:
        """Record a batch of at most 256 in one command. A folder must come before its contents.

        Refused assets are left out. Raises the UnavailableErrors.
        """
        try:
            return await self._record(by, batch)
        except (TooLargeError, VersionConflictError) as refusal:
            if len(batch) == 1:
                refused = Imported(batch[0].asset_id, "refused", str(refusal))
                return ImportReceipt([refused], None, behind=False)
        alone = [
            await self.record(by, [item]) for item in batch
        ]  # else one refusal refuses them all
        positions = [receipt.position for receipt in alone if receipt.position is not None]
        return ImportReceipt(
            [imported for receipt in alone for imported in receipt.imported],
            positions[-1] if positions else None,
            any(receipt.behind for receipt in alone),
        )

    async def _record(self, by: str, batch: Sequence[Import]) -> ImportReceipt:
        imported: Sequence[Imported] = ()

        async def decide() -> Decision:
            nonlocal imported
            plan = await self._replay(_plan, by, batch)
            imported = plan.imported
            for staged in plan.staged:
                await self._contents.publish(staged)
            return plan.events, plan.guards

        small = [item.staged for item in batch if item.staged is not None]
        with self._contents.using(small):
            committed = await self._committer.commit(None, decide, small)
        if committed is None:
            return ImportReceipt(imported, None, behind=False)
        return ImportReceipt(imported, committed.appended.last, committed.behind)


def _plan(replay: Replay, by: str, batch: Sequence[Import]) -> ImportPlan:
    plan = ImportPlan(replay, by)
    for item in batch:
        plan.add(item)
    return plan
