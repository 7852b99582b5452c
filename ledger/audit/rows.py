"""The tables beside the events, compared both ways with what the events' own bytes say.

Notes of what was read go into a file of the audit's own, so that memory does not grow with the
log, and SQL compares the two. The log is only read, also beside its server: what was committed
after the audit began is left to the next one.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.stored import NUMBERS, TEXTS, Stored
from asset_ledger.ledger.log.command import command_hash
from asset_ledger.ledger.log.event_log import CommandKey
from asset_ledger.ledger.storage.sqlite import open_scratch

PAGE: Final = 1_000

MOST: Final = 1_000
"""How many findings one check tells at most: the rest would say the same."""

_SMALLEST: Final = -(2**63)

_COLUMNS: Final = (*TEXTS, *NUMBERS)
_NOTES: Final = (
    f"CREATE TABLE said (position INTEGER PRIMARY KEY, {', '.join(_COLUMNS)})",
    """CREATE TABLE asked (user_id TEXT, command TEXT, first INTEGER, last INTEGER, key TEXT,
        PRIMARY KEY (user_id, command, key)) WITHOUT ROWID""",
    "CREATE TABLE contents (digest TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID",
)
_NOTE: Final = f"INSERT INTO said VALUES (?, {', '.join('?' for _ in _COLUMNS)})"
_NOTE_CONTENT: Final = "INSERT INTO contents VALUES (?, ?) ON CONFLICT DO NOTHING"
_INDEX: Final = "CREATE INDEX jobs ON said (user_id, job_id) WHERE job_id IS NOT NULL"
_ASKED: Final = """INSERT INTO asked
    SELECT user_id, command_hash(user_id, key, operation, fingerprint), first_position,
        last_position, key FROM log.command_keys"""

_EVENTS: Final = """SELECT rowid, * FROM log.stored_events
    WHERE rowid >= ? AND rowid <= ? ORDER BY rowid LIMIT ?"""
_LEAVES: Final = "SELECT position, hash FROM log.event_leaves WHERE position BETWEEN ? AND ?"
_TILE: Final = "SELECT hashes FROM log.merkle_tiles WHERE level = ? AND idx = ?"
_CHECKPOINTS: Final = "SELECT size, note FROM log.checkpoints WHERE size BETWEEN ? AND ?"
_HEAD: Final = "SELECT max(rowid) FROM log.stored_events"

_IS_NEW: Final = f"> :upto AND {{}} <= ({_HEAD})"
"""Committed since the audit began: neither right nor wrong yet."""


class Check(NamedTuple):
    """A statement that answers, of the rows that are wrong, which they are."""

    table: str
    what: str
    sql: str


def _new(column: str) -> str:
    return f"{column} {_IS_NEW.format(column)}"


_TAG: Final = "printf('%s=%s of user %s at %d', {kind}, {value}, user_id, position)"
_KEY: Final = "printf('%s of user %s', key, user_id)"
_JOB: Final = "printf('%s of user %s', job_id, user_id)"

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
            FROM said WHERE job_id IS NOT NULL)
        WHERE job_seq IS NOT due""",
    ),
    Check(
        "event_tags",
        "no event says so",
        f"""SELECT {_TAG.format(kind="kind", value="value")} FROM log.event_tags AS t
        WHERE NOT ({_new("position")}) AND NOT EXISTS (SELECT 1 FROM said AS s
            WHERE s.position = t.position AND s.user_id = t.user_id AND t.value = CASE t.kind
                WHEN 'workflow' THEN workflow_id WHEN 'node' THEN node_id
                WHEN 'job' THEN job_id END)""",
    ),
    *(
        Check(
            "event_tags",
            "is missing",
            f"""SELECT {_TAG.format(kind=f"'{kind}'", value=f"{kind}_id")} FROM said AS s
            WHERE {kind}_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM log.event_tags AS t
                WHERE t.user_id = s.user_id AND t.kind = '{kind}' AND t.value = s.{kind}_id
                    AND t.position = s.position)""",
        )
        for kind in ("workflow", "node", "job")
    ),
    Check(
        "job_heads",
        "is not where the events of the job end",
        f"""SELECT {_JOB} FROM log.job_heads AS h
        WHERE seq IS NOT (
            SELECT ifnull(max(job_seq), 0) FROM said AS s
            WHERE s.user_id = h.user_id AND s.job_id = h.job_id
        ) + (
            SELECT count(*) FROM log.event_tags AS t WHERE t.user_id = h.user_id
                AND t.kind = 'job' AND t.value = h.job_id AND {_new("t.position")})
        OR seq < 1""",
    ),
    Check(
        "job_heads",
        "is missing",
        f"""SELECT DISTINCT {_JOB} FROM said AS s WHERE job_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM log.job_heads AS h WHERE h.user_id = s.user_id AND h.job_id = s.job_id)
        """,
    ),
    Check(
        "command_keys",
        "the events that it names do not name it",
        f"""SELECT {_KEY} FROM asked AS a WHERE NOT ({_new("last")} AND first > :upto)
            AND (last < first OR last - first + 1 IS NOT (SELECT count(*) FROM said AS s
                WHERE s.position BETWEEN first AND last
                    AND s.user_id = a.user_id AND s.command = a.command))""",
    ),
    Check(
        "command_keys",
        "no key explains the command of this event",
        """SELECT position FROM said AS s WHERE command IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM asked AS a WHERE a.user_id = s.user_id AND a.command = s.command
                AND s.position BETWEEN first AND last)""",
    ),
    Check(
        "event_leaves",
        "there is no such event",
        f"""SELECT position FROM log.event_leaves
        WHERE (position < 1 OR position > :upto) AND NOT ({_new("position")})""",
    ),
    Check(
        "checkpoints",
        "the log has not had so many events",
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
        """SELECT printf('%d (%s)', min(position), digest) FROM said WHERE digest IS NOT NULL
            AND digest NOT IN (SELECT digest FROM contents) GROUP BY digest""",
    ),
    Check(
        "stored_events",
        "the content that it names has another size",
        """SELECT printf('%d (%s)', position, digest) FROM said JOIN contents USING (digest)
        WHERE said.size IS NOT contents.size""",
    ),
)


