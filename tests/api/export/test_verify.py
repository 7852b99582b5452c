"""The verifier of a bundle: Ed25519, compared with RFC 8032 and another implementation."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from asset_ledger.api.export import verify
from asset_ledger.api.export.verify import ORDER, WrongError, has_signed, point_of

WHOLE = Path(__file__).parents[2] / "fuzz" / "corpus" / "bundle" / "whole.zip"

# RFC 8032, section 7.1: TEST 1, 2 and 3.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
            "1cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
            "d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760"
            "984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_has_signed_accepts_the_vectors_of_the_rfc(
    public: str, message: str, signature: str
) -> None:
    key, text, signed = (bytes.fromhex(text) for text in (public, message, signature))

    assert has_signed(key, text, signed)
    assert not has_signed(key, text + b"x", signed)


@settings(max_examples=30)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(), bit=st.integers(0, 511))
def test_has_signed_agrees_with_another_implementation(
    seed: bytes, message: bytes, bit: int
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    forged = bytearray(signature)
    forged[bit // 8] ^= 1 << bit % 8

    assert has_signed(public, message, signature)
    assert not has_signed(public, message, bytes(forged))


def test_has_signed_refuses_a_second_encoding_of_a_signature() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"")
    larger = int.from_bytes(signature[32:], "little") + ORDER

    assert not has_signed(public, b"", signature[:32] + larger.to_bytes(32, "little"))
    assert not has_signed(public, b"", signature + b"\0")


def test_a_key_outside_of_the_curve_is_refused() -> None:
    with pytest.raises(WrongError, match="not a point"):
        point_of((2).to_bytes(32, "little"))


def repacked(bundle: bytes, method: int) -> bytes:
    """Return the same files, packed by another method."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle)) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return target.getvalue()


def with_heads(bundle: bytes, at: int, value: int) -> bytes:
    """Return a bundle with another byte in the head of each file, here and in the directory."""
    changed = bytearray(bundle)
    for mark, after in ((b"PK\x03\x04", 4), (b"PK\x01\x02", 6)):
        start = -1
        while (start := bundle.find(mark, start + 1)) >= 0:
            changed[start + after + at] = value
    return bytes(changed)


def damaged(bundle: bytes, method: int) -> bytes:
    """Return a bundle with changed bytes amid the packed bytes of each file."""
    changed = bytearray(repacked(bundle, method))
    with zipfile.ZipFile(io.BytesIO(changed)) as packed:
        for info in packed.infolist():
            start = info.header_offset + 30 + len(info.filename)
            changed[start : start + info.compress_size] = b"\xff" * info.compress_size
    return bytes(changed)


def nested(bundle: bytes) -> bytes:
    """Return a bundle whose proof is JSON that is too deep."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as new:
        new.writestr("proof.json", "[" * 100_000)
        new.writestr("manifest.json", "{}")
    return target.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda bundle: with_heads(bundle, 2, 1),
        lambda bundle: with_heads(bundle, 4, 97),
        lambda bundle: damaged(bundle, zipfile.ZIP_DEFLATED),
        lambda bundle: damaged(bundle, zipfile.ZIP_BZIP2),
        lambda bundle: damaged(bundle, zipfile.ZIP_LZMA),
        nested,
        lambda bundle: bundle[: len(bundle) // 2],
        lambda _: b"",
    ],
    ids=["encrypted", "method", "deflated", "bzip2", "lzma", "nested", "cut", "empty"],
)
def test_a_zip_that_cannot_be_read_does_not_hold(
    change: Callable[[bytes], bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle.zip").write_bytes(change(WHOLE.read_bytes()))

    assert verify.main([str(tmp_path / "bundle.zip")]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("WRONG  ")
    assert printed.endswith("The bundle does NOT hold.\n")
