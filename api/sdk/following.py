"""`events`: follow what a ledger records, as it is recorded."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.record import Event
from asset_ledger.api.sdk.wire import query_of


async def events(
    *,
    after: int | None = None,
    topic: str | Sequence[str] | None = None,
    job_id: str | None = None,
    attempt: int | None = None,
    node_id: str | None = None,
    workflow_id: str | None = None,
    asset_id: str | None = None,
    all_users: bool = False,
    gateway: Gateway | None = None,
) -> AsyncGenerator[Event]:
    """Yield events as they are recorded, for ever, each once and in the order of the log.

    `after` is the position of the last event that the caller has, 0 for all events. Without it, the
    events are those that are recorded after the first step. All filters must match. `all_users`
    needs the scope admin.

    It survives restarts of a server. Raises UnreachableError after 60 seconds without a server:
    call it again with `after`. Raises ForbiddenError, ParameterError for an unknown topic, and
    NotConnectedError once the connection is closed.
    """
    query = query_of(
        {
            "after": after,
            "topic": topic,
            "job_id": job_id,
            "attempt": attempt,
            "node_id": node_id,
            "workflow_id": workflow_id,
            "asset_id": asset_id,
            "all": "true" if all_users else None,
        }
    )
    async with aclosing((gateway or current_gateway()).events(query)) as documents:
        async for document in documents:
            yield Event.of(document)
