"""`RemoteGateway`: a ledger over HTTP. Each method is one route."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Final, Self

from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.headers import OWNER, encode_owner
from asset_ledger.api.sdk.client import Client
from asset_ledger.api.sdk.content import UploadContent
from asset_ledger.api.sdk.download import Download
from asset_ledger.api.sdk.form import Body, json_body, raw_body, upload_body
from asset_ledger.api.sdk.gateway import Document, Fields, Query
from asset_ledger.api.sdk.resumable import ABOVE, ResumableUpload, if_match_header
from asset_ledger.api.sdk.retry import RETRIES, RetryPolicy, new_key
from asset_ledger.api.sdk.stream import follow
from asset_ledger.api.sdk.wire import fields_json, query_of, segment
from asset_ledger.ledger.errors import UnknownJobError

LOCAL_USER: Final = "1"
"""The user of every request to a server with `--auth local`."""

MERGE_PATCH: Final = "application/merge-patch+json"


class RemoteGateway:
    """A `Gateway` over HTTP. Raises ValueError for an invalid http(s) address."""

    def __init__(self, url: str, token: str | None = None, *, retry: RetryPolicy = RETRIES) -> None:
        self._client = Client(url, token, retry)

    async def open(self) -> None:
        """Prepare the first call. Raises NotConnectedError after `close`."""
        await self._client.connect()

    async def close(self) -> None:
        """Close the connections: later calls raise NotConnectedError."""
        await self._client.close()

    def __deepcopy__(self, _: object) -> Self:
        return self  # its connections cannot be copied; `dataclasses.asdict` of an asset tries to

    def for_user(self, user_id: str) -> Self:
        """Return the same caller's access to another user's assets; the server checks it."""
        other = copy(self)
        other._client = self._client.with_headers({OWNER: encode_owner(user_id)})
        return other

    async def create(
        self, fields: Fields, content: UploadContent | None, *, key: str | None = None
    ) -> Document:
        """Create an asset. Raises FieldError, TooLargeError."""
        if content is not None and content.size > ABOVE:
            return await ResumableUpload(self._client, fields, content, key or new_key()).run()
        body = partial(upload_body, fields_json(fields), content)
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self._write("POST", "/api/assets", body, headers)

    async def position(self) -> int:
        """Return the newest position of the log that an answer named."""
        return self._client.answers.position

    async def find(self, asset_id: str) -> Document:
        """Return one asset. Raises UnknownAssetError, AssetDeletedError."""
        return await self._client.request("GET", _asset(asset_id))

    async def page(self, query: Query) -> Document:
        """Return `{"assets": [...], "next": "..."}`. Raises ParameterError, CursorError."""
        position = self._client.answers.position
        if position and any(name == "query" for name, _ in query):
            # The index of words follows the log: it may lack this client's last write.
            query = [*query, ("min_position", str(position))]
        return await self._client.request("GET", "/api/assets", query=query)

    async def lineage(self, asset_id: str, query: Query) -> Document:
        """Return the sources and derivatives of an asset. Raises UnknownAssetError."""
        return await self._client.request("GET", f"{_asset(asset_id)}/lineage", query=query)

    async def thumbnail(self, asset_id: str, version: int, size: int) -> bytes:
        """Return a WebP of an asset at a version. Raises UnknownAssetError, RefusedError."""
        path = f"{_asset(asset_id)}/thumbnail?version={version}&size={size}"
        return b"".join([piece async for piece in self._client.pieces(path)])

    async def placeholder(self, asset_id: str, version: int) -> Document:
        """Return the placeholder of an asset at a version. Raises UnknownAssetError."""
        path = f"{_asset(asset_id)}/placeholder"
        return await self._client.request("GET", path, query=[("version", str(version))])

    async def peaks(self, asset_id: str, version: int, count: int) -> Document:
        """Return the loudness of an asset at a version. Raises UnknownAssetError."""
        query = [("version", str(version)), ("n", str(count))]
        return await self._client.request("GET", f"{_asset(asset_id)}/peaks", query=query)

    async def bulk_delete(self, fields: Fields) -> Document:
        """Count, or delete, the assets that match filters. Raises VersionConflictError."""
        body = partial(json_body, fields_json(fields))
        return await self._write("POST", "/api/assets/bulk-delete", body)

    async def bulk_update(self, fields: Fields) -> Document:
        """Change tags or folder of many assets. Raises VersionConflictError."""
        body = partial(json_body, fields_json(fields))
        return await self._write("POST", "/api/assets/bulk-update", body)

    async def bulk_restore(self, ids: Sequence[str]) -> Document:
        """Restore assets, all or none. Raises UnknownAssetError, NotRestorableError."""
        body = partial(json_body, fields_json({"ids": ids}))
        return await self._write("POST", "/api/assets/bulk-restore", body)

    async def usage(self, query: Query) -> Document:
        """Return `{"usage": [...], "next": "..."}`. Raises ParameterError, CursorError."""
        # The totals follow the log: without a position they may lack this client's last write.
        query = [*query, ("min_position", str(self._client.answers.position))]
        return await self._client.request("GET", "/api/assets/usage", query=query)

    def chunks(self, asset_id: str, version: int | None = None) -> AsyncGenerator[bytes]:
        """Yield the content of an asset. Raises UnknownAssetError, AssetDeletedError."""
        of_version = "" if version is None else f"?version={version}"
        return Download(self._client, f"{_asset(asset_id)}/content{of_version}").chunks()

    async def update(self, asset_id: str, changes: Fields, if_match: int | None) -> Document:
        """Change a label: None clears. Raises PreconditionFailedError at another version."""
        body = partial(json_body, fields_json(changes), MERGE_PATCH)
        return await self._write("PATCH", _asset(asset_id), body, if_match_header(if_match))

    async def replace(
        self, asset_id: str, content: UploadContent, digest: str, if_match: int | None = None
    ) -> Document:
        """Replace the content of an asset. Raises DigestMismatchError for other bytes."""
        if content.size > ABOVE:
            fields = {"asset_id": read_asset_id(asset_id), "digest": digest}
            return await ResumableUpload(self._client, fields, content, new_key(), if_match).run()
        in_base64 = b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()
        headers = {"Repr-Digest": f"sha-256=:{in_base64}:", **if_match_header(if_match)}
        return await self._write(
            "PUT", f"{_asset(asset_id)}/content", partial(raw_body, content), headers
        )

    async def restore(self, asset_id: str) -> Document:
        """Restore an asset, a folder with its contents. Raises UnknownAssetError."""
        return await self._write("POST", f"{_asset(asset_id)}/restore")

    async def delete(self, asset_id: str) -> list[str]:
        """Delete an asset, and return the ids of all deleted assets. Raises UnknownAssetError."""
        answer = await self._write("DELETE", _asset(asset_id))
        return list(answer["deleted_asset_ids"])

    def asset_history(self, asset_id: str) -> AsyncGenerator[Document]:
        """Yield the events of an asset, live or deleted. Raises UnknownAssetError."""
        return self._events(f"{_asset(asset_id)}/history")

    async def job(self, job_id: str) -> Document:
        """Return a job. Raises UnknownJobError."""
        return await self._client.request("GET", _job(job_id))

    async def jobs(self, query: Query) -> Document:
        """Return `{"jobs": [...], "next": "..."}`. Raises ParameterError, CursorError."""
        return await self._client.request("GET", "/api/jobs", query=query)

    async def compare(self, a: str, b: str, query: Query = ()) -> Document:
        """Return a page of the comparison of two jobs. Raises UnknownJobError, CursorError."""
        return await self._client.request("GET", f"{_job(a)}/compare/{segment(b)}", query=query)

    async def start_job(self, job_id: str, fields: Fields) -> int:
        """Record the start of an attempt, and return its number. Raises JobStateError."""
        body = partial(json_body, fields_json(fields))
        job = await self._write("POST", f"{_job(job_id)}/start", body)
        return int(fields.get("attempt") or job["attempt"])

    async def finish_job(self, job_id: str, fields: Fields) -> None:
        """Record the end of a job. Raises JobStateError if it ended with other fields."""
        body = partial(json_body, fields_json(fields))
        await self._write("POST", f"{_job(job_id)}/finish", body)

    async def start_node(self, job_id: str, fields: Fields) -> None:
        """Record the start of a node's run. Raises JobStateError if it started otherwise."""
        body = partial(json_body, fields_json(fields))
        await self._write("POST", f"{_job(job_id)}/nodes/start", body)

    async def finish_node(self, job_id: str, fields: Fields) -> None:
        """Record the end of a node's run. Raises JobStateError if it ended with other fields."""
        body = partial(json_body, fields_json(fields))
        await self._write("POST", f"{_job(job_id)}/nodes/finish", body)

    async def nodes(self, job_id: str, query: Query) -> Document:
        """Return `{"nodes": [...], "next": "..."}` of a job. Raises UnknownJobError."""
        return await self._client.request("GET", f"{_job(job_id)}/nodes", query=query)

    async def prove(self, asset_ids: Sequence[str], size: int | None = None) -> Document:
        """Return the proof object of every event of assets. Raises UnknownAssetError."""
        body = partial(json_body, fields_json({"asset_ids": asset_ids}))
        query = query_of({"size": size})
        return await self._client.request("POST", "/api/log/proofs", query=query, body=body)

    async def tree_head(self) -> Document:
        """Return the size, root and times of the log as its newest checkpoint has it."""
        return await self._client.request("GET", "/api/ledger")

    def events(self, query: Query) -> AsyncGenerator[Document]:
        """Yield events as they are recorded, for ever, over restarts of the server."""
        return follow(self._client, query)

    def job_history(
        self, job_id: str, attempt: int | None = None, after: int = 0
    ) -> AsyncGenerator[Document]:
        """Yield the events of a job, or of one attempt, in log order. Raises UnknownJobError."""
        query = query_of({"attempt": attempt, "after": after})
        return self._events(f"{_job(job_id)}/history", query)

    async def job_proof(self, job_id: str) -> Document:
        """Return the proof of every event of a job. Raises UnknownJobError."""
        return await self._client.request("GET", f"{_job(job_id)}/proof")

    async def _write(
        self,
        method: str,
        path: str,
        body: Callable[[], Awaitable[Body]] | None = None,
        headers: Mapping[str, str] = {},
    ) -> Document:
        headers = {"Idempotency-Key": new_key(), **headers}
        return await self._client.request(method, path, headers=headers, body=body)

    async def _events(self, path: str, parameters: Query = ()) -> AsyncGenerator[Document]:
        cursor = ""
        while True:
            query = [*parameters, ("page_size", "1000"), ("cursor", cursor)]
            page = await self._client.request("GET", path, query=query)
            for event in page["events"]:
                yield event
            cursor = page["next"]
            if not cursor:
                return


def _asset(asset_id: str) -> str:
    return f"/api/assets/{read_asset_id(asset_id)}"


def _job(job_id: str) -> str:
    if not job_id:
        raise UnknownJobError(job_id)
    return f"/api/jobs/{segment(job_id)}"
