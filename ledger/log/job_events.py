"""Read the stored events of one job, or of one of its attempts."""

from collections.abc import Iterator, Sequence
from itertools import islice

import orjson
from eventsourcing.persistence import Notification

from asset_ledger.ledger.log.event_log import LogReader, Tag
from asset_ledger.ledger.log.reader import PAGE


def read_job(
    log: LogReader,
    job: Tag,
    after: int,
    limit: int,
    max_bytes: int | None = None,
    *,
    attempt: int | None = None,
    upto: int | None = None,
) -> Sequence[Notification]:
    """Return at most `limit` events of a job after a position; with an `attempt`, only its own.

    The event whose stored bytes bring their sum to `max_bytes` is the last one.
    """
    if attempt is None:
        return log.read(after, limit, tag=job, upto=upto, max_bytes=max_bytes)
    found: list[Notification] = []
    size = 0
    for stored in islice(_of_attempt(log, job, after, attempt, upto), limit):
        found.append(stored)
        size += len(stored.state)
        if max_bytes is not None and size >= max_bytes:
            break
    return found


def _of_attempt(
    log: LogReader, job: Tag, after: int, attempt: int, upto: int | None
) -> Iterator[Notification]:
    mark = orjson.dumps({"attempt": attempt})[1:-1]  # most events without it need no parsing
    while page := log.read(after, PAGE, tag=job, upto=upto):
        yield from (each for each in page if mark in each.state and _attempt(each) == attempt)
        after = page[-1].id


def _attempt(stored: Notification) -> int | None:
    """Return the attempt that an event names; None if its JSON is damaged."""
    try:
        attempt: int | None = orjson.loads(stored.state)["attempt"]
    except (ValueError, LookupError, TypeError):
        return None
    return attempt
