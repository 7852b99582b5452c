"""A server as a command reads it, through the SDK's client."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson

from asset_ledger.api.sdk.client import Client
from asset_ledger.api.sdk.download import Download
from asset_ledger.api.sdk.found import whole_comparison
from asset_ledger.api.sdk.gateway import Query
from asset_ledger.api.sdk.portal import drain, run
from asset_ledger.api.sdk.retry import RetryPolicy
from asset_ledger.api.sdk.stream import follow
from asset_ledger.api.sdk.wire import query_of, segment

ONCE: Final = RetryPolicy(attempts=1)
"""No retries: a user can repeat a command that only reads, and does not have to wait."""


class Remote:
    """The server at `url`: a `Source`, and what else commands read there.

    Every method raises the errors of the API, and UnavailableError.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self._client = Client(url, token, ONCE)

    def get(self, path: str, query: Mapping[str, Any] = {}) -> Any:
        """Return the JSON at a path."""
        return run(self._client.request("GET", path, query=query_of(query)))

    def text(self, path: str) -> str:
        """Return the text at a path."""
        return run(self._client.text(path))

    def content(self, asset_id: str, version: int) -> Iterator[bytes]:
        """Yield the content of a version of an asset, in pieces of at most 1 MiB."""
        path = f"/api/assets/{asset_id}/content?version={version}"
        return drain(Download(self._client, path).chunks())

    def job_events(
        self, job_id: str, attempt: int | None, as_of: str | None
    ) -> Iterator[dict[str, Any]]:
        """Yield the events of a job or of one attempt, oldest first."""
        path = f"/api/jobs/{segment(job_id)}/history"
        query = query_of({"attempt": attempt, "as_of": as_of})
        return map(orjson.loads, self._lines(path, query, {"Accept": "application/x-ndjson"}))

    def comparison(self, a: str, b: str, attempts: Sequence[int]) -> dict[str, Any]:
        """Return the comparison of two jobs: of these attempts, or of the last ones."""
        path, named = (
            f"/api/jobs/{segment(a)}/compare/{segment(b)}",
            query_of({"attempt": attempts}),
        )
        request = partial(self._client.request, "GET", path)
        return dict(run(whole_comparison(lambda query: request(query=[*named, *query]))))

    def events(self, filters: Query, after: int | None) -> Iterator[Mapping[str, Any]]:
        """Yield events as they are recorded, for ever; reconnect after a lost connection.

        Raises any refusal, and UnavailableError if the first connection fails.
        """
        query = [*filters, *query_of({"after": after})]
        yield from drain(follow(self._client, query, patience=None))

    def _lines(self, path: str, query: Query, headers: Mapping[str, str]) -> Iterator[bytes]:
        """Yield the lines at a path as they arrive, without their ends."""
        rest = b""
        for piece in drain(self._client.pieces(path, query, headers)):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest:
            yield rest
