"""The backend: a data folder with its committer, readers and tables, opened in a fixed order.

The server, the command line, the embedded SDK and the tests open the same backend: the lock, then
the committer (contents, log, tables), then the readers. It closes in reverse order.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from asset_ledger.api.contract.collection import read_retention
from asset_ledger.api.contract.durations import read_duration
from asset_ledger.api.contract.events import event_text
from asset_ledger.api.engine import Engine, FolderEngine
from asset_ledger.api.hooks.deliveries import Deliveries, Receiver
from asset_ledger.api.hooks.store import Hooks
from asset_ledger.api.sessions import Sessions
from asset_ledger.api.settings import Settings
from asset_ledger.api.thumbnails.cache import Thumbnails
from asset_ledger.api.tokens import Tokens
from asset_ledger.api.uploads import Uploads
from asset_ledger.api.workers.rebuilds import Rebuilds
from asset_ledger.ledger.clock import utc_now
from asset_ledger.ledger.commands.collect import Collect
from asset_ledger.ledger.commands.own_stream import record_in_own_stream
from asset_ledger.ledger.commands.scrub import Scrub
from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.commit.requests import Worker
from asset_ledger.ledger.commit.thread import ThreadWorker
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.domain.ledger import SYSTEM
from asset_ledger.ledger.errors import LedgerError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.proofs.live import Proofs
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.reading.subscriptions import Subscriptions
from asset_ledger.ledger.service import Ledger
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.files import NamedFile
from asset_ledger.ledger.storage.folder_lock import FolderLock, hold_folder
from asset_ledger.ledger.storage.object_store import ObjectStore
from asset_ledger.projections.serving import Projections

SWEEP: Final = 6 * 3_600.0
"""Seconds between two looks for objects of unrecorded uploads."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backend:
    """An open data folder."""

    settings: Settings
    engine: Engine
    lock: FolderLock
    log_file: NamedFile
    committer: Committer
    ledger: Ledger
    uploads: Uploads
    proofs: Proofs
    feed: LiveFeed
    subscriptions: Subscriptions
    projections: Projections
    rebuilds: Rebuilds
    tokens: Tokens
    sessions: Sessions
    hooks: Hooks
    thumbnails: Thumbnails
    collect: Collect
    scrub: Scrub


@asynccontextmanager
async def open_backend(
    settings: Settings,
    progress: Progress | None = None,
    worker: Worker | None = None,
    engine: Engine | None = None,
    *,
    upkeep: bool = False,
) -> AsyncIterator[Backend]:
    """Open the data folder of these settings. `progress` is called while tables catch up.

    Commits run in `worker`, or in a thread of this process. `engine`: by default that of the
    folder. `upkeep`, of a server: collect and scrub at the intervals of the settings, and measure
    what is stored. Raises DataFolderError if another process has the folder, or if its files cannot
    be used.
    """
    folder, codec = settings.data_dir, Codec()
    files = DataFolder(folder)
    store = ObjectStore(settings.content_url) if settings.content_url is not None else None
    engine = engine or FolderEngine(folder)
    worker = worker or ThreadWorker(partial(engine.open, progress))
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(hold_folder(folder))
        engine.check()
        committer = Committer(
            worker, settings.queue_size, settings.committer_silence, settings.writes_per_user
        )
        opened = await committer.open()
        stack.push_async_callback(committer.close)  # last, so that it checkpoints the WAL files
        log = engine.reader()
        stack.callback(log.close)
        log_id = read_identity(log, codec).log_id
        contents = CheckedContents(await engine.open_contents(store, log_id))
        stack.push_async_callback(contents.close)
        feed = LiveFeed(log, codec, log_id)
        stack.callback(feed.end)  # else subscribers in this process would wait for ever
        replay = AsyncReplay(Replay(log, codec))
        stack.callback(replay.close)
        tables = engine.tables()
        stack.callback(tables.close)
        silence = timedelta(seconds=settings.job_silence)
        projections = await Projections.open(tables, opened.tables, feed, progress, silence)
        stack.push_async_callback(projections.close)
        committer.attach(feed, replay, projections)
        stack.push_async_callback(committer.drain)  # first: the projections take its last events
        ledger = Ledger.of(committer, replay, contents, projections)
        if opened.failure is None:
            await ledger.delete.finish_interrupted()
        uploads = await Uploads.open(
            files.content.unfinished,
            ledger,
            read_duration(settings.upload_lifetime),
            shared=settings.auth != "local",
        )
        stack.push_async_callback(uploads.close)
        tokens = Tokens(log, codec, partial(record_in_own_stream, committer, replay))
        sessions = Sessions(files.sessions, tokens, jwt=settings.auth == "jwt")
        stack.callback(sessions.close)
        hooks = Hooks(files.hooks)
        rebuilds = Rebuilds(folder, engine.database, tables, projections, feed, committer)
        stack.push_async_callback(rebuilds.cancel)
        if projections.generation.expanded:
            rebuilds.start()  # fills the columns that a migration has added
        proofs = Proofs(log, codec, feed, replay, committer, files.key)
        thumbnails = Thumbnails(
            files.derived,
            ledger.open_content,
            files.content.objects,
            **({} if settings.auth == "local" else {"per_user": 1}),
        )
        stack.push_async_callback(thumbnails.close)
        collect = Collect(committer, replay, contents, engine.stored(), thumbnails.forget)
        scrub = Scrub(files, committer, replay, contents, feed)

        async def changed() -> bool:
            await tokens.refresh()
            can_sign = await asyncio.to_thread(engine.share_key, log)
            await proofs.refresh()
            return can_sign

        works = [uploads.watch(), *engine.watching(feed, projections.reflect, changed)]
        if upkeep:
            works.append(_deliver(settings, hooks, feed, replay))
            works += _upkeep(settings, collect, contents, scrub if engine.scrubs else None)
        for work in works:
            stack.push_async_callback(_cancelled, asyncio.create_task(work))
        lock.keep()
        yield Backend(
            settings=settings,
            engine=engine,
            lock=lock,
            log_file=NamedFile(engine.anchor),
            committer=committer,
            ledger=ledger,
            uploads=uploads,
            proofs=proofs,
            feed=feed,
            subscriptions=Subscriptions(feed, event_text),
            projections=projections,
            rebuilds=rebuilds,
            tokens=tokens,
            sessions=sessions,
            hooks=hooks,
            thumbnails=thumbnails,
            collect=collect,
            scrub=scrub,
        )


