"""Keys: how their public halves are written, and what becomes of the files that hold them."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from asset_ledger.ledger.errors import ProofError, SigningKeyError
from asset_ledger.ledger.merkle.key import (
    Signer,
    load_key,
    load_or_make_key,
    make_key,
    read_verifier_key,
    verifier_key,
)

# The example of golang.org/x/mod/sumdb/note, which signed notes come from.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SEED = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM="
SAID = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNED = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.key"


def test_a_verifier_key_is_written_as_others_write_it() -> None:
    seed = base64.b64decode(NEUMANN_SEED)
    key = Ed25519PrivateKey.from_private_bytes(seed)

    assert verifier_key("PeterNeumann", key) == NEUMANN


def test_a_signature_that_others_made_holds() -> None:
    verifier = read_verifier_key(NEUMANN)
    signed = base64.b64decode(SIGNED)

    assert (verifier.name, verifier.key_id) == ("PeterNeumann", signed[:4])
    verifier.check(signed[4:], SAID.encode())
    with pytest.raises(ProofError, match="PeterNeumann"):
        verifier.check(signed[4:], SAID.upper().encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a3+!!!!",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10==",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PaterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(ProofError, match="verifier key"):
        read_verifier_key(text)


def test_a_key_is_made_once_for_its_owner_alone(file: Path) -> None:
    made = load_or_make_key(file)

    assert load_or_make_key(file).private_bytes_raw() == made.private_bytes_raw()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_key_that_was_half_made_is_made_anew(file: Path) -> None:
    file.with_name("checkpoint.key.draft").write_bytes(b"half a")

    made = load_or_make_key(file)

    assert load_key(file).private_bytes_raw() == made.private_bytes_raw()


def test_a_signer_reads_its_key_when_it_is_needed(file: Path) -> None:
    key = Ed25519PrivateKey.generate()
    named = verifier_key("log", key)
    signer = Signer(file, named)
    with pytest.raises(SigningKeyError, match=r"checkpoint\.key is not in the data folder"):
        signer.check()

    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    signer.check()
    read_verifier_key(named).check(signer.sign(b"message"), b"message")


def test_a_signer_does_not_sign_with_another_logs_key(file: Path) -> None:
    make_key(file)
    named = verifier_key("log", Ed25519PrivateKey.generate())

    with pytest.raises(SigningKeyError) as refused:
        Signer(file, named).sign(b"message")

    assert str(refused.value) == f"checkpoint.key is not the key that this log names: {named}"


def test_what_is_no_key_is_refused_by_name(file: Path) -> None:
    file.write_text("no key at all")
    with pytest.raises(SigningKeyError, match="cannot be read as a key"):
        load_key(file)

    other = generate_private_key(SECP256R1())
    file.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SigningKeyError, match="not Ed25519"):
        load_key(file)
