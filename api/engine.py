"""The storage engine: contents, log and tables, opened for writing by one worker, and for reading.

The worker is a thread (embedded, tests), or the committer process of a server. `FolderEngine` is
the engine of a data folder; `api.database.engine` has that of PostgreSQL.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
)
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from uuid_utils import uuid4

from asset_ledger.api.key_locks import KeyLocks
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.commands.collection_plan import FolderPlanSource, PlanSource
from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.content.objects import open_contents
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.store import ContentStore
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import EventLog, LogReader
from asset_ledger.ledger.log.inspection import refusal_of_writes
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.reader import SqlLogReader
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import Feed, LiveFeed
from asset_ledger.ledger.storage.data_folder import DataFolder, check_log
from asset_ledger.ledger.storage.files import NamedFile
from asset_ledger.ledger.storage.folder_lock import hold_build_lock, hold_committer_lock
from asset_ledger.ledger.storage.object_store import ObjectStore
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.projections.runtime.live import LiveTables
from asset_ledger.projections.runtime.start import start
from asset_ledger.projections.runtime.store import TableStore
from asset_ledger.projections.runtime.table_files import TableFiles

if TYPE_CHECKING:
    from asset_ledger.api.stores import Stores
    from asset_ledger.ledger.content.parts import SharedParts


class Engine(Protocol):
    """Opens the parts of one ledger."""

    folder: Path
    """The data folder: of a ledger in a database, what else this server stores."""
    scrubs: bool
    """Whether a server reads its ledger again and again, to find damage on the disk."""
    anchor: Path
    """The file whose absence means that the folder was moved away."""
    database: str | None
    """The address of the database, for other processes; None without one."""

    key: Path
    """The file of the private key that signs checkpoints."""

    def check(self) -> None:
        """Raise DataFolderError if the log cannot be the one of this folder."""

    def check_exists(self) -> None:
        """Raise DataFolderError if there is no ledger that can be read: commands make none."""

    def location(self) -> str:
        """Return where the ledger is, for people; without a password."""

    def open(
        self, progress: Progress | None, *, reopen: bool = False
    ) -> AbstractContextManager[GroupCommit]:
        """Open everything to write, for one worker; see `open_group_commit`."""

    def writing(self) -> AbstractContextManager[EventLog]:
        """Open the log alone to append to it, begun if it is empty. Raises DataFolderError."""

    def reader(self) -> SqlLogReader:
        """Return a reader of the log."""

    def log_bytes(self) -> int:
        """Return the bytes that the log takes. Raises OSError, StorageFailedError. Blocks."""

    def tables(self) -> TableStore:
        """Return the generations of tables."""

    async def open_contents(self, store: ObjectStore | None, log_id: str) -> ContentStore:
        """Open the contents to read, and to receive large ones, which go to the store if given."""

    def parts(self, contents: ContentStore) -> "SharedParts | None":
        """Return where several servers keep parts of uploads; None if they are in the folder."""

    def stored(self) -> PlanSource:
        """Return what a collection is planned from."""

    def building(self) -> AbstractContextManager[None]:
        """Keep other servers from building tables. Raises GenerationError if one does."""

    def watching(
        self,
        feed: LiveFeed,
        reflects: Callable[[int, int], None],
        changed: Callable[[], Awaitable[bool]],
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what brings the events of other servers to this one, until its feed ends.

        `reflects` gets the generation in use and its position; `changed` is awaited when tokens or
        keys may have changed, until it returns True.
        """

    def stores(self) -> "Stores":
        """Return what a server stores beside its ledger. A committer does without it."""

    def key_locks(self) -> KeyLocks:
        """Return the locks of the S3 keys, shared by all servers of the ledger."""

    def alone(self, work: str) -> AbstractAsyncContextManager[bool]:
        """Keep other servers from this work until the block ends.

        Yield False if one does it now. Raises StorageFailedError.
        """

    def share_key(self, log: LogReader) -> bool:
        """Bring the signing key in force to this server, or from it to the others.

        Return whether this server can sign.
        """


def engine_of(folder: Path, database: str | None) -> Engine:
    """Return the engine of a data folder, or of a database with this folder for the rest.

    Raises DataFolderError if the extra `postgresql` is not installed.
    """
    if database is None:
        return FolderEngine(folder)
    if find_spec("psycopg") is None:
        raise DataFolderError(
            "a database needs the package psycopg: install asset-ledger[postgresql]"
        )
    from asset_ledger.api.database.engine import DatabaseEngine  # noqa: PLC0415 - an optional extra

    return DatabaseEngine(database, folder)


