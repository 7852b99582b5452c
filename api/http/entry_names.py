"""File names in an archive: safe to unpack on any system, each different from the others.

Promise: whatever the assets' names, unpacking writes no file outside the target folder, and no
entry overwrites another.
"""

import re
import unicodedata
from hashlib import blake2b
from typing import Final

MAX_BYTES: Final = 200
"""Bytes of one name in UTF-8: file systems allow 255, and a number may be appended."""

MAX_PATH: Final = 4_000
"""Bytes of a folder's path. Deeper entries go into the deepest folder within the limit."""

MAX_ZIPPED: Final = 800
"""The same in a zip: macOS allows 1,024 for an entry."""

_EXTENSION: Final = 20
_UNSAFE: Final = re.compile(
    r'[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069/\\:*?"<>|]'
)
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


class EntryNames:
    """The names used in one archive, as hashes: paths of 100,000 entries would take 100 MB."""

    def __init__(self) -> None:
        self._taken: set[bytes] = set()
        self._numbers: dict[bytes, int] = {}

    def take(self, folder: str, name: str) -> str:
        """Return an unused path in `folder`, which ends with a slash or is empty."""
        stem, extension = _split(safe(name))
        path, number = f"{folder}{stem}{extension}", 1
        first = _compared(path)
        if first in self._taken:
            number = self._numbers.get(first, 1)
        while _compared(path) in self._taken:
            number += 1
            path = f"{folder}{stem} ({number}){extension}"
        if number > 1:
            self._numbers[first] = number
        self._taken.add(_compared(path))
        return path


def inside(path: str, most: int = MAX_PATH) -> str:
    """Return the prefix of the names inside the folder at this path, of at most so many bytes."""
    above = path.rpartition("/")[0]
    return f"{path}/" if len(path.encode()) <= most else f"{above}/" if above else ""


def safe(name: str) -> str:
    """Return a name without separators, control characters and device names of any system."""
    text = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).rstrip(" .")
    if _DEVICE.fullmatch(text):
        text = f"_{text}"
    return shorten(text, MAX_BYTES) or "_"


def shorten(name: str, size: int) -> str:
    """Cut a name to `size` bytes of UTF-8, before its extension."""
    stem, extension = _split(name)
    room = size - len(extension.encode())
    return stem.encode()[:room].decode(errors="ignore") + extension


def _split(name: str) -> tuple[str, str]:
    """Split a name into stem and extension; a long extension, or one without a stem, is none."""
    stem, dot, extension = name.rpartition(".")
    if stem.strip(".") and len(extension.encode()) < _EXTENSION:
        return stem, dot + extension
    return name, ""


def _compared(path: str) -> bytes:
    """Return the hash of the form in which file systems that ignore case and Unicode forms compare
    paths."""
    form = unicodedata.normalize("NFC", path.casefold())
    return blake2b(form.encode(), digest_size=16).digest()