class AuditRows:
    """A log in a SQLite file as its auditor reads it, with notes of what its events say."""

    def __init__(self, log: Path, scratch: Path) -> None:
        """Raises sqlite3.Error if the file cannot be read."""
        self._db = open_scratch(scratch, {"log": log})
        self._db.create_function("command_hash", 4, _hash_of, deterministic=True)
        for statement in _NOTES:
            self._db.execute(statement)

    def head(self) -> int:
        """The last position of the log; 0 where it has no event."""
        (head,) = self._db.execute(_HEAD).fetchone()
        return head or 0

    def events(self, upto: int) -> Iterator[list[Stored]]:
        """Every row up to a position, page by page."""
        start = _SMALLEST
        while rows := self._db.execute(_EVENTS, (start, upto, PAGE)).fetchall():
            yield [Stored(*row) for row in rows]
            start = rows[-1][0] + 1

    def leaves(self, first: int, last: int) -> dict[int, bytes]:
        """The leaf hashes that are kept for these positions."""
        return dict(self._db.execute(_LEAVES, (first, last)).fetchall())

    def tile(self, level: int, index: int) -> bytes | None:
        """A full tile, if it is kept."""
        row = self._db.execute(_TILE, (level, index)).fetchone()
        return row[0] if row else None

    def checkpoints(self, first: int, last: int) -> dict[int, str]:
        """The notes that are kept for trees of these sizes."""
        return dict(self._db.execute(_CHECKPOINTS, (first, last)).fetchall())

    def note(self, said: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Remember what the events at these positions say."""
        rows = [(position, *map(words.get, _COLUMNS)) for position, words in said]
        self._db.execute("BEGIN")
        self._db.executemany(_NOTE, rows)
        self._db.execute("COMMIT")

    def findings(self, upto: int) -> Iterator[Finding]:
        """What is wrong with the tables, once every event up to a position, and
        every content, has been noted.
        """
        self._db.execute(_INDEX)
        self._db.execute(_ASKED)
        for table, what, sql in CHECKS:
            for (where,) in self._db.execute(sql, {"upto": upto}).fetchmany(MOST):
                yield Finding(table, str(where), what)
        yield from self._pages()

    def _pages(self) -> Iterator[Finding]:
        """What SQLite finds in its own file: an index that hides rows, say."""
        for (said,) in self._db.execute("PRAGMA log.integrity_check").fetchmany(MOST):
            if said != "ok":
                yield Finding("ledger.db", "as a file", str(said))

    def note_content(self, digest: str, size: int) -> bool:
        """Remember that a content is there; whether it was not noted before."""
        return self._db.execute(_NOTE_CONTENT, (digest, size)).rowcount == 1

    def close(self) -> None:
        """Let go of both files."""
        self._db.close()


def _hash_of(user_id: str, key: str, operation: str, fingerprint: str) -> str | None:
    return command_hash(CommandKey(user_id, key, operation, fingerprint))
