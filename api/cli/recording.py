"""Record local files: each as a new asset, as a new version, or not again.

Promise: the same command records nothing twice: repeated, killed and started again, or run twice at
once. A file is known if its folder has an asset with its name and bytes, and with the job, node,
workflow and sources of the command, as far as they are given. Of two commands at once, both send
one Idempotency-Key.
"""

import asyncio
import hashlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from mimetypes import guess_type
from typing import Any, Final, Protocol
from urllib.parse import quote

import orjson

from asset_ledger.api.cli.local_files import LocalFile
from asset_ledger.api.cli.naming import children, is_folder
from asset_ledger.api.contract.errors import ForbiddenError, UnauthenticatedError
from asset_ledger.api.sdk.content import UploadContent, opened
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.ledger.errors import AssetDeletedError, DigestMismatchError, RefusedError
from asset_ledger.ledger.ids import Digest

NEW, CHANGED, KNOWN = "new", "changed", "known"

TRIES: Final = 3
"""Attempts to send a file that other programs write meanwhile."""

NAMES: Final = 50
NAME_BYTES: Final = 4_096
"""The most names, and bytes of names in a URL, of one request for the assets of a folder."""


class Report(Protocol):
    """Takes the outcome of each file."""

    def recorded(self, file: LocalFile, outcome: str, asset: Document) -> None:
        """Take the asset of a file."""

    def missed(self, path: str, reason: str) -> None:
        """Take why a file was not recorded."""

    def sent(self, size: int) -> None:
        """Take the number of bytes that were sent or were known."""


@dataclass(frozen=True, kw_only=True)
class FileLabel:
    """The fields that a command gives to its assets. None and () are not given."""

    job_id: str | None = None
    node_id: str | None = None
    workflow_id: str | None = None
    tags: Sequence[str] = ()
    derived_from: Sequence[str] = ()
    content_type: str | None = None

    def fits(self, asset: Document) -> bool:
        """Return whether a file that is recorded with this label can be this asset."""
        given = {"job_id": self.job_id, "node_id": self.node_id, "workflow_id": self.workflow_id}
        return (
            not is_folder(asset)
            and "deleted_at" not in asset
            and all(asset[name] == value for name, value in given.items() if value is not None)
            and set(self.derived_from) <= {*asset["derived_from"]}
        )

    def fields(self, name: str) -> dict[str, Any]:
        """Return the fields of a new asset."""
        return {
            "name": name,
            "content_type": self.content_type or guess_type(name)[0],
            "job_id": self.job_id,
            "node_id": self.node_id,
            "workflow_id": self.workflow_id,
            "tags": list(self.tags) or None,
            "derived_from": list(self.derived_from) or None,
        }


