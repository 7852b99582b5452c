"""The connection: what aiohttp would answer by itself, in text of its own, is a problem document.

That is everything that never becomes a request: bad request lines, bad headers, unknown methods,
lines above the limit. Such a connection is closed: nobody knows where its next request begins.
"""

import logging
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
    """One connection."""

    __slots__ = ()

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
            ours = _ours(request)
            ours.watch.done(ours, resp)
        silent = resp.status == HTTPStatus.REQUEST_TIMEOUT
        return resp, reset or ((waits or silent) and not body.is_eof())


def _ours(request: web.BaseRequest) -> Request:
    """Every request of a connection comes from the server's own factory."""
    return cast(Request, request)


def _first_line(message: str | None) -> str:
    return next(iter((message or "").splitlines()), "").rstrip(":") or "the request is not HTTP"
