"""The SDK's HTTP client: it retries requests, and turns problem documents into exceptions.

Promise: a refusal raises the class that the server raised. A network failure or a failing proxy
raises UnreachableError after the last attempt of the retry policy.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, TypeVar

import aiohttp
import orjson
from yarl import URL

from asset_ledger.api.contract.problems import error_of
from asset_ledger.api.sdk.errors import NotConnectedError, UnreachableError
from asset_ledger.api.sdk.form import Body, SourceError
from asset_ledger.api.sdk.gateway import Query
from asset_ledger.api.sdk.retry import TEMPORARY, RetryPolicy
from asset_ledger.api.sdk.sessions import TIMEOUT, Sessions
from asset_ledger.ledger.errors import LedgerError

T = TypeVar("T")

BROKEN: Final = (aiohttp.ClientError, OSError)  # a TimeoutError is an OSError
"""What aiohttp raises for a network failure."""

BROKEN_OFF: Final = (*BROKEN, RuntimeError)
"""What aiohttp raises while a body is read; a RuntimeError if the connection was closed here."""

UNCONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""What aiohttp raises if there is no such name, or if nothing accepts a connection."""

FIRST_ATTEMPTS: Final = 5
"""Attempts while the server has never answered: their pauses are 1.5 s at most."""

FIRST_SECONDS: Final = 1.0
"""While the server has never answered, a failure to connect after this time is the last."""

FIRST_CONNECT: Final = aiohttp.ClientTimeout(total=None, sock_connect=1.5, sock_read=90)
"""Seconds to connect while the server has never answered: see `sessions.TIMEOUT`."""

PROXY_FAILURES: Final = (502, 504)

LARGE: Final = 1 << 20
"""Bytes. Larger bodies are sent with `Expect: 100-continue`: the server may refuse them unread."""


@dataclass(slots=True)
class Answers:
    """What the answers of one server have shown so far."""

    any: bool = False
    position: int = 0
    """The newest position of the log that an answer named."""

    def note(self, response: aiohttp.ClientResponse) -> None:
        """Note what an answer shows."""
        self.any = True
        position = response.headers.get("Ledger-Position", "")
        if position.isdecimal():
            self.position = max(self.position, int(position))


class Client:
    """HTTP requests to one server. Raises ValueError for an invalid http(s) address."""

    def __init__(self, url: str, token: str | None, retry: RetryPolicy) -> None:
        self.url = _base(url)
        self.retry = retry
        self.answers = Answers()
        self._sessions = Sessions({"Authorization": f"Bearer {token}"} if token else {})
        self._headers: Mapping[str, str] = {}

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """Return a client that adds these headers to every request, over the same connections."""
        other = copy(self)
        other._headers = headers
        return other

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Mapping[str, str] = {},
        body: Callable[[], Awaitable[Body]] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object of the answer. `body` makes the body of each attempt."""
        url = self._url_of(path, query)
        return await self.retried(partial(self._attempt, method, url, headers, body))

    async def text(self, path: str) -> str:
        """Return the body of an answer as text."""
        return b"".join([piece async for piece in self.pieces(path)]).decode()

    async def open(
        self, path: str, headers: Mapping[str, str], query: Query = ()
    ) -> aiohttp.ClientResponse:
        """Return an answer whose body is not read yet. The caller releases it."""
        url = self._url_of(path, query)
        return await self.retried(partial(self._send, "GET", url, headers, None))

    async def pieces(
        self, path: str, query: Query = (), headers: Mapping[str, str] = {}
    ) -> AsyncGenerator[bytes]:
        """Yield the body of an answer as it arrives. Raises UnreachableError if it breaks off."""
        async for piece in self.body(await self.open(path, headers, query)):
            yield piece

    async def body(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        """Yield the rest of an open answer, and release it. Raises what `pieces` raises."""
        async with response:
            try:
                async for piece in response.content.iter_any():
                    yield piece
            except BROKEN_OFF as error:
                raise self.broken(error) from error

    async def connect(self) -> None:
        """Prepare the connections of the running event loop. Raises NotConnectedError if closed."""
        await self._sessions.session()

    async def close(self) -> None:
        """Close the connections: later calls raise NotConnectedError."""
        await self._sessions.close()

    def broken(self, error: Exception) -> UnreachableError | NotConnectedError:
        """Return the error for an answer that broke off."""
        if self._sessions.closed:
            return NotConnectedError()
        return UnreachableError(f"the connection to {self.url} broke off, try again: {error!r}")

    async def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: Body | None = None
    ) -> tuple[Mapping[str, str], dict[str, Any] | None]:
        """Return the headers of an answer and its JSON object, if it has a body. Once: no retry."""
        response = await self._send(method, self._url_of(path, ()), headers, body)
        async with response:
            text = await self._read(response)
        return response.headers, self._object(text) if text else None

    async def retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Retry as the policy says; less before the first answer: the address may be wrong."""
        began = time.monotonic()

        def useless(number: int, error: Exception) -> bool:
            if self.answers.any:
                return False
            unconnected = isinstance(error.__cause__, UNCONNECTED)
            late = unconnected and time.monotonic() - began > FIRST_SECONDS
            return late or number >= FIRST_ATTEMPTS

        return await self.retry.run(attempt, useless=useless)

    def _url_of(self, path: str, query: Query) -> URL:
        # Paths are quoted already: yarl would split an id with a slash into two segments.
        url = URL(f"{self.url}{path}", encoded=True)
        return url.with_query(query) if query else url

    async def _attempt(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: Callable[[], Awaitable[Body]] | None,
    ) -> dict[str, Any]:
        response = await self._send(method, url, headers, await body() if body else None)
        async with response:
            return self._object(await self._read(response))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.read()
        except BROKEN as error:
            raise self.broken(error) from error

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            found: dict[str, Any] = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise LedgerError(f"{self.url} sent no JSON: check the address") from error
        return found

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: Body | None
    ) -> aiohttp.ClientResponse:
        session = await self._sessions.session()
        headers = {**self._headers, **headers, **(body.headers if body else {})}
        try:
            response = await session.request(
                method,
                url,
                headers=headers,
                data=body.data if body else None,
                expect100=body is not None and body.size >= LARGE,
                allow_redirects=False,
                timeout=TIMEOUT if self.answers.any else FIRST_CONNECT,
            )
            self.answers.note(response)
            self._sessions.note(response)
            if response.status < 300:
                return response
            async with response:
                raise self._refusal(response, await response.read())
        except BROKEN as error:
            if isinstance(error.__cause__, SourceError):
                raise error.__cause__.error from None
            reason = getattr(error, "os_error", error)  # aiohttp's own text repeats the address
            raise UnreachableError(
                f"cannot reach {self.url}: {str(reason) or repr(reason)}."
                " Check the address, and that the server runs"
            ) from error

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> LedgerError:
        answer = f"{self.url} answered {response.status} {response.reason}"
        if response.status in PROXY_FAILURES:
            return UnreachableError(answer)
        error = error_of({"detail": answer, **_problem(body)}, response.status)
        after = response.headers.get("Retry-After", "")
        if isinstance(error, TEMPORARY) and after.isdecimal():
            error.retry_after = float(after)
        return error


def _problem(body: bytes) -> Mapping[str, Any]:
    """Return the problem document of an answer, {} if there is none: a proxy may send anything."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _base(url: str) -> str:
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is not the address of a ledger: use http://host:port")
    return url.rstrip("/")
