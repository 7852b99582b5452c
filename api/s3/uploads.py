"""Unfinished multipart uploads: a folder for each, with a file for each part.

A part is durable once it is answered. Uploads that got no part for a week are removed.
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.api.s3.errors import S3Error
from asset_ledger.ledger.content.staging import Spilled
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.errors import BusyError
from asset_ledger.ledger.ids import digest_from_hex
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
    number: int
    digest: str
    size: int
    path: Path
    stored_at: float


class MultipartUpload(NamedTuple):
    """An unfinished upload of a user: what it becomes, and its folder."""

    id: str
    user_id: str
    bucket: str
    key: str
    fields: Mapping[str, Any]
    began: float
    folder: Path


class MultipartUploads:
    """The unfinished uploads in a folder. Any thread may call; every call blocks."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def begin(self, user_id: str, bucket: str, key: str, fields: Mapping[str, Any]) -> str:
        """Begin an upload and return its id. Raises BusyError and the StorageFailedErrors."""
        if sum(each.user_id == user_id for each in self.all()) >= MAX_UPLOADS:
            reason = f"{MAX_UPLOADS:,} uploads are unfinished: complete or abort some"
            raise BusyError(reason, "unfinished-uploads")
        upload_id = secrets.token_hex(16)
        members = {"user_id": user_id, "bucket": bucket, "key": key, "fields": fields}
        with storage_errors("the upload was not begun"):
            make_folder(self._root / upload_id)
            text = json.dumps(members | {"began": time.time()})
            write_durably(self._root / upload_id / "upload.json", text.encode())
        return upload_id

    def all(self) -> Iterator[MultipartUpload]:
        """Yield every upload."""
        if self._root.is_dir():
            for folder in sorted(self._root.iterdir()):
                if (found := _read(folder)) is not None:
                    yield found

    def find(self, upload_id: str, user_id: str, bucket: str, key: str) -> MultipartUpload:
        """Return an upload of a user for a key. Raises S3Error."""
        found = _read(self._root / upload_id) if _ID.fullmatch(upload_id) else None
        if found is None or (found.user_id, found.bucket, found.key) != (user_id, bucket, key):
            raise S3Error("NoSuchUpload", "there is no such upload: it was completed or aborted")
        return found

    def keep(self, upload: MultipartUpload, number: int, staged: Staged) -> None:
        """Keep the bytes of a part, durably, in place of those sent before under its number."""
        name = f"{number:05d}-{staged.digest.removeprefix('sha256:')}"
        target = upload.folder / name
        with storage_errors(_FAILED):
            if not upload.folder.is_dir():
                raise S3Error("NoSuchUpload", "the upload was completed or aborted meanwhile")
            if isinstance(staged, Spilled):
                staged.file.publish(target)
                sync_folder(upload.folder)
            else:
                write_durably(target, staged.small or b"")
            for other in upload.folder.glob(f"{number:05d}-*"):
                if other != target:
                    other.unlink(missing_ok=True)

    def parts(self, upload: MultipartUpload) -> list[StoredPart]:
        """Return the parts of an upload, by number."""
        found = []
        for path in upload.folder.iterdir():
            if match := _PART.fullmatch(path.name):
                stat = path.stat()
                digest = digest_from_hex(match[2])
                found.append(StoredPart(int(match[1]), digest, stat.st_size, path, stat.st_mtime))
        return sorted(found)

    def remove(self, upload: MultipartUpload) -> None:
        """Remove an upload and its parts; the file that describes it first."""
        with storage_errors("the upload was not removed"):
            (upload.folder / "upload.json").unlink(missing_ok=True)
            shutil.rmtree(upload.folder, ignore_errors=True)

    def remove_old(self) -> None:
        """Remove the uploads that got no part for a week."""
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
    return MultipartUpload(folder.name, **found, folder=folder)