@dataclass
class Recorder:
    """Records files in a ledger. With `sync`, a changed file becomes a new version."""

    gateway: Gateway
    label: FileLabel
    report: Report
    sync: bool = False
    _folders: dict[tuple[str, ...], str] = field(default_factory=lambda: {(): ""})

    async def record(self, files: Sequence[LocalFile], concurrency: int) -> None:
        """Record files, `concurrency` at a time.

        A refused file is reported, and the others are recorded. Raises UnavailableError, and
        errors that concern every file.
        """
        slots = asyncio.Semaphore(concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                async for file, folder, named in self._looked_up(files):
                    await slots.acquire()
                    task = group.create_task(self._record(file, folder, named))
                    task.add_done_callback(lambda _: slots.release())
        except BaseExceptionGroup as failures:  # the others follow from the first
            raise failures.exceptions[0] from None

    async def _looked_up(
        self, files: Iterable[LocalFile]
    ) -> AsyncGenerator[tuple[LocalFile, str, list[Document]]]:
        """Yield each file with the id of its folder, and the assets that have its name there."""
        for batch in _batches(files):
            folder = await self._folder(batch[0].folders)
            names = {file.name for file in batch}
            found = await children(self.gateway, folder, sorted(names), deleted="any")
            for file in batch:
                yield file, folder, [each for each in found if each["name"] == file.name]

    async def _folder(self, names: tuple[str, ...]) -> str:
        """Return the id of the folder with this path, which is created if it is absent."""
        if names not in self._folders:
            above, name = await self._folder(names[:-1]), names[-1]
            found = await children(self.gateway, above, [name], deleted="any")
            live = [each for each in found if is_folder(each) and "deleted_at" not in each]
            folder = live[0] if live else await self._created_folder(above, name, found)
            self._folders[names] = str(folder["id"])
        return self._folders[names]

    async def _created_folder(self, above: str, name: str, found: Sequence[Document]) -> Document:
        fields = {"name": name, "content_type": "folder", "parent_id": above or None}
        return await self._created(fields, None, found)

    async def _record(self, file: LocalFile, folder: str, named: Sequence[Document]) -> None:
        reported = 0

        def sent(size: int) -> None:
            nonlocal reported
            reported += size
            self.report.sent(size)

        try:
            outcome, asset = await self._sent(file, folder, named, sent)
            self.report.recorded(file, outcome, asset)
        except (UnauthenticatedError, ForbiddenError):
            raise  # no other file would be recorded
        except OSError as error:
            self.report.missed(file.shown, str(error.strerror or error))
        except (RefusedError, ValueError) as error:
            self.report.missed(file.shown, str(error))
        self.report.sent(file.size - reported)

    async def _sent(
        self,
        file: LocalFile,
        folder: str,
        named: Sequence[Document],
        sent: Callable[[int], None],
    ) -> tuple[str, Document]:
        """Record one file. Tries again if it changed while it was sent."""
        for attempt in range(1, TRIES + 1):
            try:
                async with _content(file, sent) as content:
                    return await self._known_or_new(file, folder, named, content)
            except (DigestMismatchError, ValueError) as error:
                if attempt == TRIES or file.path is None:
                    raise ValueError("it changed while it was sent: put it again") from error
        raise AssertionError  # pragma: no cover

    async def _known_or_new(
        self, file: LocalFile, folder: str, named: Sequence[Document], content: "Metered"
    ) -> tuple[str, Document]:
        digest = await content.digest()
        fitting = [each for each in named if self.label.fits(each)]
        for each in fitting:
            if each["digest"] == digest:
                return await self._known(each)
            if self.sync:
                return CHANGED, await self.gateway.replace(each["id"], content, digest)
        fields = self.label.fields(file.name) | {
            "parent_id": folder or None,
            "size": content.size,
            "digest": digest,
        }
        return NEW, await self._created(fields, content, named)

    async def _created(
        self, fields: dict[str, Any], content: UploadContent | None, named: Sequence[Document]
    ) -> Document:
        """Create an asset; of two commands at once, the second gets the asset of the first.

        The key of an asset that was renamed or moved since is the same: then send another one.
        """
        beside = [*named]
        while True:
            head = await self.gateway.position()
            created = await self.gateway.create(fields, content, key=_key(fields, beside))
            if created["position"] > head or await self._is_in_place(created):
                return created
            beside.append(created)

    async def _is_in_place(self, created: Document) -> bool:
        """Return whether an asset still has the name and the folder that it was created with."""
        try:
            present = await self.gateway.find(created["id"])
        except AssetDeletedError:
            return False
        return all(present[name] == created[name] for name in ("name", "parent_id"))

    async def _known(self, asset: Document) -> tuple[str, Document]:
        """Return an asset that has the bytes already, with the tags that it lacked."""
        lacking = [tag for tag in self.label.tags if tag not in asset["tags"]]
        if not lacking:
            return KNOWN, asset
        tags = {"tags": [*asset["tags"], *lacking]}
        return CHANGED, await self.gateway.update(asset["id"], tags, asset["version"])


class Metered(UploadContent):
    """A content that reports how much of it was sent. Its digest is of the bytes to be sent."""

    def __init__(self, content: UploadContent, sent: Callable[[int], None]) -> None:
        self._content, self._sent = content, sent
        self.size = content.size

    async def digest(self) -> Digest:
        return await self._content.digest()

    async def chunks(self, offset: int = 0) -> AsyncIterator[bytes]:
        async for piece in self._content.chunks(offset):
            yield piece
            self._sent(len(piece))


@asynccontextmanager
async def _content(file: LocalFile, sent: Callable[[int], None]) -> AsyncGenerator[Metered]:
    """Open a file to be sent: standard input and pipes are copied first. Raises OSError."""
    if file.path is None:
        async with opened(sys.stdin.buffer) as content:
            yield Metered(content, sent)
        return
    with await asyncio.to_thread(file.path.open, "rb") as stream:
        async with opened(stream) as content:
            yield Metered(content, sent)


def _batches(files: Iterable[LocalFile]) -> Iterator[list[LocalFile]]:
    """Yield files of one folder each, so many that their names fit into one request."""
    batch: list[LocalFile] = []
    size = 0
    for file in files:
        length = len(
            quote(
                file.name,
            )
        )
        full = len(batch) == NAMES or size + length > NAME_BYTES
        if batch and (full or batch[0].folders != file.folders):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += length
    if batch:
        yield batch


def _key(fields: dict[str, Any], named: Sequence[Document]) -> str:
    """Return the key of a new asset: the same for the same fields beside the same assets."""
    beside = sorted((each["id"], each["version"]) for each in named)
    return hashlib.sha256(orjson.dumps([fields, beside])).hexdigest()
