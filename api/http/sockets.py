"""The sockets that a server listens at."""

import socket
from typing import Any

from asset_ledger.api.http.jwt import verifier
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.errors import AddressError
from asset_ledger.ledger.storage.folder_lock import refuse_if_held


def reserve(settings: Settings) -> list[socket.socket]:
    """Return a socket bound to each address of the settings, before the data folder is made.

    Raises FolderLockedError, TokenKeyError, AddressError.
    """
    refuse_if_held(settings.data_dir)
    if settings.auth == "jwt":
        verifier(settings)
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_bound(family, address) for family, *_, address in found]
    except OSError as error:
        where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        reason = error.strerror or error
        raise AddressError(f"cannot listen at {where}: {reason}. Choose another one") from error


def _bound(family: int, address: Any) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
