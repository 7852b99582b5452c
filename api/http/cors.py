"""Cross-origin requests (CORS, in the Fetch standard): allow web pages of configured origins.

Promise: without the setting cors_origins, no response allows a page of another origin to read it.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from asset_ledger.api.contract.headers import OWNER
from asset_ledger.api.contract.origins import Origins
from asset_ledger.api.http.answers import vary

_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS: Final = (
    f"{OWNER}, Authorization, Content-Type, Content-Digest, Idempotency-Key, If-Match,"
    " If-None-Match, If-Range, Last-Event-ID, Prefer, Range, Repr-Digest, traceparent,"
    " X-Request-Id, Tus-Resumable, Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset,"
    " X-HTTP-Method-Override"
)
_RESPONSE_HEADERS: Final = (
    "Accept-Ranges, Allow, Content-Disposition, Content-Range, ETag, Idempotency-Replayed,"
    " Ledger-Position, Ledger-Projection, Link, Location, Preference-Applied, Repr-Digest,"
    " Retry-After, WWW-Authenticate, X-Request-Id, Ledger-Asset, Tus-Checksum-Algorithm,"
    " Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length,"
    " Upload-Metadata, Upload-Offset"
)
_DAY: Final = "86400"


class Cors:
    """The CORS headers for the allowed origins."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def preflight(self, method: str, headers: Mapping[str, str]) -> web.Response | None:
        """Return the response to a preflight of an allowed origin; None for any other request."""
        is_preflight = method == "OPTIONS" and "Access-Control-Request-Method" in headers
        if not is_preflight or not self._origins.allow(headers.get("Origin")):
            return None
        allowed = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _REQUEST_HEADERS,
            "Access-Control-Max-Age": _DAY,
        }
        return web.Response(status=204, headers=allowed)

    def add_headers(self, sent: Mapping[str, str], response: CIMultiDict[str]) -> None:
        """Add the headers that let the requesting page read a response, if its origin may."""
        origin = sent.get("Origin")
        if self._origins.allowed:  # else a cache would send one origin's response to another
            vary(response, "Origin")
        if origin is not None and self._origins.allow(origin):
            response["Access-Control-Allow-Origin"] = "*" if self._origins.any else origin
            response["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS
