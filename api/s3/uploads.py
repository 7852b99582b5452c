"""Unfinished multipart uploads of a data folder: a folder for each, with a file for each part.

A part is durable once it is answered. Uploads that got no part for a week are removed.
"""

import asyncio
import json
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from asset_ledger.api.s3.errors import S3Error
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.content.staging import Spilled
from asset_ledger.ledger.content.store import Stage, Staged
from asset_ledger.ledger.errors import BusyError
from asset_ledger.ledger.ids import Digest, digest_from_hex
from asset_ledger.ledger.storage.files import (
    make_folder,
    storage_errors,
    sync_folder,
    write_durably,
)

LIFE: Final = 7 * 86_400
"""Seconds without a new part after which an unfinished upload is removed."""
MAX_PARTS: Final = 10_000
MAX_UPLOADS: Final = 1_000
"""Unfinished uploads of one user."""
CHUNK: Final = 1 << 20

_ID: Final = re.compile("[0-9a-f]{32}")
_PART: Final = re.compile("([0-9]{5})-([0-9a-f]{64})")
_FAILED: Final = "the part was not stored"


class StoredPart(NamedTuple):
    """A part that was received. `url`: see `UploadPart`."""

    number: int
    digest: Digest
    size: int
    stored_at: float
    url: str | None = None


class MultipartUpload(NamedTuple):
    """An unfinished upload of a user, and what it becomes."""

    id: str
    user_id: str
    bucket: str
    key: str
    fields: Mapping[str, Any]
    began: float


class MultipartUploads(Protocol):
    """Stores unfinished uploads, for one event loop. Its methods raise StorageFailedErrors."""

    async def begin(self, user_id: str, bucket: str, key: str, fields: Mapping[str, Any]) -> str:
        """Begin an upload and return its id. Raises BusyError."""

    async def all(self) -> Sequence[MultipartUpload]:
        """Return every upload."""

    async def find(self, upload_id: str, user_id: str, bucket: str, key: str) -> MultipartUpload:
        """Return an upload of a user for a key. Raises S3Error."""

    def stage(self, contents: CheckedContents) -> Stage:
        """Begin to receive a part."""

    async def keep(self, upload: MultipartUpload, number: int, staged: Staged) -> None:
        """Keep the bytes of a part, durably, in place of those sent before under its number."""

    async def parts(self, upload: MultipartUpload) -> Sequence[StoredPart]:
        """Return the parts of an upload, by number."""

    def read(self, upload: MultipartUpload, part: StoredPart) -> AsyncIterator[bytes]:
        """Yield the bytes of a part. Raises S3Error if it was replaced meanwhile."""

    async def remove(self, upload: MultipartUpload) -> None:
        """Remove an upload and its parts."""

    async def remove_old(self) -> None:
        """Remove the uploads that got no part for a week."""


def check_number(uploads: int) -> None:
    """Raise BusyError if a user cannot begin another upload."""
    if uploads >= MAX_UPLOADS:
        reason = f"{MAX_UPLOADS:,} uploads are unfinished: complete or abort some"
        raise BusyError(reason, "unfinished-uploads")


def no_such_upload(when: str = "") -> S3Error:
    """Refuse an upload that is not there."""
    return S3Error("NoSuchUpload", f"there is no such upload: it was completed or aborted{when}")


def replaced(part: StoredPart) -> S3Error:
    """Refuse a part that is not there any more."""
    return S3Error("InvalidPart", f"part {part.number} was replaced meanwhile")