async def log_state(backend: Backend) -> dict[str, Any]:
    """Return the size, root, times and bytes of the log. Raises SigningKeyError."""
    signed, replay = await backend.proofs.checkpoint(), backend.ledger.replay
    before = await replay(Replay.position_as_of, utc_now() - timedelta(minutes=1))
    return {
        "origin": backend.proofs.origin,
        "size": signed.size,
        "root": signed.note.split("\n")[2],
        "opened_at": iso(await replay(Replay.recorded_at, 1)),
        "last_recorded_at": iso(await replay(Replay.recorded_at, signed.size)),
        "log_bytes": await asyncio.to_thread(backend.engine.log_bytes),
        "events_last_minute": max(0, signed.size - before),
    }


def _upkeep(
    settings: Settings, collect: Collect, contents: CheckedContents, scrub: Scrub | None
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what a server does by itself, until it is cancelled."""
    yield _measure_again_and_again(collect, settings)
    yield _sweep_again_and_again(contents)
    if settings.gc_interval != "off":
        yield _collect_again_and_again(collect, settings)
    if scrub is not None and settings.scrub_interval != "off":
        yield scrub.run(read_duration(settings.scrub_interval))


def _deliver(
    settings: Settings, hooks: Hooks, feed: LiveFeed, replay: AsyncReplay
) -> Coroutine[Any, Any, None]:
    token = settings.lineage_token
    lineage = Receiver(settings.lineage_url, token.get_secret_value() if token else None)
    private = settings.hook_addresses == "any"
    return Deliveries(hooks, feed, replay, lineage, private=private).run()


async def _measure_again_and_again(collect: Collect, settings: Settings) -> None:
    """Measure what is stored in each state: every hour, or in a hundredth of the time."""
    retention, pause = read_retention(settings.retain_versions, settings.retain_deleted), 60.0
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        try:
            await collect.plan(retention)
        except (LedgerError, OSError, sqlite3.Error) as error:
            logger.warning("what is stored was not measured: %s", error)
        pause = max(3_600.0, 100 * (time.monotonic() - began))


async def _sweep_again_and_again(contents: CheckedContents) -> None:
    """Remove what unrecorded uploads left in an object store. At the start, this is its check."""
    while True:
        try:
            if swept := await contents.sweep():
                logger.info("removed %d objects of unrecorded uploads", swept)
        except (LedgerError, OSError, sqlite3.Error) as error:
            logger.warning("what uploads left in the content store was not removed: %s", error)
        await asyncio.sleep(SWEEP)


async def _collect_again_and_again(collect: Collect, settings: Settings) -> None:
    """Collect once an interval. A failed collection is logged, and tried at the next one."""
    retention = read_retention(settings.retain_versions, settings.retain_deleted)
    while True:
        await asyncio.sleep(read_duration(settings.gc_interval).total_seconds())
        try:
            done = await collect.run(SYSTEM, retention)
            logger.info("collected %d contents, %d bytes", done.contents, done.size)
        except (LedgerError, OSError, sqlite3.Error):
            logger.exception("nothing more was collected")


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
