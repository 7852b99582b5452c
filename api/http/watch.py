"""What becomes of each request: counted always, and told in the log where that was asked for.

Promise: a count costs a microsecond, and no line of the log holds a token, a query or a body.
"""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aiohttp import web

from asset_ledger.ledger.commit.histogram import Histogram

if TYPE_CHECKING:
    from asset_ledger.api.http.request import Request

REQUEST_ID: Final = "X-Request-Id"

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_OF_OTHERS: Final = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)

logger = logging.getLogger(__name__)


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
    """Counts requests by operation and status; `log_requests` also makes each a line of the log."""

    def __init__(self, *, log_requests: bool) -> None:
        self.durations: dict[tuple[str, int], Histogram] = {}
        self.received = 0
        self.sent = 0
        self._log_requests = log_requests

    def done(self, request: "Request", response: web.StreamResponse) -> None:
        """A request was answered, to the end or as far as its client stayed."""
        name, status = request.operation_name, response.status
        seconds = time.perf_counter() - request.began
        durations = self.durations.get((name, status))
        if durations is None:
            durations = self.durations[name, status] = Histogram(SECONDS)
        durations.count(seconds)
        self.received += request.content.total_bytes
        self.sent += response.body_length
        if self._log_requests:
            _log(request, response, seconds)


def _log(request: "Request", response: web.StreamResponse, seconds: float) -> None:
    fields = {
        "request_id": request.id,
        "traceparent": request.traceparent,
        "user": request.principal.user_id or None,
        "operation": request.operation_name,
        "method": request.method,
        "path": request.rel_url.raw_path,
        "status": response.status,
        "ms": round(seconds * 1000, 2),
        "received": request.content.total_bytes,
        "sent": response.body_length,
    }
    logger.info("request", extra={"fields": fields})