class FolderMultipartUploads:
    """The unfinished uploads in a folder. See `MultipartUploads` for the methods."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def begin(self, user_id: str, bucket: str, key: str, fields: Mapping[str, Any]) -> str:
        """Begin an upload and return its id. Raises BusyError."""
        return await asyncio.to_thread(self._begin, user_id, bucket, key, fields)

    async def all(self) -> Sequence[MultipartUpload]:
        """Return every upload."""
        return await asyncio.to_thread(lambda: [*self._all()])

    async def find(self, upload_id: str, user_id: str, bucket: str, key: str) -> MultipartUpload:
        """Return an upload of a user for a key. Raises S3Error."""
        found = None
        if _ID.fullmatch(upload_id):
            found = await asyncio.to_thread(_read, self._root / upload_id)
        if found is None or (found.user_id, found.bucket, found.key) != (user_id, bucket, key):
            raise no_such_upload()
        return found

    def stage(self, contents: CheckedContents) -> Stage:
        """Begin to receive a part."""
        return contents.local_stage()

    async def keep(self, upload: MultipartUpload, number: int, staged: Staged) -> None:
        """Keep the bytes of a part, durably, in place of those sent before under its number."""
        await asyncio.to_thread(self._keep, upload, number, staged)

    async def parts(self, upload: MultipartUpload) -> Sequence[StoredPart]:
        """Return the parts of an upload, by number."""
        return await asyncio.to_thread(self._parts, upload)

    async def read(self, upload: MultipartUpload, part: StoredPart) -> AsyncIterator[bytes]:
        """Yield the bytes of a part. Raises S3Error if it was replaced meanwhile."""
        path = self._root / upload.id / _name(part.number, part.digest)
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except FileNotFoundError as error:
            raise replaced(part) from error
        with file:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk

    async def remove(self, upload: MultipartUpload) -> None:
        """Remove an upload and its parts."""
        await asyncio.to_thread(self._remove, upload)

    async def remove_old(self) -> None:
        """Remove the uploads that got no part for a week."""
        await asyncio.to_thread(self._remove_old)

    def _begin(self, user_id: str, bucket: str, key: str, fields: Mapping[str, Any]) -> str:
        check_number(sum(each.user_id == user_id for each in self._all()))
        upload_id = secrets.token_hex(16)
        members = {"user_id": user_id, "bucket": bucket, "key": key, "fields": fields}
        with storage_errors("the upload was not begun"):
            make_folder(self._root / upload_id)
            text = json.dumps(members | {"began": time.time()})
            write_durably(self._root / upload_id / "upload.json", text.encode())
        return upload_id

    def _all(self) -> Iterator[MultipartUpload]:
        if self._root.is_dir():
            for folder in sorted(self._root.iterdir()):
                if (found := _read(folder)) is not None:
                    yield found

    def _keep(self, upload: MultipartUpload, number: int, staged: Staged) -> None:
        folder = self._root / upload.id
        target = folder / _name(number, staged.digest)
        with storage_errors(_FAILED):
            if not folder.is_dir():
                raise no_such_upload(" meanwhile")
            if isinstance(staged, Spilled):
                staged.file.publish(target)
                sync_folder(folder)
            else:
                write_durably(target, staged.small or b"")
            for other in folder.glob(f"{number:05d}-*"):
                if other != target:
                    other.unlink(missing_ok=True)

    def _parts(self, upload: MultipartUpload) -> list[StoredPart]:
        found = []
        for path in (self._root / upload.id).iterdir():
            if match := _PART.fullmatch(path.name):
                stat = path.stat()
                digest = digest_from_hex(match[2])
                found.append(StoredPart(int(match[1]), digest, stat.st_size, stat.st_mtime))
        return sorted(found)

    def _remove(self, upload: MultipartUpload) -> None:
        folder = self._root / upload.id
        with storage_errors("the upload was not removed"):
            (folder / "upload.json").unlink(missing_ok=True)  # first: without it there is none
            shutil.rmtree(folder, ignore_errors=True)

    def _remove_old(self) -> None:
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            with suppress(FileNotFoundError):  # it was completed at this moment
                if time.time() - folder.stat().st_mtime > LIFE:
                    shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path) -> MultipartUpload | None:
    """Return the upload in a folder; None if there is none, or if it is being removed."""
    try:
        found = json.loads((folder / "upload.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return MultipartUpload(folder.name, **found)


def _name(number: int, digest: str) -> str:
    return f"{number:05d}-{digest.removeprefix('sha256:')}"
