"""The corpus of the fuzzed parsers, and inputs near it: each is accepted or refused, never more."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.fuzz.targets import CORPUS, TARGETS, clean_up

CHANGES: Final = 12
"""Changed inputs of each file of the corpus."""
PARTS: Final = (b"", b"\0", b"\xff\xfe", b"[" * 500, b"-1", b"9" * 40, b"%", "\u0661".encode())


@pytest.fixture(scope="module", autouse=True)
def _files() -> Iterator[None]:
    yield
    clean_up()


def changed(data: bytes, dice: Random) -> bytes:
    """Return an input with bytes replaced, removed, repeated or inserted at one place."""
    at, size = dice.randrange(len(data) + 1), dice.choice((0, 1, 8, 100))
    part = dice.choice((*PARTS, dice.randbytes(2), data[at : at + size] * 2))
    return data[:at] + part + data[at + size :]


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_of_a_target_and_changes_of_them_raise_only_refusals(name: str) -> None:
    dice, target = Random(name), TARGETS[name]
    for path in sorted((CORPUS / name).iterdir()):
        data = path.read_bytes()
        target.try_one(data)
        for _ in range(CHANGES):
            target.try_one(changed(data, dice))


def test_every_folder_of_the_corpus_has_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*TARGETS}


@pytest.mark.parametrize("path", [CORPUS / "proof" / "whole", CORPUS / "bundle" / "whole.zip"])
def test_a_whole_proof_is_accepted(path: Path) -> None:
    assert TARGETS[path.parent.name].try_one(path.read_bytes())
