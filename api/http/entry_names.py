"""Names of files in an archive: safe to unpack on any system, and never two alike.

Promise: no entry leaves the folder that the archive is unpacked in, or replaces another of it,
whatever the assets are called.
"""

import re
import unicodedata
from typing import Final

MAX_BYTES: Final = 200
"""Of one name, in UTF-8: file systems take 255, and a number may have to be added."""

MAX_PATH: Final = 4_000
"""Of a folder's path: what lies deeper is put into the deepest folder that has room."""

_EXTENSION: Final = 20
_UNSAFE: Final = re.compile(
    r'[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069/\\:*?"<>|]'
)
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


class EntryNames:
    """The names given out in one archive."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def take(self, folder: str, name: str) -> str:
        """A path in `folder` (which ends with a slash, or is empty) that no entry has yet."""
        stem, extension = _split(safe(name))
        path, number = f"{folder}{stem}{extension}", 1
        wanted = _compared(path)
        if wanted in self._taken:
            number = self._numbers.get(wanted, 1)
        while _compared(path) in self._taken:
            number += 1
            path = f"{folder}{stem} ({number}){extension}"
        self._numbers[wanted] = number
        self._taken.add(_compared(path))
        return path


def inside(path: str) -> str:
    """The folder part of names within the folder at this path."""
    above = path.rpartition("/")[0]
    return f"{path}/" if len(path.encode()) <= MAX_PATH else f"{above}/" if above else ""


def safe(name: str) -> str:
    """The name without what any system could take for more than a name."""
    text = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).rstrip(" .")
    if _DEVICE.fullmatch(text):
        text = f"_{text}"
    return shorten(text, MAX_BYTES) or "_"


def shorten(name: str, size: int) -> str:
    """The name in at most so many bytes of UTF-8, its extension kept."""
    stem, extension = _split(name)
    room = size - len(extension.encode())
    return stem.encode()[:room].decode(errors="ignore") + extension


def _split(name: str) -> tuple[str, str]:
    """A name and its extension, as far as it is one: short, and not all there is."""
    stem, dot, extension = name.rpartition(".")
    if stem.strip(".") and len(extension.encode()) < _EXTENSION:
        return stem, dot + extension
    return name, ""


def _compared(path: str) -> str:
    """What file systems that ignore case and forms hold for the same."""
    return unicodedata.normalize("NFC", path.casefold())
