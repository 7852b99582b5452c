"""Checkpoints: their exact bytes, their signatures, and refused checkpoints."""

import base64
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from asset_ledger.ledger.merkle.key import Signer, load_or_make_key, verifier_key

ORIGIN = "asset-ledger/0123456789abcdef0123456789abcdef"
ROOT = bytes(range(32))
CHECKPOINT = Checkpoint(ORIGIN, 12, ROOT)


def signer_of(folder: Path, origin: str = ORIGIN) -> Signer:
    file = folder / "checkpoint.key"
    return Signer(file, verifier_key(origin, load_or_make_key(file)))


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer_of(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def note(signer: Signer) -> str:
    return sign_checkpoint(CHECKPOINT, signer)


def test_sign_checkpoint_writes_three_lines_a_blank_line_and_a_signature(
    note: str, signer: Signer
) -> None:
    *lines, blank, signature, end = note.split("\n")

    assert lines == [ORIGIN, "12", base64.b64encode(ROOT).decode()]
    assert (blank, end) == ("", "")
    assert signature.startswith(f"— {ORIGIN} ")
    signed = base64.b64decode(signature.removeprefix(f"— {ORIGIN} "))
    assert signed[:4].hex() == signer.key.split("+")[1]
    assert len(signed) == 4 + 64


def test_open_checkpoint_verifies_with_the_verifier_key(note: str, signer: Signer) -> None:
    assert open_checkpoint(note, signer.key) == CHECKPOINT


def test_sign_checkpoint_is_deterministic(note: str, signer: Signer) -> None:
    assert sign_checkpoint(CHECKPOINT, signer) == note


def test_open_checkpoint_ignores_other_signatures(note: str, signer: Signer) -> None:
    witnessed = note.replace("\n\n", "\n\n— witness.example/w AAAAAAAA\n") + "— another AAAAAAAA\n"

    assert open_checkpoint(witnessed, signer.key) == CHECKPOINT


def test_open_checkpoint_accepts_extension_lines(signer: Signer, note: str) -> None:
    text = f"{CHECKPOINT.text}extension\n"
    key_id = bytes.fromhex(signer.key.split("+")[1])
    signature = base64.b64encode(key_id + signer.sign(text.encode())).decode()

    opened = open_checkpoint(f"{text}\n— {ORIGIN} {signature}\n", signer.key)

    assert opened == CHECKPOINT


def test_open_checkpoint_refuses_another_log(tmp_path: Path, signer: Signer) -> None:
    other = signer_of(tmp_path, "asset-ledger/another")
    foreign = sign_checkpoint(Checkpoint("asset-ledger/another", 12, ROOT), other)

    with pytest.raises(ProofError) as refused:
        open_checkpoint(foreign, signer.key)

    assert str(refused.value) == f"this is a checkpoint of asset-ledger/another, not of {ORIGIN}"


def test_open_checkpoint_refuses_another_key(tmp_path: Path, signer: Signer) -> None:
    impostor = sign_checkpoint(CHECKPOINT, signer_of(tmp_path))

    with pytest.raises(ProofError, match="did not sign this with the key"):
        open_checkpoint(impostor, signer.key)


def test_open_checkpoint_refuses_another_key_with_the_same_key_id(
    tmp_path: Path, signer: Signer, note: str
) -> None:
    forged = signer_of(tmp_path).sign(CHECKPOINT.text.encode())
    signature = bytes.fromhex(signer.key.split("+")[1]) + forged
    line = f"— {ORIGIN} {base64.b64encode(signature).decode()}\n"

    with pytest.raises(ProofError, match="is invalid"):
        open_checkpoint(f"{CHECKPOINT.text}\n{line}", signer.key)


@pytest.mark.parametrize(
    ("was", "becomes", "reason"),
    [
        ("\n12\n", "\n13\n", "is invalid"),
        ("\n12\n", "\n012\n", "an origin, a size and a root"),
        ("\n12\n", "\n-12\n", "an origin, a size and a root"),
        ("\n12\n", "\n١٢\n", "an origin, a size and a root"),
        ("\n12\n", "\n" + "9" * 5000 + "\n", "an origin, a size and a root"),
        ("\n12\n", "\n", "an origin, a size and a root"),
        ("AAECAw", "AAECBA", "is invalid"),
        ("AAECAw", "AAEC", "must be base64"),
        ("AAECAwQF", "", "32 bytes"),
        (f"{ORIGIN}\n12", "\n12", "an origin, a size and a root"),
        ("\n\n", "\n", "must be a signed note"),
        ("— asset", "- asset", "did not sign"),
    ],
)
def test_open_checkpoint_refuses_a_changed_checkpoint_with_the_reason(
    note: str, signer: Signer, was: str, becomes: str, reason: str
) -> None:
    assert was in note

    with pytest.raises(ProofError, match=reason):
        open_checkpoint(note.replace(was, becomes, 1), signer.key)


@pytest.mark.parametrize("junk", ["", "\n", "\n\n", "x", "a\nb\n\nc", "a\n1\nb\n\n— a b\n"])
def test_open_checkpoint_refuses_other_text(junk: str, signer: Signer) -> None:
    with pytest.raises(ProofError):
        open_checkpoint(junk, signer.key)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_open_checkpoint_refuses_any_changed_signed_character(
    note: str, signer: Signer, data: st.DataObject
) -> None:
    signed = len(CHECKPOINT.text)
    where = data.draw(st.integers(0, signed - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != note[where]))

    with pytest.raises(ProofError):
        open_checkpoint(note[:where] + other + note[where + 1 :], signer.key)
