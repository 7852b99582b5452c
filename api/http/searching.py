"""Wait for the search index before a request reads it."""

from typing import Final

from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import ProjectionBehindError

PATIENCE: Final = 0.1
"""Seconds that a search waits for the index to reach the log's head at its arrival."""


async def search_headers(request: Request) -> dict[str, str]:
    """Wait for the index, so that a client finds what it recorded before; return the headers.

    Wait for `min_position`, if it was sent. Count a vain wait. Raises ProjectionBehindError.
    """
    position = request.parameters.get("min_position")
    if position is not None:
        await request.projections.reach(position, ("search",))
    elif not await _reaches_the_head(request):
        return {"Ledger-Projection": "behind"}
    return {}


async def _reaches_the_head(request: Request) -> bool:
    try:
        await request.projections.runners["search"].wait_for(request.backend.feed.head(), PATIENCE)
    except ProjectionBehindError:
        request.counts.searches_behind += 1
        return False
    return True
