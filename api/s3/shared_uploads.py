"""Unfinished multipart uploads in a database and a store: any of its servers continues them."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from asset_ledger.api.s3.uploads import (
    LIFE,
    MultipartUpload,
    StoredPart,
    check_number,
    no_such_upload,
    replaced,
)
from asset_ledger.ledger.clock import utc_now
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.content.store import Stage, Staged
from asset_ledger.ledger.content.unfinished import UploadPart, UploadState
from asset_ledger.ledger.errors import MissingBytesError
from asset_ledger.ledger.ids import AssetId

if TYPE_CHECKING:
    from asset_ledger.ledger.content.parts import SharedParts

KIND: Final = "s3"


class SharedMultipartUploads:
    """The unfinished uploads of a database. See `MultipartUploads` for the methods."""

    def __init__(self, shared: "SharedParts") -> None:
        self._shared = shared

    async def begin(self, user_id: str, bucket: str, key: str, fields: Mapping[str, Any]) -> str:
        """Begin an upload and return its id. Raises BusyError."""
        _, own, _ = await self._shared.count(KIND, user_id)
        check_number(own)
        now, upload_id = _now(), AssetId(secrets.token_hex(16))
        declared = {"bucket": bucket, "key": key, "fields": fields, "began": now}
        await self._shared.begin(KIND, UploadState(upload_id, user_id, 0, declared, now))
        return upload_id

    async def all(self) -> Sequence[MultipartUpload]:
        """Return every upload."""
        return [_upload(state) for state in await self._shared.all(KIND)]

    async def find(self, upload_id: str, user_id: str, bucket: str, key: str) -> MultipartUpload:
        """Return an upload of a user for a key. Raises S3Error."""
        state = await self._shared.find(KIND, upload_id)
        found = _upload(state) if state is not None else None
        if found is None or (found.user_id, found.bucket, found.key) != (user_id, bucket, key):
            raise no_such_upload()
        return found

    def stage(self, contents: CheckedContents) -> Stage:
        """Begin to receive a part."""
        return self._shared.stage()

    async def keep(self, upload: MultipartUpload, number: int, staged: Staged) -> None:
        """Keep the bytes of a part, durably, in place of those sent before under its number."""
        if not await self._shared.replace(upload.id, number, staged, _now()):
            raise no_such_upload(" meanwhile")

    async def parts(self, upload: MultipartUpload) -> Sequence[StoredPart]:
        """Return the parts of an upload, by number."""
        found = await self._shared.parts(upload.id)
        return [StoredPart(*each[1:]) for each in found]

    async def read(self, upload: MultipartUpload, part: StoredPart) -> AsyncIterator[bytes]:
        """Yield the bytes of a part. Raises S3Error if it was replaced meanwhile."""
        try:
            async for piece in self._shared.read(UploadPart(upload.id, *part)):
                yield piece
        except MissingBytesError as error:
            raise replaced(part) from error

    async def remove(self, upload: MultipartUpload) -> None:
        """Remove an upload and its parts."""
        await self._shared.remove(upload.id)

    async def remove_old(self) -> None:
        """Remove the uploads that got no part for a week."""
        for state in await self._shared.all(KIND):
            if _now() - state.changed_at > LIFE:
                await self._shared.remove(state.id, state.changed_at)


def _upload(state: UploadState) -> MultipartUpload:
    return MultipartUpload(state.id, state.user_id, **state.declared)


def _now() -> float:
    return utc_now().timestamp()
