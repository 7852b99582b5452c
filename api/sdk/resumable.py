"""Upload a large content by tus 1.0: after a failure, only the bytes that did not arrive are sent.

Promise: an upload continues after a broken connection or a restart of the server, also in a later
process with the same Idempotency-Key. It fails once the server answers the attempts of the retry
policy and takes no byte, or once it does not answer for ten times these attempts.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson

from asset_ledger.api.contract.errors import UploadLockedError, UploadOffsetError
from asset_ledger.api.contract.tus import BYTES, LENGTH, METADATA, OFFSET, RESUMABLE, VERSION
from asset_ledger.api.sdk.client import Client
from asset_ledger.api.sdk.content import UploadContent
from asset_ledger.api.sdk.form import Body, SourceError
from asset_ledger.api.sdk.gateway import Document, Fields
from asset_ledger.api.sdk.retry import TEMPORARY
from asset_ledger.api.sdk.wire import fields_json
from asset_ledger.ledger.errors import UnavailableError

ABOVE: Final = 64 << 20
"""Bytes. Smaller contents are sent in one request."""

ROUNDS: Final = 10
"""How often the attempts of the retry policy are repeated for a server that restarts."""

_TUS: Final = {RESUMABLE: VERSION, "Prefer": "return=representation"}


class ResumableUpload:
    """One content on its way to become an asset, or new bytes of the asset `asset_id`.

    `if_match`: the version that this asset has to have at the end, by default any.
    """

    def __init__(
        self,
        client: Client,
        fields: Fields,
        content: UploadContent,
        key: str,
        if_match: int | None = None,
    ) -> None:
        self._client, self._fields, self._content, self._key = client, fields, content, key
        self._if_match = if_match
        self._offset, self._began, self._answered = 0, False, False

    async def run(self) -> Document:
        """Send all bytes, and return the asset. Raises what recording them raises."""
        given = orjson.loads(fields_json(self._fields))
        fields = {name: value for name, value in given.items() if value is not None}
        if "digest" not in fields:  # else another file could continue this upload
            fields["digest"] = await self._content.digest()
        self._declared = {
            **_TUS,
            "Idempotency-Key": self._key,
            **if_match_header(self._if_match),
            LENGTH: str(self._content.size),
            METADATA: ",".join(f"{name} {_encoded(value)}" for name, value in fields.items()),
        }
        rounds = 0
        while True:
            before = self._offset
            try:
                return await self._client.retried(self._attempt)
            except TEMPORARY:
                rounds = 0 if self._offset > before else rounds + 1
                if rounds and (self._answered or not self._began or rounds > ROUNDS):
                    raise

    async def _attempt(self) -> Document:
        """Find the upload, or create it, and send what it lacks."""
        self._answered = False
        headers, asset = await self._client.exchange("POST", "/api/uploads", self._declared)
        self._answered = self._began = True
        if asset is not None:
            return asset
        self._offset = int(headers[OFFSET])
        sent = {**_TUS, OFFSET: headers[OFFSET]}
        try:
            _, asset = await self._client.exchange(
                "PATCH", headers["Location"], sent, self._rest(self._offset)
            )
        except (UploadLockedError, UploadOffsetError) as error:  # an earlier attempt still ends
            busy = UnavailableError(str(error))
            busy.retry_after = 1
            raise busy from error
        if asset is None:
            raise UnavailableError("the upload ended before its last byte: send it again")
        return asset

    def _rest(self, offset: int) -> Body:
        size = self._content.size - offset
        headers = {"Content-Type": BYTES, "Content-Length": str(size)}
        return Body(headers, self._pieces(offset), size)

    async def _pieces(self, offset: int) -> AsyncIterator[bytes]:
        try:
            async for piece in self._content.chunks(offset):
                yield piece
        except (OSError, ValueError) as error:
            raise SourceError(error) from error


def if_match_header(version: int | None) -> dict[str, str]:
    """Return the If-Match of a version, or nothing."""
    return {} if version is None else {"If-Match": f'"v{version}"'}


def _encoded(value: Any) -> str:
    text = value.encode() if isinstance(value, str) else orjson.dumps(value)
    return b64encode(text).decode()
