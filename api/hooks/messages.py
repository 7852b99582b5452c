"""The messages of an event: a webhook of it, or for a job that ended the lineage of its attempt."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import orjson

from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.export.openlineage import run_events
from asset_ledger.api.hooks.sending import Message
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.domain.job import JobFinished
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.domain.lineage import KEY
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

LINEAGE: Final = "lineage"
"""The id of the hook for the setting `lineage_url`."""

Messages = Callable[[Recorded], Awaitable[Sequence[Message]]]


def webhook_messages(hook_id: str) -> Messages:
    """Return the function that makes the one message of an event for a webhook."""

    async def messages(recorded: Recorded) -> Sequence[Message]:
        event = event_out(recorded)
        body = {
            "type": event["topic"],
            "timestamp": event["time"],
            "position": recorded.position,
            "data": event,
        }
        return [Message(f"{hook_id}-{recorded.position}", orjson.dumps(body))]

    return messages


def lineage_messages(replay: AsyncReplay, log_id: str) -> Messages:
    """Return the function that makes the OpenLineage events of an attempt of a job that ended.

    Attempts that another program reported are left out: two ledgers that send to each other would
    never stop.
    """

    async def messages(recorded: Recorded) -> Sequence[Message]:
        event = recorded.event
        if not isinstance(event, JobFinished) or event.job_id is None:
            return ()
        record = await replay(
            Replay.job_record,
            event.user_id,
            event.job_id,
            attempt=event.attempt,
            upto=recorded.position,
        )
        if _is_reported(record):
            return ()
        return await asyncio.to_thread(_encoded, record, log_id)

    return messages


def _encoded(record: JobRecord, log_id: str) -> Sequence[Message]:
    return [Message("", orjson.dumps(event)) for event in run_events(record, log_id)]


def _is_reported(record: JobRecord) -> bool:
    parameters = record.last_attempt.parameters if record.last_attempt else None
    return isinstance(parameters, Mapping) and KEY in parameters
