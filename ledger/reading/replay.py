"""Blocking reads of the log: states folded from events, histories by tag, commands by key."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

from eventsourcing.persistence import Notification

from asset_ledger.ledger.domain.asset import Asset, AssetCreated, AssetDeleted, AssetRestored, fold
from asset_ledger.ledger.domain.decisions import check_live
from asset_ledger.ledger.domain.event import Recorded, moment
from asset_ledger.ledger.domain.job import Job, job_stream
from asset_ledger.ledger.domain.job import evolve as evolve_job
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.domain.ledger import DamageFound, DamageRepaired
from asset_ledger.ledger.domain.node import NodeRun, RunName
from asset_ledger.ledger.domain.node import evolve as evolve_node
from asset_ledger.ledger.errors import (
    FieldError,
    KeyReusedError,
    ParameterError,
    TooLargeError,
    UnknownAssetError,
    UnknownJobError,
    UnknownVersionError,
)
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, CommandKey, LogReader, Tag
from asset_ledger.ledger.log.job_events import read_job
from asset_ledger.ledger.reading.event_filter import (
    MAX_BYTES,
    PAGE,
    WALK,
    EventBatch,
    EventFilter,
    events_after,
    events_before,
    stream_after,
)

LONG: Final = 64
"""Events of a stream after which its state is kept, so that an edit folds only what follows."""
MAX_KEPT: Final = 1_000
"""States kept at the same time, of 33 KiB each at most."""
MAX_EVENTS: Final = 20_000
MAX_STORED: Final = 32 * 2**20
"""The events of a job, and their bytes, that one document may describe."""
_TOO_LONG: Final = (
    f"the job has more than {MAX_EVENTS:,} events, or more than {MAX_STORED:,} bytes of them: ask"
    " for one attempt, or run asset-ledger export on the machine of the ledger"
)


class DeletionPeriod(NamedTuple):
    """The positions at which an asset was deleted and restored."""

    deleted: int
    restored: int


class Replay:
    """Reads a log. It needs no tables."""

    def __init__(self, log: LogReader, codec: Codec) -> None:
        self._log, self._codec = log, codec
        self._kept: dict[AssetId, Asset] = {}

    def asset(self, user_id: str, asset_id: AssetId, *, upto: int | None = None) -> Asset:
        """Return an asset, live or deleted, as the events up to a position leave it.

        Raises UnknownAssetError, also for another user's asset.
        """
        asset = self._folded(asset_id, upto)
        if asset is None or asset.user_id != user_id:
            raise UnknownAssetError(asset_id)
        return asset

    def _folded(self, asset_id: AssetId, upto: int | None) -> Asset | None:
        """Fold an asset's events, those of a long stream from its last kept state on."""
        kept = self._kept.get(asset_id)
        if kept is not None and upto is not None and upto < kept.position:
            kept = None
        before = kept.version if kept else 0
        asset = fold(self._stream(asset_id, after=before, upto=upto), kept)
        if asset is not None and asset.version - before >= LONG:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[asset_id] = asset
        return asset

    def asset_of_any_user(self, asset_id: AssetId) -> Asset | None:
        """Return the asset with this id, whichever user owns it. For imports by an admin."""
        return fold(self._stream(asset_id))

    def asset_as_of(self, user_id: str, asset_id: AssetId, position: int) -> Asset:
        """Return an asset as of a position. Raises UnknownAssetError and AssetDeletedError."""
        asset = self.asset(user_id, asset_id, upto=position)
        check_live(asset)
        return asset

    def asset_at_version(self, user_id: str, asset_id: AssetId, version: int) -> Asset:
        """Return an asset at a version. Raises UnknownAssetError and UnknownVersionError."""
        asset = fold(islice(self._stream(asset_id), version))
        if asset is None or asset.user_id != user_id:
            raise UnknownAssetError(asset_id)
        if version > asset.version:
            raise UnknownVersionError(asset_id, version)
        return asset

    def needed_contents(self, after: int) -> tuple[set[Digest], int]:
        """Return the contents that the events after a position need, and the end of the log."""
        head, needed = self._log.head().position, set[Digest]()
        for first in range(after, head, PAGE):
            needed |= self._log.needed(first, min(first + PAGE, head))
        return needed, max(after, head)

    def assets_of_tag(
        self, tag: Tag, after: int, limit: int, *, upto: int, matches: Callable[[Asset], bool]
    ) -> tuple[list[Asset], int | None]:
        """Return the next assets that were created with a tag and match, as of `upto`.

        If 20,000 events, or 1 MiB of them, gave fewer than `limit`, also return the position to
        continue after.
        """
        found: list[Asset] = []
        size = 0
        for _ in range(WALK // PAGE):
            page = self._log.read(after, PAGE, tag=tag, upto=upto)
            for created in (stored for stored in page if stored.topic == AssetCreated.TOPIC):
                asset, read = None, 0
                for piece in self._pieces(str(created.originator_id), upto=upto):
                    asset, read = fold(self._decoded(piece), asset), read + _size(piece)
                if asset is not None and matches(asset):
                    found.append(asset)
                    size += read
                if len(found) == limit:
                    return found, None
                if size >= MAX_BYTES:
                    return found, created.id
            if len(page) < PAGE:
                return found, None
            after = page[-1].id
        return found, after

    def folder(self, user_id: str, folder_id: AssetId) -> Asset:
        """Return a live folder for a `parent_id`. Raises FieldError."""
        try:
            folder = self.asset(user_id, folder_id)
        except UnknownAssetError as error:
            raise FieldError("parent_id", f"there is no folder {folder_id}") from error
        if folder.deleted:
            raise FieldError("parent_id", f"the folder {folder_id} was deleted")
        if not folder.is_folder:
            raise FieldError("parent_id", f"{folder_id} is not a folder")
        return folder

    def path(self, user_id: str, folder_id: AssetId | None) -> list[Asset]:
        """Return a live folder and those above it, innermost first. Raises FieldError.

        The path of None (home) is empty.
        """
        path: list[Asset] = []
        while folder_id is not None:
            path.append(self.folder(user_id, folder_id))
            folder_id = path[-1].parent_id
        return path

    def last_deletion(self, asset_id: AssetId) -> DeletionPeriod | None:
        """Return the last period that a live asset was deleted; None if deleted now, or never."""
        deleted = restored = 0
        for position, event in self._stream(asset_id):
            if isinstance(event, AssetDeleted):
                deleted = position
            elif isinstance(event, AssetRestored):
                restored = position
        return DeletionPeriod(deleted, restored) if deleted < restored else None

    def check_sources(self, user_id: str, asset_ids: Iterable[AssetId]) -> None:
        """Check that the assets of a `derived_from` exist. Raises FieldError."""
        for asset_id in asset_ids:
            try:
                self.asset(user_id, asset_id)
            except UnknownAssetError as error:
                raise FieldError("derived_from", f"there is no asset {asset_id}") from error

    def between(self, first: int, last: int) -> list[Recorded]:
        """Return the events at positions `first` to `last`."""
        return self._decoded(self._log.read(first - 1, last - first + 1))

    def job(
        self,
        user_id: str,
        job_id: str,
        after: int,
        limit: int,
        max_bytes: int = MAX_BYTES,
        *,
        attempt: int | None = None,
        upto: int | None = None,
    ) -> list[Recorded]:
        """Return at most `limit` events of a job after a position: its assets' and its own.

        With an `attempt`, only its events. The event whose stored bytes bring their sum to
        `max_bytes` is the last one. Raises UnknownJobError if no event of this user up to `upto`
        names the job, or this attempt.
        """
        tag = Tag(user_id, "job", job_id)
        read = partial(read_job, self._log, tag, attempt=attempt, upto=upto)
        stored = read(after, limit, max_bytes)
        if not stored and not (after and read(0, 1)):
            raise UnknownJobError(job_id, attempt)
        return self._decoded(stored)

    def asset_events(
        self,
        user_id: str,
        asset_id: AssetId,
        after: int,
        limit: int,
        max_bytes: int = MAX_BYTES,
        *,
        upto: int | None = None,
    ) -> list[Recorded]:
        """Return at most `limit` events of an asset after a position, as `job` does.

        Raises UnknownAssetError.
        """
        first = self._decoded(self._log.stream(asset_id, upto=upto, max_bytes=1))
        if not any(_creates(event, user_id) for event in first):
            raise UnknownAssetError(asset_id)
        return self._decoded(stream_after(self._log, asset_id, after, upto, max_bytes)[:limit])

    def position_as_of(self, as_of: int | datetime) -> int:
        """Return the last position recorded by a time; a position itself, if the log has it.

        Raises ParameterError for a position beyond the log.
        """
        head = self._log.head().position
        if isinstance(as_of, datetime):
            return bisect_right(range(1, head + 1), as_of, key=self.recorded_at)
        if as_of > head:
            message = f"is beyond the log, which ends at {head:,}"
            raise ParameterError(f"as_of {message}", errors=[("as_of", message)])
        return as_of

    def recorded_at(self, position: int) -> datetime:
        """Return when the event at a position was recorded."""
        (recorded,) = self.between(position, position)
        return moment(recorded.event)

    def job_state(self, user_id: str, job_id: str) -> Job | None:
        """Return a job as its own events leave it; None if it neither started nor finished."""
        job: Job | None = None
        for recorded in self._stream(job_stream(user_id, job_id)):
            job = evolve_job(job, recorded)
        return job

    def node_run(self, name: RunName) -> NodeRun | None:
        """Return a run of a node; None if it neither started nor finished."""
        run: NodeRun | None = None
        for recorded in self._stream(name.stream):
            run = evolve_node(run, recorded)
        return run

    def job_record(
        self,
        user_id: str,
        job_id: str,
        *,
        attempt: int | None = None,
        upto: int | None = None,
        is_limited: bool = False,
    ) -> JobRecord:
        """Return the record of a job, or of one attempt, from its events up to a position.

        Raises UnknownJobError; if it `is_limited`, TooLargeError above `MAX_EVENTS` or
        `MAX_STORED`.
        """
        record, tag = JobRecord(user_id, job_id, attempt), Tag(user_id, "job", job_id)
        read = partial(read_job, self._log, tag, attempt=attempt, upto=upto)
        number = size = 0
        while stored := read(record.last_position, PAGE):
            number, size = number + len(stored), size + _size(stored)
            if is_limited and (number > MAX_EVENTS or size > MAX_STORED):
                raise TooLargeError(_TOO_LONG)
            record.add(self._decoded(stored))
        if not record.last_position:
            raise UnknownJobError(job_id, attempt)
        return record

    def events_after(
        self,
        event_filter: EventFilter,
        after: int,
        limit: int,
        max_bytes: int = MAX_BYTES,
        *,
        upto: int | None = None,
    ) -> EventBatch:
        """Return the next matching events, and the position to continue from."""
        log, codec = self._log, self._codec
        return events_after(log, codec, event_filter, after, limit, max_bytes, upto=upto)

    def events_before(
        self, event_filter: EventFilter, before: int, after: int, limit: int
    ) -> EventBatch:
        """Return the last matching events between two positions, the newest first."""
        return events_before(self._log, self._codec, event_filter, before, after, limit)

    def head(self) -> int:
        """Return the last position of the log."""
        return self._log.head().position

    def command(self, key: CommandKey) -> Appended | None:
        """Return where a command was recorded; None if it was not. Raises KeyReusedError.

        For decisions that refuse or change nothing: `Group._replay` checks all others.
        """
        found = self._log.find_command(key.user_id, key.key)
        if found is None:
            return None
        used_for, first, last = found
        if used_for != key:
            raise KeyReusedError(key.key)
        return Appended(first, last, replayed=True)

    def command_of(self, user_id: str, key: str) -> Appended | None:
        """Return where the events of an Idempotency-Key are, for any request that used it."""
        found = self._log.find_command(user_id, key)
        return Appended(*found[1:], replayed=True) if found else None

    def ledger_stream(self) -> tuple[str, int]:
        """Return the log's id, which names the ledger's own stream, and that stream's version."""
        (opened,) = self._log.read(0, 1)
        log_id = str(opened.originator_id)
        return log_id, self._log.version_at(log_id)

    def damage(self) -> set[str]:
        """Return the parts that the events of the scrub name as damaged, and not as repaired."""
        damaged = set[str]()
        log_id, _ = self.ledger_stream()
        topics = (DamageFound.TOPIC, DamageRepaired.TOPIC)
        for stored in self._log.stream(log_id, topics=topics):
            event = self._codec.decode(stored).event
            if isinstance(event, DamageFound):
                damaged.update(event.parts)
            elif isinstance(event, DamageRepaired):
                damaged.difference_update(event.parts)
        return damaged

    def _stream(
        self, stream_id: str, *, after: int = 0, upto: int | None = None
    ) -> Iterator[Recorded]:
        """Yield the events of a stream after a version, which may be more than fit into memory."""
        for piece in self._pieces(stream_id, after=after, upto=upto):
            yield from self._decoded(piece)

    def _pieces(
        self, stream_id: str, *, after: int = 0, upto: int | None = None
    ) -> Iterator[Sequence[Notification]]:
        """Yield the stored events of a stream after a version, about 1 MiB at a time."""
        while piece := self._log.stream(stream_id, after=after, upto=upto, max_bytes=MAX_BYTES):
            yield piece
            if _size(piece) < MAX_BYTES:
                return
            after = piece[-1].originator_version

    def _decoded(self, stored: Sequence[Notification]) -> list[Recorded]:
        return [self._codec.decode(notification) for notification in stored]


def _size(stored: Sequence[Notification]) -> int:
    return sum(len(each.state) for each in stored)


def _creates(recorded: Recorded, user_id: str) -> bool:
    event = recorded.event
    return isinstance(event, AssetCreated) and event.user_id == user_id
