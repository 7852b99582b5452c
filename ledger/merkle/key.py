"""The Ed25519 key that signs a log's checkpoints, and the C2SP verifier key that others keep.

A key file is whole or not there: a process that dies while it makes one locks nobody out.
"""

import base64
import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from asset_ledger.ledger.errors import ProofError, SigningKeyError
from asset_ledger.ledger.storage.files import sync_folder

_ED25519: Final = b"\x01"  # the signature type of C2SP signed-note


class VerifierKey(NamedTuple):
    """The public half: whose name it signs under, its short id, and the key."""

    name: str
    key_id: bytes
    public: Ed25519PublicKey

    def check(self, signature: bytes, message: bytes) -> None:
        """Raises ProofError unless this key signed the message."""
        try:
            self.public.verify(signature, message)
        except InvalidSignature as error:
            raise ProofError(f"the signature of {self.name} does not hold") from error


def verifier_key(name: str, key: Ed25519PrivateKey) -> str:
    """`<name>+<hash>+<key>`, as C2SP signed-note writes the public half of a key."""
    public = _ED25519 + key.public_key().public_bytes_raw()
    return f"{name}+{_key_id(name, public).hex()}+{base64.b64encode(public).decode()}"


def read_verifier_key(text: str) -> VerifierKey:
    """The key that `<name>+<hash>+<key>` spells. Raises ProofError."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        public = base64.b64decode(encoded, validate=True)
        key = Ed25519PublicKey.from_public_bytes(public[1:])
    except ValueError as error:
        raise ProofError("a verifier key is <name>+<hash>+<base64 of an Ed25519 key>") from error
    if public[:1] != _ED25519 or key_id != _key_id(name, public).hex():
        raise ProofError(f"the verifier key of {name} is not the one that its hash names")
    return VerifierKey(name, bytes.fromhex(key_id), key)


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """The key in this file; a new one is made if there is none. Raises SigningKeyError."""
    return load_key(path) if path.exists() else make_key(path)


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key in this file. Raises SigningKeyError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise SigningKeyError(
            f"{path.name} is not in the data folder, so that no checkpoint can be signed: "
            "copy it there from where the ledger came from"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise SigningKeyError(f"{path.name} cannot be read as a key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"{path.name} holds a key that is not Ed25519")
    return key


def make_key(path: Path) -> Ed25519PrivateKey:
    """A new key in this file, durable, readable by its owner alone; in place of an older one."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    move_key(draft, path)
    return key


def move_key(source: Path, target: Path) -> None:
    """Put a key file in the place of another one, or of none, durably."""
    source.replace(target)
    sync_folder(target.parent)


class Signer:
    """Signs with the key in force, read from its file when it is needed first.

    So a ledger whose key was not copied along works, but for its checkpoints.
    """

    def __init__(self, file: Path, key: str) -> None:
        """`key` is the verifier key that the log's events name."""
        self.key = key
        self.file = file
        self._private: Ed25519PrivateKey | None = None

    def check(self) -> None:
        """Raises SigningKeyError unless `sign` would do."""
        self._load()

    def sign(self, message: bytes) -> bytes:
        """The signature. Raises SigningKeyError."""
        return self._load().sign(message)

    def _load(self) -> Ed25519PrivateKey:
        if self._private is None:
            private = load_key(self.file)
            name = self.key.partition("+")[0]
            if verifier_key(name, private) != self.key:
                raise SigningKeyError(
                    f"{self.file.name} is not the key that this log names: {self.key}"
                )
            self._private = private
        return self._private
