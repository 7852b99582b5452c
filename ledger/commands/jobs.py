"""Saying that a job began, and how it ended: the two intents about a job itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from asset_ledger.ledger.commands.call import Call
from asset_ledger.ledger.commands.recorder import Commits, Decision
from asset_ledger.ledger.domain.event import Fact, Json, Origin
from asset_ledger.ledger.domain.job import Job, JobEnd, JobStart, finish, start
from asset_ledger.ledger.log.event_log import CommandKey
from asset_ledger.ledger.reading.replay import Replay

Decide = Callable[[Job | None, Origin], Sequence[Fact]]


class Framed(NamedTuple):
    """The answer is the job as it was at this position. `behind`: the tables do not show it yet."""

    position: int
    replayed: bool
    behind: bool


class Frames:
    """Jobs, started and finished."""

    def __init__(self, commits: Commits, replay: Replay) -> None:
        self._commits, self._replay = commits, replay

    async def start(
        self, call: Call, job_id: str, wanted: JobStart, fields: Mapping[str, Json]
    ) -> Framed:
        """Record that a job begins. Raises JobStateError if it began otherwise."""
        key = call.command_key("start-job", job_id=job_id, fields=fields)
        return await self._frame(
            call, key, job_id, lambda job, by: start(job, wanted, job_id=job_id, origin=by)
        )

    async def finish(
        self, call: Call, job_id: str, wanted: JobEnd, fields: Mapping[str, Json]
    ) -> Framed:
        """Record that a job is over. Raises JobStateError if it ended otherwise."""
        key = call.command_key("finish-job", job_id=job_id, fields=fields)
        return await self._frame(
            call, key, job_id, lambda job, by: finish(job, wanted, job_id=job_id, origin=by)
        )

    async def _frame(
        self, call: Call, key: CommandKey | None, job_id: str, decide: Decide
    ) -> Framed:
        origin, in_thread = call.origin(key), self._commits.in_thread

        async def decision() -> Decision:
            job = await in_thread(self._replay.frame, call.user_id, job_id)
            return decide(job, origin), {}

        written = await self._commits.commit(key, decision)
        if written is None:
            return Framed(await in_thread(self._replay.head), replayed=False, behind=False)
        appended = written.appended
        return Framed(appended.last, appended.replayed, written.behind)
