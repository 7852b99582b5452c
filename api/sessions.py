"""Sessions of browsers: a random text in a cookie, in exchange for a token.

Promise: a session allows what its token allows, and ends with it: at its expiry, or once it is
revoked. It ends after twelve hours at the latest. `access.db` has the hash of the text only.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asset_ledger.api.access import hash_of
from asset_ledger.api.contract.principal import Credential, Principal
from asset_ledger.api.tokens import Clock, Tokens
from asset_ledger.ledger.domain.event import iso, parse_time

LONGEST: Final = timedelta(hours=12)

_TEXT: Final = re.compile(r"[\w-]{43}", re.ASCII)
_LIVE: Final = "SELECT * FROM sessions WHERE expires_at > ? AND (token_id IS NULL) = ?"
_INSERT: Final = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM sessions WHERE hash = ? OR expires_at <= ?"


class Sessions:
    """The sessions of a data folder: those of tokens, or with `jwt` those of JWTs.

    So a session does not survive a change of the setting AUTH. Any thread may call.
    """

    def __init__(
        self, tokens: Tokens, *, jwt: bool, clock: Clock = lambda: datetime.now(UTC)
    ) -> None:
        self._tokens, self._file, self._clock = tokens, tokens.file, clock
        self._live = dict(map(_live, self._file.rows(_LIVE, (iso(clock()), jwt))))

    def start(self, credential: Credential) -> str:
        """Start a session with what a token allows. Return the text of its cookie.

        Raises StorageFailedError.
        """
        text = secrets.token_urlsafe(32)
        latest = self._clock() + LONGEST
        expires_at = min(credential.expires_at or latest, latest)
        (user_id, scopes), name = credential.principal, credential.name
        columns = (credential.token_id, user_id, " ".join(scopes), name, iso(expires_at))
        self._file.write("the session was not kept", _INSERT, (hash_of(text), *columns))
        self._live[hash_of(text)] = credential._replace(expires_at=expires_at)
        return text

    def end(self, text: str) -> None:
        """End a session, if there is one, and forget those that expired.

        Raises StorageFailedError.
        """
        if not _TEXT.fullmatch(text):
            return
        now = self._clock()
        self._file.write("the session was not ended", _DELETE, (hash_of(text), iso(now)))
        for hashed, credential in list(self._live.items()):
            if hashed == hash_of(text) or _has_expired(credential, now):
                self._live.pop(hashed, None)

    def credential(self, text: str) -> Credential | None:
        """Return what a session allows; None if there is none, or none any more."""
        found = self._live.get(hash_of(text)) if _TEXT.fullmatch(text) else None
        if found is None or _has_expired(found, self._clock()):
            return None
        if found.token_id is not None and not self._tokens.is_live(found.token_id):
            return None
        return found


def _has_expired(credential: Credential, now: datetime) -> bool:
    return credential.expires_at is not None and credential.expires_at <= now


def _live(row: Sequence[Any]) -> tuple[bytes, Credential]:
    hashed, token_id, user_id, scopes, name, expires_at = row
    principal = Principal(user_id, frozenset(scopes.split()))
    return hashed, Credential(principal, parse_time(expires_at), name, token_id)
