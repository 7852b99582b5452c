"""Where a copied ledger comes from and goes to: a data folder. `copying.database` has databases."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from asset_ledger.api.engine import Engine, engine_of
from asset_ledger.api.imports.ledger import check_empty
from asset_ledger.ledger.content.copying import PackWriter, SmallWriter
from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import CopiedLog, LogCopy, finish
from asset_ledger.ledger.log.inspection import refusal_of_writes
from asset_ledger.ledger.log.key_rotation import key_texts
from asset_ledger.ledger.log.reader import SqlLogReader
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.storage.data_folder import UNFINISHED, DataFolder, check_log
from asset_ledger.ledger.storage.folder_lock import hold_folder


@dataclass(frozen=True)
class CopySource:
    """A ledger to copy."""

    name: str
    engine: Engine
    log: SqlLogReader
    contents: OfflineContents
    key_texts: Callable[[], Sequence[bytes]]
    """Returns the files of the keys that may sign its checkpoints."""
    frozen: Callable[[], AbstractContextManager[object]]
    """Keeps every process from appending until the block ends. Raises FolderLockedError."""


@dataclass
class CopyTarget:
    """A new ledger. Servers refuse it until `is_verified` is set and the block ends.

    `files`: where large contents go that go to no store, and the signing key.
    """

    name: str
    engine: Engine
    log: LogCopy
    small: SmallWriter
    files: DataFolder
    share_key: Callable[[], object]
    """Brings the key in `files` to every server of the ledger."""
    audited: Callable[[Path], DataFolder]
    """Returns what an audit reads, which may be made in a scratch folder."""
    is_verified: bool = False


@contextmanager
def open_source(folder: Path, database: str | None) -> Iterator[CopySource]:
    """Open the ledger of a database, or of a folder without one. Raises DataFolderError."""
    if database is not None:
        engine = engine_of(folder, database)  # names the package that is not installed
        from asset_ledger.api.copying.database import database_source  # noqa: PLC0415

        with database_source(engine, database, folder) as source:
            yield source
        return
    files = DataFolder(folder)
    check_log(folder)
    if not files.log.is_file():
        raise DataFolderError(f"there is no ledger in {folder}: name its folder with --data-dir")
    if refusal := refusal_of_writes(files):  # a copy would be writable
        raise refusal
    with (
        closing(SqliteLogReader(files.log)) as log,
        closing(OfflineContents(files.content)) as contents,
    ):
        yield CopySource(
            name=str(folder),
            engine=engine_of(folder, None),
            log=log,
            contents=contents,
            key_texts=lambda: key_texts(files.key),
            frozen=lambda: _frozen(folder),
        )


@contextmanager
def _frozen(folder: Path) -> Iterator[None]:
    with hold_folder(folder) as lock:
        lock.keep()
        yield


@contextmanager
def open_target(folder: Path, database: str | None) -> Iterator[CopyTarget]:
    """Begin or continue a copy into a folder, or into a database with a folder for the rest.

    Raises DataFolderError for a target that cannot be used.
    """
    if database is not None:
        engine = engine_of(folder, database)
        from asset_ledger.api.copying.database import database_target  # noqa: PLC0415

        with database_target(engine, database, folder) as target:
            yield target
        return
    files = DataFolder(folder, log=UNFINISHED)
    with hold_folder(folder) as lock:
        check_empty(folder, {files.hooks.name, files.s3_keys.name})
        with closing(CopiedLog(folder, Codec())) as log:
            lock.keep()
            target = CopyTarget(
                name=str(folder),
                engine=engine_of(folder, None),
                log=log,
                small=PackWriter(files.content, log),
                files=files,
                share_key=lambda: True,
                audited=lambda _: files,
            )
            yield target
        if target.is_verified:
            finish(folder)
