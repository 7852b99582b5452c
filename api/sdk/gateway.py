"""`Gateway`: the protocol of a connection to one ledger, over HTTP or in this process.

Promise: both implementations take the same arguments, return the same documents (parsed JSON of the
API) and raise the same errors.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol, Self

from asset_ledger.api.sdk.content import UploadContent

Document = Mapping[str, Any]
"""A parsed JSON object of the API."""

Fields = Mapping[str, Any]
"""The fields of a request by their names on the wire. In `create`, None means absent."""

Query = Sequence[tuple[str, str]]
"""Query parameters, in order; a name may repeat."""


class Gateway(Protocol):
    """The access of one caller to the assets of one user: the caller, unless `for_user` is used.

    Every method retries after a network failure or while the ledger is busy, a write with one
    Idempotency-Key. The last failed attempt raises UnavailableError.
    """

    def for_user(self, user_id: str) -> Self:
        """Return the same caller's access to the assets of another user.

        Here or in the next call: MissingScopeError if the caller is neither this user nor an
        admin, ParameterError for an invalid user id.
        """

    async def create(
        self, fields: Fields, content: UploadContent | None, *, key: str | None = None
    ) -> Document:
        """Create an asset. Raises FieldError, TooLargeError.

        `key` is the Idempotency-Key, by default a new one: a call with the same key and arguments
        records nothing, and returns the first answer.
        """

    async def position(self) -> int:
        """Return the newest position of the log that this connection has seen."""

    async def find(self, asset_id: str) -> Document:
        """Return one asset. Raises UnknownAssetError, AssetDeletedError."""

    async def page(self, query: Query) -> Document:
        """Return `{"assets": [...], "next": "..."}`. Raises ParameterError, CursorError."""

    async def lineage(self, asset_id: str, query: Query) -> Document:
        """Return `{"root", "nodes": [asset], "edges": [{"from", "to"}], "truncated"}`.

        Raises UnknownAssetError, ParameterError.
        """

    async def thumbnail(self, asset_id: str, version: int, size: int) -> bytes:
        """Return a WebP of an image or a video, of at most `size` pixels a side.

        Raises UnknownAssetError, RefusedError.
        """

    async def placeholder(self, asset_id: str, version: int) -> Document:
        """Return `width`, `height` and `thumbhash` of an image or a video.

        Raises UnknownAssetError, RefusedError.
        """

    async def peaks(self, asset_id: str, version: int, count: int) -> Document:
        """Return `duration` and at most `count` `peaks` of a sound.

        Raises UnknownAssetError, RefusedError.
        """

    async def bulk_delete(self, fields: Fields) -> Document:
        """Count the assets that match `filter`, or delete `expected_count` of them.

        Raises VersionConflictError if another number matches, ParameterError, FieldError.
        """

    async def bulk_update(self, fields: Fields) -> Document:
        """Change tags or folder of the assets `ids`, or of `expected_count` that match `filter`.

        Raises UnknownAssetError, AssetDeletedError, VersionConflictError, ParameterError,
        FieldError.
        """

    async def bulk_restore(self, ids: Sequence[str]) -> Document:
        """Restore assets, all or none. Raises UnknownAssetError, NotRestorableError."""

    async def usage(self, query: Query) -> Document:
        """Return `{"usage": [...], "next": "..."}`, with every earlier write of this gateway.

        Raises ParameterError, CursorError; ProjectionBehindError if the totals do not follow.
        """

    def chunks(self, asset_id: str, version: int | None = None) -> AsyncGenerator[bytes]:
        """Yield the content of an asset in pieces, by default of its newest version.

        Raises UnknownAssetError, AssetDeletedError.
        """

    async def update(self, asset_id: str, changes: Fields, if_match: int | None) -> Document:
        """Change a label: None clears a field, an absent field stays.

        Raises PreconditionFailedError if the asset is not at the version `if_match`,
        UnknownAssetError, AssetDeletedError, FieldError, TooLargeError.
        """

    async def replace(
        self, asset_id: str, content: UploadContent, digest: str, if_match: int | None = None
    ) -> Document:
        """Replace the content of an asset by one with this digest.

        Raises PreconditionFailedError if the asset is not at the version `if_match`,
        UnknownAssetError, AssetDeletedError, FieldError; DigestMismatchError for other bytes.
        """

    async def restore(self, asset_id: str) -> Document:
        """Restore an asset, a folder with its contents. Raises UnknownAssetError."""

    async def delete(self, asset_id: str) -> list[str]:
        """Delete an asset, and return the ids of all deleted assets. Raises UnknownAssetError."""

    def asset_history(self, asset_id: str) -> AsyncGenerator[Document]:
        """Yield the events of an asset, live or deleted. Raises UnknownAssetError."""

    async def job(self, job_id: str) -> Document:
        """Return a job. Raises UnknownJobError."""

    async def jobs(self, query: Query) -> Document:
        """Return `{"jobs": [...], "next": "..."}`. Raises ParameterError, CursorError."""

    async def compare(self, a: str, b: str, query: Query = ()) -> Document:
        """Return a page of the comparison of two jobs. Raises UnknownJobError, CursorError."""

    async def start_job(self, job_id: str, fields: Fields) -> int:
        """Record the start of an attempt of a job, and return its number. None means absent.

        Raises JobStateError if it started with other fields, or if another one has to come first.
        """

    async def finish_job(self, job_id: str, fields: Fields) -> None:
        """Record the end of an attempt. Raises JobStateError if it ended with other fields."""

    async def start_node(self, job_id: str, fields: Fields) -> None:
        """Record the start of a node's run. Raises JobStateError if it started otherwise."""

    async def finish_node(self, job_id: str, fields: Fields) -> None:
        """Record the end of a node's run. Raises JobStateError if it ended with other fields."""

    async def nodes(self, job_id: str, query: Query) -> Document:
        """Return `{"nodes": [...], "next": "..."}` of a job. Raises UnknownJobError."""

    async def prove(self, asset_ids: Sequence[str], size: int | None = None) -> Document:
        """Return the proof object of every event of these assets, live or deleted.

        It is under a checkpoint of the log as it is now, or under the one of `size` events, which
        was signed before. Raises UnknownAssetError, ParameterError, FieldError.
        """

    async def tree_head(self) -> Document:
        """Return the size, root and times of the log as its newest checkpoint has it."""

    def events(self, query: Query) -> AsyncGenerator[Document]:
        """Yield events as they are recorded, for ever: those after `after`, or from now on.

        Raises ParameterError; UnavailableError if a server stays unreachable.
        """

    def job_history(
        self, job_id: str, attempt: int | None = None, after: int = 0
    ) -> AsyncGenerator[Document]:
        """Yield the events of a job, or of one attempt, in log order, after a position.

        Raises UnknownJobError.
        """

    async def job_proof(self, job_id: str) -> Document:
        """Return the proof of every event of a job. Raises UnknownJobError."""
