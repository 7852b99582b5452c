"""Build responses: JSON, problem documents, entity tags, `Link` headers, compression.

Handlers write streamed responses themselves; every other response is built here.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from math import ceil
from typing import Any, Final

import orjson
from aiohttp import web
from multidict import CIMultiDict

from asset_ledger.api.contract.assets import SHAPE
from asset_ledger.api.contract.errors import (
    MethodNotAllowedError,
    MissingScopeError,
    RangeError,
    RateLimitedError,
    TusVersionError,
    UnauthenticatedError,
)
from asset_ledger.api.contract.operations import JSON
from asset_ledger.api.contract.problems import MEDIA_TYPE, problem_document, problem_of
from asset_ledger.api.http.kept import Answer
from asset_ledger.ledger.commands.call import Deletion, Edition, Receipt
from asset_ledger.ledger.commands.jobs import JobReceipt
from asset_ledger.ledger.commands.nodes import NodeReceipt
from asset_ledger.ledger.commands.skip import Skipped

Outcome = Receipt | Deletion | Edition | JobReceipt | NodeReceipt | Skipped

POSITION: Final = "Ledger-Position"
BEARER: Final = 'Bearer realm="asset-ledger"'
VARY: Final = "Vary"

MIN_SIZE: Final = 1024
"""Bytes. Compressing a shorter body saves no network packet."""

_COMPRESSED: Final = (JSON, MEDIA_TYPE)
_ZERO_WEIGHT: Final = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*", re.IGNORECASE)


def json_answer(
    body: bytes, position: int, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a JSON response that reflects a position of the log."""
    common = {"Content-Type": JSON, POSITION: str(position)}
    return web.Response(body=body, status=status, headers={**common, **(headers or {})})


def answer_json(request: web.BaseRequest, answer: Answer) -> web.Response:
    """Return a JSON answer, or 304 if the client has its entity tag already."""
    etag = answer.headers.get("ETag")
    if etag is not None and etag_matches(request.headers.get("If-None-Match"), etag):
        return not_modified(etag, answer.position)
    return json_answer(answer.body, answer.position, headers=answer.headers)


def minimal(position: int, *, status: int, headers: Mapping[str, str]) -> web.Response:
    """Return a response without a body, for `Prefer: return=minimal` (RFC 7240)."""
    common = {POSITION: str(position), "Preference-Applied": "return=minimal"}
    return web.Response(status=status, headers={**common, **headers})


def write_answer(body: bytes, outcome: Outcome, headers: Mapping[str, str] = {}) -> web.Response:
    """Return the JSON response to a write: 202 if the tables are behind, else 200."""
    status, headers = 202 if outcome.behind else 200, {**headers, **write_headers(outcome)}
    return json_answer(body, outcome.position, status=status, headers=headers)


def write_headers(outcome: Outcome) -> dict[str, str]:
    """Return the headers of a write: `Idempotency-Replayed` and `Ledger-Projection: behind`."""
    headers = {}
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    if outcome.behind:
        headers["Ledger-Projection"] = "behind"
    return headers


def asset_etag(version: int) -> str:
    """Return the weak entity tag of an asset at a version, in the current JSON shape."""
    return f'W/"v{version}-{SHAPE}"'


def not_modified(etag: str, position: int | None = None) -> web.Response:
    """Return 304: the client's copy is current."""
    headers = {"ETag": etag}
    if position is not None:
        headers[POSITION] = str(position)
    return web.Response(status=304, headers=headers)


def problem(error: BaseException, request_id: str) -> web.Response:
    """Return the problem document (RFC 9457) of an error."""
    return web.Response(
        body=orjson.dumps(problem_document(error, request_id)),
        status=problem_of(error).status,
        headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", **_error_headers(error)},
    )


def raw_problem(error: BaseException, request_id: str) -> bytes:
    """Return a problem document with its head, for a connection without a request."""
    response = problem(error, request_id)
    body = orjson.dumps(problem_document(error, request_id))
    headers = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {response.status} {response.reason}\r\n{lines}\r\n".encode() + body


def etag_matches(header: str | None, etag: str) -> bool:
    """Return whether an If-None-Match has this tag, by weak comparison (RFC 9110, 8.8.3.2)."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def if_match_allows(header: str | None, etag: str) -> bool:
    """Return whether an If-Match has this entity tag, by strong comparison (RFC 9110, 13.1.1)."""
    return header is None or bool({"*", etag} & {tag.strip() for tag in header.split(",")})


def next_link(request: web.BaseRequest, following: str) -> dict[str, str]:
    """Return the `Link` header (RFC 8288) to the next page; no header on the last page."""
    if not following:
        return {}
    url = request.rel_url
    kept = [p for p in url.raw_query_string.split("&") if p and not p.startswith("cursor=")]
    query = "&".join([*kept, f"cursor={following}"])
    return {"Link": f'<{url.raw_path}?{query}>; rel="next"'}


def vary(headers: CIMultiDict[str], on: str) -> None:
    """Add a request header to the one `Vary` line: some caches read only the first line."""
    present = headers.get(VARY)
    headers[VARY] = f"{present}, {on}" if present else on


def compress(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Gzip a JSON response if it is long enough and the client accepts gzip."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return
    if len(response.body) < MIN_SIZE or response.headers.get("Content-Type") not in _COMPRESSED:
        return
    vary(response.headers, "Accept-Encoding")
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        response.enable_compression(web.ContentCoding.gzip)


def compress_stream(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Gzip a streamed answer of JSON if the client accepts gzip. Call it before `prepare`."""
    vary(response.headers, "Accept-Encoding")
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        response.enable_compression(web.ContentCoding.gzip)


@lru_cache(maxsize=256)
def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding has gzip or `*` with a weight above zero."""
    for entry in header.split(","):
        coding, _, weight = entry.strip().partition(";")
        if coding.strip().lower() in ("gzip", "*"):
            return not _ZERO_WEIGHT.fullmatch(weight)
    return False


def _error_headers(error: BaseException) -> dict[str, Any]:
    """Return the response headers that belong to one class of errors."""
    match error:
        case MethodNotAllowedError():
            return {"Allow": ", ".join(error.allowed)}
        case RangeError():
            return {"Content-Range": f"bytes */{error.size}"}
        case UnauthenticatedError():
            return {"WWW-Authenticate": BEARER + (', error="invalid_token"' if error.sent else "")}
        case MissingScopeError():
            challenge = f'error="insufficient_scope", scope="{error.scope}"'
            return {"WWW-Authenticate": f"{BEARER}, {challenge}"}
        case TusVersionError():
            return {"Tus-Version": error.version}  # tus 1.0, Tus-Resumable
        case RateLimitedError():
            return {"Retry-After": str(ceil(error.retry_after))}
    seconds = getattr(error, "retry_after", None) or problem_of(error).retry_after
    return {} if seconds is None else {"Retry-After": str(ceil(seconds))}
