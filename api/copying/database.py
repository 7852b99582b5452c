"""A database, of which or to which a ledger is copied."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psycopg

from asset_ledger.api.copying.ends import NO_LEDGER, CopySource, CopyTarget
from asset_ledger.api.database_copy import copy_to_folder
from asset_ledger.api.engine import engine_of
from asset_ledger.ledger.content.database import DatabaseWriter, OfflineDatabaseContents
from asset_ledger.ledger.errors import DataFolderError, FolderLockedError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.key_rotation import key_texts
from asset_ledger.ledger.log.postgres import APPEND_LOCK, PostgresLogReader
from asset_ledger.ledger.log.postgres_copying import CopiedDatabase, refuse_copying
from asset_ledger.ledger.log.shared_key import share_key, shared_keys
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.folder_lock import hold_folder
from asset_ledger.ledger.storage.postgres import LOG, PostgresConnection, unreachable

_IS_LOG: Final = f"SELECT to_regclass('{LOG}.stored_events') IS NOT NULL"


@contextmanager
def database_source(url: str, folder: Path) -> Iterator[CopySource]:
    """Open the ledger of a database. `folder`: with the large contents that are in no store."""
    files = DataFolder(folder)
    with (
        _connected(url) as db,
        closing(PostgresLogReader(url)) as log,
        closing(OfflineDatabaseContents(url, files.content)) as contents,
    ):
        if not db.execute(_IS_LOG).fetchone()[0]:
            raise DataFolderError(NO_LEDGER.format("the database"))
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

        engine = engine_of(folder, url)
        yield CopySource("the database", log, contents, files, engine, keys, frozen)


@contextmanager
def database_target(url: str, folder: Path) -> Iterator[CopyTarget]:
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
            log=log,
            small=DatabaseWriter(log.db),
            files=files,
            engine=engine_of(folder, url),
            share_key=lambda: share_key(log.db, log, codec, files.key),
            audited=audited,
        )
        yield target
        if target.is_verified:
            log.finish()


@contextmanager
def _connected(url: str) -> Iterator[PostgresConnection]:
    try:
        db = PostgresConnection(url, (LOG,))
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    with closing(db):
        yield db
