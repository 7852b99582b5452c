"""JSON in fewer bytes, for whoever accepts gzip. Contents are sent as they are: their digest is of
the bytes that are sent, and most of them are compressed already.
"""

import re
from functools import lru_cache
from typing import Final

from aiohttp import web

from asset_ledger.api.contract.problems import MEDIA_TYPE as PROBLEM
from asset_ledger.api.http.answers import JSON
from asset_ledger.api.http.vary import vary

LEAST: Final = 1024
"""Below so many bytes, compressing saves no packet."""

_COMPRESSED: Final = (JSON, PROBLEM)
_NOT_AT_ALL: Final = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*", re.IGNORECASE)


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
