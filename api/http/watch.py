"""Request ids, and the counts of requests by operation and status that /metrics shows.

Promise: a count costs a microsecond.
"""

import itertools
import re
import secrets
from collections.abc import Mapping
from typing import Final

from asset_ledger.ledger.commit.histogram import Histogram

REQUEST_ID: Final = "X-Request-Id"

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_OF_OTHERS: Final = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)


class RequestIds:
    """Ids to find a request by in the log: the one that came along, else one of our own."""

    def __init__(self) -> None:
        self._ours = secrets.token_hex(4)  # of this process
        self._numbers = itertools.count(1)

    def of(self, headers: Mapping[str, str]) -> str:
        """What a proxy or a client calls the request, if that can stand in a line of the log."""
        sent = headers.get(REQUEST_ID)
        if sent is not None and _OF_OTHERS.fullmatch(sent):
            return sent
        return f"{self._ours}{next(self._numbers):08x}"


class Watch:
    """The counts since the start: seconds by operation and status, and bytes of bodies."""

    def __init__(self) -> None:
        self.durations: dict[tuple[str, int], Histogram] = {}
        self.received = 0
        self.sent = 0

    def count(
        self, operation: str, status: int, seconds: float, *, received: int, sent: int
    ) -> None:
        """Count a request that was answered, completely or as far as its client stayed."""
        durations = self.durations.get((operation, status))
        if durations is None:
            durations = self.durations[operation, status] = Histogram(SECONDS)
        durations.count(seconds)
        self.received += received
        self.sent += sent
