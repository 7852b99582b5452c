"""Copy a ledger in PostgreSQL to a data folder, and compare its tables with those of the copy.

Every table of the log is copied as it is, in one read transaction, so that `verify` reads what the
database has. Large contents are linked, not copied.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.content.copying import AT_ONCE
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.places import insert_places
from asset_ledger.ledger.errors import LedgerError
from asset_ledger.ledger.ids import digest_from_hex
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.shared_key import shared_keys
from asset_ledger.ledger.log.sqlite import schema
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.files import write_durably
from asset_ledger.ledger.storage.postgres import LOG, PostgresConnection
from asset_ledger.ledger.storage.sqlite import insert_rows, open_writer, transaction
from asset_ledger.projections.projection import Projection
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
    """Copy the log, its key and the small contents to the folder `copy`; link large contents.

    The key is that of the database, or else that of `data_dir`, which may be no server's folder.
    """
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
        for key in shared_keys(db):
            write_durably(files.key, key)
        for statement in schema():
            log.execute(statement)
        for table, sql in _TABLES.items():
            marks = ", ".join("?" * (table.count(",") + 1))
            for rows in db.pages(sql):
                with transaction(log):
                    insert_rows(log, f"INSERT INTO {table} VALUES ({marks})", rows)
        for rows in db.pages(_CONTENTS, AT_ONCE):
            contents = {digest_from_hex(key.hex()): content for key, content in rows}
            with transaction(log):
                insert_places(log, packs.append(contents, {}))


class StoredTables(NamedTuple):
    """One part of the tables in use, at a position. `digest`: None if it covers no table."""

    number: int
    projections: Sequence[Projection]
    part: str
    name: str
    position: int
    digest: str | None


def digest_tables(url: str) -> list[StoredTables]:
    """Return the digest of each part of the tables in use; none without a generation in use.

    Each part is read in one transaction. A log that is copied afterwards has all its events.
    """
    with closing(TableSchemas(url)) as store:
        number = in_use(store)
        if number is None:
            return []
        parts = (PROJECTIONS, *([each] for each in FOLLOWING))
        return [_digest(store, number, projections) for projections in parts]


def _digest(store: TableSchemas, number: int, projections: Sequence[Projection]) -> StoredTables:
    part = "" if projections is PROJECTIONS else projections[0].name
    with closing(store.open(number, projections, part)) as stored:
        stored.write.execute(_SNAPSHOT)
        (position,) = stored.write.execute("SELECT min(position) FROM positions").fetchone()
        found = digest(stored.tables) if stored.tables else None
        return StoredTables(number, projections, part, stored.name, int(position), found)


def compare_tables(
    stored: Sequence[StoredTables], copy: Path, scratch: Path, progress: Progress
) -> Iterator[Finding | Verified]:
    """Compare the digests of tables with those of tables that a log, copied later, makes."""
    if not stored:
        yield Finding("tables", WHOLE, "were not verified: no generation is in use")
        return
    codec, files = Codec(), TableFiles(scratch)
    with closing(SqliteLogReader(DataFolder(copy).log)) as log:
        feed = FeedUpTo.of_log(log, codec)
        for each in stored:
            feed.upto = min(each.position, feed.end_of_log())
            with closing(files.open(each.number, each.projections, each.part)) as made:
                migrate(made)
                try:
                    fill([Runner(made, feed)], progress)
                except (LedgerError, *made.errors) as error:
                    yield Finding(each.name, WHOLE, f"cannot be recomputed: {error}")
                else:
                    yield _compared(each, made, feed.end_of_log() - each.position)


def _compared(stored: StoredTables, made: Database, lag: int) -> Finding | Verified:
    expected = None if stored.digest is None else digest(made.tables)
    if stored.digest != expected:
        what = f"its rows have the digest {stored.digest}, and the events make {expected}"
        return Finding(stored.name, WHOLE, what)
    return Verified(stored.name, stored.position, stored.digest, max(0, lag))
