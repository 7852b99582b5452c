"""The HTTP connection: its limits, and problem documents for bytes that aiohttp cannot parse.

Those are bad request lines, bad headers, unknown methods and lines above the limit. The
connection is closed afterwards, because the start of the next request is unknown.
"""

import asyncio
import logging
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import web

from asset_ledger.api.contract.errors import MalformedRequestError
from asset_ledger.api.http.answers import problem, raw_problem
from asset_ledger.api.http.connections import RECHECK, Connections
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import BusyError, RefusedError, UnavailableError

MAX_LINE: Final = 32 * 1024
"""Bytes of the request line. It is long because an upload's fields may be query parameters."""

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head, and of requests that arrive while another one is under way."""

LARGE: Final = 64 * 1024
"""Bytes of a body that are sent without a copy."""

_NO_ROOM: Final = "all connections of the server are in use: retry in a second"

logger = logging.getLogger(__name__)


class Protocol(web.RequestHandler):
    """One connection, as `connections.Connection`. `request` is the latest; None before the first.

    `early`: bytes that arrived and belong to no body: a part of a head, or pipelined requests.
    """

    __slots__ = ("clients", "credit", "early", "held", "owed", "request", "since", "user")

    def __init__(self, clients: Connections, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.request: Request | None = None
        self.clients = clients
        self.since, self.credit = 0.0, clients.limits.stall
        self.owed = self.held = self.early = 0
        self.user: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the connection; refuse it if the server has no room for it."""
        super().connection_made(transport)
        if not self.clients.add(self):
            self._refuse(BusyError(_NO_ROOM, "connections"))
        elif self.transport is not None:
            self.transport.set_write_buffer_limits(0)  # else small answers would stay unnoticed

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection, and cancel the read under way, whose answer has no reader.

        aiohttp would raise `exc` in the handler. The traceback and what raised it would refer to
        each other, and keep megabytes of an unread answer until a full garbage collection.
        """
        task, request, self.request = self._task_handler, self.request, None
        is_reading = request is not None and request.is_read and not self.is_waiting
        self.clients.remove(self)
        super().connection_lost(None)
        if is_reading and task is not None:
            task.cancel()

    def pause_writing(self) -> None:
        """Note that the client has not read all of what was sent."""
        super().pause_writing()
        self.clients.pause(self)

    def resume_writing(self) -> None:
        """Note that the client has read everything."""
        super().resume_writing()
        self.clients.resume(self)

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and refuse a head that is too long."""
        queued, request = len(self._messages), self.request
        in_body = request is not None and not request.content.is_eof()
        super().data_received(data)
        if in_body or len(self._messages) > queued:
            return
        if self.is_waiting:
            if not self.early:
                self.since = self._loop.time()
            self.early += len(data)
            if self.early > MAX_HEAD:
                message = f"the head of the request is longer than {MAX_HEAD:,} bytes: shorten it"
                self._refuse(MalformedRequestError(message))
        else:
            self.early += len(data)
            if self.early > MAX_HEAD:
                self._pause_reading_for_buffer()  # until the requests before it are answered

    def begin(self, request: Request) -> None:
        """Note the request that is handled from now on."""
        self.request = request
        if not self._messages:
            self.early = 0
        self.clients.begin(self)

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._messages

    @property
    def has_partial_head(self) -> bool:
        """Whether the next request has begun, or was never complete."""
        return self.request is None or self.early > 0

    def unread(self) -> int:
        """Return how many bytes the client has not read."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def has_rights(self, now: float) -> bool:
        """Whether the token of the request under way was valid within `RECHECK`."""
        request = self.request
        if request is None or now - request.checked < RECHECK:
            return True
        request.checked = now
        return self.is_allowed()

    def is_allowed(self) -> bool:
        """Whether the token of the request under way is valid now."""
        request = self.request
        return self.user is None or request is None or request.is_still_allowed(request)

    def end(self) -> None:
        """Close the connection, without waiting for a client that does not read."""
        if self.transport is not None and self.unread():
            self.transport.abort()
        self.force_close()

    def _refuse(self, error: RefusedError | UnavailableError) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(raw_problem(error, self.clients.ids.of({})))
        self.force_close()

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

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log an error outside of a handler. After a lost connection, aiohttp itself raises one
        when it reads the rest of a refused body."""
        if self.transport is not None:
            super().log_exception(*args, **options)

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
        self.held = _size(resp)
        if self.held > LARGE:
            await _send_head(request, resp)
        try:
            resp, reset = await super().finish_response(request, resp, start_time)
        finally:
            _count(_as_request(request), resp)
            self.clients.finish(self)
        stalled = resp.status == HTTPStatus.REQUEST_TIMEOUT
        return resp, reset or ((waits or stalled) and not body.is_eof())


async def _send_head(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Send the head apart from a large body. Both in one write would copy the body, and keep the
    copy until the client has read it."""
    with suppress(ConnectionError):  # the next write finds it, too
        writer = await response.prepare(request)
        if writer is not None:
            writer.send_headers()


def _size(response: web.StreamResponse) -> int:
    """Return the bytes of a whole answer; 0 for a stream."""
    body = response.body if isinstance(response, web.Response) else None
    return len(body) if isinstance(body, bytes) else 0


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
