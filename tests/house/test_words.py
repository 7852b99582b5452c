"""The language rules of CONTRIBUTING that a machine can check: banned words in source."""

import re
from collections.abc import Iterable, Iterator

import pytest

from tests.house.source import PRODUCT, Module, modules, planted

BANNED = re.compile(
    r"\b(?:who|whoever|whom|somebody|nobody|anybody|everybody|heard|facts?)\b", re.IGNORECASE
)
"""A component has a name: caller, client, server, committer, projection, reader, subscriber."""

ALLOWED: dict[str, tuple[str, ...]] = {
    "tests/house/test_words.py": ("",),  # it has to spell out what it looks for
}
"""Sentences, by file, in which such a word stands for a person, or is quoted."""


def banned_words(all_modules: Iterable[Module]) -> Iterator[str]:
    for module in all_modules:
        allowed = ALLOWED.get(str(module.path), ())
        for number, line in enumerate(module.text.splitlines(), 1):
            if BANNED.search(line) and not any(part in line for part in allowed):
                yield f"{module.path}:{number} {line.strip()}"


@pytest.mark.parametrize("folder", [*PRODUCT, "integrations", "tests", "examples", "benchmarks"])
def test_no_sentence_has_a_banned_word(folder: str) -> None:
    assert list(banned_words(modules(folder))) == []


@pytest.mark.parametrize(
    "line",
    [
        "# who shares a failed transaction is tried again alone",
        '"""Nobody is answered before COMMIT."""',
        "def test_whoever_waits() -> None: ...  # whoever",
    ],
)
def test_a_banned_word_is_found(line: str) -> None:
    assert len(list(banned_words([planted("ledger/x.py", line)]))) == 1


def test_a_word_that_holds_a_banned_one_is_allowed() -> None:
    line = "whole = factory(default_factory=list)  # wholly artifacts"

    assert list(banned_words([planted("ledger/x.py", line)])) == []
