"""The files of an exported ledger, and how they are written: hashed, and durable when closed.

events.ndjson       every event in order, with its Merkle leaf
keys.ndjson         the idempotency keys, so that a retry after an import is recognised
checkpoints.ndjson  the signed checkpoints
contents.ndjson     every content that an event names; with its bytes up to 64 KiB
objects/ab/cd/<hex> the larger contents, a file each
ledger.json         the manifest; written last: without it, the export is incomplete
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
"""Bytes of the longest line: an event with its leaf, or a small content in base64."""


class LinesDigest(NamedTuple):
    """The number of lines in a file and the SHA-256 of its bytes, as the manifest has them."""

    lines: int
    sha256: str


class LinesFile:
    """A file of JSON lines that only its owner can read. It is durable when the block ends."""

    def __init__(self, path: Path) -> None:
        self._file: BufferedWriter = _create(path)
        self._hash, self._lines = hashlib.sha256(), 0

    def write(self, document: Any) -> None:
        """Append a JSON document as a line."""
        line = orjson.dumps(document) + b"\n"
        self._hash.update(line)
        self._lines += 1
        self._file.write(line)

    def write_all(self, documents: Iterable[Any]) -> None:
        """Append JSON documents, each as a line."""
        for document in documents:
            self.write(document)

    @property
    def digest(self) -> LinesDigest:
        """The number of lines so far, and their hash."""
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
    """Write these pieces to a new file, and make its bytes durable."""
    with _create(path) as file:
        file.writelines(pieces)
        _sync(file)


@contextmanager
def open_private(path: Path) -> Iterator[BufferedWriter]:
    """Open a file for writing that only its owner can read. Remove it if the block fails.

    A device or a pipe is opened as it is.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if is_file:
            os.fchmod(file.fileno(), 0o600)  # an existing file keeps its mode
        try:
            yield file
        except BaseException:
            if is_file:
                path.unlink(missing_ok=True)
            raise


def sync_folders(folder: Path) -> None:
    """Make the names of all files below a folder durable."""
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))


def _create(path: Path) -> BufferedWriter:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(file: BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())
