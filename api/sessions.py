"""Sessions of browsers: a random text in a cookie, in exchange for a token.

Promise: a session allows what its token allows, and ends with it: at its expiry, or once it is
revoked. It ends after twelve hours at the latest. Only the hash of the text is stored.
"""

import asyncio
import logging
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol

from asset_ledger.api.contract.principal import Credential, Principal
from asset_ledger.api.tokens import Tokens
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.domain.event import iso, parse_time
from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.storage.files import storage_errors
from asset_ledger.ledger.storage.sqlite import open_writer, refusing_damage, transaction

LONGEST: Final = timedelta(hours=12)
LONGEST_LOCAL: Final = timedelta(days=3_650)
"""Without authentication, a session only acts for another user, until it is ended: if it ended by
itself, the next upload would belong to the local user."""
POLL: Final = 1.0
"""Seconds after which a session that was ended at one server has ended at the others."""
MOST: Final = 256
"""Sessions of one user, unless `auth` is `local`: one more ends the user's oldest. Else a client
that signs in again and again would fill the memory of the server."""
REMEMBERED: Final = 60.0
"""Seconds in which the end of a session is in `SessionStore.ended`."""

_TEXT: Final = re.compile(r"[\w-]{43}", re.ASCII)
_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS browser_sessions (
        hash BLOB PRIMARY KEY, auth TEXT NOT NULL, token_id TEXT,
        user_id TEXT NOT NULL, scopes TEXT NOT NULL, name TEXT, expires_at TEXT NOT NULL,
        for_user TEXT
    ) STRICT
"""
_LIVE: Final = "SELECT * FROM browser_sessions WHERE expires_at > ? AND auth = ?"
_INSERT: Final = "INSERT INTO browser_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM browser_sessions WHERE hash = ? OR expires_at <= ?"
_MAKE_ROOM: Final = f"""
    DELETE FROM browser_sessions WHERE hash IN (
        SELECT hash FROM browser_sessions WHERE auth = ? AND auth <> 'local' AND user_id = ?
        ORDER BY rowid DESC LIMIT -1 OFFSET {MOST - 1}
    ) RETURNING hash
