"""The one wiring: opens a data folder and everything on it, and closes it all in reverse.

The server, the command line and the tests open the same backend, in the same order, which is the
order in which a start makes sure of things: lock, contents, log, tables, and only then writes.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from uuid_utils import uuid4

from api.apart.apart import Apart
from api.contract.events import event_text
from api.settings import Settings
from api.shadow.rebuilds import Rebuilds
from api.thumbnails.cache import Thumbnails
from api.tokens import Tokens
from ledger.codec import Codec
from ledger.content.local import open_local_contents
from ledger.feed import Feed
from ledger.files import FolderLock, hold_build, hold_folder
from ledger.log.sqlite import SqliteLog
from ledger.missing import check_log
from ledger.opening import open_identity
from ledger.proofs import Proofs
from ledger.replay import Replay
from ledger.service import Ledger
from ledger.tail import Tail
from ledger.writer import Writer
from projections.runner import Progress
from projections.views import Views


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
