"""Which addresses events may be sent to: those of the internet, unless a setting allows any.

Promise: the address of the connection itself is checked, so that a name that leads elsewhere by
the time of the connection (DNS rebinding) does not help. Redirects are not followed.
"""

import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

_NAT64: Final = IPv6Network("64:ff9b::/96")
_REFUSED: Final = "is not an address of the internet: the setting hook_addresses allows others"

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


def check_url(url: str, *, private: bool) -> None:
    """Raise ValueError for an address that events may not be sent to.

    `private`: plain http and any host are allowed. A name is checked once it is resolved.
    """
    parts = urlsplit(url)  # raises ValueError
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("must be an address such as https://example.com/hook")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("must have no user, password or fragment")
    if private:
        return
    if parts.scheme != "https":
        raise ValueError("must begin with https://, unless the setting hook_addresses allows any")
    if _is_literal(parts.hostname) and not is_public(parts.hostname):
        raise ValueError(_REFUSED)


def is_public(host: str) -> bool:
    """Return whether an IP address, and each one inside of it, is one of the internet."""
    found = ip_address(host.partition("%")[0])
    return all(each.is_global and not each.is_multicast for each in _inner(found))


def connector(*, private: bool) -> aiohttp.TCPConnector:
    """Return a connector that refuses to connect to other addresses."""

    def checked(address: AddrInfo) -> socket.socket:
        family, kind, protocol, _, where = address
        if not is_public(str(where[0])):
            raise PermissionError(errno.EACCES, f"{where[0]} {_REFUSED}")
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        limit=0, ttl_dns_cache=10, socket_factory=None if private else checked
    )


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _inner(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield the address, or for IPv4 in IPv6 the addresses that a gateway would connect to."""
    if isinstance(address, IPv4Address):
        yield address
        return
    mapped = address.ipv4_mapped
    yield mapped or address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
