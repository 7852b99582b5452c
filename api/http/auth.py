"""Authentication: from a request to its principal, one way for each setting of AUTH.

In local mode every client of the loopback interface is user 1, so a web page must not pass for
one. A page could reach a local ledger in two ways: under a name that resolves to the loopback
address (its Host shows that), or by a write across origins (Origin or Sec-Fetch-Site shows that).
Promise: a caller without credentials learns only that, and no token is ever logged.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Protocol

from asset_ledger.api.backend import Backend
from asset_ledger.api.contract.errors import ForbiddenError, UnauthenticatedError
from asset_ledger.api.contract.operations import WRITES
from asset_ledger.api.contract.origins import Origins, read_origins
from asset_ledger.api.contract.principal import LOCAL, SERVER_ITSELF, Principal
from asset_ledger.api.http.jwt import verifier
from asset_ledger.ledger.storage.folder_lock import FolderLock

Headers = Mapping[str, str]

_SECRET: Final = "als_"  # what the secret in a lock file begins with
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]*)?", re.ASCII)


class Callers(Protocol):
    """Those who call, and how they show who they are."""

    def check(self, method: str, headers: Headers) -> None:
        """Refuse what is not even looked at. Raises ForbiddenError."""

    def principal(self, headers: Headers) -> Principal:
        """Who sent this. Raises UnauthenticatedError."""


class LocalCallers:
    """AUTH=local: everybody is user 1, so nobody may come from outside, but pages by name."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def check(self, method: str, headers: Headers) -> None:
        check_host(headers.get("Host", ""))
        if method in WRITES and not self._origins.allow(headers.get("Origin")):
            check_not_foreign(headers)

    def principal(self, headers: Headers) -> Principal:
        return LOCAL


class BearerCallers:
    """Whoever has a token (RFC 6750) that `known` knows, or the secret of the lock file."""

    def __init__(self, known: Callable[[str], Principal | None], lock: FolderLock) -> None:
        self._known, self._lock = known, lock

    def check(self, method: str, headers: Headers) -> None:
        """Nothing: a page of another site has no token to send."""

    def principal(self, headers: Headers) -> Principal:
        text = _bearer(headers)
        if text.startswith(_SECRET) and self._lock.admits(text):
            return SERVER_ITSELF
        principal = self._known(text)
        if principal is None:
            raise UnauthenticatedError("the token is not valid, or not any more", sent=True)
        return principal


def callers_of(backend: Backend) -> Callers:
    """The callers that the settings let in. Raises TokenKeyError."""
    match backend.settings.auth:
        case "local":
            return LocalCallers(read_origins(backend.settings.cors_origins))
        case "tokens":
            return BearerCallers(backend.tokens.principal, backend.lock)
        case "jwt":
            return BearerCallers(verifier(backend.settings).principal, backend.lock)


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError("send a token: Authorization: Bearer <token>", sent=False)
    if not token.isascii():  # nor could it be compared
        raise UnauthenticatedError("the token is not valid, or not any more", sent=True)
    return token.strip()


def check_host(host: str) -> None:
    """Refuse a request that was addressed to another name than this machine's own."""
    if not is_loopback(host):
        raise ForbiddenError(f"{host!r} is not this machine: a local ledger answers to localhost")


def check_not_foreign(headers: Mapping[str, str]) -> None:
    """Refuse a write that a browser sends on behalf of another origin."""
    if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise ForbiddenError("a page of another site may not write to a local ledger")
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != headers.get("Host"):
        raise ForbiddenError(f"a page of {origin!r} may not write to a local ledger")


@lru_cache(maxsize=256)
def is_loopback(authority: str) -> bool:
    """Does `host` or `host:port` name the loopback interface?"""
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
