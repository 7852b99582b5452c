"""Record that a job started, and how it finished."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.domain.event import Event, Json, Origin, job_stamp
from asset_ledger.ledger.domain.job import Job, JobEnd, JobStart, finish, start
from asset_ledger.ledger.log.event_log import CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

Decide = Callable[[Job | None, Origin], Sequence[Event]]


class JobReceipt(NamedTuple):
    """The position of a job's event, or the head if it recorded none; the number of its attempt.

    `behind`: see `Receipt`.
    """

    attempt: int
    position: int
    replayed: bool
    behind: bool


class JobCommands:
    """Starts and finishes jobs."""

    def __init__(self, committer: Committer, replay: AsyncReplay) -> None:
        self._committer, self._replay = committer, replay

    async def start(
        self, call: CallContext, job_id: str, given: JobStart, fields: Mapping[str, Json]
    ) -> JobReceipt:
        """Record that an attempt of a job started. Raises JobStateError: see `start`."""
        key = call.command_key("start-job", job_id=job_id, fields=fields)
        return await self._record(
            call, key, job_id, given, lambda job, by: start(job, given, job_id=job_id, origin=by)
        )

    async def finish(
        self, call: CallContext, job_id: str, given: JobEnd, fields: Mapping[str, Json]
    ) -> JobReceipt:
        """Record that an attempt of a job ended. Raises JobStateError: see `finish`."""
        key = call.command_key("finish-job", job_id=job_id, fields=fields)
        return await self._record(
            call, key, job_id, given, lambda job, by: finish(job, given, job_id=job_id, origin=by)
        )

    async def _record(
        self,
        call: CallContext,
        key: CommandKey | None,
        job_id: str,
        given: JobStart | JobEnd,
        decide: Decide,
    ) -> JobReceipt:
        origin, attempt = call.origin(key), given.attempt

        async def decision() -> Decision:
            nonlocal attempt
            job = await self._replay(Replay.job_state, call.user_id, job_id)
            attempt = given.attempt or (job.last.number if job else 1)
            return decide(job, origin), {}

        committed = await self._committer.commit(key, decision)
        if committed is None:
            head = await self._replay(Replay.head)
            return JobReceipt(attempt or 1, head, replayed=False, behind=False)
        appended = committed.appended
        (recorded,) = await self._replay.recorded(appended)
        attempt = stamped.attempt if (stamped := job_stamp(recorded.event)) else 1
        return JobReceipt(attempt, appended.last, appended.replayed, committed.behind)
