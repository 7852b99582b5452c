"""What a port answers in a dialect of its own, such as S3's, with the server's limits and users."""

from typing import Protocol

from aiohttp import web

from asset_ledger.api.http.request import Request


class Door(Protocol):
    """Answers the requests of a port in place of the operations."""

    async def answer(self, request: Request) -> web.StreamResponse:
        """Answer a request. Raises RefusedErrors and UnavailableErrors."""

    def refusal(self, request: Request, error: Exception) -> web.Response:
        """Return the answer to an error."""
