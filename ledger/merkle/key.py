"""The Ed25519 key that signs a log's checkpoints, and the C2SP verifier key that others keep."""

import base64
import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledger.errors import DataFolderError

_ED25519 = b"\x01"  # the signature type of C2SP signed-note


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """The key in this file; a new one is made, readable by its owner alone, if there is none."""
    if not path.exists():
        return _make_key(path)
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise DataFolderError(f"{path} holds a key that is not Ed25519")
    return key


def _make_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)  # whole or not there: half a key would lock its owner out
    return key


def verifier_key(name: str, key: Ed25519PrivateKey) -> str:
    """`<name>+<hash>+<key>`, as C2SP signed-note writes the public half of a key."""
    public = _ED25519 + key.public_key().public_bytes_raw()
    key_hash = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    return f"{name}+{key_hash.hex()}+{base64.b64encode(public).decode()}"
