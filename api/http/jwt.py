"""AUTH=jwt: tokens that somebody else signs (RFC 7519), verified with keys from the settings.

Promise: the key alone decides the algorithm. What a token says of its own algorithm is never
believed, so no public key is ever taken for a shared secret, and `none` for a signature.
"""

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

from api.contract.errors import TokenKeyError
from api.contract.principal import SCOPES, Principal, Scope, check_user_id
from api.settings import Settings

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


class Verifier:
    """Knows the callers whose tokens were signed with one of these keys."""

    def __init__(self, keys: Sequence[_Known], audience: str | None) -> None:
        self._keys, self._audience = keys, audience

    def principal(self, text: str) -> Principal | None:
        """Whom a token names; None unless it is signed, in force, meant for us and of somebody."""
        try:
            return self._verified(text)
        except (jwt.PyJWTError, ValueError, RecursionError):  # the last: a header of brackets
            return None

    def _verified(self, text: str) -> Principal | None:
        header = jwt.get_unverified_header(text)
        for known in self._keys:
            if _may_verify(known, header):
                with suppress(jwt.InvalidSignatureError):  # perhaps the next key, if it has no name
                    return _principal(self._claims(text, known))
        return None

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
    keys = [
        *(_of_text(settings.jwt_key.get_secret_value()) if settings.jwt_key else ()),
        *(_of_file(settings.jwt_jwks) if settings.jwt_jwks else ()),
    ]
    return Verifier(keys, settings.jwt_audience)


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
