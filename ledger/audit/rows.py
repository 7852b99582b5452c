"""The audit of the tables beside the events: SQL compares them both ways with the events' bytes.

What was read from the events is noted in a scratch file, so that memory does not grow with the log.
The log is only read, also beside its server: rows committed after the audit began are ignored.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.stored import FLAGS, NUMBERS, TEXTS, Stored
from asset_ledger.ledger.log.command import command_hash
from asset_ledger.ledger.log.event_log import CommandKey
from asset_ledger.ledger.log.sqlite import schema
from asset_ledger.ledger.storage.sqlite import open_scratch

PAGE: Final = 1_000

MOST: Final = 1_000
"""Findings that one check reports at most."""

_SMALLEST: Final = -(2**63)

_COLUMNS: Final = (*TEXTS, *NUMBERS, *FLAGS)
_NOTES: Final = (
    f"CREATE TABLE envelopes (position INTEGER PRIMARY KEY, {', '.join(_COLUMNS)})",
    """CREATE TABLE commands (user_id TEXT, command TEXT, first INTEGER, last INTEGER, key TEXT,
        PRIMARY KEY (user_id, command, key)) WITHOUT ROWID""",
    "CREATE TABLE contents (digest TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID",
    "CREATE TABLE collected (digest TEXT PRIMARY KEY, position INTEGER) WITHOUT ROWID",
    """CREATE TABLE places (digest, pack, offset, size, PRIMARY KEY (pack, offset, digest))
        WITHOUT ROWID""",
)
_NOTE: Final = f"INSERT INTO envelopes VALUES (?, {', '.join('?' for _ in _COLUMNS)})"
_NOTE_CONTENT: Final = "INSERT INTO contents VALUES (?, ?) ON CONFLICT DO NOTHING"
_NOTE_COLLECTED: Final = "INSERT OR REPLACE INTO collected VALUES (?, ?)"
_NAMED: Final = """(SELECT digest, min(position) AS first, max(position) AS last
    FROM envelopes WHERE digest IS NOT NULL GROUP BY digest)"""
_LOG_DIGEST: Final = "'sha256:' || lower(hex(l.digest))"
_NOTE_PLACES: Final = "INSERT INTO places SELECT * FROM log.contents"
_PLACES: Final = "SELECT * FROM places ORDER BY pack, offset, digest"
_INDEX: Final = "CREATE INDEX jobs ON envelopes (user_id, job_id) WHERE job_id IS NOT NULL"
_COMMANDS: Final = """INSERT INTO commands
    SELECT user_id, command_hash(user_id, key, operation, fingerprint), first_position,
        last_position, key FROM log.command_keys"""

_EVENTS: Final = """SELECT rowid, * FROM log.stored_events
    WHERE rowid >= ? AND rowid <= ? ORDER BY rowid LIMIT ?"""
_LEAVES: Final = "SELECT position, hash FROM log.event_leaves WHERE position BETWEEN ? AND ?"
_TILE: Final = "SELECT hashes FROM log.merkle_tiles WHERE level = ? AND idx = ?"
_CHECKPOINTS: Final = "SELECT size, note FROM log.checkpoints WHERE size BETWEEN ? AND ?"
_HEAD: Final = "SELECT max(rowid) FROM log.stored_events"
_LAST_LEAF: Final = "SELECT max(position) FROM log.event_leaves"
_TRIGGERS: Final = "SELECT name, sql FROM {}.sqlite_master WHERE type = 'trigger'"
_ROTATED: Final = "SELECT 1 FROM log.stored_events WHERE rowid > ? AND topic = ?"

_IS_NEW: Final = f"> :upto AND {{}} <= ({_HEAD})"
"""Committed since the audit began: neither right nor wrong yet."""


class Check(NamedTuple):
    """A statement that selects the wrong rows of a table, and what is wrong with them."""

    table: str
    what: str
    sql: str


def _new(column: str) -> str:
    return f"{column} {_IS_NEW.format(column)}"


_TAG: Final = "printf('%s=%s of user %s at %d', {kind}, {value}, user_id, position)"
_KEY: Final = "printf('%s of user %s', key, user_id)"
_JOB: Final = "printf('%s of user %s', job_id, user_id)"

_ATTEMPTS: Final = """
    SELECT each.*, topic, max(attempt) FILTER (WHERE topic = 'job.started') OVER before AS begun,
        max(attempt) FILTER (WHERE topic = 'job.finished') OVER before AS ended
    FROM envelopes AS each CROSS JOIN log.stored_events AS stored ON stored.rowid = each.position
    WHERE job_id IS NOT NULL
    WINDOW before AS (PARTITION BY user_id, job_id ORDER BY position
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
"""
"""The events of jobs, with the last attempts that had begun and ended before each."""

CHECKS: Final[Sequence[Check]] = (
    Check(
        "stored_events",
        "is not the next version of its stream",
        """SELECT printf('%d (stream %s, version %s)', position, stream, version) FROM (
            SELECT rowid AS position, originator_id AS stream, originator_version AS version,
                row_number() OVER (PARTITION BY originator_id ORDER BY rowid) AS due
            FROM log.stored_events WHERE rowid <= :upto)
        WHERE version IS NOT due""",
    ),
    Check(
        "stored_events",
        "its job_seq is not the next one of its job",
        """SELECT printf('%d (job %s, job_seq %s)', position, job_id, job_seq) FROM (
            SELECT *, row_number() OVER (PARTITION BY user_id, job_id ORDER BY position) AS due
            FROM envelopes WHERE job_id IS NOT NULL)
        WHERE job_seq IS NOT due""",
    ),
    Check(
        "stored_events",
        "its attempt is not the one that its job had then",
        f"""SELECT printf('%d (job %s, attempt %s)', position, job_id, attempt) FROM ({_ATTEMPTS})
        WHERE CASE topic
            WHEN 'job.started' THEN attempt IS NOT
                iif(ended IS ifnull(begun, 1), ended + 1, iif(begun IS NULL, 1, NULL))
            WHEN 'job.finished' THEN attempt IS NOT ifnull(begun, 1) OR attempt IS ended
            ELSE attempt NOT BETWEEN 1 AND ifnull(begun, 1) END
        OR (late OR topic = 'asset.created') AND ifnull(late, 0) IS NOT ifnull(attempt <= ended, 0)
        """,
    ),
    Check(
        "event_tags",
        "no event has this tag",
        f"""SELECT {_TAG.format(kind="kind", value="value")} FROM log.event_tags AS t
        WHERE NOT ({_new("position")}) AND NOT EXISTS (SELECT 1 FROM envelopes AS e
            WHERE e.position = t.position AND e.user_id = t.user_id AND t.value = CASE t.kind
                WHEN 'workflow' THEN workflow_id WHEN 'node' THEN node_id
                WHEN 'job' THEN job_id END)""",
    ),
    *(
        Check(
            "event_tags",
            "is missing",
            f"""SELECT {_TAG.format(kind=f"'{kind}'", value=f"{kind}_id")} FROM envelopes AS e
            WHERE {kind}_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM log.event_tags AS t
                WHERE t.user_id = e.user_id AND t.kind = '{kind}' AND t.value = e.{kind}_id
                    AND t.position = e.position)""",
        )
        for kind in ("workflow", "node", "job")
    ),
    Check(
        "job_heads",
        "is not the last job_seq of the job",
        f"""SELECT {_JOB} FROM log.job_heads AS h
        WHERE seq IS NOT (
            SELECT ifnull(max(job_seq), 0) FROM envelopes AS e
            WHERE e.user_id = h.user_id AND e.job_id = h.job_id
        ) + (
            SELECT count(*) FROM log.event_tags AS t WHERE t.user_id = h.user_id
                AND t.kind = 'job' AND t.value = h.job_id AND {_new("t.position")})
        OR seq < 1""",
    ),
    Check(
        "job_heads",
        "is not the last attempt of the job, or does not show whether it ended",
        f"""SELECT {_JOB} FROM log.job_heads AS h
        WHERE (attempt, ended) IS NOT (
            SELECT ifnull(max(attempt), 1), ifnull(max(attempt) IS
                max(attempt) FILTER (WHERE events IS NOT NULL), 0)
            FROM envelopes AS e WHERE e.user_id = h.user_id AND e.job_id = h.job_id)
        AND NOT EXISTS (
            SELECT 1 FROM log.event_tags AS t WHERE t.user_id = h.user_id
                AND t.kind = 'job' AND t.value = h.job_id AND {_new("t.position")})""",
    ),
    Check(
        "job_heads",
        "is missing",
        f"""SELECT DISTINCT {_JOB} FROM envelopes AS e WHERE job_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM log.job_heads AS h WHERE h.user_id = e.user_id AND h.job_id = e.job_id)
        """,
    ),
    Check(
        "command_keys",
        "the events that it names do not name it",
        f"""SELECT {_KEY} FROM commands AS c WHERE NOT ({_new("last")} AND first > :upto)
            AND (last < first OR last - first + 1 IS NOT (SELECT count(*) FROM envelopes AS e
                WHERE e.position BETWEEN first AND last
                    AND e.user_id = c.user_id AND e.command = c.command))""",
    ),
    Check(
        "command_keys",
        "no key has the command of this event",
        """SELECT position FROM envelopes AS e WHERE command IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM commands AS c WHERE c.user_id = e.user_id AND c.command = e.command
                AND e.position BETWEEN first AND last)""",
    ),
    Check(
        "event_leaves",
        "there is no such event",
        f"""SELECT position FROM log.event_leaves
        WHERE (position < 1 OR position > :upto) AND NOT ({_new("position")})""",
    ),
    Check(
        "checkpoints",
        "the log does not have so many events",
        f"""SELECT size FROM log.checkpoints
        WHERE (size < 1 OR size > :upto) AND NOT ({_new("size")})""",
    ),
    Check(
        "merkle_tiles",
        "there is no such tile, or it is not full",
        f"""SELECT printf('%d/%d', level, idx) FROM log.merkle_tiles
        WHERE level < 1 OR idx < 0 OR idx >= ({_HEAD}) >> 8 * (level + 1)""",
    ),
    Check("stored_events", "is no position", "SELECT rowid FROM log.stored_events WHERE rowid < 1"),
    Check(
        "stored_events",
        "there is no content with the digest that it names",
        f"""SELECT printf('%d (%s)', first, digest)
        FROM {_NAMED} LEFT JOIN collected AS c USING (digest)
        WHERE digest NOT IN (SELECT digest FROM contents) AND last > coalesce(c.position, 0)
            AND digest NOT IN (
                SELECT {_LOG_DIGEST} FROM log.collected AS l WHERE {_new("l.position")})""",
    ),
    Check(
        "collected",
        "no event collected this content",
        f"""SELECT {_LOG_DIGEST} FROM log.collected AS l
        LEFT JOIN collected AS c ON c.digest = {_LOG_DIGEST}
        WHERE l.position IS NOT c.position AND NOT ({_new("l.position")})""",
    ),
    Check(
        "collected",
        "is missing",
        f"""SELECT c.digest FROM collected AS c LEFT JOIN {_NAMED} AS n USING (digest)
        WHERE c.position > coalesce(n.last, 0) AND ({_HEAD}) = :upto
            AND c.digest NOT IN (SELECT {_LOG_DIGEST} FROM log.collected AS l)""",
    ),
    Check(
        "stored_events",
        "the content that it names has another size",
        """SELECT printf('%d (%s)', position, digest) FROM envelopes
        JOIN contents USING (digest) WHERE envelopes.size IS NOT contents.size""",
    ),
)


class AuditRows:
    """The rows of a log for its audit, and a scratch file of notes on its events."""

    def __init__(self, log: Path, scratch: Path) -> None:
        """Open the log and make the scratch file. Raises sqlite3.Error."""
        self._unreadable: list[Finding] = []
        self._db = open_scratch(scratch, {"log": log})
        self._db.create_function("command_hash", 4, _hash_of, deterministic=True)
        for statement in _NOTES:
            self._db.execute(statement)

    def head(self) -> int:
        """Return the last position of the log; 0 if it is empty."""
        try:
            (head,) = self._db.execute(_HEAD).fetchone()
        except sqlite3.DatabaseError as error:  # the last page of events is damaged
            self._unreadable.append(_unreadable("stored_events", error))
            (head,) = self._db.execute(_LAST_LEAF).fetchone()
        return head or 0

    def events(self, upto: int) -> Iterator[list[Stored]]:
        """Yield every row up to a position that can be read, page by page."""
        start = _SMALLEST
        while start <= upto:
            try:
                rows = self._db.execute(_EVENTS, (start, upto, PAGE)).fetchall()
                end = rows[-1][0] if len(rows) == PAGE else upto
            except sqlite3.DatabaseError:
                start = max(start, 1)
                end = min(start + PAGE - 1, upto)
                rows = self._between("stored_events", _EVENTS, start, end, PAGE)
            if rows:
                yield [Stored(*row) for row in rows]
            start = end + 1

    def leaves(self, first: int, last: int) -> dict[int, bytes]:
        """Return the stored leaf hashes of these positions."""
        return dict(self._between("event_leaves", _LEAVES, first, last))

    def tile(self, level: int, index: int) -> bytes | None:
        """Return a stored full tile; None if it is missing or cannot be read."""
        try:
            row = self._db.execute(_TILE, (level, index)).fetchone()
        except sqlite3.DatabaseError as error:
            self._unreadable.append(_unreadable(f"merkle_tiles {level}/{index}", error))
            return None
        return row[0] if row else None

    def checkpoints(self, first: int, last: int) -> dict[int, str]:
        """Return the stored checkpoints of these tree sizes."""
        return dict(self._between("checkpoints", _CHECKPOINTS, first, last))

    def _between(self, table: str, sql: str, first: int, last: int, *limit: int) -> list[Any]:
        """Return the rows of these positions. Halve a range with a damaged page, to find the rest.

        `unreadable` returns the positions that are on it.
        """
        try:
            return self._db.execute(sql, (first, last, *limit)).fetchall()
        except sqlite3.DatabaseError as error:
            if first == last:
                self._unreadable.append(_unreadable(f"{table} {first}", error))
                return []
        middle = (first + last) // 2
        head = self._between(table, sql, first, middle, *limit)
        return [*head, *self._between(table, sql, middle + 1, last, *limit)]

    def unreadable(self) -> list[Finding]:
        """Return what could not be read since the last call, because of damaged pages."""
        found, self._unreadable = self._unreadable, []
        return found

    def is_rotated_after(self, position: int, topic: str) -> bool:
        """Return whether an event with this topic follows the position."""
        return bool(self._db.execute(_ROTATED, (position, topic)).fetchone())

    def note(self, envelopes: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Note the envelopes of the events at these positions."""
        rows = [(position, *map(each.get, _COLUMNS)) for position, each in envelopes]
        self._db.execute("BEGIN")
        self._db.executemany(_NOTE, rows)
        for position, each in envelopes:
            digests = each.get("digests")
            if isinstance(digests, list):  # of content.collected
                noted = [(str(digest), position) for digest in digests]
                self._db.executemany(_NOTE_COLLECTED, noted)
        self._db.execute("COMMIT")

    def findings(self, upto: int) -> Iterator[Finding]:
        """Yield what is wrong, once all events up to a position and all contents are noted."""
        self._db.execute(_INDEX)
        yield from self._guarded("command_keys", self._note_commands)
        for check in CHECKS:
            yield from self._guarded(check.table, partial(self._check, check, upto))
        yield from self._guarded("sqlite_master", self._triggers)
        yield from self._guarded("integrity_check", self._pages)

    def _guarded(self, table: str, check: Callable[[], list[Finding]]) -> list[Finding]:
        """Return the findings of a check; one that cannot read the file has no other finding."""
        try:
            return check()
        except sqlite3.DatabaseError as error:
            return [_unreadable(table, error)]

    def _note_commands(self) -> list[Finding]:
        self._db.execute(_COMMANDS)
        return []

    def _check(self, check: Check, upto: int) -> list[Finding]:
        rows = self._db.execute(check.sql, {"upto": upto}).fetchmany(MOST)
        return [Finding(check.table, str(where), check.what) for (where,) in rows]

    def _triggers(self) -> list[Finding]:
        """Compare the triggers with those of this release, which keep events unchanged."""
        found = dict(self._db.execute(_TRIGGERS.format("log")).fetchall())
        with closing(sqlite3.connect(":memory:")) as made:
            for statement in schema():
                made.execute(statement)
            expected = dict(made.execute(_TRIGGERS.format("main")).fetchall())
        return [
            Finding(
                "ledger.db trigger", name, _trigger_problem(found.get(name), expected.get(name))
            )
            for name in sorted(found.keys() | expected.keys())
            if found.get(name) != expected.get(name)
        ]

    def _pages(self) -> list[Finding]:
        """Return what SQLite finds in the file itself, such as an index that lacks rows."""
        rows = self._db.execute("PRAGMA log.integrity_check").fetchmany(MOST)
        return [Finding("ledger.db", "as a file", str(what)) for (what,) in rows if what != "ok"]

    def note_places(self) -> int:
        """Note the places of all contents, and return their number."""
        return self._db.execute(_NOTE_PLACES).rowcount

    def places(self) -> Iterator[list[Any]]:
        """Yield the rows of all noted places in the order of the packs, page by page."""
        rows = self._db.execute(_PLACES)
        while page := rows.fetchmany(PAGE):
            yield page

    def note_content(self, digest: str, size: int) -> bool:
        """Note a content. Return False if its digest was noted before."""
        return self._db.execute(_NOTE_CONTENT, (digest, size)).rowcount == 1

    def close(self) -> None:
        """Close both files."""
        self._db.close()


def _unreadable(where: str, error: sqlite3.Error) -> Finding:
    return Finding("ledger.db", where, f"cannot be read: {error}")


def _trigger_problem(found: str | None, expected: str | None) -> str:
    if found is None:
        return "is missing: a start makes it again"
    return "was replaced" if expected else "is there, and no release makes it"


def _hash_of(user_id: str, key: str, operation: str, fingerprint: str) -> str | None:
    return command_hash(CommandKey(user_id, key, operation, fingerprint))
