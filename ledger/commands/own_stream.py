"""Record an event in the ledger's own stream, whose id is the log's id."""

from collections.abc import Callable

from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay


async def record_in_own_stream(
    committer: Committer, replay: AsyncReplay, make: Callable[[str, int], Event]
) -> None:
    """Record what `make` returns for the stream and the event's version in it, at its end.

    Raises VersionConflictError and the UnavailableErrors.
    """

    async def decide() -> Decision:
        stream, version = await replay(Replay.ledger_stream)
        return [make(stream, version + 1)], {}

    await committer.commit(None, decide)
