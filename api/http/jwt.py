"""AUTH=jwt: tokens that somebody else signs (RFC 7519), verified with keys from the settings.

Promise: the key alone decides the algorithm. What a token says of its own algorithm is never
believed, so no public key is ever taken for a shared secret, and `none` for a signature.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from asset_ledger.api.contract.errors import TokenKeyError
from asset_ledger.api.contract.principal import SCOPES, Principal, Scope, check_user_id
from asset_ledger.api.settings import Settings

logger = logging.getLogger(__name__)

Key = bytes | RSAPublicKey | Ed25519PublicKey

SHORTEST_SECRET: Final = 32
"""Bytes: a secret shorter than the hash can be guessed offline (RFC 7518, 3.2)."""
SHORTEST_RSA: Final = 2048
LEEWAY: Final = 10
"""Seconds that the clock of whoever signs may be ahead of ours, or behind."""


_KINDS: Final = {("RSA", None): "RS256", ("OKP", "Ed25519"): "EdDSA", ("oct", None): "HS256"}
"""Kind and curve of a JWK, and the algorithm that it is for."""


class _Known(NamedTuple):
    """A key under its name, with the only algorithm that it verifies."""

    name: str | None
    key: Key
    algorithm: str


class KeyFile:
    """The keys of a JWK set in a file, which is read again when it was written anew.

    One that cannot be read any more, or is no set, leaves the keys in force that were: whoever
    rotates keys must not lock everybody out by a slip. Raises TokenKeyError when it is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _written(path)
        self._keys = _of_file(path)

    def keys(self) -> Sequence[_Known]:
        """The keys that are in force now."""
        written = _written(self._path)
        if written != self._seen:
            self._seen = written
            self._read_again()
        return self._keys

    def _read_again(self) -> None:
        try:
            self._keys = _of_file(self._path)
        except TokenKeyError as error:
            logger.error("the keys of before stay in force: %s", error)
        else:
            logger.info("%s was read again: it has %d keys", self._path, len(self._keys))


class Verifier:
    """Knows the callers whose tokens were signed with one of these keys."""

    def __init__(self, keys: Sequence[_Known], file: KeyFile | None, audience: str | None) -> None:
        self._fixed, self._file, self._audience = keys, file, audience

    def principal(self, text: str) -> Principal | None:
        """Whom a token names; None unless it is signed, in force, meant for us and of somebody."""
        try:
            return self._verified(text)
        except (jwt.PyJWTError, ValueError, RecursionError):  # the last: a header of brackets
            return None

    def _verified(self, text: str) -> Principal | None:
        header = jwt.get_unverified_header(text)
        for known in self._keys():
            if _may_verify(known, header):
                with suppress(jwt.InvalidSignatureError):  # perhaps the next key, if it has no name
                    return _principal(self._claims(text, known))
        return None

    def _keys(self) -> Sequence[_Known]:
        return self._fixed if self._file is None else [*self._fixed, *self._file.keys()]

    def _claims(self, text: str, known: _Known) -> Mapping[str, Any]:
        return jwt.decode(
            text,
            known.key,
            algorithms=[known.algorithm],
            audience=self._audience,
            leeway=LEEWAY,
            options={"require": ["exp", "sub"]},
        )


def verifier(settings: Settings) -> Verifier:
    """What verifies tokens under these settings. Raises TokenKeyError."""
    fixed = [*_of_text(settings.jwt_key.get_secret_value())] if settings.jwt_key else []
    file = KeyFile(settings.jwt_jwks) if settings.jwt_jwks else None
    return Verifier(fixed, file, settings.jwt_audience)


def _written(path: Path) -> tuple[int, int, int] | None:
    """What differs once a file was written anew, or replaced by another; None without one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _may_verify(known: _Known, header: Mapping[str, Any]) -> bool:
    """A token that names its key is verified by that one alone."""
    named = header.get("kid")
    same = known.name is None or named is None or named == known.name
    return same and header.get("alg") == known.algorithm


def _principal(claims: Mapping[str, Any]) -> Principal:
    """Scopes of other services are none of ours, and no reason to refuse the token."""
    said = claims.get("scope", claims.get("scopes", ()))
    words = said.split() if isinstance(said, str) else said if isinstance(said, list) else ()
    granted: frozenset[Scope] = frozenset(scope for scope in SCOPES if scope in words)
    return Principal(check_user_id(claims["sub"]), granted)


def _of_text(text: str) -> Iterator[_Known]:
    if text.lstrip().startswith("-----BEGIN"):
        yield _checked(None, _of_pem(text), "JWT_KEY")
    else:
        yield _checked(None, text.encode(), "JWT_KEY")


def _of_pem(text: str) -> Any:
    try:
        return load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TokenKeyError(f"JWT_KEY is no public key in PEM: {error}") from error


def _of_file(path: Path) -> Sequence[_Known]:
    try:
        entries = orjson.loads(path.read_bytes())["keys"]
        keys = [known for entry in entries if (known := _of_entry(entry)) is not None]
    except OSError as error:
        raise TokenKeyError(f"JWT_JWKS cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TokenKeyError(f"{path} is no JWK set (RFC 7517)") from error
    if not keys:
        raise TokenKeyError(f"{path} has no key of RSA, Ed25519 or HMAC that signs")
    return keys


def _of_entry(entry: dict[str, Any]) -> _Known | None:
    """One key of a set; None for a kind that is not ours, as a set may hold others (section 5)."""
    algorithm = _KINDS.get((entry["kty"], entry.get("crv")))
    if algorithm is None or entry.get("use", "sig") != "sig":
        return None
    name = entry.get("kid")
    what = f"key {name!r} of JWT_JWKS"
    try:
        return _checked(name, jwt.PyJWK(entry, algorithm).key, what)
    except jwt.PyJWTError as error:  # whose text may hold the key
        raise TokenKeyError(f"{what} is broken") from error


def _checked(name: str | None, key: Any, what: str) -> _Known:
    """The key with its algorithm. Raises TokenKeyError for one that is weak or of another kind."""
    match key:
        case bytes() if len(key) >= SHORTEST_SECRET:
            return _Known(name, key, "HS256")
        case bytes():
            raise TokenKeyError(f"{what} is shorter than {SHORTEST_SECRET} bytes")
        case RSAPublicKey() if key.key_size >= SHORTEST_RSA:
            return _Known(name, key, "RS256")
        case RSAPublicKey():
            raise TokenKeyError(f"{what} has fewer than {SHORTEST_RSA} bits")
        case Ed25519PublicKey():
            return _Known(name, key, "EdDSA")
    raise TokenKeyError(f"{what} is neither a secret nor a public key of RSA or Ed25519")
