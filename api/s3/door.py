"""The S3 door: find the call that a request makes, check its signature, and answer it.

It shares connections, limits, users and metrics with the server, which gives it the requests that
arrive at the S3 port.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from aiohttp import web

from asset_ledger.api.backend import Backend
from asset_ledger.api.contract.operations import NeededScope
from asset_ledger.api.contract.principal import Credential
from asset_ledger.api.http.auth import Authenticator
from asset_ledger.api.http.request import Request
from asset_ledger.api.s3 import buckets, multipart, objects
from asset_ledger.api.s3.body import Signing
from asset_ledger.api.s3.call import Call
from asset_ledger.api.s3.errors import S3Error, s3_refusal
from asset_ledger.api.s3.shared_uploads import SharedMultipartUploads
from asset_ledger.api.s3.signature import Signed, SignedRequest, claimed, verify
from asset_ledger.api.s3.uploads import FolderMultipartUploads, MultipartUploads
from asset_ledger.ledger.errors import UnavailableError
from asset_ledger.ledger.storage.data_folder import DataFolder

logger = logging.getLogger(__name__)

Admit = Callable[[Request, Credential, NeededScope], None]
"""Checks rate, scope and connections of a caller, and notes it in the request."""


class _Route(NamedTuple):
    name: str
    scope: NeededScope
    handler: Callable[[Call], Awaitable[web.StreamResponse]]


# The level of a path (service, bucket, object), the method, and a parameter or header that tells
# calls of the same method apart; the first that fits is taken.
_ROUTES: Final[Mapping[tuple[str, str], Mapping[str, _Route]]] = {
    ("service", "GET"): {"": _Route("ListBuckets", "read", buckets.list_buckets)},
    ("bucket", "PUT"): {"": _Route("CreateBucket", "write", buckets.create_bucket)},
    ("bucket", "HEAD"): {"": _Route("HeadBucket", "read", buckets.head_bucket)},
    ("bucket", "DELETE"): {"": _Route("DeleteBucket", "write", buckets.delete_bucket)},
    ("bucket", "GET"): {
        "location": _Route("GetBucketLocation", "read", buckets.get_location),
        "versioning": _Route("GetBucketVersioning", "read", buckets.get_versioning),
        "uploads": _Route("ListMultipartUploads", "read", multipart.list_uploads),
        "": _Route("ListObjects", "read", buckets.list_objects),
    },
    ("bucket", "POST"): {"delete": _Route("DeleteObjects", "write", objects.delete_objects)},
    ("object", "GET"): {
        "uploadId": _Route("ListParts", "read", multipart.list_parts),
        "tagging": _Route("GetObjectTagging", "read", objects.get_tagging),
        "": _Route("GetObject", "read", objects.get_object),
    },
    ("object", "HEAD"): {"": _Route("HeadObject", "read", objects.get_object)},
    ("object", "PUT"): {
        "uploadId": _Route("UploadPart", "write", multipart.upload_part),
        "": _Route("PutObject", "write", objects.put_object),
    },
    ("object", "POST"): {
        "uploads": _Route("CreateMultipartUpload", "write", multipart.create_upload),
        "uploadId": _Route("CompleteMultipartUpload", "write", multipart.complete_upload),
    },
    ("object", "DELETE"): {
        "uploadId": _Route("AbortMultipartUpload", "write", multipart.abort_upload),
        "": _Route("DeleteObject", "write", objects.delete_object),
    },
}
_OPTIONS: Final = frozenset(
    (
        *("list-type", "prefix", "delimiter", "marker", "max-keys", "continuation-token"),
        *("start-after", "encoding-type", "fetch-owner", "key-marker", "upload-id-marker"),
        *("max-buckets", "max-uploads", "part-number-marker", "max-parts", "partNumber", "x-id"),
    )
)
"""Parameters that tell no calls apart. Another one that fits no route names a call."""


_SIGNING: Final = ("x-amz-", "response-", "awsaccesskeyid", "signature", "expires")
"""Beginnings of parameters of presigned addresses. `local` accepts those of version 2, too."""


class S3Door:
    """Answers the requests of S3 clients. For the event loop of the server."""

    def __init__(self, backend: Backend, authenticator: Authenticator, admit: Admit) -> None:
        files = DataFolder(backend.settings.data_dir)
        self._backend, self._authenticator, self._admit = backend, authenticator, admit
        self._keys = backend.s3_keys
        self._uploads: MultipartUploads = FolderMultipartUploads(files.s3_uploads)
        if backend.parts is not None:
            self._uploads = SharedMultipartUploads(backend.parts)

    async def answer(self, request: Request) -> web.StreamResponse:
        """Answer a request. Raises RefusedErrors, UnavailableErrors."""
        self._authenticator.check(request.method, request.headers)
        path, _, query = request.raw_path.partition("?")
        sent = SignedRequest(request.method, path, query, _joined(request))
        credential, signing = await self._authenticated(request, sent)
        call = Call(request, signing, self._backend.key_locks, self._uploads)
        route = _route(request.method, call)
        request.operation_name, request.is_read = f"S3 {route.name}", route.scope == "read"
        self._backend.log_file.check_often()
        self._admit(request, credential, route.scope)
        return await route.handler(call)

    async def watch(self) -> None:
        """Remove old unfinished uploads now and every hour, until cancelled."""
        while True:
            try:
                await self._uploads.remove_old()
            except (OSError, UnavailableError) as error:
                logger.warning("old uploads of S3 clients were not removed: %s", error)
            await asyncio.sleep(3_600)

    def refusal(self, request: Request, error: Exception) -> web.Response:
        """Return the XML of an error."""
        return s3_refusal(request, error)

    async def _authenticated(
        self, request: Request, sent: SignedRequest
    ) -> tuple[Credential, Signing]:
        if self._backend.settings.auth == "local":  # any key, any signature
            payload = request.headers.get("X-Amz-Content-Sha256", "")
            unchecked = Signed("", "", "", "", (), "", payload, is_presigned=False)
            return self._authenticator.credential(request), Signing(unchecked, None)
        signed = claimed(sent, datetime.now(UTC))
        if signed is None:
            raise S3Error("AccessDenied", "the request is not signed: use a key of this ledger")
        secret = self._keys.secret(signed.key_id)
        if secret is None:
            secret = await asyncio.to_thread(self._keys.find, signed.key_id)
        credential = self._backend.tokens.credential(secret) if secret else None
        if secret is None or credential is None:
            raise S3Error(
                "InvalidAccessKeyId",
                "the key is unknown, expired or revoked: make one with asset-ledger s3-key create",
            )
        request.is_still_allowed = self._still_allows
        return credential, Signing(signed, verify(signed, sent, secret))

    def _still_allows(self, request: Request) -> bool:
        token_id = request.credential.token_id
        return token_id is not None and self._backend.tokens.still_allows(token_id)


def _route(method: str, call: Call) -> _Route:
    routes = _ROUTES.get((call.level, method))
    if routes is None:
        raise S3Error("MethodNotAllowed", f"{method} is not a call of S3 here")
    name = next((each for each in routes if not each or each in call.parameters), None)
    if name is None:
        raise S3Error("NotImplemented", "this ledger does not have this call of S3")
    for other in call.parameters:
        is_option = other in _OPTIONS or other.lower().startswith(_SIGNING)
        if other != name and not is_option:  # never taken for a call that would overwrite
            raise S3Error("NotImplemented", f"this ledger does not have the call {other!r} of S3")
    return routes[name]


def _joined(request: Request) -> Mapping[str, str]:
    """Return the headers, repeated ones joined, as they are signed; names ignore case."""
    headers = request.headers
    if len(headers) == len(set(map(str.lower, headers))):
        return headers
    return {name.lower(): ",".join(headers.getall(name)) for name in headers}
