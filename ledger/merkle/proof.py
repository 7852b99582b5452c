"""The proof object: events with their hashed bytes and inclusion proofs under one checkpoint.

`check_proof` verifies it with the log's verifier key alone, without a server.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, open_checkpoint
from asset_ledger.ledger.merkle.succession import key_after
from asset_ledger.ledger.merkle.tree import check_inclusion, leaf_hash

FORMAT: Final = "asset-ledger-proof/1"

END: Final = b"]}"
"""The last bytes of a proof that is sent in pieces."""


class ProvenEvent(NamedTuple):
    """An event: its position, its leaf (the hashed bytes) and its inclusion path."""

    position: int
    leaf: bytes
    path: Sequence[bytes]

    def document(self) -> dict[str, Any]:
        """Return the event in the format of the proof object."""
        return {
            "position": self.position,
            "leaf": _encode64(self.leaf),
            "path": [_encode64(hashed) for hashed in self.path],
        }


class TreeHead(NamedTuple):
    """A signed checkpoint (`note`), its size and verifier key, and the rotations to that key."""

    size: int
    note: str
    key: str
    rotations: Sequence[ProvenEvent] = ()


def document(signed: TreeHead, events: Sequence[ProvenEvent]) -> dict[str, Any]:
    """Return the proof object of these events."""
    return {
        "format": FORMAT,
        "checkpoint": signed.note,
        "key": signed.key,
        "rotations": [rotation.document() for rotation in signed.rotations],
        "events": [event.document() for event in events],
    }


def document_start(signed: TreeHead) -> bytes:
    """Return the proof object up to its first event. Events, joined by commas, and `END` follow."""
    return orjson.dumps(document(signed, ())).removesuffix(END)


def check_proof(proof: Mapping[str, Any], key: str) -> tuple[Checkpoint, list[ProvenEvent]]:
    """Verify a proof object with this verifier key of the log, the current or an older one.

    It proves that the log has these bytes at these positions, not that no event is left out.
    Raises ProofError.
    """
    note, rotations, events = _read(proof)
    checkpoint = open_checkpoint(note, key_after(key, (each.leaf for each in rotations)))
    for event in (*rotations, *events):
        index = event.position - 1
        check_inclusion(leaf_hash(event.leaf), index, checkpoint.size, event.path, checkpoint.root)
    return checkpoint, events


def _read(proof: Mapping[str, Any]) -> tuple[str, list[ProvenEvent], list[ProvenEvent]]:
    if proof.get("format") != FORMAT:
        raise ProofError(f"this is not a proof of the format {FORMAT}")
    match proof:
        case {"checkpoint": str(note), "rotations": [*rotations], "events": [*events]}:
            return note, [_event(each) for each in rotations], [_event(event) for event in events]
    raise ProofError("a proof must have a checkpoint, rotations and events")


def _event(event: Any) -> ProvenEvent:
    match event:
        case {"position": int(position), "leaf": str(leaf), "path": [*path]}:
            return ProvenEvent(position, _decode64(leaf), [_decode64(hashed) for hashed in path])
    raise ProofError("an event of a proof must have a position, a leaf and a path")


def _encode64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise ProofError("the leaves and paths of a proof must be base64") from error
