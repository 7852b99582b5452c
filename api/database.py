"""The storage engine of PostgreSQL: log, tables and small contents in a database.

The data folder has what one server alone needs: large contents, the key that signs checkpoints,
sessions and thumbnails. A lock of the committer keeps other servers from the database.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from uuid_utils import uuid4

from asset_ledger.ledger.commands.collection_plan import StoredContents
from asset_ledger.ledger.commands.database_plan import DatabaseStored
from asset_ledger.ledger.commit.database_commit import DatabaseCommit
from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.content.database import DatabaseContents
from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.content.objects import open_contents
from asset_ledger.ledger.content.store import ContentStore
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.postgres import PostgresLog, PostgresLogReader
from asset_ledger.ledger.log.reader import SqlLogReader
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.folder_lock import hold_committer_lock
from asset_ledger.ledger.storage.object_store import ObjectStore
from asset_ledger.ledger.storage.postgres import LOG
from asset_ledger.ledger.storage.postgres_readers import AsyncPostgresReaders
from asset_ledger.projections.runtime.live import LiveTables
from asset_ledger.projections.runtime.start import start
from asset_ledger.projections.runtime.store import TableStore
from asset_ledger.projections.runtime.table_schemas import TableSchemas


class DatabaseEngine:
    """The engine of a database. See `engine.Engine` for the methods."""

    scrubs = False  # the platform checks its disks, and each read compares a content's digest

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder, self._files = url, folder, DataFolder(folder)
        self.database: str | None = url
        self.anchor = self._files.lock

    def check(self) -> None:
        """Do nothing: the database has the log."""

    @contextmanager
    def open(self, progress: Progress | None, *, reopen: bool = False) -> Iterator[GroupCommit]:
        """Open log and tables to write, for one worker. Raises DataFolderError."""
        codec = Codec()
        with ExitStack() as stack:
            stack.enter_context(hold_committer_lock(self._folder))
            log = stack.enter_context(closing(PostgresLog(self._url, codec)))
            log.hold()
            opened = open_identity(log, codec, self._files.key, new_log_id=uuid4().hex)
            store = TableSchemas(self._url, log.db)
            stack.callback(store.close)
            runner = start(store, Feed(log, codec, opened.log_id), progress, keep_others=reopen)
            tables = stack.enter_context(closing(LiveTables(store, runner)))
            yield DatabaseCommit(log, tables)

    def reader(self) -> SqlLogReader:
        """Return a reader of the log."""
        return PostgresLogReader(self._url)

    def tables(self) -> TableStore:
        """Return the generations of tables."""
        return TableSchemas(self._url)

    async def open_contents(self, store: ObjectStore | None, log_id: str) -> ContentStore:
        """Open the contents to read, and to receive large ones."""
        small = DatabaseContents(self._url)
        local = await open_local_contents(self._files.content.root, small)
        return await open_contents(store, log_id, AsyncPostgresReaders(self._url, (LOG,)), local)

    def stored(self) -> StoredContents:
        """Return what a collection is planned from."""
        return DatabaseStored(self._url, self._files.content)
