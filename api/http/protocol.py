"""The HTTP connection: send problem documents for bytes that aiohttp cannot parse.

Those are bad request lines, bad headers, unknown methods and lines above the limit. The
connection is closed afterwards, because the start of the next request is unknown.
"""

import logging
import time
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import web

from asset_ledger.api.contract.errors import MalformedRequestError
from asset_ledger.api.http.answers import problem
from asset_ledger.api.http.request import Request

MAX_LINE: Final = 32 * 1024
"""Bytes of the request line. It is long because an upload's fields may be query parameters."""

logger = logging.getLogger(__name__)


class Protocol(web.RequestHandler):
    """One connection. `request` is the latest one; None before the first."""

    __slots__ = ("request",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.request: Request | None = None

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio reads the result
        """Answer a client that has sent all of its request and closed its half of the connection.

        Returns whether the other half stays open: as long as an answer has to be sent, and its
        first byte was not. A client that closes while an answer is being sent has gone.
        """
        if self._waiter is not None and not self._waiter.done():  # no request is under way
            return False
        request = self.request
        if self._messages:
            is_complete = self._messages[-1][1].is_eof()
        elif request is None:
            is_complete = False
        else:
            is_complete = request.content.is_eof() and not request.writer.output_size
        if is_complete:
            self.close()  # after the answer
        return is_complete

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the problem document. Raises ConnectionResetError if a head was sent already."""
        if request.writer.output_size:
            raise ConnectionResetError("the response broke off") from exc
        if status < 500:
            error: BaseException = MalformedRequestError(_first_line(message))
        else:
            error = exc or TimeoutError("the request took too long")
            logger.error("a request failed outside of its handler", exc_info=error)
        response = problem(error, _as_request(request).id)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response; True means: close the connection.

        A client that waits for `100 Continue` and is refused never sends its body, nor does one
        that stalled. Without this method aiohttp would wait for the rest.
        """
        body = request.content
        waits = "Expect" in request.headers and not body.total_bytes
        if waits and not body.is_eof():
            resp.force_close()  # adds `Connection: close` to a head not yet sent
        try:
            resp, reset = await super().finish_response(request, resp, start_time)
        finally:
            _count(_as_request(request), resp)
        stalled = resp.status == HTTPStatus.REQUEST_TIMEOUT
        return resp, reset or ((waits or stalled) and not body.is_eof())


def _count(request: Request, response: web.StreamResponse) -> None:
    """Count an answered request, and log it if the settings say so.

    Promise: no log line holds a token, a query or a body.
    """
    seconds = time.perf_counter() - request.began
    received, sent = request.content.total_bytes, response.body_length
    name, status = request.operation_name, response.status
    request.counts.count(name, status, seconds, received=received, sent=sent)
    if request.backend.settings.log_requests:
        fields = {
            "request_id": request.id,
            "traceparent": request.traceparent,
            "user": request.principal.user_id or None,
            "operation": name,
            "method": request.method,
            "path": request.rel_url.raw_path,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "received": received,
            "sent": sent,
        }
        logger.info("request", extra={"fields": fields})


def _as_request(request: web.BaseRequest) -> Request:
    """Return the request as the class that the server's factory made it."""
    return cast(Request, request)


def _first_line(message: str | None) -> str:
    return next(iter((message or "").splitlines()), "").rstrip(":") or "the request is not HTTP"
