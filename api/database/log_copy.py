"""Copy a ledger in PostgreSQL to a data folder, and compare its tables with those of the copy.

Every table of the log is copied as it is, in one read transaction, so that `verify` reads what the
database has. Large contents are linked, not copied.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.content.copying import AT_ONCE
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.places import insert_places
from asset_ledger.ledger.ids import digest_from_hex
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.sqlite import schema
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.postgres import LOG, PostgresConnection
from asset_ledger.ledger.storage.sqlite import insert_rows, open_writer, transaction
from asset_ledger.projections.rebuild.digest import digest
from asset_ledger.projections.rebuild.findings import WHOLE
from asset_ledger.projections.rebuild.verify import Verified
from asset_ledger.projections.runtime.bulk import fill
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.store import Database, in_use
from asset_ledger.projections.runtime.table_files import TableFiles
from asset_ledger.projections.runtime.table_schemas import TableSchemas

PAGE: Final = 1_000

_TABLES: Final = {
    "stored_events (rowid, originator_id, originator_version, topic, state)": """
        SELECT notification_id, originator_id, originator_version, topic, state
        FROM stored_events ORDER BY notification_id""",
    "event_leaves (position, hash)": "SELECT position, hash FROM event_leaves",
    "event_tags (user_id, kind, value, position)": """
        SELECT user_id, kind, value, position FROM event_tags""",
    "command_keys (user_id, key, operation, fingerprint, first_position, last_position)": """
        SELECT user_id, key, operation, fingerprint, first_position, last_position
        FROM command_keys""",
    "job_heads (user_id, job_id, seq, attempt, ended)": """
        SELECT user_id, job_id, seq, attempt, ended FROM job_heads""",
    "merkle_tiles (level, idx, hashes)": "SELECT level, idx, hashes FROM merkle_tiles",
    "checkpoints (size, note)": "SELECT size, note FROM checkpoints",
    "objects (digest, url, size)": "SELECT digest, url, size FROM objects",
    "collected (digest, position, recorded_at)": """
        SELECT digest, position, recorded_at FROM collected""",
}
"""The tables of the log with their columns, and the SQL of their rows."""
_CONTENTS: Final = "SELECT digest, bytes FROM contents"
_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ"


def copy_to_folder(url: str, data_dir: Path, copy: Path) -> None:
    """Copy the log and the small contents to the folder `copy`; link what `data_dir` has."""
    own, files = DataFolder(data_dir), DataFolder(copy)
    files.content.root.mkdir(parents=True)
    files.content.objects.symlink_to(own.content.objects.absolute())
    with suppress(FileNotFoundError):  # the audit reports it
        shutil.copy(own.key, files.key)
    with ExitStack() as stack:
        db = stack.enter_context(closing(PostgresConnection(url, (LOG,), read_only=True)))
        log = stack.enter_context(closing(open_writer(files.log, "OFF")))
        packs = stack.enter_context(closing(Packs(files.content)))
        db.execute(_SNAPSHOT)
        for statement in schema():
            log.execute(statement)
        for table, sql in _TABLES.items():
            marks = ", ".join("?" * (table.count(",") + 1))
            for rows in _pages(db, sql):
                with transaction(log):
                    insert_rows(log, f"INSERT INTO {table} VALUES ({marks})", rows)
        for rows in _pages(db, _CONTENTS, AT_ONCE):
            contents = {digest_from_hex(key.hex()): content for key, content in rows}
            with transaction(log):
                insert_places(log, packs.append(contents, {}))


def _pages(db: PostgresConnection, sql: str, size: int = PAGE) -> Iterator[list[Any]]:
    """Yield the rows of a statement page by page: row by row, each would be waited for."""
    db.execute(f"DECLARE pages CURSOR FOR {sql}")
    while page := db.execute(f"FETCH {size} FROM pages").fetchall():
        yield page
    db.execute("CLOSE pages")


def compare_tables(
    url: str, copy: Path, scratch: Path, progress: Progress
) -> Iterator[Finding | Verified]:
    """Compare the digests of the tables in use with those of tables that the copied log makes."""
    codec, files = Codec(), TableFiles(scratch)
    with ExitStack() as stack:
        log = stack.enter_context(closing(SqliteLogReader(DataFolder(copy).log)))
        feed = FeedUpTo(log, codec, read_identity(log, codec).log_id)
        store = stack.enter_context(closing(TableSchemas(url)))
        number = in_use(store)
        if number is None:
            yield Finding("tables", WHOLE, "were not verified: no generation is in use")
            return
        for projections in (PROJECTIONS, *([each] for each in FOLLOWING)):
            part = "" if projections is PROJECTIONS else projections[0].name
            stored = stack.enter_context(closing(store.open(number, projections, part)))
            stored.write.execute(_SNAPSHOT)
            position = _position(stored)
            feed.upto = min(position, feed.end_of_log())
            database = stack.enter_context(closing(files.open(number, projections, part)))
            migrate(database)
            fill([Runner(database, feed)], progress)
            yield _compared(stored, database, position, feed.end_of_log() - position)


def _position(database: Database) -> int:
    (position,) = database.write.execute("SELECT min(position) FROM positions").fetchone()
    return int(position)


def _compared(stored: Database, made: Database, position: int, lag: int) -> Finding | Verified:
    if not stored.tables:
        return Verified(stored.name, position, None, max(0, lag))
    found, expected = digest(stored.tables), digest(made.tables)
    if found != expected:
        what = f"its rows have the digest {found}, and the events make {expected}"
        return Finding(stored.name, WHOLE, what)
    return Verified(stored.name, position, found, max(0, lag))


def verify_database(
    url: str, data_dir: Path, scratch: Path, progress: Progress
) -> tuple[Path, Sequence[Finding | Verified]]:
    """Copy a ledger and compare its tables. Return the folder of the copy, which can be audited."""
    copy, made = scratch / "copy", scratch / "tables"
    copy.mkdir()
    made.mkdir()
    copy_to_folder(url, data_dir, copy)
    return copy, list(compare_tables(url, copy, made, progress))
