"""The proof object: facts, each with its stored bytes and its path to the root that was signed.

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


class ProvenFact(NamedTuple):
    """A fact by its position, the bytes that were hashed, and its inclusion path."""

    position: int
    leaf: bytes
    path: Sequence[bytes]

    def document(self) -> dict[str, Any]:
        """The fact as it is in the proof object."""
        return {
            "position": self.position,
            "leaf": _encoded(self.leaf),
            "path": [_encoded(hashed) for hashed in self.path],
        }


class Signed(NamedTuple):
    """A checkpoint, the tree's size in it, the verifier key that it holds under, and the rotations
    that led to this key: whoever keeps an earlier one comes to it by them."""

    size: int
    note: str
    key: str
    rotations: Sequence[ProvenFact] = ()


def document(signed: Signed, facts: Sequence[ProvenFact]) -> dict[str, Any]:
    """The proof object of these facts."""
    return {
        "format": FORMAT,
        "checkpoint": signed.note,
        "key": signed.key,
        "rotations": [rotation.document() for rotation in signed.rotations],
        "facts": [fact.document() for fact in facts],
    }


def beginning(signed: Signed) -> bytes:
    """The proof object up to its first fact; facts with commas between them follow, then `END`."""
    return orjson.dumps(document(signed, ())).removesuffix(END)


def check_proof(proof: Mapping[str, Any], key: str) -> tuple[Checkpoint, list[ProvenFact]]:
    """What a proof object proves to who holds this verifier key of the log, or an earlier one.

    That each fact's bytes are what the log has at its position; not that no fact is left out.
    Raises ProofError.
    """
    note, rotations, facts = _read(proof)
    checkpoint = open_checkpoint(note, key_after(key, (each.leaf for each in rotations)))
    for fact in (*rotations, *facts):
        index = fact.position - 1
        check_inclusion(leaf_hash(fact.leaf), index, checkpoint.size, fact.path, checkpoint.root)
    return checkpoint, facts


def _read(proof: Mapping[str, Any]) -> tuple[str, list[ProvenFact], list[ProvenFact]]:
    if proof.get("format") != FORMAT:
        raise ProofError(f"this is no proof of the format {FORMAT}")
    match proof:
        case {"checkpoint": str(note), "facts": [*facts]}:
            rotations = proof.get("rotations", ())  # bundles of before they were told have none
            return note, [_fact(each) for each in rotations], [_fact(fact) for fact in facts]
    raise ProofError("a proof has a checkpoint and facts")


def _fact(fact: Any) -> ProvenFact:
    match fact:
        case {"position": int(position), "leaf": str(leaf), "path": [*path]}:
            return ProvenFact(position, _decoded(leaf), [_decoded(hashed) for hashed in path])
    raise ProofError("a proven fact has a position, a leaf and a path")


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise ProofError("leaves and paths are base64") from error
