"""Read the log in SQL, without a lock, also while a server writes to it."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from eventsourcing.persistence import Notification

from asset_ledger.ledger.content.places import COLLECTED_AT, FIND_OBJECT, key_of
from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.collected import NEEDED, needed_by
from asset_ledger.ledger.log.event_log import CommandKey, Head, Tag
from asset_ledger.ledger.log.tree_rows import TreeRows
from asset_ledger.ledger.storage.database import Readers

PAGE: Final = 1_000
"""The maximal number of rows of one read, so that no reader holds a snapshot for long."""

_EVENT: Final = "e.rowid, e.originator_id, e.originator_version, e.topic, e.state"
LAST: Final = f"""SELECT {_EVENT}, l.hash FROM stored_events e
    LEFT JOIN event_leaves l ON l.position = e.rowid ORDER BY e.rowid DESC LIMIT 1"""
_AFTER: Final = f"""SELECT {_EVENT} FROM stored_events e
    WHERE rowid > ? AND rowid <= ? ORDER BY rowid {{}} LIMIT ?"""
_AFTER_BY_TAG: Final = f"""SELECT {_EVENT} FROM event_tags t
    CROSS JOIN stored_events e ON e.rowid = t.position
    WHERE t.user_id = ? AND t.kind = ? AND t.value = ? AND t.position > ? AND t.position <= ?
    ORDER BY t.position {{}} LIMIT ?"""
_STREAM: Final = f"""SELECT {_EVENT} FROM stored_events e
    WHERE originator_id = ? AND originator_version > ? AND rowid <= ?
    ORDER BY originator_version"""
_STREAM_BY_TOPIC: Final = _STREAM.replace(
    "ORDER", "AND topic IN (SELECT value FROM json_each(?)) ORDER"
)
_VERSION: Final = """SELECT max(originator_version) FROM stored_events
    WHERE originator_id = ? AND rowid <= ?"""
_KEY: Final = "SELECT * FROM command_keys WHERE user_id = ? AND key = ?"
_KEYS: Final = """SELECT * FROM command_keys
    WHERE (user_id, key) > (?, ?) AND last_position > ? AND last_position <= ?
    ORDER BY user_id, key LIMIT ?"""
_LEAF: Final = "SELECT hash FROM event_leaves WHERE position = ?"

_NO_LIMIT: Final = 2**63 - 1


class SqlLogReader(TreeRows):
    """A LogReader of the log's tables. See the protocol for its promises."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        super().__init__(self._readers.rows)

    def head(self) -> Head:
        """Return the end of the log."""
        for row in self._readers.rows(LAST):
            return head_of(row)
        return Head(0, None)

    def read(
        self,
        after: int,
        limit: int,
        *,
        tag: Tag | None = None,
        upto: int | None = None,
        max_bytes: int | None = None,
        newest_first: bool = False,
    ) -> list[Notification]:
        """Return the next stored events after a position, or the last ones, at most 1,000."""
        window = (after, _NO_LIMIT if upto is None else upto, min(limit, PAGE))
        order = "DESC" if newest_first else "ASC"
        if tag is None:
            return self._notifications(_AFTER.format(order), window, max_bytes)
        if any("\0" in text for text in tag):  # no event has such a tag; PostgreSQL takes none
            return []
        return self._notifications(_AFTER_BY_TAG.format(order), (*tag, *window), max_bytes)

    def stream(
        self,
        originator_id: str,
        *,
        after: int = 0,
        upto: int | None = None,
        max_bytes: int | None = None,
        topics: Sequence[str] = (),
    ) -> list[Notification]:
        """Return the stored events of a stream, in order: those after version `after`, up to
        position `upto` and `max_bytes`, and with one of these topics, if given."""
        window = originator_id, after, _NO_LIMIT if upto is None else upto
        if topics:
            named = orjson.dumps(topics).decode()
            return self._notifications(_STREAM_BY_TOPIC, (*window, named), max_bytes)
        return self._notifications(_STREAM, window, max_bytes)

    def version_at(self, originator_id: str, position: int | None = None) -> int:
        """Return the version that a stream had at a position, by default the version that it has; 0
        before its first event."""
        upto = _NO_LIMIT if position is None else position
        ((version,),) = self._readers.rows(_VERSION, (originator_id, upto))
        return version or 0

    def _notifications(
        self, sql: str, parameters: Sequence[Any], max_bytes: int | None
    ) -> list[Notification]:
        if max_bytes is None:
            rows = self._readers.rows(sql, parameters)
        else:
            rows = self._readers.rows_upto(max_bytes, sql, parameters)
        return [
            Notification(originator_id, version, topic, state, position)
            for position, originator_id, version, topic, state in rows
        ]

    def find_command(self, user_id: str, key: str) -> tuple[CommandKey, int, int] | None:
        """Return the use of an Idempotency-Key, and its first and last position."""
        for *command_key, first, last in self._readers.rows(_KEY, (user_id, key)):
            return CommandKey(*command_key), first, last
        return None

    def commands(self, last: tuple[str, str], after: int, upto: int) -> list[Any]:
        """Return the next rows of Idempotency-Keys after a user and key, in order, at most 1,000:
        those whose events end after position `after`, and at or before `upto`."""
        return self._readers.rows(_KEYS, (*last, after, upto, PAGE))

    def collected(self, digest: Digest) -> bool:
        """Return whether a content was collected, and not stored again since."""
        return bool(self._readers.rows(COLLECTED_AT, (key_of(digest),)))

    def needed(self, after: int, upto: int) -> set[Digest]:
        """Return the contents that the events after a position need, up to another one."""
        return needed_by(self._readers.rows(NEEDED, (after, upto)))

    def object_url(self, digest: Digest) -> str | None:
        """Return the URL of a large content in an object store; None if it has none."""
        rows = self._readers.rows(FIND_OBJECT, (key_of(digest),))
        return rows[0][0] if rows else None

    def leaf_hash(self, position: int) -> bytes | None:
        """Return the Merkle leaf hash of the event at a position, or None beyond the end."""
        rows = self._readers.rows(_LEAF, (position,))
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Close the connections."""
        self._readers.close()


def head_of(last: Sequence[Any]) -> Head:
    """Return the end of the log from a row of LAST."""
    position, _, _, _, state, _ = last
    return Head(position, parse_time(orjson.loads(state)["recorded_at"]))
