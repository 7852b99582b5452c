"""Access tokens, stored in `access.db` as the SHA-256 of their text.

Promise: once `revoke` has returned, the token is refused. The file, or a backup of it, does not
help to make a call.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.api.access import AccessFile, hash_of
from asset_ledger.api.contract.errors import UnknownTokenError
from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.principal import Credential, Principal, Scope
from asset_ledger.api.contract.tokens import TokenIn, new_token
from asset_ledger.ledger.domain.event import iso, parse_time

_TEXT: Final = re.compile(r"alt_([0-9a-f]{12})_[\w-]{43}", re.ASCII)

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
    credential: Credential


class Tokens:
    """The tokens of a data folder, whose lock is held. Any thread may call."""

    def __init__(self, path: Path, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self.file = AccessFile(path)
        self._live = dict(map(_live, self.file.rows(_LIVE)))

    def close(self) -> None:
        self.file.close()

    def create(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Make a token from a request body. Return it with its text, which is not stored.

        Raises FieldError, StorageFailedError.
        """
        new = new_token(read_as(TokenIn, sent), self._clock())
        token_id = secrets.token_hex(6)
        text = f"alt_{token_id}_{secrets.token_urlsafe(32)}"
        expiry = iso(new.expires_at) if new.expires_at else None
        columns = (new.user_id, " ".join(new.scopes), new.name, iso(self._clock()), expiry)
        row = (token_id, hash_of(text), *columns)
        self.file.write("the token was not kept", _INSERT, row)
        self._live.update([_live((*row, None))])
        return {**self._token(token_id)._asdict(), "token": text}

    def all(self) -> list[Token]:
        """Return every token that was ever made, the oldest first."""
        rows = self.file.rows(f"SELECT {_COLUMNS} FROM tokens ORDER BY rowid")
        return [_shown(row) for row in rows]

    def revoke(self, token_id: str) -> Token:
        """Revoke a token. Raises UnknownTokenError, StorageFailedError."""
        revoked = self._token(token_id)
        self.file.write("the token was not revoked", _REVOKE, (iso(self._clock()), revoked.id))
        self._live.pop(token_id, None)
        return self._token(token_id)

    def credential(self, text: str) -> Credential | None:
        """Return what a token allows; None if it is unknown, revoked or expired."""
        match = _TEXT.fullmatch(text)
        live = self._live.get(match[1]) if match else None
        if live is None or not hmac.compare_digest(live.hash, hash_of(text)):
            return None
        expires_at = live.credential.expires_at
        if expires_at is not None and expires_at <= self._clock():
            return None
        return live.credential

    def is_live(self, token_id: str) -> bool:
        """Return whether there is such a token that was not revoked."""
        return token_id in self._live

    def _token(self, token_id: str) -> Token:
        for row in self.file.rows(f"SELECT {_COLUMNS} FROM tokens WHERE id = ?", (token_id,)):
            return _shown(row)
        raise UnknownTokenError(token_id)


def _shown(row: Any) -> Token:
    token_id, user_id, scopes, *rest = row
    return Token(token_id, user_id, scopes.split(), *rest)


def _live(row: Sequence[Any]) -> tuple[str, _Live]:
    token_id, hashed, user_id, scopes, name, _, expires_at, _ = row
    principal = Principal(user_id, frozenset(scopes.split()))
    expiry = parse_time(expires_at) if expires_at else None
    return token_id, _Live(hashed, Credential(principal, expiry, name or None, token_id))
