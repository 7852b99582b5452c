"""Object stores by obstore: S3, Google Cloud Storage, Azure, or a folder that servers share.

Credentials are those of the environment, as each provider names them (`AWS_ACCESS_KEY_ID` ...).
Promise: every request ends within its deadline, with StoreUnavailableError if the store failed.
"""

import asyncio
import errno
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore import store
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from asset_ledger.ledger.errors import DataFolderError, StoreUnavailableError
from asset_ledger.ledger.storage.files import sync_folder

PART: Final = 8 << 20
"""Bytes that are sent at once. A larger object arrives in up to 10,000 such parts: 80 GB."""

DEADLINE: Final = 30.0
"""Seconds that one request may take, with its retries. Sending a part may take three times that."""

PATIENCE: Final = 600.0
"""The same for commands."""

PREFIX: Final = "objects"
"""The first part of the names of objects."""
PIECE: Final = 1 << 20

RETRIES: Final = 3
_S3: Final = ("s3", "s3a")
_REMOTE: Final = (*_S3, "gs", "az", "azure", "abfs", "abfss")
_MESSAGE: Final = re.compile("<Message>([^<]+)")
_UNFINISHED: Final = re.compile(r"#\d+$")

logger = logging.getLogger(__name__)


def open_store(url: str, deadline: float = DEADLINE, retries: int = RETRIES) -> store.ObjectStore:
    """Open the store at a URL such as s3://bucket/prefix, gs://, az:// or file:///folder.

    A request takes at most twice the deadline, in seconds. Raises DataFolderError for another URL.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return LocalStore(prefix=_folder_at(url), mkdir=True)
    if scheme not in _REMOTE:
        raise DataFolderError(
            f"{url} is not an object store: use s3://, gs:// or az://, or the path of a folder"
        )
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    options: dict[str, Any] = {"checksum_algorithm": "SHA256"} if scheme in _S3 else {}
    return from_url(
        url,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "timeout": timedelta(seconds=2 * deadline),
        },
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=deadline / 3)},
        **options,
    )


def url_of(named: str) -> str:
    """Return the URL of a store that is named by it, or by the path of a folder."""
    return named.rstrip("/") if "://" in named else Path(named).absolute().as_uri()


def reason_of(error: BaseException) -> str:
    """Return what a store answered, in one line."""
    found = _MESSAGE.search(str(error))
    return found[1] if found else str(error).partition("\n")[0]


def split_url(url: str) -> tuple[str, str]:
    """Return the URL of a store, and the name of an object in it."""
    base, prefix, rest = url.rpartition(f"/{PREFIX}/")
    return base, prefix[1:] + rest


class ObjectReader:
    """Reads objects by their URLs, for threads and commands, which are in no hurry."""

    def __init__(self, deadline: float = PATIENCE) -> None:
        self._stores, self._deadline = dict[str, store.ObjectStore](), deadline

    def size(self, url: str) -> int:
        """Return the bytes of an object. Raises FileNotFoundError and OSError."""
        opened, name = self._find(url)
        with _as_oserror():
            return int(obstore.head(opened, name)["size"])

    def pieces(self, url: str) -> Iterator[bytes]:
        """Yield an object in pieces of about 1 MiB. Raises FileNotFoundError and OSError."""
        opened, name = self._find(url)
        with _as_oserror():
            for piece in obstore.get(opened, name).stream(min_chunk_size=PIECE):
                yield bytes(piece)

    def _find(self, url: str) -> tuple[store.ObjectStore, str]:
        base, name = split_url(url)
        if base not in self._stores:
            with _as_oserror():
                self._stores[base] = open_store(base, self._deadline)
        return self._stores[base], name


class ObjectStore:
    """The objects of one store, for one event loop."""

    def __init__(self, named: str, deadline: float = DEADLINE) -> None:
        """`named`: a URL, see `open_store`, or the path of a folder. Raises DataFolderError if it
        cannot be used."""
        self.url = url = url_of(named)
        self._deadline = deadline
        self._folder = _folder_at(url) if urlsplit(url).scheme == "file" else None
        try:
            self._store = open_store(url, deadline)
        except (BaseError, OSError, ValueError) as error:
            raise DataFolderError(f"the store {url} cannot be used: {reason_of(error)}") from error

    def has(self, prefix: str) -> bool:
        """Return whether a folder has, or once had, objects with a prefix. True for a bucket."""
        return self._folder is None or self._folder.joinpath(prefix).is_dir()

    def writer(self, name: str) -> "ObjectWriter":
        """Begin a new object, which exists once its writer is closed."""
        return ObjectWriter(self, name)

    async def size(self, name: str) -> int | None:
        """Return the bytes of an object; None if there is none."""
        try:
            with self.errors():
                async with asyncio.timeout(self._deadline):
                    return int((await obstore.head_async(self._store, name))["size"])
        except FileNotFoundError:
            return None

    async def read(self, name: str, start: int, length: int) -> memoryview:
        """Return bytes of an object; fewer at its end. Raises FileNotFoundError."""
        with self.errors():
            async with asyncio.timeout(self._deadline):
                found = obstore.get_range_async(self._store, name, start=start, length=length)
                return memoryview(await found)

    async def old(self, prefix: str, age: timedelta) -> AsyncIterator[list[str]]:
        """Yield pages of the names under a prefix that were not changed for this long."""
        limit = time.time() - age.total_seconds()
        pages = obstore.list(self._store, prefix=prefix, chunk_size=1_000)
        while True:
            with self.errors():
                async with asyncio.timeout(self._deadline):
                    page = await anext(pages, None)
            if page is None:
                return
            yield [str(o["path"]) for o in page if o["last_modified"].timestamp() < limit]

    async def delete(self, names: Sequence[str]) -> None:
        """Delete objects; absent ones are no error."""
        with self.errors():
            async with asyncio.timeout(self._deadline):
                with suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, list(names))

    def remove_unfinished(self, prefix: str, age: timedelta) -> None:
        """Remove what killed writers left in a folder. Blocks. In a bucket, a lifecycle rule does.

        obstore lists no such file.
        """
        limit = time.time() - age.total_seconds()
        for path in self._folder.joinpath(prefix).rglob("*#*") if self._folder else ():
            with suppress(FileNotFoundError):
                if _UNFINISHED.search(path.name) and path.stat().st_mtime < limit:
                    path.unlink()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise failures of the store in this block as StoreUnavailableError."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError, TimeoutError, ValueError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else reason_of(error)
            logger.warning("the content store %s failed: %s", self.url, reason)
            raise StoreUnavailableError from error


class ObjectWriter:
    """Sends one object, with at most two parts of it in memory: up to 8 MiB at once, at its end.

    One task at a time calls it. Promise: once `abort` returns, a store that works has no part.
    """

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store, self._name = store, name
        self._file = obstore.open_writer_async(
            store._store, name, buffer_size=PART, max_concurrency=1
        )
        self._is_open = True

    async def write(self, pieces: Iterable[bytes]) -> None:
        """Send the next bytes. Waits while the part before the last is under way."""
        with self._store.errors():
            async with asyncio.timeout(3 * self._store._deadline):
                for piece in pieces:
                    await self._file.write(piece)

    async def close(self) -> None:
        """Make the object, durably."""
        with self._store.errors():
            async with asyncio.timeout(3 * self._store._deadline):
                await self._file.close()
            self._is_open = False
            if self._store._folder is not None:  # obstore does not sync
                await asyncio.to_thread(_sync, self._store._folder, self._name)

    async def abort(self) -> None:
        """Drop what was sent. A store that fails is left with it. Harmless after `close`."""
        if not self._is_open:
            return
        self._is_open = False
        with suppress(StoreUnavailableError, _AbortError), self._store.errors():
            async with asyncio.timeout(self._store._deadline), self._file:
                raise _AbortError


class _AbortError(Exception):
    """Makes obstore abort an upload."""


@contextmanager
def _as_oserror() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except (BaseError, ValueError, DataFolderError) as error:
        raise OSError(errno.EIO, f"the store failed: {reason_of(error)}") from error


def _folder_at(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


def _sync(folder: Path, name: str) -> None:
    """Make a file, and the names that lead to it, durable. Raises OSError."""
    path = folder / name
    with path.open("rb") as file:
        os.fsync(file.fileno())
    for parent in path.parents:
        sync_folder(parent)
        if parent == folder:
            return
