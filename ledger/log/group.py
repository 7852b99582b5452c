"""Group commit: decide which of many commands one transaction records. Pure.

Each command is checked before any of its rows is inserted, so that a refusal needs no rollback. A
log loads the state that the group needs (`Touched`), adds each command, and inserts the rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

from eventsourcing.persistence import StoredEvent

from asset_ledger.ledger.content.places import key_of
from asset_ledger.ledger.domain.asset import content_of
from asset_ledger.ledger.domain.attempts import JobHead
from asset_ledger.ledger.domain.event import (
    MAX_CLOCK_LAG,
    Event,
    Recorded,
    TaggedEvent,
    iso,
    moment,
    stamp,
    stamp_job,
)
from asset_ledger.ledger.domain.ledger import ContentCollected, LedgerOpened
from asset_ledger.ledger.errors import KeyReusedError, LedgerError, VersionConflictError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Command, CommandKey, Head, Outcome, Prepare
from asset_ledger.ledger.merkle.tree import leaf_hash, leaf_of

JobName = tuple[str, str]
"""The owner and the id of a job."""


class UsedKey(NamedTuple):
    """The request of a recorded Idempotency-Key, and the positions of its events."""

    operation: str
    fingerprint: str
    first: int
    last: int


@dataclass(slots=True)
class Touched:
    """The state of all streams, keys and jobs of a group: before it, then after each command."""

    head: Head
    versions: dict[str, int]
    keys: dict[tuple[str, str], UsedKey]
    jobs: dict[JobName, JobHead]

    @classmethod
    def of(
        cls, head: Head, versions: Iterable[Any], keys: Iterable[Any], jobs: Iterable[Any]
    ) -> Self:
        """Return the state in rows of (stream, version), `command_keys` and `job_heads`."""
        return cls(
            head=head,
            versions=dict(versions),
            keys={(user, key): UsedKey(*used) for user, key, *used in keys},
            jobs={
                (user, job): JobHead(seq, attempt, bool(ended))
                for user, job, seq, attempt, ended in jobs
            },
        )


@dataclass(slots=True)
class Rows:
    """The rows that a group inserts, by table."""

    events: list[StoredEvent] = field(default_factory=list)
    leaves: list[tuple[int, bytes]] = field(default_factory=list)
    tags: list[tuple[str, str, str, int]] = field(default_factory=list)
    keys: list[tuple[str, str, str, str, int, int]] = field(default_factory=list)
    collected: dict[bytes, tuple[int, str] | None] = field(default_factory=dict)

    def extend(self, more: "Rows") -> None:
        """Add the rows of one command."""
        self.events += more.events
        self.leaves += more.leaves
        self.tags += more.tags
        self.keys += more.keys
        self.collected |= more.collected


def streams_of(commands: Iterable[Command]) -> list[str]:
    """Return the streams of the events and guards of these commands."""
    streams = {event.originator_id for command in commands for event in command.events}
    return list(streams.union(*(command.guards for command in commands)))


def keys_of(commands: Iterable[Command]) -> list[tuple[str, str]]:
    """Return the (user id, Idempotency-Key) pairs of these commands."""
    return [(c.key.user_id, c.key.key) for c in commands if c.key is not None]


def jobs_of(commands: Iterable[Command]) -> list[JobName]:
    """Return the jobs that the events of these commands name."""
    events = (event for command in commands for event in command.events)
    return list({job for event in events if (job := _job_of(event))})


def objects_of(
    commands: Sequence[Command], outcomes: Sequence[Outcome]
) -> list[tuple[bytes, str, int]]:
    """Return the rows of the objects that the recorded commands name, one for each digest."""
    return [
        *{
            each.digest: (key_of(each.digest), each.url, each.size)
            for command, outcome in zip(commands, outcomes, strict=True)
            if isinstance(outcome, Appended)
            for each in command.objects
        }.values()
    ]


def _job_of(event: Event) -> JobName | None:
    if isinstance(event, TaggedEvent) and event.job_id is not None:
        return event.user_id, event.job_id
    return None


class Group:
    """The commands of one transaction, added one by one, and the rows that they insert."""

    def __init__(self, touched: Touched, codec: Codec, now: datetime, prepare: Prepare) -> None:
        last = touched.head.recorded_at
        self.recorded_at = now if last is None else max(now, last)  # the clock may jump back
        self._clock = now if self.recorded_at - now > MAX_CLOCK_LAG else None
        self.touched = touched
        self.position = touched.head.position
        self.rows = Rows()
        self._codec = codec
        self._prepare = prepare

    def add(self, command: Command) -> Outcome:
        """Give the events of a command their positions, or return the error that refuses it."""
        if not command.events:  # a command that only repairs its contents
            return Appended(self.position + 1, self.position, replayed=True)
        try:
            return self._replay(command.key) or self._record(command)
        except LedgerError as refusal:
            return refusal
        except Exception as defect:
            return defect

    def _replay(self, key: CommandKey | None) -> Appended | None:
        """Check the Idempotency-Key in the transaction; `Replay.command` does it before one."""
        if key is None:
            return None
        used = self.touched.keys.get((key.user_id, key.key))
        if used is None:
            return None
        if (used.operation, used.fingerprint) != (key.operation, key.fingerprint):
            raise KeyReusedError(key.key)
        return Appended(used.first, used.last, replayed=True)

    def _record(self, command: Command) -> Appended:
        versions = self._checked_versions(command)
        jobs = self._stamped_jobs(command.events)
        recorded = [Recorded(self.position + n, event) for n, event in enumerate(command.events, 1)]
        rows = self._rows(recorded)
        appended = Appended(
            first=self.position + 1,
            last=self.position + len(recorded),
            recorded=recorded,
            leaf=rows.leaves[-1][1],
            prepared=self._prepare(recorded),
        )
        self._accept(command.key, appended, rows)
        self.touched.versions.update(versions)
        self.touched.jobs.update(jobs)
        return appended

    def _checked_versions(self, command: Command) -> dict[str, int]:
        """Return the versions of its streams after a command. Raise VersionConflictError."""
        before = self.touched.versions
        for stream, version in command.guards.items():
            if before.get(stream, 0) != version:
                raise VersionConflictError(f"{stream} changed since it was read: read it again")
        if self.position and any(isinstance(each, LedgerOpened) for each in command.events):
            raise VersionConflictError("this log was opened already: read its first event")
        after: dict[str, int] = {}
        for event in command.events:
            stream = event.originator_id
            current = after.get(stream, before.get(stream, 0))
            if event.originator_version != current + 1:
                raise VersionConflictError(f"{stream} is at version {current}: read it again")
            after[stream] = event.originator_version
        return after

    def _stamped_jobs(self, events: Sequence[Event]) -> dict[JobName, JobHead]:
        """Stamp each event. Return the head of each job after them. Raise JobStateError."""
        heads: dict[JobName, JobHead] = {}
        for event in events:
            stamp(event, self.recorded_at, self._clock)
            job = _job_of(event)
            if job is not None and isinstance(event, TaggedEvent):
                head = heads.get(job) or self.touched.jobs.get(job, JobHead())
                place = head.stamp(event)
                stamp_job(event, place)
                heads[job] = head.after(event, place)
        return heads

    def _rows(self, recorded: Sequence[Recorded]) -> Rows:
        rows = Rows()
        for position, event in recorded:
            stored = self._codec.encode(event)
            leaf = leaf_of(
                event.originator_id, event.originator_version, stored.topic, stored.state
            )
            rows.events.append(stored)
            rows.leaves.append((position, leaf_hash(leaf)))
            rows.tags.extend(_tags(position, event))
            rows.collected |= collected_by(position, event)
        return rows

    def _accept(self, key: CommandKey | None, appended: Appended, rows: Rows) -> None:
        if key is not None:
            used = UsedKey(key.operation, key.fingerprint, appended.first, appended.last)
            self.touched.keys[key.user_id, key.key] = used
            rows.keys.append((key.user_id, key.key, *used))
        self.rows.extend(rows)
        self.position = appended.last


def _tags(position: int, event: Event) -> Iterator[tuple[str, str, str, int]]:
    if isinstance(event, TaggedEvent):
        for kind, value in tags_of(event):
            yield event.user_id, kind, value, position


def collected_by(position: int, event: Event) -> dict[bytes, tuple[int, str] | None]:
    """Return the contents that an event collects, with its position and time; or, with None, the
    one that it stores again."""
    if isinstance(event, ContentCollected):
        return {key_of(digest): (position, iso(moment(event))) for digest in event.digests}
    digest = content_of(event)
    return {} if digest is None else {key_of(digest): None}


def tags_of(event: TaggedEvent) -> list[tuple[str, Any]]:
    """Return the (kind, value) tags of an event."""
    tags = (("workflow", event.workflow_id), ("node", event.node_id), ("job", event.job_id))
    return [(kind, value) for kind, value in tags if value is not None]
