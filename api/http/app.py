"""The server: every request passes `Server.answer`, and every failure of one is answered there.

It stands on aiohttp's low-level server rather than its Application: the table of operations is the
router, which costs a request a third less, and one wrapper around handlers replaces middlewares.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Final, cast
from urllib.parse import unquote

from aiohttp import web

from asset_ledger.api.backend import Backend
from asset_ledger.api.contract.errors import MalformedRequestError
from asset_ledger.api.contract.headers import OWNER
from asset_ledger.api.contract.operations import Operation, operations_of
from asset_ledger.api.contract.origins import read_origins
from asset_ledger.api.contract.parameters import Asked
from asset_ledger.api.contract.principal import ANONYMOUS, Scope
from asset_ledger.api.contract.problems import UNFORESEEN, problem_of
from asset_ledger.api.contract.rates import read_rate
from asset_ledger.api.http import (
    assets,
    bulk,
    content,
    description,
    editing,
    events,
    folders,
    health,
    history,
    imports,
    jobs,
    lineage,
    log,
    projections,
    proofs,
    search,
    skipping,
    thumbnail,
    tokens,
    usage,
)
from asset_ledger.api.http.answers import compress, problem
from asset_ledger.api.http.auth import callers_of
from asset_ledger.api.http.cors import Cors
from asset_ledger.api.http.description import openapi_json
from asset_ledger.api.http.metrics import RequestCounts
from asset_ledger.api.http.protocol import MAX_LINE, Protocol
from asset_ledger.api.http.rates import RateLimit
from asset_ledger.api.http.request import Request, RequestIds
from asset_ledger.api.http.routes import Routes
from asset_ledger.ledger.errors import AddressError

OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    operations_of(
        assets,
        editing,
        bulk,
        content,
        thumbnail,
        jobs,
        history,
        lineage,
        events,
        proofs,
        log,
        usage,
        search,
        folders,
        imports,
        projections,
        skipping,
        tokens,
        health,
        description,
    )
)

PATIENCE: Final = 60.0
"""Seconds without a byte of a body, after which its sender gives up its place in the queue."""

NO_OPERATION: Final = "none"
"""What requests that no operation has are counted under."""

DRAIN: Final = 30.0
"""Seconds that requests have to finish once the server was told to stop."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


class Server(web.Server):
    """Answers HTTP from one backend. Made on the event loop that serves it."""

    def __init__(self, backend: Backend, *, patience: float = PATIENCE) -> None:
        super().__init__(
            cast(Any, self.answer),  # it gets what the factory makes
            request_factory=self._request,
            handler_cancellation=False,  # who goes away must not cancel what is being committed
        )
        self._backend = backend
        self._patience = patience
        self._routes = Routes(OPERATIONS)
        authenticated = backend.settings.auth != "local"
        self._counts = RequestCounts()
        self._ids = RequestIds()
        self._openapi = cache(partial(openapi_json, OPERATIONS, authenticated=authenticated))
        self._callers = callers_of(backend)
        origins = read_origins(backend.settings.cors_origins)
        self._cors = Cors(origins) if origins.any or origins.named else None
        rate = read_rate(backend.settings.rate_limit)
        self._rates = RateLimit(rate) if rate else None
        self._lenient = backend.settings.lenient_queries
        self._active = 0
        self._idle: asyncio.Event | None = None

    def __call__(self) -> Protocol:
        """The protocol of a new connection."""
        return Protocol(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,  # a digest is of the bytes that were sent
            max_line_size=MAX_LINE,
        )

    async def answer(self, request: Request) -> web.StreamResponse:
        """Find the operation, check who asks and what, and let the handler answer."""
        self._active += 1
        try:
            response = await self._handle(request)
        except Exception as error:
            response = _refusal(request, error)
        finally:
            self._active -= 1
            if self._idle is not None and not self._active:
                self._idle.set()
        compress(request, response)
        if self._idle is not None:
            response.force_close()
        return response

    async def drain(self, seconds: float) -> None:
        """Let the requests that are under way finish, and close each connection after its own.

        Streams of events would never: they are ended.
        """
        self._backend.feed.end()
        self._idle = asyncio.Event()
        if self._active:
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                logger.warning("%d requests did not finish in time", self._active)

    async def _handle(self, request: Request) -> web.StreamResponse:
        self._callers.check(request.method, request.headers)
        if self._cors and (preflight := self._cors.preflight(request.method, request.headers)):
            return preflight
        _check_utf8(request.raw_path)
        operation, request.named = self._routes.find(request.method, request.rel_url.raw_path)
        request.operation_name = operation.name
        if operation.scope is not None:
            self._admit(request, operation.scope)
        request.asked = self._read_query(request, operation)
        position = request.asked.get("min_position")
        if position is not None:
            await self._backend.projections.reach(position, operation.projections)
        answer: web.StreamResponse = await operation.handler(request)
        return answer

    def _admit(self, request: Request, scope: Scope) -> None:
        request.principal = caller = self._callers.principal(request.headers)
        if self._rates is not None:
            self._rates.take(caller.user_id)
        caller.require(scope)
        request.user_id = caller.owner(request.headers.get(OWNER))

    def _read_query(self, request: Request, operation: Operation) -> Asked:
        if "?" not in request.raw_path:  # most requests: spare them the parsing
            return operation.parameters.defaults
        if "%" in request.rel_url.raw_query_string:
            _check_escapes(request.rel_url.raw_query_string)
        return operation.parameters.read(request.rel_url.query.items(), lenient=self._lenient)

    def _request(self, message: Any, body: Any, protocol: Any, writer: Any, task: Any) -> Request:
        loop = asyncio.get_running_loop()
        request = Request(message, body, protocol, writer, task, loop)
        request.backend = self._backend
        request.openapi = self._openapi
        request.counts = self._counts
        request.cors = self._cors
        request.id = self._ids.of(message.headers)
        request.began = time.perf_counter()
        request.operation_name = NO_OPERATION
        request.principal = ANONYMOUS
        request.user_id = ANONYMOUS.user_id
        request.patience = self._patience
        protocol.request = request
        return request


def _check_utf8(target: str) -> None:
    """Bytes that are no UTF-8 arrive as surrogates, on which SQLite and orjson would choke."""
    if not target.isascii() and any("\ud800" <= c <= "\udfff" for c in target):
        raise MalformedRequestError("the request target is not UTF-8")


def _check_escapes(query: str) -> None:
    """Escaped bytes that are no UTF-8 would be read as U+FFFD: as another name than was sent."""
    try:
        unquote(query, errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedRequestError("the query is not UTF-8") from error


def _refusal(request: Request, error: Exception) -> web.Response:
    """The problem document of what was raised. Raises it on where an answer has begun already."""
    if problem_of(error) is UNFORESEEN and not isinstance(error, ConnectionError):
        logger.error("request %s failed", request.id, exc_info=error)
    if request.writer.output_size:
        raise ConnectionResetError("the answer broke off") from error
    response = problem(error, request.id)
    if not request.content.is_eof():  # who still sends is told to stop, and not to send more here
        response.force_close()
    return response


async def serve(backend: Backend, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Listen until SIGINT or SIGTERM, then finish what is under way.

    `ready` is called with the address once requests are answered. Raises AddressError for one
    that cannot be listened on.
    """
    server = Server(backend)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await _listen(site)
        with _stop_signal() as stop:
            ready(_address(runner))
            await stop.wait()
        await site.stop()
        await server.drain(DRAIN)
    finally:
        await runner.cleanup()


async def _listen(site: web.TCPSite) -> None:
    try:
        await site.start()
    except OSError as error:
        raise AddressError(f"cannot listen at {site.name}: {error.strerror or error}") from error


def _address(runner: web.ServerRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """Set by the first SIGINT or SIGTERM; a second one, while requests finish, ends the process."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
