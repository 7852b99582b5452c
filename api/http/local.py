"""Local mode: whoever can reach the loopback interface is user 1, so no web page may pass for one.

A page could reach a local ledger in two ways: under a name that resolves to the loopback address
(its Host gives it away), or by writing across origins (its Origin or Sec-Fetch-Site does).
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from asset_ledger.api.contract.errors import ForbiddenError

_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]*)?", re.ASCII)


def check_host(host: str) -> None:
    """Refuse a request that was addressed to another name than this machine's own."""
    if not is_loopback(host):
        raise ForbiddenError(f"{host!r} is not this machine: a local ledger answers to localhost")


def check_not_foreign(headers: Mapping[str, str]) -> None:
    """Refuse a write that a browser sends on behalf of another origin."""
    if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise ForbiddenError("a page of another site may not write to a local ledger")
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != headers.get("Host"):
        raise ForbiddenError(f"a page of {origin!r} may not write to a local ledger")


@lru_cache(maxsize=256)
def is_loopback(authority: str) -> bool:
    """Does `host` or `host:port` name the loopback interface?"""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return False
    host = match[1].strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
