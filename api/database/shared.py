"""What the servers of one database share beside the ledger: webhooks, sessions, keys of S3 clients.

Each class stores in the database what a class of the same protocol stores in a data folder.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from threading import Lock
from typing import Any, Final

import orjson
import psycopg

from asset_ledger.api.hooks.store import MAX_HOOKS, Hook, HookStore, check_room
from asset_ledger.api.s3_keys import S3Keys
from asset_ledger.api.sessions import MOST, REMEMBERED, Row, SessionStore
from asset_ledger.ledger.log.postgres import APPEND_LOCK
from asset_ledger.ledger.storage.postgres import (
    LOG,
    PostgresConnection,
    PostgresReaders,
    storage_error,
    unreachable,
    writing,
)

TURN_LOCK: Final = APPEND_LOCK + 4
"""The lock of the server that delivers to webhooks."""
STILL: Final = "10s"
"""How long a server that stands still keeps its turn."""

_HOOKS: Final = "SELECT document FROM hooks"
_ADD_HOOK: Final = "INSERT INTO hooks VALUES (?, ?)"
_REMOVE_HOOK: Final = "DELETE FROM hooks WHERE id = ?"
_SAVE_HOOKS: Final = """UPDATE hooks SET document = given.document
    FROM unnest(?::text[], ?::text[]) AS given(id, document) WHERE hooks.id = given.id"""
_TAKE_TURN: Final = "SELECT pg_try_advisory_lock(?)"  # True, too, for a connection that has it

_FIND: Final = """SELECT hash, auth, token_id, user_id, scopes, name, expires_at, for_user
    FROM sessions WHERE hash = ? AND expires_at > ? AND auth = ? AND ended_at IS NULL"""
_INSERT: Final = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_END: Final = "UPDATE sessions SET ended_at = now() WHERE hash = ? AND ended_at IS NULL"
_MAKE_ROOM: Final = f"""UPDATE sessions SET ended_at = now() WHERE hash IN (
        SELECT hash FROM sessions
        WHERE auth = ? AND auth <> 'local' AND user_id = ? AND ended_at IS NULL
        ORDER BY expires_at DESC OFFSET {MOST - 1}
    ) RETURNING hash"""
_FORGET: Final = "DELETE FROM sessions WHERE expires_at <= ?"
_FORGET_ENDED: Final = f"""DELETE FROM sessions
    WHERE ended_at < now() - interval '{2 * REMEMBERED:.0f} seconds'"""
_ENDED: Final = f"""SELECT hash FROM sessions
    WHERE ended_at > now() - interval '{REMEMBERED:.0f} seconds'"""

_KEY: Final = "SELECT secret FROM s3_keys WHERE id = ?"
_KEYS: Final = "SELECT id, secret FROM s3_keys"
_KEEP_KEY: Final = """INSERT INTO s3_keys VALUES (?, ?)
    ON CONFLICT (id) DO UPDATE SET secret = excluded.secret"""


class HookTable:
    """The hooks of a database. See `HookStore` for the methods.

    The connection that has the turn writes the positions: a server that lost its turn while it
    stood still cannot overwrite those of the next one.
    """

    is_shared = True

    def __init__(self, url: str) -> None:
        self._url, self._readers = url, PostgresReaders(url)
        self._turn: PostgresConnection | None = None
        self._one, self._is_closed = Lock(), False

    def load(self) -> Iterable[Hook]:
        """Return every hook, the oldest first."""
        found = [Hook(**orjson.loads(text)) for (text,) in self._readers.rows(_HOOKS)]
        for hook in found:
            hook.failed = 0
        return sorted(found, key=lambda hook: (hook.created_at, hook.id))

    def add(self, hook: Hook) -> None:
        """Store a new hook. Raises TooManyHooksError."""
        with writing(self._url) as db:
            db.execute("LOCK TABLE hooks IN SHARE ROW EXCLUSIVE MODE")
            check_room(hook, len(db.execute(f"{_HOOKS} LIMIT {MAX_HOOKS}").fetchall()))
            db.execute(_ADD_HOOK, (hook.id, _text(hook)))

    def remove(self, hook_id: str) -> None:
        """Remove a hook, if it is there."""
        with writing(self._url) as db:
            db.execute(_REMOVE_HOOK, (hook_id,))

    def save(self, hooks: Sequence[Hook]) -> None:
        """Store the positions and states of hooks, except of those that were removed."""
        rows = ([hook.id for hook in hooks], [_text(hook) for hook in hooks])
        with self._one:
            if self._turn is None:
                return
            try:
                self._turn.execute(_SAVE_HOOKS, rows)
            except psycopg.Error as error:
                raise storage_error(error) from error

    def take_turn(self) -> bool:
        """Return whether this server may deliver now. Raises StorageFailedError once the database
        has ended the connection: another server may have the turn."""
        with self._one:
            if self._is_closed:
                return False
            try:
                if self._turn is None:
                    self._turn = PostgresConnection(self._url, (LOG,))
                    self._turn.execute(f"SET idle_session_timeout = '{STILL}'")
                return bool(self._turn.execute(_TAKE_TURN, (TURN_LOCK,)).fetchone()[0])
            except psycopg.Error as error:
                self._disconnect()
                raise unreachable(error) from error

    def end_turn(self) -> None:
        """Let another server deliver."""
        with self._one:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._turn is not None:
            with suppress(psycopg.Error):
                self._turn.close()
        self._turn = None

    def close(self) -> None:
        """Close every connection."""
        with self._one:
            self._is_closed = True
            self._disconnect()
        self._readers.close()


def _text(hook: Hook) -> str:
    return orjson.dumps(asdict(hook)).decode()


class SessionTable:
    """The sessions of a database. See `SessionStore` for the methods."""

    is_shared = True

    def __init__(self, url: str) -> None:
        self._url, self._readers = url, PostgresReaders(url)

    def load(self, now: str, auth: str) -> Sequence[Row]:
        """Return no sessions: `find` finds each."""
        return ()

    def find(self, hashed: bytes, now: str, auth: str) -> Row | None:
        """Return a live session that any server has started."""
        rows: list[Row] = self._readers.rows(_FIND, (hashed, now, auth))
        return rows[0] if rows else None

    def insert(self, row: Row) -> Sequence[bytes]:
        """Store a session. Return the user's sessions that would expire first and ended for it."""
        _, auth, _, user_id, *_ = row
        with writing(self._url) as db:
            ended = db.execute(_MAKE_ROOM, (auth, user_id)).fetchall()
            if ended:
                db.execute(_FORGET_ENDED)
            db.execute(_INSERT, row)
        return [bytes(hashed) for (hashed,) in ended]

    def end(self, hashed: bytes, now: str) -> None:
        """End a session, and forget those that expired."""
        with writing(self._url) as db:
            db.execute(_END, (hashed,))
            db.execute(_FORGET, (now,))

    def ended(self) -> Sequence[bytes]:
        """Return the sessions that any server has ended in the last minute."""
        return [bytes(hashed) for (hashed,) in self._readers.rows(_ENDED)]

    def close(self) -> None:
        """Close the connections."""
        self._readers.close()


