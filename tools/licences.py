"""The licences of the locked packages, and those that are allowed: offline, from what is installed.

`python -m tools.licences` prints each package whose licence is not allowed, and fails then.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
RUNTIME: Final = ROOT / "requirements.lock"
DEV: Final = ROOT / "requirements-dev.lock"

ALLOWED: Final = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0"),
        *("MIT-CMU", "MPL-2.0", "OFL-1.1", "PSF-2.0", "Unlicense", "Zlib"),
    }
)
"""SPDX names. MPL-2.0 covers its own files only, OFL-1.1 fonts."""

EXCEPTIONS: Final[Mapping[str, str]] = {
    "psycopg": "LGPL-3.0-only",  # the extra `postgresql`, unmodified: decision 39
    "psycopg-binary": "LGPL-3.0-only",
    "pymerkle": "GPL-3.0-or-later",  # an oracle for tests, never imported by the product
}
"""Packages of an extra, or of the tests alone, with another licence."""

_CLASSIFIERS: Final[Mapping[str, str]] = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_PIN: Final = re.compile(r"^([\w.-]+)==([\w.!+]+)", re.MULTILINE)


def pins(lock: Path) -> dict[str, str]:
    """Return the version of each package in a lock, by its name."""
    return dict(_PIN.findall(lock.read_text("utf-8")))


def licence_of(name: str) -> str | None:
    """Return the SPDX expression of an installed package; None if it does not say it."""
    found = metadata(name)
    for expression in found.get_all("License-Expression", []):
        return str(expression)
    classifiers = [text.split(" :: ")[-1] for text in found.get_all("Classifier", [])]
    known = [_CLASSIFIERS[each] for each in classifiers if each in _CLASSIFIERS]
    given = (_CLASSIFIERS.get(text, text) for text in found.get_all("License", []))
    texts = [text for text in given if text in ALLOWED]
    return " AND ".join(known or texts) or None


def is_allowed(expression: str) -> bool:
    """Return whether each part of an SPDX expression is allowed, or an alternative in brackets."""
    parts = re.split(r"\s+AND\s+(?![^(]*\))", expression)
    return all(_is_one_allowed(part.strip("() ")) for part in parts)


def _is_one_allowed(part: str) -> bool:
    return any(each.strip() in ALLOWED for each in part.split(" OR "))


def refused(lock: Path, exceptions: Mapping[str, str] = {}) -> Iterator[str]:
    """Yield a line for each package of a lock whose licence is unknown, or not allowed."""
    for name in pins(lock):
        try:
            licence = licence_of(name)
        except PackageNotFoundError:
            yield f"{name} is not installed: its licence is unknown"
            continue
        if licence is None:
            yield f"{name} does not say its licence"
        elif not is_allowed(licence) and exceptions.get(name) != licence:
            yield f"{name} has the licence {licence}"


if __name__ == "__main__":
    wrong = [*refused(RUNTIME), *refused(DEV, EXCEPTIONS)]
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)
