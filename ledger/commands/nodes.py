"""Record that a node of a job started to run, and how the run ended."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.commit.committer import Committer, Decision
from asset_ledger.ledger.domain.event import Event, Json, Recorded
from asset_ledger.ledger.domain.node import (
    FIRST_RUN,
    NodeEnd,
    NodeRun,
    NodeStart,
    RunName,
    evolve,
    finish,
    start,
)
from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.log.event_log import CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay


class NodeReceipt(NamedTuple):
    """A run as its command left it; `position` and `behind` as in `JobReceipt`."""

    run: NodeRun
    position: int
    replayed: bool
    behind: bool


class _Before(NamedTuple):
    """What a decision about a run depends on; `workflow_id` is that of the job."""

    name: RunName
    workflow_id: str | None
    run: NodeRun | None


Decide = Callable[[_Before], Sequence[Event]]


class NodeCommands:
    """Starts and finishes the runs of nodes."""

    def __init__(self, committer: Committer, replay: AsyncReplay) -> None:
        self._committer, self._replay = committer, replay

    async def start(
        self, call: CallContext, job_id: str, given: NodeStart, fields: Mapping[str, Json]
    ) -> NodeReceipt:
        """Record that a node started. Raises JobStateError if its run started otherwise."""
        key = call.command_key("start-node", job_id=job_id, fields=fields)
        origin = call.origin(key)

        def decide(before: _Before) -> Sequence[Event]:
            name, workflow_id, run = before
            return start(run, given, name=name, workflow_id=workflow_id, origin=origin)

        return await self._record(call, key, job_id, given, decide)

    async def finish(
        self, call: CallContext, job_id: str, given: NodeEnd, fields: Mapping[str, Json]
    ) -> NodeReceipt:
        """Record that a run of a node ended. Raises JobStateError if it ended otherwise."""
        key = call.command_key("finish-node", job_id=job_id, fields=fields)
        origin = call.origin(key)

        def decide(before: _Before) -> Sequence[Event]:
            name, workflow_id, run = before
            return finish(run, given, name=name, workflow_id=workflow_id, origin=origin)

        return await self._record(call, key, job_id, given, decide)

    async def _record(
        self,
        call: CallContext,
        key: CommandKey | None,
        job_id: str,
        given: NodeStart,
        decide: Decide,
    ) -> NodeReceipt:
        run: NodeRun | None = None

        async def decision() -> Decision:
            nonlocal run
            before = await self._replay(_before, call.user_id, job_id, given)
            run = before.run
            return decide(before), {}

        committed = await self._committer.commit(key, decision)
        if committed is None:
            head = await self._replay(Replay.head)
            return NodeReceipt(_known(run), head, replayed=False, behind=False)
        appended = committed.appended
        recorded: Recorded = (await self._replay.recorded(appended))[-1]
        return NodeReceipt(
            _known(evolve(None, recorded)), appended.last, appended.replayed, committed.behind
        )


def _before(replay: Replay, user_id: str, job_id: str, given: NodeStart) -> _Before:
    job = replay.job_state(user_id, job_id)
    attempt = job.attempt(given.attempt) if job else None
    number = attempt.number if attempt else given.attempt or 1
    name = RunName(user_id, job_id, number, given.node_id, given.run or FIRST_RUN)
    return _Before(name, attempt.workflow_id if attempt else None, replay.node_run(name))


def _known(run: NodeRun | None) -> NodeRun:
    if run is None:
        raise CorruptLogError("a run was recorded without an event of it")
    return run
