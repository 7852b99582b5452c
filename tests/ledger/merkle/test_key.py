"""Signing keys: their verifier keys, their files, and signatures."""

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

# The example of golang.org/x/mod/sumdb/note, the origin of signed notes.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SEED = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM="
MESSAGE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.key"


def test_verifier_key_equals_the_published_example() -> None:
    seed = base64.b64decode(NEUMANN_SEED)
    key = Ed25519PrivateKey.from_private_bytes(seed)

    assert verifier_key("PeterNeumann", key) == NEUMANN


def test_check_accepts_the_published_signature() -> None:
    verifier = read_verifier_key(NEUMANN)
    signed = base64.b64decode(SIGNATURE)

    assert (verifier.name, verifier.key_id) == ("PeterNeumann", signed[:4])
    verifier.check(signed[4:], MESSAGE.encode())
    with pytest.raises(ProofError, match="PeterNeumann"):
        verifier.check(signed[4:], MESSAGE.upper().encode())


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
def test_read_verifier_key_refuses_other_text(text: str) -> None:
    with pytest.raises(ProofError, match="verifier key"):
        read_verifier_key(text)


def test_load_or_make_key_makes_one_file_with_mode_0600(file: Path) -> None:
    made = load_or_make_key(file)

    assert load_or_make_key(file).private_bytes_raw() == made.private_bytes_raw()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_load_or_make_key_ignores_an_incomplete_draft(file: Path) -> None:
    file.with_name("checkpoint.key.draft").write_bytes(b"half a")

    made = load_or_make_key(file)

    assert load_key(file).private_bytes_raw() == made.private_bytes_raw()


def test_signer_reads_its_file_at_the_first_signature(file: Path) -> None:
    key = Ed25519PrivateKey.generate()
    named = verifier_key("log", key)
    signer = Signer(file, named)
    with pytest.raises(SigningKeyError, match=r"checkpoint\.key is not in the data folder"):
        signer.check()

    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    signer.check()
    read_verifier_key(named).check(signer.sign(b"message"), b"message")


def test_signer_refuses_the_key_of_another_log(file: Path) -> None:
    make_key(file)
    named = verifier_key("log", Ed25519PrivateKey.generate())

    with pytest.raises(SigningKeyError) as refused:
        Signer(file, named).sign(b"message")

    reason = f"is not the key that this log names, restore it: {named}"
    assert str(refused.value) == f"checkpoint.key {reason}"


def test_load_key_refuses_a_file_without_an_ed25519_key(file: Path) -> None:
    file.write_text("no key at all")
    with pytest.raises(SigningKeyError, match="is not a readable key"):
        load_key(file)

    other = generate_private_key(SECP256R1())
    file.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SigningKeyError, match="is not an Ed25519 key"):
        load_key(file)
