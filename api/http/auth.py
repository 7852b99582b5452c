"""Authentication: find the principal of a request, with one class per value of AUTH.

In local mode every client on the loopback interface is user 1, so web pages must be kept out. A
page could reach a local ledger in two ways: under a host name that resolves to the loopback
address (shown by Host), or by a cross-origin write (shown by Origin or Sec-Fetch-Site).
Promise: no token is ever logged, and no refusal quotes one.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from asset_ledger.api.backend import Backend
from asset_ledger.api.contract.errors import ForbiddenError, UnauthenticatedError
from asset_ledger.api.contract.operations import WRITES
from asset_ledger.api.contract.origins import Origins, read_origins
from asset_ledger.api.contract.principal import LOCAL, SERVER_ITSELF, Credential
from asset_ledger.api.http.request import Request
from asset_ledger.api.sessions import Sessions
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.storage.folder_lock import FolderLock

if TYPE_CHECKING:
    from asset_ledger.api.http.jwt import Verifier

Headers = Mapping[str, str]
Verify = Callable[[str], Credential | None]

_ALLOW_ORIGIN: Final = "allow its origin with the setting cors_origins"
_SECRET: Final = "als_"  # prefix of the secret in a lock file
_NO_TOKEN: Final = "the request has no token: send the header Authorization: Bearer <token>"
_NOT_VALID: Final = "the token is unknown, expired or revoked: ask an administrator for a new one"
_ENDED: Final = "the session has ended: sign in again"
_LOCAL: Final = Credential(LOCAL)
_SERVER_ITSELF: Final = Credential(SERVER_ITSELF)
_OF_A_PROXY: Final = (
    "Forwarded",
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-IP"),
)
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]*)?", re.ASCII)


class Authenticator(Protocol):
    """Authenticates requests."""

    def check(self, method: str, headers: Headers) -> None:
        """Raise ForbiddenError for a request that is refused whatever its operation."""

    def credential(self, request: Request) -> Credential:
        """Return what authenticates a request. Raises UnauthenticatedError, ForbiddenError."""

    def sign_in(self, token: str) -> Credential | None:
        """Return what a session in exchange for a token allows; None if there are no sessions.

        Raises UnauthenticatedError.
        """

    async def recover(self, text: str) -> bool:
        """Return whether a refused token may be valid now, because new keys were fetched.

        Raises KeysUnavailableError.
        """

    def still_allows(self, request: Request) -> bool:
        """Return whether the token or session of an accepted request is still valid."""


class LocalAuthenticator:
    """AUTH=local: every caller is user 1. Web pages need an origin that the settings allow."""

    def __init__(self, origins: Origins, sessions: Sessions) -> None:
        self._origins, self._sessions = origins, sessions

    def check(self, method: str, headers: Headers) -> None:
        check_host(headers.get("Host", ""))
        check_no_proxy(headers)
        if method in WRITES:
            self._check_origin(headers)

    def credential(self, request: Request) -> Credential:
        """Return the local user, or its session that acts for another user.

        Raises ForbiddenError for what a page of another site reads; such a page may lead to the
        console, which needs no credential.
        """
        if request.method not in WRITES:  # `check` has refused the writes, of all operations
            self._check_origin(request.headers)
        text = request.session_text
        acting = self._sessions.credential(text) if text is not None else None
        request.by_session = acting is not None
        return acting or _LOCAL

    def _check_origin(self, headers: Headers) -> None:
        if not self._origins.allow(headers.get("Origin")):
            check_not_foreign(headers)

    def sign_in(self, token: str) -> Credential | None:
        return None

    async def recover(self, text: str) -> bool:
        return False

    def still_allows(self, request: Request) -> bool:
        return True


class BearerAuthenticator:
    """AUTH=tokens and AUTH=jwt: a bearer token (RFC 6750), the secret of the lock file, or else
    the cookie of a session."""

    def __init__(
        self,
        verify: Verify,
        reason: Callable[[str], str],
        lock: FolderLock,
        sessions: Sessions,
        recover: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._verify, self._reason, self._lock, self._sessions = verify, reason, lock, sessions
        self._recover = recover

    def check(self, method: str, headers: Headers) -> None:
        """Accept every request: a page of another site has no token to send."""

    def credential(self, request: Request) -> Credential:
        if "Authorization" not in request.headers and (text := request.session_text) is not None:
            return self._session(request, text)
        text = bearer(request.headers)
        if text.startswith(_SECRET) and self._lock.admits(text):
            return _SERVER_ITSELF
        return self.sign_in(text)

    def sign_in(self, token: str) -> Credential:
        credential = self._verify(token) if token.isascii() else None
        if credential is None:
            reason = self._reason(token) if token.isascii() else _NOT_VALID
            raise UnauthenticatedError(reason, sent=True)
        return credential

    async def recover(self, text: str) -> bool:
        return self._recover is not None and text.isascii() and await self._recover(text)

    def _session(self, request: Request, text: str) -> Credential:
        if request.method in WRITES:  # a browser sends the cookie for pages of other ports too
            check_not_foreign(request.headers)
        credential = self._sessions.credential(text)
        if credential is None:
            raise UnauthenticatedError(_ENDED, sent=True)
        request.by_session = True
        return credential

    def still_allows(self, request: Request) -> bool:
        """Return whether the token was neither revoked nor expired; its secret is used once."""
        if request.principal is SERVER_ITSELF:
            return True
        try:
            return self.credential(request).principal == request.principal
        except UnauthenticatedError:
            return False


def verifier_of(settings: Settings) -> "Verifier | None":
    """Return what verifies JWTs, if `auth` is `jwt`; else None. Raises TokenKeyError."""
    if settings.auth != "jwt":
        return None
    from asset_ledger.api.http.jwt import verifier  # noqa: PLC0415 - other starts need no PyJWT

    return verifier(settings)


def authenticator_of(backend: Backend, jwts: "Verifier | None") -> Authenticator:
    """Return the authenticator for the setting AUTH; `jwts` verifies with AUTH=jwt."""
    match backend.settings.auth:
        case "local":
            origins = read_origins(backend.settings.cors_origins)
            return LocalAuthenticator(origins, backend.sessions)
        case "jwt" if jwts is not None:
            known = (jwts.credential, jwts.reason, backend.lock, backend.sessions)
            return BearerAuthenticator(*known, jwts.recover)
        case _:
            verify, reason = backend.tokens.credential, lambda _: _NOT_VALID
            return BearerAuthenticator(verify, reason, backend.lock, backend.sessions)


def bearer(headers: Headers) -> str:
    """Return the token in the headers. Raises UnauthenticatedError without one."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError(_NO_TOKEN, sent=False)
    return token.strip()


def check_host(host: str) -> None:
    """Raise ForbiddenError for a Host that is not a name of the loopback interface."""
    if not is_loopback(host):
        raise ForbiddenError(f"{host!r} is not a loopback host: use http://localhost")


def check_no_proxy(headers: Headers) -> None:
    """Raise ForbiddenError for a request that a proxy forwards: it may come from anywhere."""
    for name in _OF_A_PROXY:
        if name in headers:
            raise ForbiddenError(
                "this server accepts its own machine only, and a proxy forwarded the request: set"
                " auth to tokens or jwt"
            )


def check_not_foreign(headers: Mapping[str, str]) -> None:
    """Raise ForbiddenError for a request that a browser sends for a page of another origin."""
    if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise ForbiddenError(f"a page of another site may not use this ledger: {_ALLOW_ORIGIN}")
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != headers.get("Host"):
        raise ForbiddenError(f"a page of {origin!r} may not use this ledger: {_ALLOW_ORIGIN}")


@lru_cache(maxsize=256)
def is_loopback(authority: str) -> bool:
    """Return whether `host` or `host:port` names the loopback interface."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return False
    host = match[1].strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
