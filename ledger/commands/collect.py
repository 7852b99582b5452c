"""Collect contents: remove the bytes that no retained version of an asset names.

In this order, so that a kill between any two steps loses nothing and leaves only space to free:

1. the event `content.collected` is committed; in its transaction small contents lose their places.
   Contents that events need since the plan are left out; the committer refuses the event if
   another one became needed meanwhile;
2. the files or objects of large contents are removed. Until then no upload of them is published;
3. packs with few contents left are rewritten.

What a kill left of 2 and 3 is done by the next collection.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple

from asset_ledger.ledger.commands.collection_plan import (
    Collectable,
    CollectionPlan,
    OpenPlan,
    PlanSource,
    Retention,
    StateSize,
    open_plan,
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


class _Done:
    """What a collection has removed so far, and the packs that had it."""

    def __init__(self) -> None:
        self.contents = self.size = 0
        self.packs = set[int | None]()

    def add(self, collected: Sequence[Collectable]) -> None:
        """Count contents that were removed."""
        self.contents += len(collected)
        self.size += sum(each.size for each in collected)
        self.packs.update(each.pack for each in collected)


class _Needed:
    """The contents that events after a plan need, read up to `position`.

    The committer, which holds the lock of the log, then checks the events after it only.
    """

    def __init__(self, replay: AsyncReplay, position: int) -> None:
        self._replay, self.position = replay, position
        self._digests = set[Digest]()

    async def without(self, batch: Sequence[Collectable]) -> list[Collectable]:
        """Read on to the end of the log. Return those contents that no event needs."""
        more, self.position = await self._replay(Replay.needed_contents, self.position)
        self._digests |= more
        return [each for each in batch if each.digest not in self._digests]


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

    async def plan(self, retention: Retention) -> CollectionPlan:
        """Return what would be collected now."""
        now = datetime.now(UTC)
        plan = await asyncio.to_thread(plan_collection, self._stored, retention, now)
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
            async with self._planned(retention, purged) as (plan, batches):
                done, needed = _Done(), _Needed(self._replay, plan.position)
                async for batch in batches:
                    done.add(await self._collect(by, batch, needed))
            if purged is None:
                self.sizes, self._measured = plan.sizes, time.monotonic()
            packs = {each for each in done.packs if each is not None and purged is not None}
            count = await self._compact(packs)
            await self._contents.sweep()
            if done.contents and purged is None:
                await self.plan(retention)  # `sizes` are without the collected contents
            skipped = plan.sizes["collectable"].contents - done.contents
            return Collected(done.contents, done.size, skipped, count)

    @asynccontextmanager
    async def _planned(
        self, retention: Retention, purged: frozenset[AssetId] | None
    ) -> AsyncIterator[tuple[OpenPlan, AsyncIterator[Sequence[Collectable]]]]:
        """Make a plan in a thread of its own, which ends cancelled work before it closes the plan.

        Yield it with its batches.
        """
        thread, stack = ThreadPoolExecutor(1, thread_name_prefix="collection"), ExitStack()
        run = partial(asyncio.get_running_loop().run_in_executor, thread)
        planning = open_plan(self._stored, retention, datetime.now(UTC), purged)

        async def batches() -> AsyncIterator[Sequence[Collectable]]:
            while batch := await run(plan.next_batch, BATCH):
                yield batch

        try:
            plan = await run(stack.enter_context, planning)
            yield plan, batches()
        finally:
            thread.submit(stack.close)
            thread.shutdown(wait=False)

    async def _collect(
        self, by: str, batch: Sequence[Collectable], needed: _Needed
    ) -> Sequence[Collectable]:
        """Collect these contents, except those that are needed again. Return the collected."""
        async with self._contents.collecting([each.digest for each in batch]) as free:
            for _ in range(TRIES):
                unneeded = await needed.without(batch)
                chosen = [each for each in unneeded if each.digest in free]
                if not chosen:
                    break
                large = [each.digest for each in chosen if each.pack is None]
                remove = await self._contents.removal(large)
                with suppress(VersionConflictError):  # a content is needed since, or of the stream
                    await self._record(by, chosen, needed.position)
                    await remove()
                    await asyncio.to_thread(self._forget, [each.digest for each in chosen])
                    return chosen
        return ()

    async def _record(self, by: str, chosen: Sequence[Collectable], position: int) -> None:
        """Record that contents are collected which no event up to a position needs."""
        stream, version = await self._replay(Replay.ledger_stream)
        event = ContentCollected(
            originator_id=stream,
            originator_version=version + 1,
            by=by,
            digests=tuple(each.digest for each in chosen),
            size=sum(each.size for each in chosen),
            reason=chosen[0].reason,
        )
        await self._committer.append(Command([event], collects=position))

    async def _compact(self, emptied: AbstractSet[int]) -> int:
        """Rewrite these packs, and those that have mostly collected contents. Return how many."""
        packs = await asyncio.to_thread(self._stored.sparse, emptied)
        for pack in sorted(packs):
            await self._committer.compact(pack)
        self._contents.forget_packs()
        return len(packs)
