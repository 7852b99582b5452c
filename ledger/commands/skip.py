"""Setting a fact aside that projections cannot take: on purpose, with a reason, for ever.

It is recorded as facts of its own, one a projection, so that whoever makes the tables again leaves
out what was left out: the same facts give the same rows.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from asset_ledger.ledger.commands.call import Call
from asset_ledger.ledger.commands.recorder import Commits, Decision
from asset_ledger.ledger.domain.event import Json, Origin
from asset_ledger.ledger.domain.ledger import ProjectionSkipped
from asset_ledger.ledger.errors import CorruptLogError, FieldError
from asset_ledger.ledger.log.event_log import EventLog


class Refusals(Protocol):
    """What setting a fact aside asks the tables."""

    async def refusing(self, position: int) -> Sequence[str]:
        """The projections that stand before a fact and cannot take it."""


class Skipped(NamedTuple):
    """The projections that go on without a fact, as of the position of the facts that say so."""

    position: int
    projections: Sequence[str]
    replayed: bool
    behind: bool


class Skips:
    """The one intent about projections that is a fact."""

    def __init__(self, commits: Commits, log: EventLog, refusals: Refusals) -> None:
        self._commits, self._log, self._refusals = commits, log, refusals

    async def skip(
        self, call: Call, position: int, reason: str, fields: Mapping[str, Json]
    ) -> Skipped:
        """Let every projection that cannot take this fact go on without it.

        Raises FieldError where none stands before it: what was taken cannot be set aside.
        """

        async def decide() -> Decision:
            refusing = await self._refusals.refusing(position)
            if not refusing:
                raise FieldError("position", "no projection stands still before this fact")
            return await self._facts(call.origin(key), refusing, position, reason), {}

        key = call.command_key("skip-fact", fields=fields)
        written = await self._commits.commit(key, decide)
        if written is None:
            raise CorruptLogError("a fact was set aside without a fact that says so")
        facts = [each.event for each in await self._commits.facts_of(written.appended)]
        names = [fact.projection for fact in facts if isinstance(fact, ProjectionSkipped)]
        last, replayed = written.appended.last, written.appended.replayed
        return Skipped(last, names, replayed, written.behind)

    async def _facts(
        self, origin: Origin, projections: Sequence[str], position: int, reason: str
    ) -> list[ProjectionSkipped]:
        """One for each, at the end of the stream that is the log's own."""
        (opened,) = await self._commits.in_thread(self._log.read, 0, 1)
        log_id = str(opened.originator_id)
        version = len(await self._commits.in_thread(self._log.stream, log_id))
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
