"""The one wiring: opens a data folder and everything on it, and closes it all in reverse.

The server, the command line and the tests open the same backend, in the same order, which is the
order in which a start makes sure of things: lock, contents, log, tables, and only then writes.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from uuid_utils import uuid4

from asset_ledger.api.contract.events import event_text
from asset_ledger.api.settings import Settings
from asset_ledger.api.thumbnails.cache import Thumbnails
from asset_ledger.api.tokens import Tokens
from asset_ledger.api.workers.apart import Apart
from asset_ledger.api.workers.rebuilds import Rebuilds
from asset_ledger.ledger.commit.committer import Writer
from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.proofs.live import Proofs
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.reading.subscriptions import Tail
from asset_ledger.ledger.service import Ledger
from asset_ledger.ledger.storage.data_folder import check_log
from asset_ledger.ledger.storage.folder_lock import FolderLock, hold_build, hold_folder
from asset_ledger.projections.runtime.runner import Progress
from asset_ledger.projections.serving import Views


@dataclass(frozen=True, slots=True)
class Backend:
    """An open data folder."""

    settings: Settings
    lock: FolderLock
    writer: Writer
    apart: Apart
    ledger: Ledger
    proofs: Proofs
    feed: Feed
    tail: Tail
    views: Views
    rebuilds: Rebuilds
    tokens: Tokens
    thumbnails: Thumbnails


@asynccontextmanager
async def open_backend(
    settings: Settings, progress: Progress | None = None
) -> AsyncIterator[Backend]:
    """Open the data folder of these settings; `progress` hears of tables that catch up.

    Raises DataFolderError: another process has the folder, or what is in it cannot be used.
    """
    folder, codec = settings.data_dir, Codec()
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(hold_folder(folder))
        check_log(folder)
        tokens = Tokens(folder / "access.db")
        stack.callback(tokens.close)
        contents = await open_local_contents(folder / "content")
        stack.push_async_callback(contents.close)
        log = SqliteLog(folder / "ledger.db", codec)
        stack.callback(log.close)
        key_file = folder / "checkpoint.key"
        opened = open_identity(log, codec, key_file, new_log_id=uuid4().hex)
        feed, replay = Feed(log, codec, opened.log_id), Replay(log, codec)
        with hold_build(folder):
            views = await Views.open(folder, feed, progress)
        stack.push_async_callback(views.close)
        writer = Writer(log, contents, views.live, feed, queue_size=settings.queue_size)
        stack.push_async_callback(writer.close)
        apart = Apart(settings, writer, log, contents.packed, views.live)
        stack.push_async_callback(apart.close)
        ledger = Ledger(log, replay, contents, writer, views)
        stack.callback(ledger.close)
        await ledger.finish_interrupted()
        rebuilds = Rebuilds(folder, views, feed, apart.home)
        stack.push_async_callback(rebuilds.close)
        if views.generation.expanded:
            rebuilds.start()  # older rows lack what a migration wants, and serve meanwhile
        proofs = Proofs(log, codec, replay, writer, key_file)
        thumbnails = Thumbnails(folder / "derived", ledger.open_content)
        stack.push_async_callback(thumbnails.close)
        tail = Tail(feed, event_text)
        yield Backend(
            settings=settings,
            lock=lock,
            writer=writer,
            apart=apart,
            ledger=ledger,
            proofs=proofs,
            feed=feed,
            tail=tail,
            views=views,
            rebuilds=rebuilds,
            tokens=tokens,
            thumbnails=thumbnails,
        )
