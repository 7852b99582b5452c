"""What a server does by itself beside answering: measure, sweep, collect, scrub, deliver events."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Final

from asset_ledger.api.contract.collection import read_retention
from asset_ledger.api.contract.durations import read_duration
from asset_ledger.api.hooks.deliveries import Deliveries, Receiver
from asset_ledger.api.hooks.store import Hooks
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commands.collect import Collect
from asset_ledger.ledger.commands.scrub import Scrub
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.domain.ledger import SYSTEM
from asset_ledger.ledger.errors import WITHOUT_MEMORY, LedgerError
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.feed import LiveFeed

SWEEP: Final = timedelta(hours=6)
"""The time between two looks for objects of unrecorded uploads."""

FINISH: Final = 300.0
"""Seconds between two looks for deletions that the death of a server interrupted."""

FIRST_COLLECTION: Final = 3_600.0
"""Seconds from the start to the first collection at most: a server may be restarted every day."""

Alone = Callable[[str], AbstractAsyncContextManager[bool]]
"""Keep other servers from this work until the block ends. Yields False if one does it now."""

_HOUR: Final = 3_600.0

logger = logging.getLogger(__name__)


def upkeep(
    settings: Settings,
    collect: Collect,
    contents: CheckedContents,
    scrub: Scrub | None,
    finish_deletions: Callable[[], Awaitable[int]],
    alone: Alone,
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield the upkeep of what is stored, each to be run until it is cancelled.

    `alone`: see `Engine.alone`.
    `scrub` is None where the platform reads its own disks.
    """
    retention = read_retention(settings.retain_versions, settings.retain_deleted)

    async def measure() -> float:
        began = time.monotonic()
        await collect.plan(retention)
        return max(_HOUR, 100 * (time.monotonic() - began))  # at most a hundredth of the time

    async def sweep() -> float:
        async with alone("sweep") as is_mine:
            if is_mine and (swept := await contents.sweep()):
                logger.info("removed %d objects of unrecorded uploads", swept)
        return SWEEP.total_seconds()

    async def finish() -> float:
        async with alone("deletions") as is_mine:
            if is_mine and (deleted := await finish_deletions()):
                logger.info("deleted %d assets of interrupted deletions", deleted)
        return FINISH

    async def collect_once() -> float:
        async with alone("collection") as is_mine:
            if is_mine:
                done = await collect.run(SYSTEM, retention)
                logger.info("collected %d contents, %d bytes", done.contents, done.size)
        return interval

    yield _again_and_again("measure what is stored", measure, first=60.0, failed=_HOUR)
    yield _again_and_again("sweep the content store", sweep, failed=SWEEP.total_seconds())
    yield _again_and_again("finish deletions", finish, first=FINISH, failed=FINISH)
    if settings.gc_interval != "off":
        interval = read_duration(settings.gc_interval).total_seconds()
        first = min(interval, FIRST_COLLECTION)
        yield _again_and_again("collect", collect_once, first=first, failed=interval)
    if scrub is not None and settings.scrub_interval != "off":
        yield scrub.run(read_duration(settings.scrub_interval))


async def deliver(settings: Settings, hooks: Hooks, feed: LiveFeed, replay: AsyncReplay) -> None:
    """Send events to the webhooks and to `lineage_url`, until it is cancelled."""
    token = settings.lineage_token
    lineage = Receiver(settings.lineage_url, token.get_secret_value() if token else None)
    private = settings.hook_addresses == "any"
    await Deliveries(hooks, feed, replay, lineage, private=private).run()


async def _again_and_again(
    work: str, run: Callable[[], Awaitable[float]], *, failed: float, first: float = 0.0
) -> None:
    """Run after `first` seconds, then after as many as it returns, or `failed` after an error."""
    pause = first
    while True:
        await asyncio.sleep(pause)
        try:
            pause = await run()
        except (LedgerError, OSError, sqlite3.Error, *WITHOUT_MEMORY) as error:
            logger.warning("could not %s: %r; trying again in %.0f s", work, error, failed)
            pause = failed
