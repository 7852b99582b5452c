"""Checkpoints: the root over the first so many events, signed under the log's name.

Byte for byte a C2SP tlog-checkpoint in a C2SP signed note, with an Ed25519 signature; the key's
name is the log's origin line.
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
    """What is signed: which log, how many events it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The signed lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """The signed note. Raises SigningKeyError."""
    verifier = read_verifier_key(signer.key)
    signature = verifier.key_id + signer.sign(checkpoint.text.encode())
    line = f"— {verifier.name} {base64.b64encode(signature).decode()}\n"
    return f"{checkpoint.text}\n{line}"


def read_checkpoint(note: str) -> Checkpoint:
    """What a signed note says, whoever signed it. Raises ProofError if it is none."""
    return _read(_parts(note)[0])


def open_checkpoint(note: str, key: str) -> Checkpoint:
    """What a signed note says, if the log with this verifier key signed it. Raises ProofError."""
    text, signatures = _parts(note)
    checkpoint, verifier = _read(text), read_verifier_key(key)
    if checkpoint.origin != verifier.name:
        raise ProofError(f"this is a checkpoint of {checkpoint.origin}, not of {verifier.name}")
    verifier.check(_signature(signatures, verifier), f"{text}\n".encode())
    return checkpoint


def _parts(note: str) -> tuple[str, str]:
    """The text of a signed note, and the lines of its signatures."""
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise ProofError("a checkpoint is a signed note: lines, an empty line, signatures")
    return text, signatures


def _read(text: str) -> Checkpoint:
    match text.split("\n"):
        case [origin, size, encoded, *_] if origin and _SIZE.fullmatch(size):
            return Checkpoint(origin, int(size), _root(encoded))
    raise ProofError("a checkpoint's lines are an origin, a size and a root")


def _root(encoded: str) -> bytes:
    try:
        root = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise ProofError("the root of a checkpoint is base64") from error
    if len(root) != HASH:
        raise ProofError(f"the root of a checkpoint has {HASH} bytes")
    return root


def _signature(lines: str, verifier: VerifierKey) -> bytes:
    """This key's signature among those of a note; others' are not ours to judge."""
    for line in lines.split("\n"):
        if (match := _SIGNATURE.fullmatch(line)) and match[1] == verifier.name:
            signature = _decoded(match[2])
            if signature[:_KEY_ID] == verifier.key_id:
                return signature[_KEY_ID:]
    raise ProofError(f"{verifier.name} did not sign this with the key {verifier.key_id.hex()}")


def _decoded(signature: str) -> bytes:
    try:
        decoded = base64.b64decode(signature, validate=True)
    except ValueError as error:
        raise ProofError("a signature is base64") from error
    if base64.b64encode(decoded).decode() != signature:  # bits that nothing else would look at
        raise ProofError("a signature is base64, spelt in the one way")
    return decoded
