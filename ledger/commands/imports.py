"""Recording assets that were made elsewhere, under their own ids and with their own times.

Promise: an id is recorded once. An import that is asked for again, after a kill too, adds what is
new and changes nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.content.store import ContentStore, Staged
from asset_ledger.ledger.domain.asset import FOLDER, Asset
from asset_ledger.ledger.domain.decisions import NewAsset, create, replace_content
from asset_ledger.ledger.domain.event import Event, Origin
from asset_ledger.ledger.errors import FieldError, TooLargeError, VersionConflictError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

MOST: Final = 256
"""How many assets one command records at most."""

ImportOutcome = Literal["recorded", "filled", "known", "refused"]
"""`filled`: it was there without bytes, and got them."""

Presence = Literal["known", "empty"]
"""`empty`: it is there, and its bytes are not: they can still come."""


@dataclass(frozen=True, slots=True)
class Import:
    """An asset that somebody else made: whose it is, what is said of it, its bytes if there are."""

    asset_id: AssetId
    user_id: str
    wanted: NewAsset
    staged: Staged | None = None


class Imported(NamedTuple):
    """What became of one asset; `reason` says why it was refused."""

    asset_id: AssetId
    outcome: ImportOutcome
    reason: str | None = None


class ImportReceipt(NamedTuple):
    """What became of a batch, one by one. `position`: of its last event; None if it has none."""

    imported: Sequence[Imported]
    position: int | None
    behind: bool


@dataclass(slots=True)
class Plan:
    """What a batch comes to, decided in its order: an asset may lie in a folder before it."""

    replay: Replay
    by: str
    events: list[Event] = field(default_factory=list)
    guards: dict[str, int] = field(default_factory=dict)
    imported: list[Imported] = field(default_factory=list)
    large: list[Staged] = field(default_factory=list)
    made: dict[AssetId, Import] = field(default_factory=dict)

    def add(self, one: Import) -> None:
        """Decide about the next asset."""
        try:
            outcome = self._outcome(one)
        except (FieldError, TooLargeError) as refusal:
            self.imported.append(Imported(one.asset_id, "refused", str(refusal)))
        else:
            self.imported.append(Imported(one.asset_id, outcome))

    def _outcome(self, one: Import) -> ImportOutcome:
        if one.asset_id in self.made:
            return "known"
        asset = self.replay.anyones(one.asset_id)
        if asset is None:
            self._create(one)
            return "recorded"
        if asset.user_id != one.user_id:
            raise FieldError("id", "is that of another user's asset")
        if one.staged is None or presence(asset) == "known":
            return "known"
        self._fill(asset, one.staged)
        return "filled"

    def _create(self, one: Import) -> None:
        size, digest = (one.staged.size, one.staged.digest) if one.staged else (0, None)
        origin = Origin(by=self.by, user_id=one.user_id)
        events = create(one.wanted, asset_id=one.asset_id, size=size, digest=digest, origin=origin)
        self._check_sources(one)
        self.guards |= self._folder(one)
        self.events += events
        self.made[one.asset_id] = one
        self._publish(one.staged)

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
        if staged is not None and staged.small is None:
            self.large.append(staged)

    def _folder(self, one: Import) -> dict[str, int]:
        """The folder that it lies in, which has to be as it was when the events are recorded."""
        parent_id = one.wanted.parent_id
        if parent_id is None or self._is_new_folder(one, parent_id):
            return {}
        folder = self.replay.folder(one.user_id, parent_id)
        return {folder.id: folder.version}

    def _is_new_folder(self, one: Import, parent_id: AssetId) -> bool:
        parent = self.made.get(parent_id)
        return (
            parent is not None
            and parent.user_id == one.user_id
            and parent.wanted.content_type == FOLDER
        )

    def _check_sources(self, one: Import) -> None:
        made = (s for s, source in self.made.items() if source.user_id == one.user_id)
        self.replay.sources(one.user_id, set(one.wanted.derived_from).difference(made))


def presence(asset: Asset) -> Presence:
    """Whether an asset that is there could still be given bytes by an import."""
    lacks_bytes = asset.digest is None and not asset.is_folder and not asset.deleted
    return "empty" if lacks_bytes else "known"


def presences(replay: Replay, asset_ids: Iterable[AssetId]) -> dict[AssetId, Presence]:
    """Which of these are in the log already."""
    found = ((asset_id, replay.anyones(asset_id)) for asset_id in asset_ids)
    return {asset_id: presence(asset) for asset_id, asset in found if asset is not None}


class Imports:
    """Imports assets."""

    def __init__(self, committer: Committer, replay: AsyncReplay, contents: ContentStore) -> None:
        self._committer, self._replay, self._contents = committer, replay, contents

    async def present(self, asset_ids: Sequence[AssetId]) -> Mapping[AssetId, Presence]:
        """Which of these are there already."""
        return await self._replay(presences, asset_ids)

    async def record(self, by: str, batch: Sequence[Import]) -> ImportReceipt:
        """Record a batch of at most 256 in one command, in its order: folders before what is in
        them. An asset that is refused is left out. Raises the UnavailableErrors.
        """
        try:
            return await self._record(by, batch)
        except (TooLargeError, VersionConflictError) as refusal:
            if len(batch) == 1:
                refused = Imported(batch[0].asset_id, "refused", str(refusal))
                return ImportReceipt([refused], None, behind=False)
        alone = [await self.record(by, [one]) for one in batch]  # it is only one that is refused
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
            for staged in plan.large:
                await self._contents.publish(staged)
            return plan.events, plan.guards

        small = [one.staged for one in batch if one.staged is not None]
        committed = await self._committer.commit(None, decide, small)
        if committed is None:
            return ImportReceipt(imported, None, behind=False)
        return ImportReceipt(imported, committed.appended.last, committed.behind)


def _plan(replay: Replay, by: str, batch: Sequence[Import]) -> Plan:
    plan = Plan(replay, by)
    for one in batch:
        plan.add(one)
    return plan
