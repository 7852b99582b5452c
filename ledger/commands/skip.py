"""Skip an event that projections cannot apply: on purpose, with a reason, for ever.

An event of its own is recorded for each projection that continues without the skipped event. So a
rebuild leaves out the same events: the same log gives the same rows.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.commands.tables import TableQueries
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.domain.event import Json, Origin
from asset_ledger.ledger.domain.ledger import ProjectionSkipped
from asset_ledger.ledger.errors import CorruptLogError, FieldError
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay


class Skipped(NamedTuple):
    """The projections that continue without an event. `position`: of the last skip's own event."""

    position: int
    projections: Sequence[str]
    replayed: bool
    behind: bool


class Skip:
    """Skips events."""

    def __init__(self, committer: Committer, replay: AsyncReplay, tables: TableQueries) -> None:
        self._committer, self._replay, self._tables = committer, replay, tables

    async def event(
        self, call: CallContext, position: int, reason: str, fields: Mapping[str, Json]
    ) -> Skipped:
        """Let each projection that cannot apply the event at a position continue without it.

        Raises FieldError if no projection stopped before it: an applied event cannot be skipped.
        """

        async def decide() -> Decision:
            refusing = await self._tables.refusing(position)
            if not refusing:
                message = f"no projection stopped at event {position}: there is nothing to skip"
                raise FieldError("position", message)
            return await self._events(call.origin(key), refusing, position, reason), {}

        key = call.command_key("skip-event", fields=fields)
        committed = await self._committer.commit(key, decide)
        if committed is None:
            raise CorruptLogError("an event was skipped, but the log has no event that records it")
        appended = committed.appended
        events = [each.event for each in await self._replay.recorded(appended)]
        names = [event.projection for event in events if isinstance(event, ProjectionSkipped)]
        return Skipped(appended.last, names, appended.replayed, committed.behind)

    async def _events(
        self, origin: Origin, projections: Sequence[str], position: int, reason: str
    ) -> list[ProjectionSkipped]:
        """Return an event for each projection, at the end of the ledger's own stream."""
        log_id, version = await self._replay(Replay.ledger_stream)
        return [
            ProjectionSkipped(
                originator_id=log_id,
                originator_version=version + n,
                by=origin.by,
                projection=projection,
                position=position,
                reason=reason,
                user_id=origin.user_id if origin.command else None,
                command=origin.command,
            )
            for n, projection in enumerate(projections, 1)
        ]
