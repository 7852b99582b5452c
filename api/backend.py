"""The backend: a data folder with its committer, readers and tables, opened in a fixed order.

The server, the command line, the embedded SDK and the tests open the same backend: the lock, then
the committer (contents, log, tables), then the readers. It closes in reverse order.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from asset_ledger.api.contract.durations import read_duration
from asset_ledger.api.contract.events import event_text
from asset_ledger.api.engine import Engine, engine_of
from asset_ledger.api.hooks.store import Hooks
from asset_ledger.api.key_locks import KeyLocks
from asset_ledger.api.s3_keys import S3Keys
from asset_ledger.api.sessions import Sessions
from asset_ledger.api.settings import Settings
from asset_ledger.api.thumbnails.cache import Thumbnails
from asset_ledger.api.tokens import Tokens
from asset_ledger.api.upkeep import deliver, upkeep
from asset_ledger.api.uploads.folder import FolderUploads
from asset_ledger.api.uploads.resumable import Uploads
from asset_ledger.api.uploads.shared import SharedUploads
from asset_ledger.api.workers.rebuilds import Rebuilds
from asset_ledger.ledger.clock import utc_now
from asset_ledger.ledger.commands.collect import Collect
from asset_ledger.ledger.commands.own_stream import record_in_own_stream
from asset_ledger.ledger.commands.scrub import Scrub
from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.commit.requests import TablesState, Worker
from asset_ledger.ledger.commit.thread import ThreadWorker
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.reader import SqlLogReader
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
from asset_ledger.ledger.tasks import end
from asset_ledger.projections.runtime.store import TableStore
from asset_ledger.projections.serving import Projections

if TYPE_CHECKING:
    from asset_ledger.ledger.content.parts import SharedParts


@dataclass(frozen=True, slots=True)
class Backend:
    """An open data folder."""

    settings: Settings
    engine: Engine
    lock: FolderLock
    log_file: NamedFile
    committer: Committer
    ledger: Ledger
    uploads: Uploads[Any]
    parts: "SharedParts | None"
    proofs: Proofs
    feed: LiveFeed
    subscriptions: Subscriptions
    projections: Projections
    rebuilds: Rebuilds
    tokens: Tokens
    sessions: Sessions
    hooks: Hooks
    s3_keys: S3Keys
    key_locks: KeyLocks
    thumbnails: Thumbnails
    collect: Collect
    scrub: Scrub


@dataclass(frozen=True, slots=True)
class _Readable:
    """What is read of a ledger: its log, its contents and its tables."""

    log: SqlLogReader
    contents: CheckedContents
    parts: "SharedParts | None"
    feed: LiveFeed
    replay: AsyncReplay
    tables: TableStore
    projections: Projections


@asynccontextmanager
async def open_backend(
    settings: Settings,
    progress: Progress | None = None,
    worker: Worker | None = None,
    engine: Engine | None = None,
    *,
    is_server: bool = False,
) -> AsyncIterator[Backend]:
    """Open the ledger of these settings. `progress` is called while tables catch up.

    Commits run in `worker`, or in a thread of this process. `engine`: by default that of the
    settings. `is_server`: do what a server does by itself, see `api.upkeep`. Raises DataFolderError
    if another process has the folder, or if its files cannot be used.
    """
    engine = engine or engine_of(settings.data_dir, settings.database)
    worker = worker or ThreadWorker(partial(engine.open, progress))
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(hold_folder(settings.data_dir))
        engine.check()
        committer = Committer(
            worker,
            settings.queue_size,
            settings.committer_silence,
            settings.writes_per_user,
            settings.queue_wait,
        )
        opened = await committer.open()
        stack.push_async_callback(committer.close)  # last, so that it checkpoints the WAL files
        reading = await _open_reading(stack, settings, engine, opened.tables, progress)
        committer.attach(reading.feed, reading.replay, reading.projections)
        stack.push_async_callback(committer.drain)  # first: the projections take its last events
        ledger = Ledger.of(committer, reading.replay, reading.contents, reading.projections)
        if opened.failure is None:
            async with engine.alone("deletions") as is_mine:
                if is_mine:
                    await ledger.delete.finish_interrupted()
        backend = await _open_services(stack, settings, engine, lock, committer, ledger, reading)
        works = [backend.uploads.watch(), backend.sessions.watch(), *_watching(backend, reading)]
        if is_server:
            scrub = backend.scrub if engine.scrubs else None
            works.append(deliver(settings, backend.hooks, reading.feed, reading.replay))
            finish = ledger.delete.finish_interrupted
            works += upkeep(
                settings, backend.collect, reading.contents, scrub, finish, engine.alone
            )
        for work in works:
            stack.push_async_callback(end, asyncio.create_task(work))
        lock.keep()
        yield backend


async def _open_reading(
    stack: AsyncExitStack,
    settings: Settings,
    engine: Engine,
    state: TablesState,
    progress: Progress | None,
) -> _Readable:
    """Open the log, the contents and the tables of this state, in this order."""
    store = ObjectStore(settings.content_url) if settings.content_url is not None else None
    codec = Codec()
    log = engine.reader()
    stack.callback(log.close)
    log_id = read_identity(log, codec).log_id
    stored = await engine.open_contents(store, log_id)
    contents = CheckedContents(stored)
    stack.push_async_callback(contents.close)
    feed = LiveFeed(log, codec, log_id)
    stack.callback(feed.end)  # else subscribers in this process would wait for ever
    replay = AsyncReplay(Replay(log, codec))
    stack.callback(replay.close)
    tables = engine.tables()
    stack.callback(tables.close)
    silence = timedelta(seconds=settings.job_silence)
    projections = await Projections.open(tables, state, feed, progress, silence)
    stack.push_async_callback(projections.close)
    parts = engine.parts(stored)
    return _Readable(log, contents, parts, feed, replay, tables, projections)


async def _open_services(
    stack: AsyncExitStack,
    settings: Settings,
    engine: Engine,
    lock: FolderLock,
    committer: Committer,
    ledger: Ledger,
    reading: _Readable,
) -> Backend:
    """Open what serves callers beside commands and queries: uploads, tokens, thumbnails, ..."""
    files, codec = DataFolder(settings.data_dir), Codec()
    log, feed, replay, projections = reading.log, reading.feed, reading.replay, reading.projections
    shared = settings.auth != "local"
    uploads = await _open_uploads(settings, ledger, reading)
    stack.push_async_callback(uploads.close)
    tokens = Tokens(log, codec, partial(record_in_own_stream, committer, replay))
    stores = engine.stores()
    sessions = Sessions(stores.sessions(), tokens, auth=settings.auth)
    stack.callback(sessions.close)
    hooks, s3_keys, key_locks = Hooks(stores.hooks()), stores.s3_keys(), engine.key_locks()
    stack.callback(hooks.close)
    stack.callback(s3_keys.close)
    stack.push_async_callback(key_locks.close)
    rebuilds = Rebuilds(
        settings.data_dir, engine.database, reading.tables, projections, feed, committer
    )
    stack.push_async_callback(rebuilds.cancel)
    if projections.generation.expanded:
        rebuilds.start()  # fills the columns that a migration has added
    thumbnails = Thumbnails(
        files.derived,
        ledger.open_content,
        files.content.objects,
        **({"per_user": 1} if shared else {}),
    )
    stack.push_async_callback(thumbnails.close)
    return Backend(
        settings=settings,
        engine=engine,
        lock=lock,
        log_file=NamedFile(engine.anchor),
        committer=committer,
        ledger=ledger,
        uploads=uploads,
        parts=reading.parts,
        proofs=Proofs(log, codec, feed, replay, committer, files.key),
        feed=feed,
        subscriptions=Subscriptions(feed, event_text),
        projections=projections,
        rebuilds=rebuilds,
        tokens=tokens,
        sessions=sessions,
        hooks=hooks,
        s3_keys=s3_keys,
        key_locks=key_locks,
        thumbnails=thumbnails,
        collect=Collect(committer, replay, reading.contents, engine.stored(), thumbnails.forget),
        scrub=Scrub(files, committer, replay, reading.contents, feed),
    )


async def _open_uploads(settings: Settings, ledger: Ledger, reading: _Readable) -> Uploads[Any]:
    lifetime, shared = read_duration(settings.upload_lifetime), settings.auth != "local"
    if reading.parts is not None:
        return SharedUploads(reading.parts, ledger, lifetime, shared=shared)
    folder = DataFolder(settings.data_dir).content.unfinished
    return await FolderUploads.open(folder, ledger, lifetime, shared=shared)


def _watching(backend: Backend, reading: _Readable) -> Sequence[Coroutine[Any, Any, None]]:
    """Return what brings the events, tokens and keys of other servers to this one."""

    async def changed() -> bool:
        await backend.tokens.refresh()
        can_sign = await asyncio.to_thread(backend.engine.share_key, reading.log)
        await backend.proofs.refresh()
        return can_sign

    return backend.engine.watching(reading.feed, reading.projections.reflect, changed)


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
