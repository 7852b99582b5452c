"""The way into one ledger, as the rest of the SDK uses it: over HTTP, or in this process.

Promise: both ways take the same arguments, answer the same documents (the API's JSON, read) and
raise the same errors.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol, Self

from asset_ledger.api.sdk.content import UploadContent

Document = Mapping[str, Any]
"""An object of the API's JSON, read."""

Fields = Mapping[str, Any]
"""The fields of a new asset, by their names on the wire; None stands for: not given."""

Query = Sequence[tuple[str, str]]
"""Query parameters, in order; a name may repeat."""


class Gateway(Protocol):
    """One caller's way into one ledger, for one user: himself, unless `for_user` says otherwise.

    Every method tries again what a network or a busy ledger spoiled, a write with one
    Idempotency-Key, and raises UnavailableError once its retries is over.
    """

    def for_user(self, user_id: str) -> Self:
        """The same caller's way to what is this user's.

        Whoever is neither this user nor an admin is refused with MissingScopeError, what can be
        no user id with ParameterError: here, or by whatever is asked next.
        """

    async def create(self, fields: Fields, content: UploadContent | None) -> Document:
        """Record an asset. Raises FieldError, TooLargeError."""

    async def find(self, asset_id: str) -> Document:
        """One asset. Raises UnknownAssetError, AssetDeletedError."""

    async def page(self, query: Query) -> Document:
        """`{"assets": [...], "next": "..."}`. Raises ParameterError, CursorError."""

    async def usage(self, query: Query) -> Document:
        """`{"usage": [...], "next": "..."}`. Raises ParameterError, CursorError."""

    def chunks(self, asset_id: str, version: int | None = None) -> AsyncGenerator[bytes]:
        """An asset's content, in pieces; that of a version, where one is named.

        Raises UnknownAssetError, AssetDeletedError.
        """

    async def update(self, asset_id: str, changes: Fields, if_match: int | None) -> Document:
        """Change a label: None clears. Raises PreconditionFailedError at another version.

        Raises UnknownAssetError, AssetDeletedError, FieldError, TooLargeError as well.
        """

    async def restore(self, asset_id: str) -> Document:
        """Bring back what was deleted. Raises UnknownAssetError."""

    async def delete(self, asset_id: str) -> list[str]:
        """The ids of what this deleted. Raises UnknownAssetError."""

    def asset_history(self, asset_id: str) -> AsyncGenerator[Document]:
        """The events of an asset, also of a deleted one. Raises UnknownAssetError."""

    async def start_job(self, job_id: str, fields: Fields) -> None:
        """Record that a job begins. Raises JobStateError if it began otherwise."""

    async def finish_job(self, job_id: str, fields: Fields) -> None:
        """Record how a job ended. Raises JobStateError if it ended otherwise."""

    def job_history(self, job_id: str) -> AsyncGenerator[Document]:
        """The events of a job, in the log's order. Raises UnknownJobError."""
