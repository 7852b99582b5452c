"""A server, asked from a command: plain GETs, whose refusals are raised as what they are."""

from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import orjson

from api.contract.problems import MEDIA_TYPE, error_of
from ledger.errors import LedgerError, UnavailableError

PATIENCE: Final = 60.0
"""Seconds without a byte, after which a server is given up; a stream has one every 15."""


class Remote:
    """The server at `url`, which may want a token."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at a path. Raises what the server refuses, or UnavailableError."""
        return orjson.loads(b"".join(self.lines(path, query)))

    def lines(
        self, path: str, query: Mapping[str, Any], accept: str = "application/json", **more: str
    ) -> Iterator[bytes]:
        """The lines at a path, as they come, each with its end."""
        headers = {**self._headers, "Accept": accept, **more}
        try:
            with self._open(path, query, headers) as response:
                yield from response
        except HTTPError as error:
            raise _refusal(error) from error
        except URLError as error:
            raise UnavailableError(f"cannot reach {self.url}: {error.reason}") from error
        except (OSError, HTTPException) as error:
            raise UnavailableError(f"{self.url} broke off: {error or 'no more came'}") from error

    def _open(
        self, path: str, query: Mapping[str, Any], headers: Mapping[str, str]
    ) -> HTTPResponse:
        asked = urlencode({name: value for name, value in query.items() if value is not None}, True)
        url = f"{self.url}{path}{'?' if asked else ''}{asked}"
        response: HTTPResponse = urlopen(Request(url, headers=dict(headers)), timeout=PATIENCE)
        return response


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _refusal(error: HTTPError) -> LedgerError:
    if error.headers.get_content_type() == MEDIA_TYPE:
        return error_of(orjson.loads(error.read()), error.code)
    return UnavailableError(f"{error.url} answered {error.code} {error.reason}")
