"""Sign and verify checkpoints: the Merkle root over the first N events, signed by the log's key.

The format is a C2SP tlog-checkpoint in a C2SP signed note with an Ed25519 signature. The name of
the key is the log's origin line.
"""

import base64
import re
from typing import Final, NamedTuple

from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.key import Signer, VerifierKey, read_verifier_key
from asset_ledger.ledger.merkle.tree import HASH

_SIZE: Final = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)
_SIGNATURE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
_KEY_ID: Final = 4


class Checkpoint(NamedTuple):
    """The signed content: the log's origin line, its number of events, and their root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The signed lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """Return the signed note. Raises SigningKeyError."""
    verifier = read_verifier_key(signer.key)
    signature = verifier.key_id + signer.sign(checkpoint.text.encode())
    line = f"— {verifier.name} {base64.b64encode(signature).decode()}\n"
    return f"{checkpoint.text}\n{line}"


def read_checkpoint(note: str) -> Checkpoint:
    """Decode a signed note without verifying it. Raises ProofError if it is malformed."""
    return _decode(_parts(note)[0])


def open_checkpoint(note: str, key: str) -> Checkpoint:
    """Decode a signed note after verifying its signature by `key`. Raises ProofError."""
    text, signatures = _parts(note)
    checkpoint, verifier = _decode(text), read_verifier_key(key)
    if checkpoint.origin != verifier.name:
        raise ProofError(f"this is a checkpoint of {checkpoint.origin}, not of {verifier.name}")
    verifier.check(_signature(signatures, verifier), f"{text}\n".encode())
    return checkpoint


def _parts(note: str) -> tuple[str, str]:
    """Split a signed note into its text and the lines of its signatures."""
    text, blank, signatures = note.rpartition("\n\n")
    is_text = not any("\ud800" <= each <= "\udfff" for each in note)
    if not blank or not is_text or not signatures.endswith("\n"):
        raise ProofError("a checkpoint must be a signed note: lines, an empty line, signatures")
    return text, signatures


def _decode(text: str) -> Checkpoint:
    match text.split("\n"):
        case [origin, size, encoded, *_] if origin and _SIZE.fullmatch(size):
            return Checkpoint(origin, int(size), _root(encoded))
    raise ProofError("a checkpoint must begin with three lines: an origin, a size and a root")


def _root(encoded: str) -> bytes:
    try:
        root = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise ProofError("the root of a checkpoint must be base64") from error
    if len(root) != HASH:
        raise ProofError(f"the root of a checkpoint must have {HASH} bytes")
    return root


def _signature(lines: str, verifier: VerifierKey) -> bytes:
    """Return the signature by this key among those of a note; ignore all others."""
    for line in lines.split("\n"):
        if (match := _SIGNATURE.fullmatch(line)) and match[1] == verifier.name:
            signature = _from_base64(match[2])
            if signature[:_KEY_ID] == verifier.key_id:
                return signature[_KEY_ID:]
    raise ProofError(f"{verifier.name} did not sign this with the key {verifier.key_id.hex()}")


def _from_base64(signature: str) -> bytes:
    try:
        decoded = base64.b64decode(signature, validate=True)
    except ValueError as error:
        raise ProofError("a signature must be base64") from error
    if base64.b64encode(decoded).decode() != signature:  # else unused bits could vary
        raise ProofError("a signature must be canonical base64")
    return decoded
