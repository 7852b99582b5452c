"""The storage engine of PostgreSQL: log, tables and small contents in a database.

The data folder of each server has large contents without a store for them, a copy of the key that
signs checkpoints, unfinished uploads and thumbnails. Any number of servers may use one database.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from uuid_utils import uuid4

from asset_ledger.api.database.key_locks import SharedKeyLocks
from asset_ledger.ledger.commands.collection_plan import PlanSource
from asset_ledger.ledger.commands.database_plan import DatabasePlanSource
from asset_ledger.ledger.commit.database_commit import DatabaseCommit
from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.content.database import DatabaseContents
from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.content.objects import ObjectContents, open_contents
from asset_ledger.ledger.content.parts import KNOWN_PARTS, SharedParts
from asset_ledger.ledger.content.store import ContentStore
from asset_ledger.ledger.errors import DataFolderError, GenerationError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader
from asset_ledger.ledger.log.opening import open_identity, read_identity
from asset_ledger.ledger.log.postgres import PostgresLog, PostgresLogReader
from asset_ledger.ledger.log.postgres_copying import refuse_copying
from asset_ledger.ledger.log.reader import SqlLogReader
from asset_ledger.ledger.log.shared_key import share_key
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import Feed, LiveFeed
from asset_ledger.ledger.reading.others import Others
from asset_ledger.ledger.storage.data_folder import DataFolder, claim_folder
from asset_ledger.ledger.storage.files import make_folder
from asset_ledger.ledger.storage.folder_lock import hold_committer_lock
from asset_ledger.ledger.storage.object_store import ObjectStore
from asset_ledger.ledger.storage.postgres import (
    LOG,
    PostgresConnection,
    PostgresReaders,
    unreachable,
)
from asset_ledger.ledger.storage.postgres_check import (
    check_address,
    check_database,
    explained,
    location,
)
from asset_ledger.ledger.storage.postgres_locks import trying, trying_named
from asset_ledger.ledger.storage.postgres_readers import AsyncPostgresReaders
from asset_ledger.projections.runtime.live import LiveTables
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import start
from asset_ledger.projections.runtime.store import TableStore
from asset_ledger.projections.runtime.table_schemas import BUILD_LOCK, TableSchemas

if TYPE_CHECKING:
    from asset_ledger.api.stores import Stores

logger = logging.getLogger(__name__)


class DatabaseEngine:
    """The engine of a database. See `engine.Engine` for the methods."""

    scrubs = False  # the platform checks its disks, and each read compares a content's digest

    def __init__(self, url: str, folder: Path) -> None:
        """Raises DataFolderError for an address that cannot be read."""
        check_address(url)
        self._url, self.folder, self._files = url, folder, DataFolder(folder)
        self.database: str | None = url
        self.anchor, self.key = self._files.lock, self._files.key

    def check(self) -> None:
        """Raise DataFolderError if the database cannot be used, or the folder has another log."""
        if self._files.log.exists():
            raise DataFolderError(
                f"{self.folder} has a ledger of its own, {self._files.log.name}: name another"
                " folder with --data-dir, or leave --database-url out"
            )
        if check_database(self._url):
            with closing(PostgresConnection(self._url, (LOG,), read_only=True)) as db:
                refuse_copying(db)

    def check_exists(self) -> None:
        """Raise DataFolderError if the database has no ledger."""
        if not check_database(self._url):
            raise DataFolderError(
                f"there is no ledger in the {self.location()}: asset-ledger serve makes it,"
                " or name another with --database-url"
            )

    def location(self) -> str:
        """Return the name, host and port of the database."""
        return location(self._url)

    @contextmanager
    def open(self, progress: Progress | None, *, reopen: bool = False) -> Iterator[GroupCommit]:
        """Open log and tables to write, for one worker. Raises DataFolderError."""
        with ExitStack() as stack:
            stack.enter_context(hold_committer_lock(self.folder))
            try:
                group_commit = self._opened(stack, progress)
            except psycopg.Error as error:
                raise explained(error) from error
            yield group_commit

    def _opened(self, stack: ExitStack, progress: Progress | None) -> DatabaseCommit:
        codec = Codec()
        log = stack.enter_context(self.writing())
        self._join(log, codec)
        log_id = read_identity(log, codec).log_id
        store = TableSchemas(self._url, log.db)
        stack.callback(store.close)
        with store.starting():
            runner = _start(store, Feed(log, codec, log_id), progress)
        tables = stack.enter_context(closing(LiveTables(store, runner)))
        return DatabaseCommit(log, tables)

    @contextmanager
    def writing(self) -> Iterator[PostgresLog]:
        """Open the log alone to append to it, begun if it is empty. Raises DataFolderError."""
        codec = Codec()
        with closing(PostgresLog(self._url, codec)) as log:
            if not log.head().position:
                make_folder(self.folder)
                open_identity(log, codec, self._files.key, new_log_id=uuid4().hex)
                self._join(log, codec)
            refuse_copying(log.db)
            yield log

    def _join(self, log: PostgresLog, codec: Codec) -> None:
        """Make this a server of the ledger. Raises DataFolderError if it is one of another."""
        claim_folder(self._files, read_identity(log, codec).log_id, log.db.location)
        share_key(log.db, log, codec, self._files.key)

    def reader(self) -> SqlLogReader:
        """Return a reader of the log."""
        return PostgresLogReader(self._url)

    def log_bytes(self) -> int:
        """Return the bytes of the events' table and its indexes."""
        with closing(PostgresReaders(self._url)) as readers:
            return int(readers.rows("SELECT pg_total_relation_size('stored_events')")[0][0])

    def tables(self) -> TableStore:
        """Return the generations of tables."""
        return TableSchemas(self._url)

    async def open_contents(self, store: ObjectStore | None, log_id: str) -> ContentStore:
        """Open the contents to read, and to receive large ones."""
        if store is None:
            logger.warning(
                "large contents go to %s, where no other server of the database can read them:"
                " set --content-url",
                self.folder,
            )
        small = DatabaseContents(self._url)
        local = await open_local_contents(self._files.content.root, small)
        rows = AsyncPostgresReaders(self._url, (LOG,))
        return await open_contents(store, log_id, rows, local, (KNOWN_PARTS,))

    def parts(self, contents: ContentStore) -> SharedParts | None:
        """Return the parts of uploads in the database and the store; None without a store."""
        if isinstance(contents, ObjectContents) and contents.has_store:
            return SharedParts(self._url, contents)
        return None

    def stored(self) -> PlanSource:
        """Return what a collection is planned from."""
        return DatabasePlanSource(self._url, self._files.content)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Keep other servers from building tables. Raises GenerationError if one does."""
        with trying(self._url, BUILD_LOCK) as is_mine:
            if not is_mine:
                raise GenerationError("another server of this database rebuilds: wait for it")
            yield

    def watching(
        self,
        feed: LiveFeed,
        reflects: Callable[[int, int], None],
        changed: Callable[[], Awaitable[bool]],
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what brings the events of other servers to this one."""
        return (Others(self._url, feed, reflects, changed).run(),)

    def stores(self) -> "Stores":
        """Return tables of the database."""
        from asset_ledger.api.database.shared import (  # noqa: PLC0415 - the committer starts sooner
            DatabaseStores,
        )

        return DatabaseStores(self._url)

    def key_locks(self) -> SharedKeyLocks:
        """Return locks of the database."""
        return SharedKeyLocks(self._url)

    @asynccontextmanager
    async def alone(self, work: str) -> AsyncIterator[bool]:
        """Keep other servers from this work until the block ends, or this server dies or stands
        still."""
        try:
            async with trying_named(self._url, f"alone {work}") as is_mine:
                yield is_mine
        except psycopg.Error as error:
            raise unreachable(error) from error

    def share_key(self, log: LogReader) -> bool:
        """Bring the key in force to the file of this server, or from it to the others."""
        with closing(PostgresConnection(self._url, (LOG,))) as db:
            return share_key(db, log, Codec(), self._files.key)


def _start(store: TableSchemas, feed: Feed, progress: Progress | None) -> Runner:
    """Open the tables in use, or put those that were built in their place."""
    while True:
        served = store.served()
        runner = start(store, feed, progress, keep_others=True)
        if store.put_in_use(runner.database.number, served):
            return runner
        runner.database.close()  # another server has switched meanwhile
