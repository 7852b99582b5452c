"""AUTH=jwt: verify tokens of another issuer (JWT, RFC 7519) with keys from the settings.

Promise: the key alone decides the algorithm. The `alg` of a token never does, so a public key is
never used as a shared secret, and `none` is never a signature.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jwt

from asset_ledger.api.contract.errors import TokenKeyError
from asset_ledger.api.contract.principal import (
    SCOPES,
    Credential,
    Principal,
    Scope,
    check_user_id,
)
from asset_ledger.api.http.jwt_address import KeyAddress
from asset_ledger.api.http.jwt_keys import JwtKey, keys_of_set, keys_of_text
from asset_ledger.api.settings import Settings, is_address

logger = logging.getLogger(__name__)

_REFUSALS: Final = (jwt.PyJWTError, ValueError, OverflowError, RecursionError)
"""What PyJWT raises for a token; RecursionError for a header of nested brackets. OverflowError:
an expiry that is no time."""
_REASONS: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "the token has expired: get a new one from its issuer",
    jwt.ImmatureSignatureError: "the token is not valid yet: wait until its nbf",
    jwt.InvalidIssuerError: "the token is of another issuer: its iss must be jwt_issuer",
    jwt.InvalidAudienceError: "the token is for another audience: its aud must be jwt_audience",
}
_INVALID: Final = "the token is malformed, signed with an unknown key, or has an invalid claim"

LEEWAY: Final = 10
"""Seconds that the issuer's clock may be ahead of the server's, or behind."""


class KeyFile:
    """The keys of a JWK set in a file, which is read again when it changes.

    If the changed file cannot be read, or is no set, the previous keys stay in force: else a
    mistake while rotating keys would lock out every user. The constructor raises TokenKeyError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._keys = _of_file(path)

    def keys(self) -> Sequence[JwtKey]:
        """Return the keys that are in force now."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._read_again()
        return self._keys

    def _read_again(self) -> None:
        try:
            self._keys = _of_file(self._path)
        except TokenKeyError as error:
            logger.error("the previous keys stay in force: %s", error)
        else:
            logger.info("read %s again: it has %d keys", self._path, len(self._keys))


class Verifier:
    """Verifies tokens with the keys of the settings, and of a key file or an address."""

    def __init__(
        self,
        keys: Sequence[JwtKey],
        source: KeyFile | KeyAddress | None,
        audience: str | None,
        issuer: str | None,
    ) -> None:
        self._fixed, self._source = keys, source
        self._audience, self._issuer = audience, issuer

    @property
    def address(self) -> KeyAddress | None:
        """The address of the keys, which a task has to fetch."""
        return self._source if isinstance(self._source, KeyAddress) else None

    def lacks_key(self, text: str) -> bool:
        """Return whether a token names a key that is not among the keys, or there is none."""
        try:
            kid = jwt.get_unverified_header(text).get("kid")
        except _REFUSALS:
            return False
        keys = self._keys()
        return not keys or (kid is not None and all(known.name != kid for known in keys))

    async def recover(self, text: str) -> bool:
        """Fetch the keys if a token names an unknown one. Return whether the keys changed.

        Raises KeysUnavailableError if there is none.
        """
        if self.address is None or not self.lacks_key(text):
            return False
        changed = await self.address.refresh()
        self.address.check()
        return changed

    def credential(self, text: str) -> Credential | None:
        """Return what a token allows, and to which caller; None if it is refused."""
        try:
            return self._verified(text)
        except _REFUSALS:
            return None

    def reason(self, text: str) -> str:
        """Return why a token is refused, and what to do. Quotes nothing of the token."""
        try:
            self._verified(text)
        except jwt.MissingRequiredClaimError as error:
            return f"the token has no {error.claim}: its issuer has to set it"
        except _REFUSALS as error:
            return _REASONS.get(type(error), _INVALID)
        return _INVALID

    def _verified(self, text: str) -> Credential | None:
        header = jwt.get_unverified_header(text)
        for known in self._keys():
            if _may_verify(known, header):
                with suppress(jwt.InvalidSignatureError):  # without a kid, try the next key
                    return _credential(self._claims(text, known))
        return None

    def _keys(self) -> Sequence[JwtKey]:
        return self._fixed if self._source is None else [*self._fixed, *self._source.keys()]

    def _claims(self, text: str, known: JwtKey) -> Mapping[str, Any]:
        return jwt.decode(
            text,
            known.key,
            algorithms=[known.algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "sub", *(["iss"] if self._issuer else [])]},
        )


def verifier(settings: Settings) -> Verifier:
    """Return the verifier for these settings. Raises TokenKeyError."""
    fixed = [*keys_of_text(settings.jwt_key.get_secret_value())] if settings.jwt_key else []
    named, issuer = settings.jwt_jwks, settings.jwt_issuer
    source: KeyFile | KeyAddress | None = None
    if named is not None:
        source = KeyAddress(named, None) if is_address(named) else KeyFile(Path(named))
    elif issuer is not None and not fixed:
        source = KeyAddress(None, issuer)
    return Verifier(fixed, source, settings.jwt_audience, issuer)


def _of_file(path: Path) -> Sequence[JwtKey]:
    try:
        return keys_of_set(path.read_bytes(), str(path))
    except OSError as error:
        raise TokenKeyError(f"JWT_JWKS cannot be read: {error.strerror}") from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return a value that changes when a file is rewritten or replaced; None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _may_verify(known: JwtKey, header: Mapping[str, Any]) -> bool:
    """Return whether to try this key: a token with a `kid` is verified by that key alone."""
    kid = header.get("kid")
    same = known.name is None or kid is None or kid == known.name
    return same and header.get("alg") == known.algorithm


def _credential(claims: Mapping[str, Any]) -> Credential:
    return Credential(_principal(claims), datetime.fromtimestamp(int(claims["exp"]), UTC))


def _principal(claims: Mapping[str, Any]) -> Principal:
    """Return the caller that claims name. Scopes of other services are ignored."""
    scopes = claims.get("scope", claims.get("scopes", ()))
    words = scopes.split() if isinstance(scopes, str) else scopes
    words = words if isinstance(words, list) else ()
    granted: frozenset[Scope] = frozenset(scope for scope in SCOPES if scope in words)
    return Principal(check_user_id(claims["sub"]), granted)
