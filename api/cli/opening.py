"""The ledger of a command, opened without a lock: in a data folder, or in a database."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from asset_ledger.api.cli.options import database_of, existing_log, folder_of
from asset_ledger.api.engine import Engine, FolderEngine, engine_of
from asset_ledger.ledger.log.reader import SqlLogReader


def existing_engine(data_dir: Path | None) -> Engine:
    """Return the engine of a ledger that exists. Raises DataFolderError."""
    database = database_of(data_dir)
    if database is None:
        return FolderEngine(existing_log(data_dir).parent)
    engine = engine_of(folder_of(data_dir), database)
    engine.check_exists()
    return engine


@contextmanager
def reading(data_dir: Path | None) -> Iterator[SqlLogReader]:
    """Open the log of a ledger that exists. Raises DataFolderError."""
    with closing(existing_engine(data_dir).reader()) as log:
        yield log
