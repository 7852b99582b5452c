"""HTTP as the SDK speaks it: requests that are tried again, and answers that raise what they say.

Promise: a refusal raises the class that was raised on the other side; a broken network and a
failing proxy raise UnreachableError, after as many attempts as retries allows.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, Final, Self

import aiohttp
import orjson
from yarl import URL

from asset_ledger.api.contract.problems import error_of
from asset_ledger.api.sdk.errors import UnreachableError
from asset_ledger.api.sdk.form import Body
from asset_ledger.api.sdk.gateway import Query
from asset_ledger.api.sdk.retry import TEMPORARY, RetryPolicy
from asset_ledger.api.sdk.sessions import Sessions
from asset_ledger.ledger.errors import LedgerError

BROKEN: Final = (aiohttp.ClientError, OSError)  # a TimeoutError is an OSError
"""How aiohttp says that the network failed."""

PROXY_FAILURES: Final = (502, 504)

LARGE: Final = 1 << 20
"""Bodies from this size on wait until the server asks for them: it may refuse them unread."""


class Client:
    """Asks one server. Raises ValueError for what is no http(s) address."""

    def __init__(self, url: str, token: str | None, retries: RetryPolicy) -> None:
        self.url = _base(url)
        self.retries = retries
        self._sessions = Sessions({"Authorization": f"Bearer {token}"} if token else {})
        self._headers: Mapping[str, str] = {}

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """A client that sends these with all it asks, over the same connections."""
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
        """The JSON object of the answer, read. `body` makes the body anew for each attempt."""
        url = self._at(path, query)
        return await self.retries.run(partial(self._once, method, url, headers, body))

    async def text(self, path: str) -> str:
        """The text of an answer."""
        return b"".join([piece async for piece in self.pieces(path)]).decode()

    async def open(
        self, path: str, headers: Mapping[str, str], query: Query = ()
    ) -> aiohttp.ClientResponse:
        """An answer whose body is still to be read; the caller releases it."""
        url = self._at(path, query)
        return await self.retries.run(partial(self._opened, "GET", url, headers, None))

    async def pieces(
        self, path: str, query: Query = (), headers: Mapping[str, str] = {}
    ) -> AsyncGenerator[bytes]:
        """The body of an answer, as it arrives. Raises UnreachableError where it breaks off."""
        async with await self.open(path, headers, query) as response:
            try:
                async for piece in response.content.iter_any():
                    yield piece
            except BROKEN as error:
                raise self.broken(error) from error

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._sessions.close()

    def broken(self, error: Exception) -> UnreachableError:
        """The error of an answer that broke off."""
        return UnreachableError(f"{self.url} broke off: {error!r}")

    def _at(self, path: str, query: Query) -> URL:
        # Paths are quoted already: an id may hold a slash, which yarl would take for two segments.
        url = URL(f"{self.url}{path}", encoded=True)
        return url.with_query(query) if query else url

    async def _once(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: Callable[[], Awaitable[Body]] | None,
    ) -> dict[str, Any]:
        response = await self._opened(method, url, headers, await body() if body else None)
        async with response:
            try:
                answer: dict[str, Any] = orjson.loads(await response.read())
            except BROKEN as error:
                raise self.broken(error) from error
            except orjson.JSONDecodeError as error:
                raise LedgerError(f"{self.url} does not answer as a ledger does") from error
        return answer

    async def _opened(
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
            )
            if response.status < 300:
                return response
            async with response:
                raise self._refusal(response, await response.read())
        except BROKEN as error:
            reason = getattr(error, "os_error", error)  # aiohttp's own text repeats the address
            raise UnreachableError(
                f"cannot reach {self.url}: {str(reason) or repr(reason)}"
            ) from error

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> LedgerError:
        said = f"{self.url} answered {response.status} {response.reason}"
        if response.status in PROXY_FAILURES:
            return UnreachableError(said)
        error = error_of({"detail": said, **_document(body)}, response.status)
        after = response.headers.get("Retry-After", "")
        if isinstance(error, TEMPORARY) and after.isdecimal():
            error.retry_after = float(after)
        return error


def _document(body: bytes) -> Mapping[str, Any]:
    """The problem document in an answer; a proxy on the way may have sent anything."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _base(url: str) -> str:
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is no address of a ledger: write http://host:port")
    return url.rstrip("/")
