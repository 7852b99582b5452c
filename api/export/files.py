"""The files of an exported ledger, as they are written: in lines, hashed, durable when closed.

events.ndjson        every event, in order, each with its leaf: the bytes that were hashed
keys.ndjson         the Idempotency-Keys, so that a retry is still one
checkpoints.ndjson  the signed checkpoints
contents.ndjson     every content that an event names; up to 64 KiB its bytes stand here
objects/ab/cd/<hex> the larger ones, a file each
ledger.json         what there has to be; written last: without it, nothing was exported
"""

import hashlib
import os
from collections.abc import Iterable
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import orjson

from asset_ledger.ledger.storage.files import sync_folder

FORMAT: Final = "asset-ledger-export/1"

MANIFEST: Final = "ledger.json"
EVENTS: Final = "events.ndjson"
KEYS: Final = "keys.ndjson"
CHECKPOINTS: Final = "checkpoints.ndjson"
CONTENTS: Final = "contents.ndjson"

MAX_LINE: Final = 1 << 20
"""How many bytes a line has at most: an event with its leaf, or a small content in base64."""


class LinesDigest(NamedTuple):
    """What the manifest says of a file of lines."""

    lines: int
    sha256: str


class LinesFile:
    """A file of JSON lines that only its owner can read; it is durable once it is left."""

    def __init__(self, path: Path) -> None:
        self._file: BufferedWriter = _create(path)
        self._hash, self._lines = hashlib.sha256(), 0

    def write(self, document: Any) -> None:
        """One more line."""
        line = orjson.dumps(document) + b"\n"
        self._hash.update(line)
        self._lines += 1
        self._file.write(line)

    @property
    def told(self) -> LinesDigest:
        """How many lines, and which."""
        return LinesDigest(self._lines, self._hash.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file as file:
            if failure is None:
                _sync(file)


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file of these pieces, and make its bytes durable."""
    with _create(path) as file:
        file.writelines(pieces)
        _sync(file)


def sync_folders(folder: Path) -> None:
    """Make every name below a folder durable."""
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))


def _create(path: Path) -> BufferedWriter:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(file: BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())
