"""The keys that verify JWTs: of a text, or of a JWK set (RFC 7517) in a file or at an address.

Promise: the key alone decides the algorithm. A key that is too weak is refused.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from asset_ledger.api.contract.errors import TokenKeyError

logger = logging.getLogger(__name__)

Key = bytes | RSAPublicKey | Ed25519PublicKey

SHORTEST_SECRET: Final = 32
"""Bytes: a secret shorter than the hash can be guessed offline (RFC 7518, 3.2)."""
SHORTEST_RSA: Final = 2048

_ALGORITHMS: Final = {("RSA", None): "RS256", ("OKP", "Ed25519"): "EdDSA", ("oct", None): "HS256"}
"""The algorithm for the `kty` and `crv` of a JWK."""


class JwtKey(NamedTuple):
    """A key, its `kid` if it has one, and the only algorithm that it verifies."""

    name: str | None
    key: Key
    algorithm: str


def keys_of_text(text: str) -> Iterator[JwtKey]:
    """Yield the key in the setting JWT_KEY. Raises TokenKeyError."""
    if text.lstrip().startswith("-----BEGIN"):
        yield _checked(None, _of_pem(text), "JWT_KEY")
    else:
        yield _checked(None, text.encode(), "JWT_KEY")


def _of_pem(text: str) -> Any:
    try:
        return load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TokenKeyError(f"JWT_KEY is not a public key in PEM: {error}") from error


def keys_of_set(text: bytes, where: str, *, secrets: bool = True) -> Sequence[JwtKey]:
    """Return the keys of a JWK set; without its `secrets`, which no address may publish.

    Raises TokenKeyError. `where`: what the error names.
    """
    try:
        entries = orjson.loads(text)["keys"]
        keys = [known for entry in entries if (known := _of_usable_entry(entry)) is not None]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TokenKeyError(f"{where} is not a JWK set (RFC 7517)") from error
    usable = [known for known in keys if secrets or known.algorithm != "HS256"]
    if not usable:
        kinds = "RSA, Ed25519 or HMAC" if secrets else "RSA or Ed25519"
        raise TokenKeyError(f"{where} has no signature key of kind {kinds}")
    return usable


def _of_usable_entry(entry: dict[str, Any]) -> JwtKey | None:
    """Return a key of a set; None, with a warning, for a bad one: the others are used."""
    try:
        return _of_entry(entry)
    except TokenKeyError as error:
        logger.warning("a key is not used: %s", error)
        return None


def _of_entry(entry: dict[str, Any]) -> JwtKey | None:
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


def _checked(name: str | None, key: Any, what: str) -> JwtKey:
    """Return a key with its algorithm. Raises TokenKeyError for a weak or unsupported one."""
    match key:
        case bytes() if len(key) >= SHORTEST_SECRET:
            return JwtKey(name, key, "HS256")
        case bytes():
            raise TokenKeyError(f"{what} is shorter than {SHORTEST_SECRET} bytes")
        case RSAPublicKey() if key.key_size >= SHORTEST_RSA:
            return JwtKey(name, key, "RS256")
        case RSAPublicKey():
            raise TokenKeyError(f"{what} has fewer than {SHORTEST_RSA} bits")
        case Ed25519PublicKey():
            return JwtKey(name, key, "EdDSA")
    raise TokenKeyError(f"{what} is neither a secret nor a public key of RSA or Ed25519")
