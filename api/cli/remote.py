"""A server, asked from a command: plain GETs, whose refusals are raised as what they are."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import orjson

from asset_ledger.api.contract.problems import MEDIA_TYPE, error_of
from asset_ledger.ledger.errors import LedgerError, UnavailableError

PATIENCE: Final = 60.0
"""Seconds without a byte, after which a server is given up; a stream has one every 15."""

RETRY: Final = 1.0
"""Seconds after which a stream that ended is asked for again."""

PIECE: Final = 1 << 20

Query = Sequence[tuple[str, str]]


class Remote:
    """The server at `url`, which may want a token."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        """The JSON at a path. Raises what the server refuses, or UnavailableError."""
        return orjson.loads(b"".join(self.lines(path)))

    def events(self, path: str, query: Query) -> Iterator[Any]:
        """The data of server-sent events, for ever: a connection that was lost is made again.

        Raises what the first one is refused with.
        """
        seen: dict[str, str] = {}
        while True:
            try:
                for event in self._blocks(path, query, seen):
                    seen = {"Last-Event-ID": event["id"]}
                    if "data" in event:
                        yield orjson.loads(event["data"])
            except UnavailableError:
                if not seen:
                    raise
            time.sleep(RETRY)

    def _blocks(
        self, path: str, query: Query, headers: Mapping[str, str]
    ) -> Iterator[dict[str, str]]:
        """Whole events: one that broke off was not heard, and will come again."""
        event: dict[str, str] = {}
        for line in self.lines(path, query, "text/event-stream", headers):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif "id" in event:
                yield event
                event = {}

    def lines(
        self,
        path: str,
        query: Query = (),
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> Iterator[bytes]:
        """The lines at a path, as they come, each with its end."""
        with self._answer(path, query, {**headers, "Accept": accept}) as response:
            yield from response

    def pieces(self, path: str, query: Query = ()) -> Iterator[bytes]:
        """The bytes at a path, at most 1 MiB at once."""
        with self._answer(path, query, {}) as response:
            while piece := response.read(PIECE):
                yield piece

    @contextmanager
    def _answer(
        self, path: str, query: Query, headers: Mapping[str, str]
    ) -> Iterator[HTTPResponse]:
        """What is answered at a path. Raises what the server refuses, or UnavailableError."""
        url = f"{self.url}{path}{'?' if query else ''}{urlencode(query)}"
        try:
            request = Request(url, headers={**self._headers, **headers})
            with urlopen(request, timeout=PATIENCE) as response:
                yield response
        except HTTPError as error:
            raise _refusal(error) from error
        except URLError as error:
            raise UnavailableError(f"cannot reach {self.url}: {error.reason}") from error
        except (OSError, HTTPException) as error:
            raise UnavailableError(f"{self.url} broke off: {error!r}") from error


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _refusal(error: HTTPError) -> LedgerError:
    if error.headers.get_content_type() == MEDIA_TYPE:
        return error_of(orjson.loads(error.read()), error.code)
    return UnavailableError(f"{error.url} answered {error.code} {error.reason}")
