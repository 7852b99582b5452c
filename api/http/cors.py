"""Cross-origin requests (the CORS protocol of the Fetch standard): which pages may read answers.

Promise: without the setting, no answer says anything to a page of another origin.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from asset_ledger.api.contract.headers import OWNER
from asset_ledger.api.contract.origins import Origins
from asset_ledger.api.http.answers import vary

_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_TAKEN: Final = (
    f"{OWNER}, Authorization, Content-Type, Content-Digest, Idempotency-Key, If-Match,"
    " If-None-Match, If-Range, Last-Event-ID, Prefer, Range, Repr-Digest, traceparent, X-Request-Id"
)
_SHOWN: Final = (
    "Accept-Ranges, Allow, Content-Disposition, Content-Range, ETag, Idempotency-Replayed,"
    " Ledger-Position, Ledger-Projection, Link, Location, Preference-Applied, Repr-Digest, Retry-After,"
    " WWW-Authenticate, X-Request-Id"
)
_DAY: Final = "86400"


class Cors:
    """What pages of other origins are told."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def preflight(self, method: str, headers: Mapping[str, str]) -> web.Response | None:
        """The answer to a browser that asks whether a page may; None for any other request."""
        asks = method == "OPTIONS" and "Access-Control-Request-Method" in headers
        if not asks or not self._origins.allow(headers.get("Origin")):
            return None
        allowed = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _TAKEN,
            "Access-Control-Max-Age": _DAY,
        }
        return web.Response(status=204, headers=allowed)

    def tell(self, asked: Mapping[str, str], answered: CIMultiDict[str]) -> None:
        """Say in the headers of an answer that the page that asked may read it."""
        origin = asked.get("Origin")
        if self._origins.named:  # a cache must not give one origin's answer to another
            vary(answered, "Origin")
        if origin is not None and self._origins.allow(origin):
            answered["Access-Control-Allow-Origin"] = "*" if self._origins.any else origin
            answered["Access-Control-Expose-Headers"] = _SHOWN
