"""Access tokens. Each is an event of the ledger, which has the SHA-256 of its text.

Promise: once `revoke` has returned, the token is refused. The log, or a backup of it, does not help
to make a call.
"""

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple, cast

from asset_ledger.api.contract.errors import UnknownTokenError
from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.principal import Credential, Principal, Scope
from asset_ledger.api.contract.tokens import TokenIn, new_token
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.domain.event import Event, iso, moment
from asset_ledger.ledger.domain.ledger import TokenCreated, TokenRevoked
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Command, EventLog, LogReader
from asset_ledger.ledger.log.opening import read_identity

_TEXT: Final = re.compile(r"alt_([0-9a-f]{12})_[\w-]{43}", re.ASCII)
_TOPICS: Final = (TokenCreated.TOPIC, TokenRevoked.TOPIC)

Make = Callable[[str, int], Event]
"""Makes an event from the id of the ledger's stream and the event's version in it."""
Record = Callable[[Make], Awaitable[object]]
"""Records the event that a function makes. Raises the UnavailableErrors."""


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
    hash: str
    credential: Credential


class Tokens:
    """The tokens of a ledger, for one event loop. `record` writes to the log that `log` reads.

    `on_revoked` is called after each revocation.
    """

    def __init__(
        self,
        log: LogReader,
        codec: Codec,
        record: Record,
        clock: Clock = utc_now,
    ) -> None:
        """Read the tokens from the log."""
        self._log, self._codec, self._record, self._clock = log, codec, record, clock
        self._stream, self._version = read_identity(log, codec).log_id, 0
        self._tokens: dict[str, Token] = {}
        self._live: dict[str, _Live] = {}
        self.on_revoked: Callable[[], object] = lambda: None
        self._learn_all(self._unread())

    async def create(self, by: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Make a token from a request body. Return it with its text, which is not stored.

        Raises FieldError and the UnavailableErrors.
        """
        new = new_token(read_as(TokenIn, sent), self._clock())
        token_id = secrets.token_hex(6)
        text = f"alt_{token_id}_{secrets.token_urlsafe(32)}"
        await self._write(
            lambda stream, version: TokenCreated(
                originator_id=stream,
                originator_version=version,
                by=by,
                token_id=token_id,
                hash=_hash(text),
                owner=new.user_id,
                scopes=tuple(new.scopes),
                name=new.name,
                expires_at=new.expires_at,
            )
        )
        return {**self._token(token_id)._asdict(), "token": text}

    def all(self) -> list[Token]:
        """Return every token that was ever made, the oldest first."""
        return list(self._tokens.values())

    def owners(self) -> list[str]:
        """Return the user of each valid token."""
        return [
            live.credential.principal.user_id
            for live in self._live.values()
            if self._is_valid(live)
        ]

    async def revoke(self, by: str, token_id: str) -> Token:
        """Revoke a token. Raises UnknownTokenError and the UnavailableErrors."""
        if self._token(token_id).revoked_at is None:
            await self._write(
                lambda stream, version: TokenRevoked(
                    originator_id=stream, originator_version=version, by=by, token_id=token_id
                )
            )
        return self._token(token_id)

    def credential(self, text: str) -> Credential | None:
        """Return what a token allows; None if it is unknown, revoked or expired."""
        match = _TEXT.fullmatch(text)
        live = self._live.get(match[1]) if match else None
        if live is None or not hmac.compare_digest(live.hash, _hash(text)):
            return None
        return live.credential if self._is_valid(live) else None

    def still_allows(self, token_id: str) -> bool:
        """Return whether a token is known, and neither revoked nor expired."""
        live = self._live.get(token_id)
        return live is not None and self._is_valid(live)

    def _is_valid(self, live: _Live) -> bool:
        expires_at = live.credential.expires_at
        return expires_at is None or expires_at > self._clock()

    def allowed_by(self, token_id: str) -> Credential | None:
        """Return what a token allows, also after its expiry; None if it is unknown or revoked."""
        live = self._live.get(token_id)
        return live.credential if live else None

    async def refresh(self) -> None:
        """Read what another server has recorded."""
        self._learn_all(await asyncio.to_thread(self._unread))

    def learn(self, event: Event) -> None:
        """Note a recorded event."""
        match event:
            case TokenCreated():
                scopes = cast(list[Scope], list(event.scopes))
                expiry = iso(event.expires_at) if event.expires_at else None
                self._tokens[event.token_id] = Token(
                    *(event.token_id, event.owner, scopes, event.name),
                    *(iso(moment(event)), expiry, None),
                )
                principal = Principal(event.owner, frozenset(scopes))
                credential = Credential(
                    principal, event.expires_at, event.name or None, event.token_id
                )
                self._live[event.token_id] = _Live(event.hash, credential)
            case TokenRevoked(token_id=token_id) if token_id in self._live:
                del self._live[token_id]
                revoked = self._tokens[token_id]._replace(revoked_at=iso(moment(event)))
                self._tokens[token_id] = revoked
                self.on_revoked()

    async def _write(self, make: Make) -> None:
        try:
            await self._record(make)
        finally:  # after an error, the log has the outcome
            await self.refresh()

    def _unread(self) -> list[tuple[int, Event]]:
        """Return the events of tokens after the last one that was learnt, with their versions."""
        stream = self._log.stream(self._stream, after=self._version, topics=_TOPICS)
        return [(each.originator_version, self._codec.decode(each).event) for each in stream]

    def _learn_all(self, unread: list[tuple[int, Event]]) -> None:
        for version, event in unread:
            if version > self._version:  # two writes may have read the same events
                self._version = version
                self.learn(event)

    def _token(self, token_id: str) -> Token:
        if token_id not in self._tokens:
            raise UnknownTokenError(token_id)
        return self._tokens[token_id]


def tokens_in(log: EventLog, codec: Codec, clock: Clock = utc_now) -> Tokens:
    """Return the tokens of a log that no server has; the caller holds the lock of its folder."""

    async def record(make: Make) -> None:
        stream = read_identity(log, codec).log_id
        event = make(stream, log.version_at(stream) + 1)
        (outcome,) = log.append([Command([event])], lambda _: None)
        if not isinstance(outcome, Appended):
            raise outcome

    return Tokens(log, codec, record, clock)


def _hash(text: str) -> str:
    # Needs no salt and no slow hash: a text of 256 random bits cannot be guessed.
    return sha256(text.encode()).hexdigest()
