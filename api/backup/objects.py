"""The objects of an object store under a prefix: S3, Google Cloud Storage, Azure, by obstore.

Credentials are those of the environment, as each provider names them (`AWS_ACCESS_KEY_ID` ...).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError

from asset_ledger.api.imports.errors import SourceError
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.object_store import open_store, reason_of

_CHUNK: Final = 16 << 20
_PARTS: Final = 9_000
"""Parts of one upload: stores take 10,000."""

_AT_ONCE: Final = 4
_DEADLINE, _RETRIES = 600.0, 10
"""Nothing waits for a backup: it bears with a store that is away for minutes."""

_PIECE: Final = 1 << 20


class Objects:
    """The objects of one bucket under the prefix in a URL such as s3://bucket/prefix."""

    def __init__(self, url: str) -> None:
        """Raises SourceError for a URL of another kind, or without credentials."""
        self._url = url
        try:
            with self._errors():
                self._store = open_store(url, _DEADLINE, _RETRIES)
        except DataFolderError as error:
            raise SourceError(str(error)) from error

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the names under a prefix, and their sizes in bytes. Raises SourceError."""
        with self._errors():
            pages = obstore.list(self._store, prefix=prefix, chunk_size=1000)
            return {str(each["path"]): int(each["size"]) for page in pages for each in page}

    def size(self, name: str) -> int | None:
        """Return the bytes of an object; None if there is none. Raises SourceError."""
        try:
            with self._errors():
                return int(obstore.head(self._store, name)["size"])
        except FileNotFoundError:
            return None

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of an object. Raises FileNotFoundError, SourceError."""
        with self._errors():
            for piece in obstore.get(self._store, name).stream(min_chunk_size=_PIECE):
                yield bytes(piece)

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object to a file. Raises FileNotFoundError, SourceError."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.writelines(self.pieces(name))

    def put(self, name: str, file: Path) -> None:
        """Store a file as an object, whole or not at all. Raises SourceError."""
        self.write(name, file.stat().st_size, _read(file))

    def write(self, name: str, size: int, pieces: Iterator[bytes]) -> None:
        """Store pieces likewise. Raises SourceError, and what `pieces` raises."""
        chunk = max(_CHUNK, size // _PARTS)
        # `obstore.put` would read the pieces while it runs, when obstore cannot read an object.
        with (
            self._errors(),
            obstore.open_writer(
                self._store, name, buffer_size=chunk, max_concurrency=_AT_ONCE
            ) as file,
        ):
            for piece in pieces:
                file.write(piece)

    def delete(self, *names: str) -> None:
        """Delete objects; absent ones are no error. Raises SourceError."""
        with self._errors():
            obstore.delete(self._store, list(names))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BaseError as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise SourceError(f"{self._url}: {reason_of(error)}") from error


class LargeObjects:
    """`LargeContents` in an object store, an object each."""

    def __init__(self, objects: Objects, names: ContentFolder, root: Path) -> None:
        self._objects, self._names, self._root = objects, names, root

    def pieces(self, digest: Digest) -> Iterator[bytes]:
        """Yield a content in pieces. Raises FileNotFoundError, SourceError."""
        return self._objects.pieces(self._name(digest))

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether a content of this size is there. Raises SourceError."""
        return self._objects.size(self._name(digest)) == size

    def write(self, digest: Digest, size: int, pieces: Iterator[bytes]) -> None:
        """Store a content, once the last piece is read. Raises SourceError."""
        self._objects.write(self._name(digest), size, pieces)

    def delete(self, digest: Digest) -> int:
        """Delete a content, if it is there. Return its bytes. Raises SourceError."""
        size = self._objects.size(self._name(digest))
        if size is not None:
            self._objects.delete(self._name(digest))
        return size or 0

    def _name(self, digest: Digest) -> str:
        return self._names.object(digest).relative_to(self._root).as_posix()


def _read(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece
