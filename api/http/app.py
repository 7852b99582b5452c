"""The server: `Server.answer` handles every request, and turns every error into a response.

It uses aiohttp's low-level server instead of its Application. The table of operations is the
router, which costs a third less per request; `Server.answer` replaces middlewares.
"""

import asyncio
import errno
import logging
import sqlite3
import time
from functools import cache, partial
from typing import Any, Final, cast
from urllib.parse import unquote

from aiohttp import web

from asset_ledger.api.backend import Backend
from asset_ledger.api.contract.errors import MalformedRequestError, UnauthenticatedError
from asset_ledger.api.contract.headers import OWNER
from asset_ledger.api.contract.operations import (
    ANY,
    NeededScope,
    Operation,
    operations_of,
)
from asset_ledger.api.contract.origins import read_origins
from asset_ledger.api.contract.parameters import ParameterValues
from asset_ledger.api.contract.principal import ANONYMOUS, Credential, Principal
from asset_ledger.api.contract.problems import INTERNAL_ERROR, problem_of
from asset_ledger.api.contract.rates import read_rate
from asset_ledger.api.http import (
    archive,
    assets,
    bulk,
    bundle,
    collection,
    console,
    content,
    description,
    editing,
    events,
    folders,
    health,
    history,
    hooks,
    imports,
    jobs,
    lineage,
    log,
    nodes,
    openlineage,
    projections,
    proofs,
    repairs,
    search,
    session,
    skipping,
    storage,
    thumbnail,
    timeline,
    tokens,
    uploads,
    usage,
    users,
    values,
)
from asset_ledger.api.http.answers import POSITION, answer_json, compress, problem
from asset_ledger.api.http.auth import authenticator_of, bearer, verifier_of
from asset_ledger.api.http.budget import Budget
from asset_ledger.api.http.connections import Connections, Limits
from asset_ledger.api.http.cors import Cors
from asset_ledger.api.http.description import openapi_json
from asset_ledger.api.http.door import Door
from asset_ledger.api.http.kept import Answer, KeptAnswers
from asset_ledger.api.http.lines import LINES
from asset_ledger.api.http.metrics import RequestCounts
from asset_ledger.api.http.protocol import MAX_HEAD, MAX_LINE, Protocol
from asset_ledger.api.http.rates import RateLimit
from asset_ledger.api.http.request import Request
from asset_ledger.api.http.routes import Routes
from asset_ledger.api.http.sharing import Shared
from asset_ledger.ledger.errors import (
    BusyError,
    LogDamagedError,
    RefusedError,
    StorageFailedError,
)
from asset_ledger.ledger.storage.data_folder import LOG
from asset_ledger.ledger.storage.sqlite import is_fatal
from asset_ledger.ledger.storage.turns import ReadBudget, Turns, read_budget

OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    operations_of(
        assets,
        editing,
        uploads,
        bulk,
        content,
        thumbnail,
        storage,
        jobs,
        nodes,
        history,
        timeline,
        bundle,
        openlineage,
        lineage,
        events,
        proofs,
        log,
        usage,
        values,
        search,
        folders,
        imports,
        projections,
        skipping,
        collection,
        repairs,
        session,
        tokens,
        users,
        hooks,
        health,
        description,
        console,
    )
)

NO_OPERATION: Final = "none"
"""The operation in the metrics of requests that match no operation."""

logger = logging.getLogger(__name__)


class Server(web.Server):
    """An HTTP server for one backend. Create it on the event loop that serves it.

    `doors`: by port, what answers there in place of the operations. They share its connections,
    limits and metrics.
    """

    def __init__(self, backend: Backend, *, stall_timeout: float | None = None) -> None:
        super().__init__(
            cast(Any, self.answer),  # aiohttp passes what `_request` returns
            request_factory=self._request,
            handler_cancellation=False,  # else a disconnect would cancel a running commit
        )
        self._backend = backend
        self.clients = Connections(Limits.of(backend.settings, stall_timeout))
        self._bodies = Budget(backend.settings.body_memory)
        self._scrapes = Shared[bytes]()
        self._routes = Routes(OPERATIONS)
        authenticated = backend.settings.auth != "local"
        self._zips = Turns(archive.MOST, archive.EACH if authenticated else archive.MOST, "zips")
        self._read_deadline = backend.settings.read_deadline
        self._counts = RequestCounts()
        self._openapi = cache(partial(openapi_json, OPERATIONS, authenticated=authenticated))
        jwts = verifier_of(backend.settings)
        self.authenticator = authenticator_of(backend, jwts)
        self._keys = jwts.address if jwts else None
        self._fetching = asyncio.create_task(self._keys.run()) if self._keys else None
        backend.tokens.on_revoked = backend.sessions.on_ended = self.clients.end_revoked
        origins = read_origins(backend.settings.cors_origins)
        self._cors = Cors(origins) if origins.any or origins.allowed else None
        rate = read_rate(backend.settings.rate_limit)
        self._rates = RateLimit(rate) if rate else None
        self._lenient = backend.settings.lenient_queries
        self.doors: dict[int, Door] = {}
        self._kept = self._counts.kept = KeptAnswers(backend.projections, backend.feed)
        self._active = 0
        self._idle: asyncio.Event | None = None

    def __call__(self) -> Protocol:
        """Return the protocol of a new connection."""
        return Protocol(
            self.clients,
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,  # else digests would not match the sent bytes
            max_line_size=MAX_LINE,
            max_field_size=MAX_HEAD,  # Upload-Metadata may hold 32 KiB in base64
        )

    async def answer(self, request: Request) -> web.StreamResponse:
        """Find the operation, check the caller and the query, and call the handler."""
        self._active += 1
        door = self.doors.get(request.local_port) if self.doors else None
        response: web.StreamResponse | None
        try:
            response = await (door.answer(request) if door else self._handle(request))
        except Exception as error:
            response = _refusal(request, error, door)
        finally:
            self._active -= 1
            if self._idle is not None and not self._active:
                self._idle.set()
        if response is None:  # raised here, it keeps nothing that the handler had in memory
            raise ConnectionResetError("the response broke off")
        if not door:
            compress(request, response)
        if self.clients.is_leaving:
            response.force_close()
        return response

    def leave(self) -> None:
        """Report that the server is not ready, and close each connection after its request."""
        self.clients.is_leaving = True

    async def drain(self, seconds: float) -> None:
        """Wait until open requests are finished; end the event streams, which never finish."""
        self._backend.feed.end()
        self._idle = asyncio.Event()
        if self._active:
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                logger.warning("%d requests did not finish before the server stopped", self._active)

    async def _handle(self, request: Request) -> web.StreamResponse:
        self.authenticator.check(request.method, request.headers)
        if self._cors and (preflight := self._cors.preflight(request.method, request.headers)):
            return preflight
        _check_utf8(request.raw_path)
        operation, request.path_values = self._routes.find(request.method, request.rel_url.raw_path)
        request.operation_name, request.max_json = operation.name, operation.max_json
        request.is_read = operation.scope == "read" or request.method in ("GET", "HEAD")
        if operation.scope is not None:
            self._backend.log_file.check_often()
            self.admit(request, await self._credential(request), operation.scope)
        if operation.may_be_kept and (answer := self._find_kept(request)):
            return answer_json(request, answer)
        request.parameters = self._read_query(request, operation)
        position = request.parameters.get("min_position")
        if position is not None:
            await self._backend.projections.reach(position, operation.projections)
        response: web.StreamResponse = await operation.handler(request)
        return response

    def _find_kept(self, request: Request) -> Answer | None:
        if request.accepts(LINES):
            return None
        request.question = self._kept.question(request.user_id, request.raw_path)
        return self._kept.find(request.question) if request.question else None

    async def _credential(self, request: Request) -> Credential:
        """Return what authenticates a request; find the session of another server, and fetch the
        keys of JWTs, that it needs."""
        sessions = self._backend.sessions
        if sessions.is_shared and (text := request.session_text) is not None:
            await sessions.look_up(text)
        try:
            return self.authenticator.credential(request)
        except UnauthenticatedError as refused:
            sent = refused.sent and "Authorization" in request.headers
            if not sent or not await self.authenticator.recover(bearer(request.headers)):
                raise
        return self.authenticator.credential(request)

    def admit(self, request: Request, credential: Credential, scope: NeededScope) -> None:
        """Check what an authenticated caller may do now, and note it in the request.

        Raises BusyError, RateLimitedError, MissingScopeError.
        """
        request.credential = credential
        request.principal = caller = credential.principal
        self.clients.admit(request.connection, caller.user_id)
        self._take_rate(caller)
        if scope != ANY:
            caller.require(scope)
        seconds = self._read_deadline if scope == "read" else None  # a write may take its time
        read_budget.set(ReadBudget(caller.user_id, seconds))
        request.user_id = caller.owner(request.headers.get(OWNER), credential.for_user)

    async def _sign_in(self, token: str) -> Credential | None:
        """Return what a session in exchange for a token allows. Raises RateLimitedError."""
        try:
            credential = self.authenticator.sign_in(token)
        except UnauthenticatedError:
            if not await self.authenticator.recover(token):
                raise
            credential = self.authenticator.sign_in(token)
        if credential is not None:
            self._take_rate(credential.principal)
        return credential

    def _take_rate(self, caller: Principal) -> None:
        if self._rates is not None:
            self._rates.take(caller.user_id)

    def _still_allows(self, request: Request) -> bool:
        return self.authenticator.still_allows(request)

    def pre_shutdown(self) -> None:
        """Close the idle connections."""
        self.clients.stop()
        super().pre_shutdown()
        if self._fetching is not None:
            self._fetching.cancel()

    def _read_query(self, request: Request, operation: Operation) -> ParameterValues:
        if "?" not in request.raw_path:  # most requests: skip the parsing
            return operation.parameters.defaults
        if "%" in request.rel_url.raw_query_string:
            _check_escapes(request.rel_url.raw_query_string)
        lenient = self._lenient or operation.any_query
        return operation.parameters.read(request.rel_url.query.items(), lenient=lenient)

    def _request(self, message: Any, body: Any, protocol: Any, writer: Any, task: Any) -> Request:
        loop = asyncio.get_running_loop()
        request = Request(message, body, protocol, writer, task, loop)
        request.backend = self._backend
        request.openapi = self._openapi
        request.counts = self._counts
        request.cors = self._cors
        request.kept = self._kept
        request.id = self.clients.ids.of(message.headers)
        request.began = time.perf_counter()
        request.checked = loop.time()
        request.operation_name = NO_OPERATION
        request.sign_in, request.authenticate = self._sign_in, self._credential
        request.principal = ANONYMOUS
        request.user_id = ANONYMOUS.user_id
        request.connection = protocol
        request.clients, request.bodies = self.clients, self._bodies
        request.scrapes, request.zips = self._scrapes, self._zips
        request.key_address = self._keys
        request.credit = self.clients.limits.stall
        request.is_still_allowed = self._still_allows
        protocol.begin(request)
        return request