class FolderEngine:
    """The engine of a data folder. See `Engine` for the methods."""

    scrubs = True
    database: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder, self._files = folder, DataFolder(folder)
        self.anchor, self.key = self._files.log, self._files.key

    def check(self) -> None:
        """Raise DataFolderError if the log cannot be the one of this folder."""
        check_log(self.folder)

    def check_exists(self) -> None:
        """Raise DataFolderError if there is no ledger that can be read."""
        check_log(self.folder)

    def location(self) -> str:
        """Return the folder."""
        return str(self.folder)

    def open(
        self, progress: Progress | None, *, reopen: bool = False
    ) -> AbstractContextManager[GroupCommit]:
        """Open everything to write, for one worker."""
        return open_group_commit(self.folder, progress, reopen=reopen)

    @contextmanager
    def writing(self) -> Iterator[EventLog]:
        """Open the log alone to append to it, begun if it is empty."""
        codec = Codec()
        with (
            hold_committer_lock(self.folder),
            closing(SqliteLog(self._files.log, codec)) as log,
        ):
            open_identity(log, codec, self._files.key, new_log_id=uuid4().hex)
            if (refusal := refusal_of_writes(self._files)) is not None:
                log.refuse_writes(refusal)
            yield log

    def reader(self) -> SqlLogReader:
        """Return a reader of the log."""
        return SqliteLogReader(self._files.log)

    def log_bytes(self) -> int:
        """Return the bytes of the log's file."""
        return self._files.log.stat().st_size

    def tables(self) -> TableStore:
        """Return the generations of tables."""
        return TableFiles(self.folder)

    async def open_contents(self, store: ObjectStore | None, log_id: str) -> ContentStore:
        """Open the contents to read, and to receive large ones."""
        local = await open_local_contents(self._files.content.root)
        rows = AsyncSqliteReaders(self._files.log, of_tables=False)
        return await open_contents(store, log_id, rows, local)

    def parts(self, contents: ContentStore) -> "SharedParts | None":
        """Return None: they are in the folder."""
        return None

    def stored(self) -> PlanSource:
        """Return what a collection is planned from."""
        return FolderPlanSource(self._files.content)

    def building(self) -> AbstractContextManager[None]:
        """Do nothing: one server has the folder."""
        return nullcontext()

    def watching(
        self,
        feed: LiveFeed,
        reflects: Callable[[int, int], None],
        changed: Callable[[], Awaitable[bool]],
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return nothing: one server has the folder."""
        return ()

    def stores(self) -> "Stores":
        """Return the files beside the log."""
        from asset_ledger.api.stores import FolderStores  # noqa: PLC0415 - the committer starts sooner

        return FolderStores(self._files)

    def key_locks(self) -> KeyLocks:
        """Return locks of this process: one server has the folder."""
        return KeyLocks()

    def alone(self, work: str) -> AbstractAsyncContextManager[bool]:
        """Yield True: one server has the folder."""
        return nullcontext(True)

    def share_key(self, log: LogReader) -> bool:
        """Do nothing: one server has the folder."""
        return True


@contextmanager
def open_group_commit(
    folder: Path,
    progress: Progress | None = None,
    *,
    reopen: bool = False,
    clock: Clock = utc_now,
) -> Iterator[GroupCommit]:
    """Open the packs, the log and the tables, in this order; close them in reverse.

    An empty log gets its first event. `progress` is called while tables catch up.
    `reopen`: a running server opens them again; the lock and the files of a rebuild are left alone.
    Waits for a previous worker that still commits its last group. Raises DataFolderError.
    """
    files, store, codec = DataFolder(folder), TableFiles(folder), Codec()
    with ExitStack() as stack:
        if reopen:
            NamedFile(files.log)  # a new log must not follow a folder that was moved away
        stack.enter_context(hold_committer_lock(folder))
        packs = stack.enter_context(closing(Packs(files.content)))
        log = stack.enter_context(closing(SqliteLog(files.log, codec, clock=clock)))
        opened = open_identity(log, codec, files.key, new_log_id=uuid4().hex)
        if (refusal := refusal_of_writes(files)) is not None:
            packs.failure = refusal
            log.refuse_writes(refusal)
        feed = Feed(log, codec, opened.log_id)
        with nullcontext() if reopen else hold_build_lock(folder):
            runner = start(store, feed, progress, keep_others=reopen)
        tables = stack.enter_context(closing(LiveTables(store, runner)))
        yield GroupCommit(log, packs, tables)
