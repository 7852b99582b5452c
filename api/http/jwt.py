"""AUTH=jwt: verify tokens of another issuer (JWT, RFC 7519) with keys from the settings.

Promise: the key alone decides the algorithm. The `alg` of a token never does, so a public key is
never used as a shared secret, and `none` is never a signature.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from asset_ledger.api.contract.errors import TokenKeyError
from asset_ledger.api.contract.principal import (
    SCOPES,
    Credential,
    Principal,
    Scope,
    check_user_id,
)
from asset_ledger.api.settings import Settings

logger = logging.getLogger(__name__)

Key = bytes | RSAPublicKey | Ed25519PublicKey

_REFUSALS: Final = (jwt.PyJWTError, ValueError, OverflowError, RecursionError)
"""What PyJWT raises for a token; RecursionError for a header of nested brackets. OverflowError:
an expiry that is no time."""
_REASONS: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "the token has expired: get a new one from its issuer",
    jwt.ImmatureSignatureError: "the token is not valid yet: wait until its nbf",
    jwt.InvalidAudienceError: "the token is for another audience: its aud must be jwt_audience",
}
_INVALID: Final = "the token is malformed, signed with an unknown key, or has an invalid claim"

SHORTEST_SECRET: Final = 32
"""Bytes: a secret shorter than the hash can be guessed offline (RFC 7518, 3.2)."""
SHORTEST_RSA: Final = 2048
LEEWAY: Final = 10
"""Seconds that the issuer's clock may be ahead of the server's, or behind."""

_ALGORITHMS: Final = {("RSA", None): "RS256", ("OKP", "Ed25519"): "EdDSA", ("oct", None): "HS256"}
"""The algorithm for the `kty` and `crv` of a JWK."""


class _JwtKey(NamedTuple):
    """A key, its `kid` if it has one, and the only algorithm that it verifies."""

    name: str | None
    key: Key
    algorithm: str


class KeyFile:
    """The keys of a JWK set in a file, which is read again when it changes.

    If the changed file cannot be read, or is no set, the previous keys stay in force: else a
    mistake while rotating keys would lock out every user. The constructor raises TokenKeyError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._keys = _of_file(path)

    def keys(self) -> Sequence[_JwtKey]:
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
    """Verifies tokens with the keys of the settings and of a key file."""

    def __init__(self, keys: Sequence[_JwtKey], file: KeyFile | None, audience: str | None) -> None:
        self._fixed, self._file, self._audience = keys, file, audience

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

    def _keys(self) -> Sequence[_JwtKey]:
        return self._fixed if self._file is None else [*self._fixed, *self._file.keys()]

    def _claims(self, text: str, known: _JwtKey) -> Mapping[str, Any]:
        return jwt.decode(
            text,
            known.key,
            algorithms=[known.algorithm],
            audience=self._audience,
            leeway=LEEWAY,
            options={"require": ["exp", "sub"]},
        )


def verifier(settings: Settings) -> Verifier:
    """Return the verifier for these settings. Raises TokenKeyError."""
    fixed = [*_of_text(settings.jwt_key.get_secret_value())] if settings.jwt_key else []
    file = KeyFile(settings.jwt_jwks) if settings.jwt_jwks else None
    return Verifier(fixed, file, settings.jwt_audience)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return a value that changes when a file is rewritten or replaced; None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _may_verify(known: _JwtKey, header: Mapping[str, Any]) -> bool:
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


def _of_text(text: str) -> Iterator[_JwtKey]:
    if text.lstrip().startswith("-----BEGIN"):
        yield _checked(None, _of_pem(text), "JWT_KEY")
    else:
        yield _checked(None, text.encode(), "JWT_KEY")


def _of_pem(text: str) -> Any:
    try:
        return load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TokenKeyError(f"JWT_KEY is not a public key in PEM: {error}") from error


def _of_file(path: Path) -> Sequence[_JwtKey]:
    try:
        entries = orjson.loads(path.read_bytes())["keys"]
        keys = [known for entry in entries if (known := _of_usable_entry(entry)) is not None]
    except OSError as error:
        raise TokenKeyError(f"JWT_JWKS cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TokenKeyError(f"{path} is not a JWK set (RFC 7517)") from error
    if not keys:
        raise TokenKeyError(f"{path} has no signature key of kind RSA, Ed25519 or HMAC")
    return keys


def _of_usable_entry(entry: dict[str, Any]) -> _JwtKey | None:
    """Return a key of a set; None, with a warning, for a bad one: the others are used."""
    try:
        return _of_entry(entry)
    except TokenKeyError as error:
        logger.warning("a key is not used: %s", error)
        return None


def _of_entry(entry: dict[str, Any]) -> _JwtKey | None:
    """Return a key of a set; None for an unsupported kind, which a set may hold (section 5)."""
    algorithm = _ALGORITHMS.get((entry["kty"], entry.get("crv")))
    if algorithm is None or entry.get("use", "sig") != "sig":
        return None
    name = entry.get("kid")
    what = f"key {name!r} of JWT_JWKS"
    try:
        return _checked(name, jwt.PyJWK(entry, algorithm).key, what)
    except jwt.PyJWTError as error:  # its text may quote the key
        raise TokenKeyError(f"{what} cannot be read: check its members") from error


def _checked(name: str | None, key: Any, what: str) -> _JwtKey:
    """Return a key with its algorithm. Raises TokenKeyError for a weak or unsupported one."""
    match key:
        case bytes() if len(key) >= SHORTEST_SECRET:
            return _JwtKey(name, key, "HS256")
        case bytes():
            raise TokenKeyError(f"{what} is shorter than {SHORTEST_SECRET} bytes")
        case RSAPublicKey() if key.key_size >= SHORTEST_RSA:
            return _JwtKey(name, key, "RS256")
        case RSAPublicKey():
            raise TokenKeyError(f"{what} has fewer than {SHORTEST_RSA} bits")
        case Ed25519PublicKey():
            return _JwtKey(name, key, "EdDSA")
    raise TokenKeyError(f"{what} is neither a secret nor a public key of RSA or Ed25519")
