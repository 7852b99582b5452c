"""A database, of which or to which a ledger is copied."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from asset_ledger.api.copying.ends import CopySource, CopyTarget
from asset_ledger.api.database.log_copy import copy_to_folder
from asset_ledger.api.engine import Engine
from asset_ledger.ledger.content.database import DatabaseWriter, OfflineDatabaseContents
from asset_ledger.ledger.errors import DataFolderError, FolderLockedError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.key_rotation import key_texts
from asset_ledger.ledger.log.postgres import APPEND_LOCK, PostgresLogReader
from asset_ledger.ledger.log.postgres_copying import CopiedDatabase, refuse_copying
from asset_ledger.ledger.log.shared_key import share_key, shared_keys
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.folder_lock import hold_folder
from asset_ledger.ledger.storage.postgres import LOG, PostgresConnection


@contextmanager
def database_source(engine: Engine, url: str, folder: Path) -> Iterator[CopySource]:
    """Open the ledger of a database. `folder`: with the large contents that are in no store."""
    engine.check_exists()
    files = DataFolder(folder)
    with (
        closing(PostgresConnection(url, (LOG,))) as db,
        closing(PostgresLogReader(url)) as log,
        closing(OfflineDatabaseContents(url, files.content)) as contents,
    ):
        refuse_copying(db)

        def keys() -> Sequence[bytes]:
            return (*shared_keys(db), *key_texts(files.key))

        @contextmanager
        def frozen() -> Iterator[None]:
            try:
                db.execute("SELECT pg_advisory_lock(?)", (APPEND_LOCK,))
            except psycopg.errors.LockNotAvailable as error:
                raise FolderLockedError("another process holds the log of the database") from error
            yield

        yield CopySource("the database", engine, log, contents, keys, frozen)


@contextmanager
def database_target(engine: Engine, url: str, folder: Path) -> Iterator[CopyTarget]:
    """Begin or continue a copy into a database. `folder`: of its first server."""
    files, codec = DataFolder(folder), Codec()
    with hold_folder(folder) as lock, closing(CopiedDatabase(url, codec)) as log:
        if files.log.exists() or files.unfinished_log.exists():
            raise DataFolderError(f"{folder} has a ledger of its own: name another data folder")
        lock.keep()

        def audited(scratch: Path) -> DataFolder:
            copy = DataFolder(scratch / "copy")
            copy_to_folder(url, folder, copy.root)
            return copy

        target = CopyTarget(
            name="the database",
            engine=engine,
            log=log,
            small=DatabaseWriter(log.db),
            files=files,
            share_key=lambda: share_key(log.db, log, codec, files.key),
            audited=audited,
        )
        yield target
        if target.is_verified:
            log.finish()
