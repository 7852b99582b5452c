"""The proof object: events, each with its stored bytes and its path to the root that was signed.

Whoever holds the log's verifier key can check it without our server, and `check_proof` does.
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
"""What closes a proof that is sent piece by piece."""


class ProvenEvent(NamedTuple):
    """An event by its position, the bytes that were hashed, and its inclusion path."""

    position: int
    leaf: bytes
    path: Sequence[bytes]

    def document(self) -> dict[str, Any]:
        """The event as it is in the proof object."""
        return {
            "position": self.position,
            "leaf": _encoded(self.leaf),
            "path": [_encoded(hashed) for hashed in self.path],
        }


class TreeHead(NamedTuple):
    """A checkpoint, the tree's size in it, the verifier key that it holds under, and the rotations
    that led to this key: whoever keeps an earlier one comes to it by them."""

    size: int
    note: str
    key: str
    rotations: Sequence[ProvenEvent] = ()


def document(signed: TreeHead, events: Sequence[ProvenEvent]) -> dict[str, Any]:
    """The proof object of these events."""
    return {
        "format": FORMAT,
        "checkpoint": signed.note,
        "key": signed.key,
        "rotations": [rotation.document() for rotation in signed.rotations],
        "events": [event.document() for event in events],
    }


def document_start(signed: TreeHead) -> bytes:
    """The proof object up to its first event; events with commas between them follow, then `END`."""
    return orjson.dumps(document(signed, ())).removesuffix(END)


def check_proof(proof: Mapping[str, Any], key: str) -> tuple[Checkpoint, list[ProvenEvent]]:
    """What a proof object proves to who holds this verifier key of the log, or an earlier one.

    That each event's bytes are what the log has at its position; not that no event is left out.
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
        raise ProofError(f"this is no proof of the format {FORMAT}")
    match proof:
        case {"checkpoint": str(note), "events": [*events]}:
            rotations = proof.get("rotations", ())  # bundles of before they were told have none
            return note, [_event(each) for each in rotations], [_event(event) for event in events]
    raise ProofError("a proof has a checkpoint and events")


def _event(event: Any) -> ProvenEvent:
    match event:
        case {"position": int(position), "leaf": str(leaf), "path": [*path]}:
            return ProvenEvent(position, _decoded(leaf), [_decoded(hashed) for hashed in path])
    raise ProofError("a proven event has a position, a leaf and a path")


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise ProofError("leaves and paths are base64") from error