class S3KeyTable:
    """The secrets of S3 clients in a database. See `S3Keys` for the methods."""

    def __init__(self, url: str) -> None:
        self._url, self._readers = url, PostgresReaders(url)
        self._secrets: dict[str, str] = {}

    def secret(self, key_id: str) -> str | None:
        """Return a secret that was found before. A key ends with its token, not here."""
        return self._secrets.get(key_id)

    def find(self, key_id: str) -> str | None:
        """Return a secret of the database. Raises StorageFailedError."""
        found: list[Any] = self._readers.rows(_KEY, (key_id,))
        self._secrets.update((key_id, secret) for (secret,) in found)
        return self._secrets.get(key_id)

    def all(self) -> Mapping[str, str]:
        """Return all secrets of the database. Raises StorageFailedError."""
        return dict(self._readers.rows(_KEYS))

    def keep(self, key_id: str, secret: str) -> None:
        """Add a secret. Raises StorageFailedError."""
        with writing(self._url) as db:
            db.execute(_KEEP_KEY, (key_id, secret))

    def close(self) -> None:
        """Close the connections."""
        self._readers.close()


class DatabaseStores:
    """Tables of a database. See `Stores` for the methods."""

    def __init__(self, url: str) -> None:
        self._url = url

    def hooks(self) -> HookStore:
        """Return the table of the webhooks."""
        return HookTable(self._url)

    def sessions(self) -> SessionStore:
        """Return the table of the sessions."""
        return SessionTable(self._url)

    def s3_keys(self) -> S3Keys:
        """Return the table of the secrets."""
        return S3KeyTable(self._url)
