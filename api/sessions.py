"""Sessions of browsers: a random text in a cookie, in exchange for a token.

Promise: a session allows what its token allows, and ends with it: at its expiry, or once it is
revoked. It ends after twelve hours at the latest. `sessions.db` has the hash of the text only.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final

from asset_ledger.api.contract.principal import Credential, Principal
from asset_ledger.api.tokens import Tokens
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.domain.event import iso, parse_time
from asset_ledger.ledger.storage.files import storage_errors
from asset_ledger.ledger.storage.sqlite import open_writer, refusing_damage, transaction

LONGEST: Final = timedelta(hours=12)
LONGEST_LOCAL: Final = timedelta(days=3_650)
"""Without authentication, a session only acts for another user, until it is ended: if it ended by
itself, the next upload would belong to the local user."""

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


class Sessions:
    """The sessions of a data folder that were started with this setting AUTH.

    So a session does not survive a change of it. Any thread may call.
    """

    def __init__(
        self,
        path: Path,
        tokens: Tokens,
        *,
        auth: str,
        clock: Clock = utc_now,
    ) -> None:
        self._tokens, self._auth, self._clock, self._lock = tokens, auth, clock, Lock()
        with refusing_damage(path, "Delete it: every browser then has to sign in again"):
            self._db = open_writer(path, "FULL")
            self._db.execute(_SCHEMA)
            rows = self._db.execute(_LIVE, (iso(clock()), auth)).fetchall()
        self._live = dict(map(_live, rows))

    def close(self) -> None:
        self._db.close()

    def start(self, credential: Credential) -> str:
        """Start a session with what a token allows. Return the text of its cookie.

        Raises StorageFailedError.
        """
        text = secrets.token_urlsafe(32)
        latest = self._clock() + (LONGEST_LOCAL if self._auth == "local" else LONGEST)
        expires_at = min(credential.expires_at or latest, latest)
        (user_id, scopes), name = credential.principal, credential.name
        columns = (credential.token_id, user_id, " ".join(scopes), name, iso(expires_at))
        values = (_hash(text), self._auth, *columns, credential.for_user)
        self._write("the session was not kept", _INSERT, values)
        self._live[_hash(text)] = credential._replace(expires_at=expires_at)
        return text

    def end(self, text: str) -> None:
        """End a session, if there is one, and forget those that expired.

        Raises StorageFailedError.
        """
        if not _TEXT.fullmatch(text):
            return
        now = self._clock()
        self._write("the session was not ended", _DELETE, (_hash(text), iso(now)))
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

    def _write(self, failure: str, sql: str, values: Sequence[Any]) -> None:
        with self._lock, storage_errors(failure), transaction(self._db) as db:
            db.execute(sql, values)


def _hash(text: str) -> bytes:
    # Needs no salt and no slow hash: a text of 256 random bits cannot be guessed.
    return sha256(text.encode()).digest()


def _has_expired(credential: Credential, now: datetime) -> bool:
    return credential.expires_at is not None and credential.expires_at <= now


def _live(row: Sequence[Any]) -> tuple[bytes, Credential]:
    hashed, _, token_id, user_id, scopes, name, expires_at, for_user = row
    principal = Principal(user_id, frozenset(scopes.split()))
    return hashed, Credential(principal, parse_time(expires_at), name, token_id, for_user)
