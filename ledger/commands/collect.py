"""Collect contents: remove the bytes that no retained version of an asset names.

In this order, so that a kill between any two steps loses nothing and leaves only space to free:

1. the event `content.collected` is committed; in its transaction small contents lose their places.
   The committer refuses it if a content was recorded or restored since the plan was made;
2. the files or objects of large contents are removed. Until then no upload of them is published;
3. packs with few contents left are rewritten.

What a kill left of 2 and 3 is done by the next collection.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Final, NamedTuple

from asset_ledger.ledger.commands.collection_plan import (
    Collectable,
    CollectionPlan,
    PlanSource,
    Retention,
    StateSize,
    plan_collection,
)
from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.domain.ledger import ContentCollected
from asset_ledger.ledger.errors import VersionConflictError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

BATCH: Final = 500
"""Contents of one event at most: 37 KB."""
TRIES: Final = 3


class Collected(NamedTuple):
    """What one collection removed. `skipped`: contents that were needed again meanwhile."""

    contents: int
    size: int
    skipped: int
    packs: int


class Collect:
    """Collects contents. One collection at a time.

    `sizes`: how much was stored in each state at the last plan; empty before the first one.
    """

    def __init__(
        self,
        committer: Committer,
        replay: AsyncReplay,
        contents: CheckedContents,
        stored: PlanSource,
        forget: Callable[[Sequence[Digest]], None],
    ) -> None:
        """`forget` removes what was derived from contents, such as thumbnails; it may block."""
        self._committer, self._replay, self._contents = committer, replay, contents
        self._stored, self._forget = stored, forget
        self._lock = asyncio.Lock()
        self._measured = time.monotonic()
        self.sizes: Mapping[str, StateSize] = {}

    async def plan(
        self, retention: Retention, purged: frozenset[AssetId] | None = None
    ) -> CollectionPlan:
        """Return what would be collected now; of deleted assets alone, if `purged` names any."""
        now = datetime.now(UTC)
        plan = await asyncio.to_thread(plan_collection, self._stored, retention, now, purged)
        if purged is None:
            self.sizes, self._measured = plan.sizes, time.monotonic()
        return plan

    @property
    def age(self) -> float:
        """Seconds since `sizes` were measured."""
        return time.monotonic() - self._measured

    async def run(
        self, by: str, retention: Retention, purged: frozenset[AssetId] | None = None
    ) -> Collected:
        """Collect what a new plan names. Raises the UnavailableErrors.

        After a purge, no pack has the bytes any longer; else packs are rewritten when half is free.
        """
        async with self._lock:
            plan = await self.plan(retention, purged)
            done = list[Collectable]()
            for reason in ("deleted", "superseded", "unrecorded"):
                some = [each for each in plan.contents if each.reason == reason]
                for start in range(0, len(some), BATCH):
                    batch = some[start : start + BATCH]
                    done += await self._collect(by, reason, batch, plan.position)
            packs = {each.pack for each in done if each.pack is not None and purged is not None}
            count = await self._compact(packs)
            await self._contents.sweep()
            if done and purged is None:
                await self.plan(retention)  # `sizes` are without the collected contents
            size = sum(each.size for each in done)
            return Collected(len(done), size, len(plan.contents) - len(done), count)

    async def _collect(
        self, by: str, reason: str, batch: Sequence[Collectable], planned: int
    ) -> Sequence[Collectable]:
        """Collect these contents, except those that are needed again. Return the collected."""
        digests = [each.digest for each in batch]
        async with self._contents.collecting(digests) as free:
            chosen = [each for each in batch if each.digest in free]
            if not chosen:
                return ()
            large = [each.digest for each in chosen if each.pack is None]
            remove = await self._contents.removal(large)
            try:
                await self._record(by, reason, chosen, planned)
            except VersionConflictError:
                pass
            else:
                await remove()
                await asyncio.to_thread(self._forget, [each.digest for each in chosen])
                return chosen
        if len(chosen) == 1:
            return ()
        half = len(chosen) // 2
        first = await self._collect(by, reason, chosen[:half], planned)
        return [*first, *await self._collect(by, reason, chosen[half:], planned)]

    async def _record(
        self, by: str, reason: str, chosen: Sequence[Collectable], planned: int
    ) -> None:
        for tries_left in reversed(range(TRIES)):
            stream, version = await self._replay(Replay.ledger_stream)
            event = ContentCollected(
                originator_id=stream,
                originator_version=version + 1,
                by=by,
                digests=tuple(each.digest for each in chosen),
                size=sum(each.size for each in chosen),
                reason=reason,
            )
            try:
                await self._committer.append(Command([event], collects=planned))
            except VersionConflictError:  # of the stream, or a content is needed again
                if not tries_left:
                    raise
            else:
                return

    async def _compact(self, emptied: AbstractSet[int]) -> int:
        """Rewrite these packs, and those that have mostly collected contents. Return how many."""
        packs = await asyncio.to_thread(self._stored.sparse, emptied)
        for pack in sorted(packs):
            await self._committer.compact(pack)
        self._contents.forget_packs()
        return len(packs)