def _check_utf8(target: str) -> None:
    """Raise MalformedRequestError for surrogates, which aiohttp decodes invalid UTF-8 to."""
    if not target.isascii() and any("\ud800" <= c <= "\udfff" for c in target):
        raise MalformedRequestError("the request target is not UTF-8: percent-encode it")


def _check_escapes(query: str) -> None:
    """Raise MalformedRequestError for escapes that are not UTF-8: they would become U+FFFD."""
    try:
        unquote(query, errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedRequestError("the escapes in the query are not UTF-8") from error


def _refusal(request: Request, error: Exception, door: Door | None) -> web.Response | None:
    """Return the answer to an error; None after a sent head."""
    of_a_file = isinstance(error, sqlite3.Error | OSError | LogDamagedError)
    of_a_file = of_a_file and not isinstance(error, ConnectionError)
    if of_a_file and (moved := request.backend.log_file.problem):  # no other explanation is right
        error = StorageFailedError(moved)
    if isinstance(error, sqlite3.Error) and is_fatal(error):
        logger.error("request %s found a damaged log", request.id, exc_info=error)
        error = LogDamagedError(LOG, error)
    elif reason := _disk_failure(error):
        logger.error("request %s met a failing disk", request.id, exc_info=error)
        error = StorageFailedError(f"the disk failed ({reason}): try again, or check it")
    elif _lacks_memory(error):
        error = BusyError(
            "the server has too little memory for this: try again later, or raise its limit",
            "memory",
        )
    if isinstance(error, LogDamagedError):
        request.counts.log_damage = error
    request.counts.count_refused(error)
    known = ConnectionError if door is None else (ConnectionError, RefusedError)
    if problem_of(error) is INTERNAL_ERROR and not isinstance(error, known):
        logger.error("request %s failed", request.id, exc_info=error)
    if request.writer.output_size:
        return None
    response = door.refusal(request, error) if door else problem(error, request.id)
    if response.status in (404, 410) and request.operation_name != NO_OPERATION and not door:
        response.headers[POSITION] = str(request.reflected)
    if not request.content.is_eof():  # else the server would read the rest of the body
        response.force_close()
    return response


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or str(error) == "can't start new thread"


def _disk_failure(error: Exception) -> str | None:
    """Return the reason if the disk failed under a request; None for any other error."""
    if isinstance(error, sqlite3.OperationalError):
        is_closed = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN
        return str(error) if is_closed else None
    of_disks = (errno.EIO, errno.EROFS, errno.ENXIO, errno.ESTALE)
    return error.strerror if isinstance(error, OSError) and error.errno in of_disks else None
