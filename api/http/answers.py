"""Answers: JSON, problem documents, entity tags, the link to the next page, and compression.

Streams are written by their handlers; every other answer is made here.
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
    UnauthenticatedError,
)
from asset_ledger.api.contract.operations import JSON
from asset_ledger.api.contract.problems import MEDIA_TYPE, problem_document, problem_of
from asset_ledger.ledger.commands.call import Deletion, Receipt
from asset_ledger.ledger.commands.jobs import JobReceipt
from asset_ledger.ledger.commands.skip import Skipped

POSITION: Final = "Ledger-Position"
BEARER: Final = 'Bearer realm="asset-ledger"'
VARY: Final = "Vary"

LEAST: Final = 1024
"""Below so many bytes, compressing saves no packet."""

_COMPRESSED: Final = (JSON, MEDIA_TYPE)
_NOT_AT_ALL: Final = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*", re.IGNORECASE)


def json_answer(
    body: bytes, position: int, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """JSON that reflects a position of the log."""
    known = {"Content-Type": JSON, POSITION: str(position)}
    return web.Response(body=body, status=status, headers={**known, **(headers or {})})


def minimal(position: int, *, status: int, headers: Mapping[str, str]) -> web.Response:
    """An answer without a body, as `Prefer: return=minimal` asks for it (RFC 7240)."""
    known = {POSITION: str(position), "Preference-Applied": "return=minimal"}
    return web.Response(status=status, headers={**known, **headers})


def write_headers(outcome: Receipt | Deletion | JobReceipt | Skipped) -> dict[str, str]:
    """What the headers of a write say of it."""
    headers = {}
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    if outcome.behind:
        headers["Ledger-Projection"] = "behind"
    return headers


def asset_etag(version: int) -> str:
    """The weak entity tag of an asset at a version, in the JSON of today."""
    return f'W/"v{version}-{SHAPE}"'


def not_modified(etag: str, position: int | None = None) -> web.Response:
    """304: what the client has is what it would get."""
    headers = {"ETag": etag}
    if position is not None:
        headers[POSITION] = str(position)
    return web.Response(status=304, headers=headers)


def problem(error: BaseException, request_id: str) -> web.Response:
    """The problem problem_document of an error."""
    return web.Response(
        body=orjson.dumps(problem_document(error, request_id)),
        status=problem_of(error).status,
        headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", **_told_apart(error)},
    )


def etag_matches(header: str | None, etag: str) -> bool:
    """Does an If-None-Match name this entity tag? By weak comparison (RFC 9110, 8.8.3.2)."""
    if header is None:
        return False
    named = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in named or etag.removeprefix("W/") in named


def etag_is_meant(header: str | None, etag: str) -> bool:
    """Does an If-Match allow this entity tag? By strong comparison (RFC 9110, 13.1.1)."""
    return header is None or bool({"*", etag} & {tag.strip() for tag in header.split(",")})


def next_link(request: web.BaseRequest, following: str) -> dict[str, str]:
    """The `Link` header (RFC 8288) to the next page; empty on the last page."""
    if not following:
        return {}
    url = request.rel_url
    kept = [p for p in url.raw_query_string.split("&") if p and not p.startswith("cursor=")]
    query = "&".join([*kept, f"cursor={following}"])
    return {"Link": f'<{url.raw_path}?{query}>; rel="next"'}


def vary(headers: CIMultiDict[str], on: str) -> None:
    """Add a request header to `Vary`, in one line: some caches read only the first line."""
    known = headers.get(VARY)
    headers[VARY] = f"{known}, {on}" if known else on


def compress(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Have an answer compressed that is long enough, and asked for like this."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return
    if len(response.body) < LEAST or response.headers.get("Content-Type") not in _COMPRESSED:
        return
    vary(response.headers, "Accept-Encoding")
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        response.enable_compression(web.ContentCoding.gzip)


@lru_cache(maxsize=256)
def accepts_gzip(header: str) -> bool:
    """Does an Accept-Encoding name gzip, or everything, and not with a weight of zero?"""
    for entry in header.split(","):
        coding, _, weight = entry.strip().partition(";")
        if coding.strip().lower() in ("gzip", "*"):
            return not _NOT_AT_ALL.fullmatch(weight)
    return False


def _told_apart(error: BaseException) -> dict[str, Any]:
    """Headers that belong to one kind of refusal."""
    match error:
        case MethodNotAllowedError():
            return {"Allow": ", ".join(error.allowed)}
        case RangeError():
            return {"Content-Range": f"bytes */{error.size}"}
        case UnauthenticatedError():
            return {"WWW-Authenticate": BEARER + (', error="invalid_token"' if error.sent else "")}
        case MissingScopeError():
            asked = f'error="insufficient_scope", scope="{error.scope}"'
            return {"WWW-Authenticate": f"{BEARER}, {asked}"}
        case RateLimitedError():
            return {"Retry-After": str(ceil(error.retry_after))}
    seconds = problem_of(error).retry_after
    return {} if seconds is None else {"Retry-After": str(seconds)}
