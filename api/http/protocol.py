"""The connection: what aiohttp would answer by itself, in text of its own, is a problem document.

That is everything that never becomes a request: bad request lines, bad headers, unknown methods,
lines above the limit. Such a connection is closed: nobody knows where its next request begins.
"""

import logging
import time
from http import HTTPStatus
from typing import Final, cast

from aiohttp import web

from asset_ledger.api.contract.errors import MalformedRequestError
from asset_ledger.api.http.answers import problem
from asset_ledger.api.http.request import Request

MAX_LINE: Final = 32 * 1024
"""How long the request line may be: fields may be query parameters."""

logger = logging.getLogger(__name__)


class Protocol(web.RequestHandler):
    """One connection. `request` is the one that was begun last."""

    __slots__ = ("request",)

    request: Request

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio reads the result
        """Answer a client that has sent all of its request and closed its half of the connection.

        Returns whether the other half stays open: as long as an answer has to be sent, and its
        first byte was not. A client that closes while an answer is being sent has gone.
        """
        if self._waiter is not None and not self._waiter.done():  # no request is under way
            return False
        if self._messages:
            is_complete = self._messages[-1][1].is_eof()
        else:
            is_complete = self.request.content.is_eof() and not self.request.writer.output_size
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
        """Answer what is no request. Raises ConnectionError where an answer has begun already."""
        if request.writer.output_size:
            raise ConnectionResetError("the answer broke off") from exc
        if status < 500:
            error: BaseException = MalformedRequestError(_first_line(message))
        else:
            error = exc or TimeoutError("the request took too long")
            logger.error("a request failed outside of its handler", exc_info=error)
        response = problem(error, _ours(request).id)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; True means that the connection is done with.

        Who waits to be asked for his body (`Expect`) and was refused instead never sends it, and
        who fell silent stays so: without this, aiohttp would wait for the rest nevertheless.
        """
        body = request.content
        waits = "Expect" in request.headers and not body.total_bytes
        if waits and not body.is_eof():
            resp.force_close()  # which says so in its head, where that was not sent yet
        try:
            resp, reset = await super().finish_response(request, resp, start_time)
        finally:
            _record(_ours(request), resp)
        silent = resp.status == HTTPStatus.REQUEST_TIMEOUT
        return resp, reset or ((waits or silent) and not body.is_eof())


def _record(request: Request, response: web.StreamResponse) -> None:
    """Count an answered request; log it as well where the settings ask for that.

    Promise: no line of the log holds a token, a query or a body.
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


def _ours(request: web.BaseRequest) -> Request:
    """Every request of a connection comes from the server's own factory."""
    return cast(Request, request)


def _first_line(message: str | None) -> str:
    return next(iter((message or "").splitlines()), "").rstrip(":") or "the request is not HTTP"
