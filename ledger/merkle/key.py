"""The Ed25519 key that signs a log's checkpoints, and the C2SP verifier key that verifies them.

A key file is complete or missing, also after a crash while it was written.
"""

import base64
import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from asset_ledger.ledger.errors import ProofError, SigningKeyError
from asset_ledger.ledger.storage.files import sync_folder, write_durably

_ED25519: Final = b"\x01"  # the signature type of C2SP signed-note


class VerifierKey(NamedTuple):
    """The public half of a key: its name (the log's origin line), its 4-byte id, and the key."""

    name: str
    key_id: bytes
    public: Ed25519PublicKey

    def check(self, signature: bytes, message: bytes) -> None:
        """Raise ProofError unless this key signed the message."""
        try:
            self.public.verify(signature, message)
        except InvalidSignature as error:
            raise ProofError(f"the signature of {self.name} is invalid") from error


def verifier_key(name: str, key: Ed25519PrivateKey) -> str:
    """Encode the public half of a key as `<name>+<hash>+<key>` (C2SP signed-note)."""
    public = _ED25519 + key.public_key().public_bytes_raw()
    return f"{name}+{_key_id(name, public).hex()}+{base64.b64encode(public).decode()}"


def read_verifier_key(text: str) -> VerifierKey:
    """Decode `<name>+<hash>+<key>`. Raises ProofError."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        public = base64.b64decode(encoded, validate=True)
        key, hashed = Ed25519PublicKey.from_public_bytes(public[1:]), _key_id(name, public).hex()
    except ValueError as error:
        raise ProofError("a verifier key must be <name>+<hash>+<base64 Ed25519 key>") from error
    if public[:1] != _ED25519 or key_id != hashed:
        raise ProofError(f"the verifier key of {name} does not match its hash: copy it again")
    return VerifierKey(name, bytes.fromhex(key_id), key)


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in this file, or make the file. Raises SigningKeyError."""
    return load_key(path) if path.exists() else make_key(path)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in this file. Raises SigningKeyError."""
    try:
        return read_key(path.read_bytes())
    except FileNotFoundError as error:
        raise SigningKeyError(
            f"{path.name} is not in the data folder, so no checkpoint can be signed: "
            "copy it from the original data folder or a backup"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise SigningKeyError(f"{path.name} is not a readable key, restore it: {error}") from error


def read_key(text: bytes) -> Ed25519PrivateKey:
    """Return the key in the bytes of a key file. Raises ValueError or TypeError."""
    try:
        key = load_pem_private_key(text, password=None)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is not an Ed25519 key")
    return key


def make_key(path: Path) -> Ed25519PrivateKey:
    """Write a new key to this file, durable and with mode 0600, and return it."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_durably(path, pem)
    return key


def move_key(source: Path, target: Path) -> None:
    """Move a key file to `target`, durably, and replace a file that is there."""
    source.replace(target)
    sync_folder(target.parent)


class Signer:
    """Signs with the log's key, which it reads from the file at the first signature.

    A ledger that was copied without its key therefore works, except for new checkpoints.
    """

    def __init__(self, file: Path, key: str) -> None:
        """`key` is the verifier key that the log's events name: the file must match it."""
        self.key = key
        self.file = file
        self._private: Ed25519PrivateKey | None = None

    def check(self) -> None:
        """Raise SigningKeyError if `sign` would."""
        self._load()

    def sign(self, message: bytes) -> bytes:
        """Return the signature. Raises SigningKeyError."""
        return self._load().sign(message)

    def _load(self) -> Ed25519PrivateKey:
        if self._private is None:
            private = load_key(self.file)
            name = self.key.partition("+")[0]
            if verifier_key(name, private) != self.key:
                raise SigningKeyError(
                    f"{self.file.name} is not the key that this log names, restore it: {self.key}"
                )
            self._private = private
        return self._private
