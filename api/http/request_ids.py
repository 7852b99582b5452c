"""Request ids, which an answer, its problem document and the server's log have in common."""

import itertools
import re
import secrets
from collections.abc import Mapping
from typing import Final

REQUEST_ID: Final = "X-Request-Id"
_SENT_ID: Final = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)


class RequestIds:
    """Request ids for responses and the server's log: the sent id, else a new one."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(4)  # else ids of two processes would be equal
        self._numbers = itertools.count(1)

    def of(self, headers: Mapping[str, str]) -> str:
        """Return the sent id if it is short printable ASCII, else a new id."""
        sent = headers.get(REQUEST_ID)
        if sent is not None and _SENT_ID.fullmatch(sent):
            return sent
        return f"{self._prefix}{next(self._numbers):08x}"