"""


Row = Sequence[Any]
"""Of a session: hash, setting AUTH, id of the token (None: of a JWT), user, scopes, name, expiry,
and the user that it acts as."""

logger = logging.getLogger(__name__)


class SessionStore(Protocol):
    """Where sessions are stored. Any thread may call. Raises StorageFailedError."""

    is_shared: bool
    """Whether other servers start and end sessions, too."""

    def load(self, now: str, auth: str) -> Sequence[Row]:
        """Return the live sessions; of a shared store none, as `find` finds each."""

    def find(self, hashed: bytes, now: str, auth: str) -> Row | None:
        """Return a live session that another server has started."""

    def insert(self, row: Row) -> Sequence[bytes]:
        """Store a session. Return those that ended for it, as the user would have too many."""

    def end(self, hashed: bytes, now: str) -> None:
        """End a session, and forget those that expired."""

    def ended(self) -> Sequence[bytes]:
        """Return the sessions that any server has ended in the last minute."""

    def close(self) -> None:
        """Close the store."""


class SessionFile:
    """The sessions in a data folder, in `sessions.db`. See `SessionStore` for the methods."""

    is_shared = False

    def __init__(self, path: Path) -> None:
        """Open the file, made if absent. Raises DataFolderError for a damaged one."""
        self._lock = Lock()
        with refusing_damage(path, "Delete it: every browser then has to sign in again"):
            self._db = open_writer(path, "FULL")
            self._db.execute(_SCHEMA)

    def load(self, now: str, auth: str) -> Sequence[Row]:
        """Return the live sessions."""
        return self._db.execute(_LIVE, (now, auth)).fetchall()

    def find(self, hashed: bytes, now: str, auth: str) -> Row | None:
        """Return None: `load` has returned all sessions."""
        return None

    def insert(self, row: Row) -> Sequence[bytes]:
        """Store a session. Return the user's oldest ones, which ended for it."""
        _, auth, _, user_id, *_ = row
        with self._writing("the session was not kept") as db:
            ended = db.execute(_MAKE_ROOM, (auth, user_id)).fetchall()
            db.execute(_INSERT, row)
        return [hashed for (hashed,) in ended]

    def end(self, hashed: bytes, now: str) -> None:
        """End a session, and forget those that expired."""
        with self._writing("the session was not ended") as db:
            db.execute(_DELETE, (hashed, now))

    def ended(self) -> Sequence[bytes]:
        """Return nothing: one server has the folder."""
        return ()

    @contextmanager
    def _writing(self, failure: str) -> Iterator[sqlite3.Connection]:
        with self._lock, storage_errors(failure), transaction(self._db) as db:
            yield db

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class Sessions:
    """The sessions of a ledger that were started with this setting AUTH.

    So a session does not survive a change of it. Any thread may call. `on_ended` is
    called after another server has ended sessions.
    """

    def __init__(
        self,
        store: SessionStore,
        tokens: Tokens,
        *,
        auth: str,
        clock: Clock = utc_now,
    ) -> None:
        self._store, self._tokens, self._clock, self._auth = store, tokens, clock, auth
        self.on_ended: Callable[[], object] = lambda: None
        self._live = dict(map(_live, store.load(iso(clock()), auth)))

    def close(self) -> None:
        self._store.close()

    @property
    def is_shared(self) -> bool:
        """Whether other servers start and end sessions, too."""
        return self._store.is_shared

    async def look_up(self, text: str) -> None:
        """Find a session that another server has started. Raises StorageFailedError."""
        hashed, now = _hash(text), iso(self._clock())
        if _TEXT.fullmatch(text) and hashed not in self._live:
            row = await asyncio.to_thread(self._store.find, hashed, now, self._auth)
            self._live.update([_live(row)] if row else ())

    async def watch(self) -> None:
        """Forget what other servers end, until cancelled. After an outage, look all up again."""
        clock, seen = asyncio.get_running_loop().time, float("-inf")
        while self._store.is_shared:
            began = clock()
            try:
                ended = await asyncio.to_thread(self._store.ended)
                if began - seen > REMEMBERED - 10:
                    ended = [*self._live]
                seen = began
                known = [hashed for hashed in ended if self._live.pop(hashed, None)]
                if known:
                    self.on_ended()
            except StorageFailedError as error:
                logger.debug("ended sessions of other servers are not seen: %s", error)
            await asyncio.sleep(POLL)

    def start(self, credential: Credential) -> str:
        """Start a session with what a token allows. Return the text of its cookie. Of more than
        `MOST` sessions of a user, the oldest ends.

        Raises StorageFailedError.
        """
        text = secrets.token_urlsafe(32)
        latest = self._clock() + (LONGEST_LOCAL if self._auth == "local" else LONGEST)
        expires_at = min(credential.expires_at or latest, latest)
        (user_id, scopes), name = credential.principal, credential.name
        columns = (credential.token_id, user_id, " ".join(scopes), name, iso(expires_at))
        values = (_hash(text), self._auth, *columns, credential.for_user)
        ended = self._store.insert(values)
        self._live[_hash(text)] = credential._replace(expires_at=expires_at)
        for hashed in ended:
            self._live.pop(hashed, None)
        return text

    def end(self, text: str) -> None:
        """End a session, if there is one, and forget those that expired.

        Raises StorageFailedError.
        """
        if not _TEXT.fullmatch(text):
            return
        now = self._clock()
        self._store.end(_hash(text), iso(now))
        for hashed, credential in list(self._live.items()):
            if hashed == _hash(text) or _has_expired(credential, now):
                self._live.pop(hashed, None)

    def credential(self, text: str) -> Credential | None:
        """Return what a session allows; None if there is none, or none any more."""
        found = self._live.get(_hash(text)) if _TEXT.fullmatch(text) else None
        if found is None or _has_expired(found, self._clock()):
            return None
        if found.token_id is None:
            return found
        allowed = self._tokens.allowed_by(found.token_id)  # events, not this file, say what
        if allowed is None:
            return None
        return allowed._replace(expires_at=found.expires_at, for_user=found.for_user)


def _hash(text: str) -> bytes:
    # Needs no salt and no slow hash: a text of 256 random bits cannot be guessed.
    return sha256(text.encode()).digest()


def _has_expired(credential: Credential, now: datetime) -> bool:
    return credential.expires_at is not None and credential.expires_at <= now


def _live(row: Sequence[Any]) -> tuple[bytes, Credential]:
    hashed, _, token_id, user_id, scopes, name, expires_at, for_user = row
    principal = Principal(user_id, frozenset(scopes.split()))
    return hashed, Credential(principal, parse_time(expires_at), name, token_id, for_user)
