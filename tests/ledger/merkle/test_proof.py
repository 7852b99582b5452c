"""The proof object: its format, its verification, and refused proofs."""

import base64
import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, sign_checkpoint
from asset_ledger.ledger.merkle.key import Signer, load_or_make_key, verifier_key
from asset_ledger.ledger.merkle.proof import (
    END,
    ProvenEvent,
    TreeHead,
    check_proof,
    document,
    document_start,
)
from asset_ledger.ledger.merkle.tree import Tree, inclusion_path, leaf_hash, root

ORIGIN = "asset-ledger/0123456789abcdef0123456789abcdef"
LEAVES = [b"leaf %d" % n for n in range(11)]
TREE = Tree([leaf_hash(leaf) for leaf in LEAVES])


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    file = tmp_path_factory.mktemp("key") / "checkpoint.key"
    return Signer(file, verifier_key(ORIGIN, load_or_make_key(file)))


@pytest.fixture(scope="module")
def signed(signer: Signer) -> TreeHead:
    size = len(LEAVES)
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root(size, TREE.node)), signer)
    return TreeHead(size, note, signer.key)


def proven(position: int, size: int = len(LEAVES)) -> ProvenEvent:
    index = position - 1
    return ProvenEvent(position, LEAVES[index], inclusion_path(index, size, TREE.node))


@pytest.fixture(scope="module")
def proof(signed: TreeHead) -> dict[str, Any]:
    return document(signed, [proven(2), proven(11)])


def test_check_proof_returns_positions_and_leaves(proof: dict[str, Any], signer: Signer) -> None:
    checkpoint, events = check_proof(proof, signer.key)

    assert checkpoint == Checkpoint(ORIGIN, 11, root(11, TREE.node))
    assert [(event.position, event.leaf) for event in events] == [(2, b"leaf 1"), (11, b"leaf 10")]


def test_document_has_the_documented_fields(proof: dict[str, Any], signed: TreeHead) -> None:
    assert list(proof) == ["format", "checkpoint", "key", "rotations", "events"]
    assert proof["format"] == "asset-ledger-proof/1"
    assert (proof["checkpoint"], proof["key"]) == (signed.note, signed.key)
    assert list(proof["events"][0]) == ["position", "leaf", "path"]
    assert base64.b64decode(proof["events"][0]["leaf"]) == b"leaf 1"


def test_document_start_events_and_end_make_the_same_proof(
    proof: dict[str, Any], signed: TreeHead
) -> None:
    pieces = b",".join(orjson.dumps(event) for event in proof["events"])

    assert document_start(signed) + pieces + END == orjson.dumps(proof)


def changed(proof: dict[str, Any], **event: Any) -> dict[str, Any]:
    """Return the proof with other values in its first event."""
    other = copy.deepcopy(proof)
    other["events"][0].update(event)
    return other


@pytest.mark.parametrize("name", ["checkpoint", "rotations", "events"])
def test_check_proof_refuses_a_proof_without_a_part(
    proof: dict[str, Any], signer: Signer, name: str
) -> None:
    with pytest.raises(ProofError, match="must have a checkpoint, rotations and events"):
        check_proof({each: proof[each] for each in proof if each != name}, signer.key)


def test_check_proof_refuses_another_leaf(proof: dict[str, Any], signer: Signer) -> None:
    forged = changed(proof, leaf=base64.b64encode(b"leaf 2").decode())

    with pytest.raises(ProofError, match="path of leaf 1 does not lead to the root of 11 leaves"):
        check_proof(forged, signer.key)


@pytest.mark.parametrize("position", [0, -1, 1, 3, 12, 2**63])
def test_check_proof_refuses_another_position(
    proof: dict[str, Any], signer: Signer, position: int
) -> None:
    with pytest.raises(ProofError):
        check_proof(changed(proof, position=position), signer.key)


def test_check_proof_refuses_another_key(
    proof: dict[str, Any], tmp_path: Path, signer: Signer
) -> None:
    key = verifier_key(ORIGIN, load_or_make_key(tmp_path / "checkpoint.key"))

    with pytest.raises(ProofError, match="did not sign this with the key"):
        check_proof({**proof, "key": key}, key)
    assert check_proof({**proof, "key": key}, signer.key)  # the key in the proof is not used


def test_check_proof_refuses_a_checkpoint_of_another_log(
    proof: dict[str, Any], tmp_path: Path, signer: Signer
) -> None:
    file = tmp_path / "checkpoint.key"
    other = Signer(file, verifier_key("asset-ledger/another", load_or_make_key(file)))
    foreign = sign_checkpoint(Checkpoint("asset-ledger/another", 11, root(11, TREE.node)), other)

    with pytest.raises(ProofError, match="a checkpoint of asset-ledger/another, not of"):
        check_proof({**proof, "checkpoint": foreign}, signer.key)


def test_check_proof_refuses_a_path_of_another_tree_size(signed: TreeHead, signer: Signer) -> None:
    of_nine = document(signed, [proven(9, size=9)])

    with pytest.raises(ProofError, match="path of leaf 8"):
        check_proof(of_nine, signer.key)


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"format": "asset-ledger-proof/2"},
        {"checkpoint": None},
        {"events": None},
        {"events": [None]},
        {"events": [{"position": "1", "leaf": "", "path": []}]},
        {"events": [{"position": 1, "leaf": "!", "path": []}]},
        {"events": [{"position": 1, "leaf": "", "path": [None]}]},
        {"events": [{"position": 1, "leaf": "", "path": ["AAAA"] * 4}]},
    ],
)
def test_check_proof_refuses_malformed_proofs(
    proof: dict[str, Any], signer: Signer, junk: dict[str, Any]
) -> None:
    with pytest.raises(ProofError):
        check_proof({**proof, **junk} if junk else {}, signer.key)


@given(st.data())
def test_check_proof_refuses_any_flipped_bit_of_a_path_or_leaf(
    proof: dict[str, Any], signer: Signer, data: st.DataObject
) -> None:
    forged = copy.deepcopy(proof)
    event = data.draw(st.sampled_from(forged["events"]))
    texts, where = data.draw(
        st.sampled_from([(event, "leaf"), *((event["path"], n) for n in range(len(event["path"])))])
    )
    flipped = bytearray(base64.b64decode(texts[where]))
    bit = data.draw(st.integers(0, 8 * len(flipped) - 1))
    flipped[bit // 8] ^= 1 << bit % 8
    texts[where] = base64.b64encode(flipped).decode()

    with pytest.raises(ProofError):
        check_proof(forged, signer.key)
