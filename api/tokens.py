"""Access tokens, stored in `access.db` as the SHA-256 of their text.

Promise: once `revoke` has returned, the token is refused. The file, or a backup of it, does not
help to make a call.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

from asset_ledger.api.contract.errors import UnknownTokenError
from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.principal import Principal, Scope
from asset_ledger.api.contract.tokens import TokenIn, new_token
from asset_ledger.ledger.domain.event import iso, parse_time
from asset_ledger.ledger.storage.files import storage_errors
from asset_ledger.ledger.storage.sqlite import open_writer, refusing_damage, transaction

_TEXT: Final = re.compile(r"alt_([0-9a-f]{12})_[\w-]{43}", re.ASCII)

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS tokens (
        id TEXT PRIMARY KEY, hash BLOB NOT NULL, user_id TEXT NOT NULL, scopes TEXT NOT NULL,
        name TEXT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT
    ) STRICT
"""
_COLUMNS: Final = "id, user_id, scopes, name, created_at, expires_at, revoked_at"
_INSERT: Final = "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL)"
_LIVE: Final = "SELECT * FROM tokens WHERE revoked_at IS NULL"
_REVOKE: Final = "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"

Clock = Callable[[], datetime]


class Token(NamedTuple):
    """A token without its text, which is not stored."""

    id: str
    user_id: str
    scopes: list[Scope]
    name: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class _Live(NamedTuple):
    hash: bytes
    principal: Principal
    expires_at: datetime | None


class Tokens:
    """The tokens of a data folder, whose lock is held. Any thread may call."""

    def __init__(self, path: Path, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = Lock()
        with refusing_damage(path, "Restore it from a backup, or move it away and make new tokens"):
            self._db = open_writer(path, "FULL")
            self._db.execute(_SCHEMA)
        self._live = dict(map(_live, self._db.execute(_LIVE)))

    def close(self) -> None:
        self._db.close()

    def create(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Make a token from a request body. Return it with its text, which is not stored.

        Raises FieldError, StorageFailedError.
        """
        new = new_token(read_as(TokenIn, sent), self._clock())
        token_id = secrets.token_hex(6)
        text = f"alt_{token_id}_{secrets.token_urlsafe(32)}"
        expiry = iso(new.expires_at) if new.expires_at else None
        columns = (new.user_id, " ".join(new.scopes), new.name, iso(self._clock()), expiry)
        row = (token_id, _hash(text), *columns)
        self._write("the token was not kept", _INSERT, row)
        self._live.update([_live((*row, None))])
        return {**self._token(token_id)._asdict(), "token": text}

    def all(self) -> list[Token]:
        """Return every token that was ever made, the oldest first."""
        with self._lock:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY rowid").fetchall()
        return [_shown(row) for row in rows]

    def revoke(self, token_id: str) -> Token:
        """Revoke a token. Raises UnknownTokenError, StorageFailedError."""
        revoked = self._token(token_id)
        self._write("the token was not revoked", _REVOKE, (iso(self._clock()), revoked.id))
        self._live.pop(token_id, None)
        return self._token(token_id)

    def principal(self, text: str) -> Principal | None:
        """Return the owner of a token; None if it is unknown, revoked or expired."""
        match = _TEXT.fullmatch(text)
        live = self._live.get(match[1]) if match else None
        if live is None or not hmac.compare_digest(live.hash, _hash(text)):
            return None
        if live.expires_at is not None and live.expires_at <= self._clock():
            return None
        return live.principal

    def _write(self, failure: str, sql: str, row: Sequence[Any]) -> None:
        with self._lock, storage_errors(failure), transaction(self._db) as db:
            db.execute(sql, row)

    def _token(self, token_id: str) -> Token:
        with self._lock:
            row: Any = self._db.execute(
                f"SELECT {_COLUMNS} FROM tokens WHERE id = ?", (token_id,)
            ).fetchone()
        if row is None:
            raise UnknownTokenError(token_id)
        return _shown(row)


def _hash(text: str) -> bytes:
    # Needs no salt and no slow hash: a text of 256 random bits cannot be guessed.
    return sha256(text.encode()).digest()


def _shown(row: Any) -> Token:
    token_id, user_id, scopes, *rest = row
    return Token(token_id, user_id, scopes.split(), *rest)


def _live(row: Sequence[Any]) -> tuple[str, _Live]:
    token_id, hashed, user_id, scopes, _, _, expires_at, _ = row
    expiry = parse_time(expires_at) if expires_at else None
    return token_id, _Live(hashed, Principal(user_id, frozenset(scopes.split())), expiry)
