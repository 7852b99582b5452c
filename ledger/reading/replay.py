"""What the log says, and nothing else: states folded from events, histories read by tag. Blocks."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from eventsourcing.persistence import Notification

from asset_ledger.ledger.domain.asset import Asset, AssetCreated, AssetDeleted, AssetRestored, fold
from asset_ledger.ledger.domain.decisions import check_live
from asset_ledger.ledger.domain.event import Recorded, moment
from asset_ledger.ledger.domain.job import Job, job_stream
from asset_ledger.ledger.domain.job import evolve as evolve_job
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import (
    FieldError,
    KeyReusedError,
    ParameterError,
    UnknownAssetError,
    UnknownJobError,
    UnknownVersionError,
)
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, CommandKey, LogReader, Tag
from asset_ledger.ledger.reading.event_filter import (
    PAGE,
    WALK,
    EventBatch,
    EventFilter,
    events_after,
)


class Absence(NamedTuple):
    """Where an asset became a tombstone, and where it was restored."""

    gone: int
    back: int


class Replay:
    """Answers from the log alone; the tables may be missing."""

    def __init__(self, log: LogReader, codec: Codec) -> None:
        self._log, self._codec = log, codec

    def asset(self, user_id: str, asset_id: AssetId, *, upto: int | None = None) -> Asset:
        """One asset as the events up to a position leave it, tombstone or not.

        Raises UnknownAssetError, for somebody else's too.
        """
        asset = fold(self._decoded(self._log.stream(asset_id, upto=upto)))
        if asset is None or asset.user_id != user_id:
            raise UnknownAssetError(asset_id)
        return asset

    def anyones(self, asset_id: AssetId) -> Asset | None:
        """The asset with this id, whoever has it: for those who ask on behalf of all."""
        return fold(self._decoded(self._log.stream(asset_id)))

    def asset_as_of(self, user_id: str, asset_id: AssetId, position: int) -> Asset:
        """One asset as it was. Raises UnknownAssetError, and AssetDeletedError for a tombstone."""
        asset = self.asset(user_id, asset_id, upto=position)
        check_live(asset)
        return asset

    def asset_at_version(self, user_id: str, asset_id: AssetId, version: int) -> Asset:
        """One asset as its first events left it. Raises UnknownAssetError, UnknownVersionError."""
        stored = self._log.stream(asset_id)
        asset = fold(self._decoded(stored[:version]))
        if asset is None or asset.user_id != user_id:
            raise UnknownAssetError(asset_id)
        if version > len(stored):
            raise UnknownVersionError(asset_id, version)
        return asset

    def assets_of_tag(
        self, tag: Tag, after: int, limit: int, *, upto: int, matches: Callable[[Asset], bool]
    ) -> tuple[list[Asset], int | None]:
        """The next assets that were made with a tag, as they were, and are wanted.

        Also after which position to go on, where many events were looked at in vain; None if not.
        """
        found: list[Asset] = []
        for _ in range(WALK // PAGE):
            stored = self._log.read(after, PAGE, tag=tag, upto=upto)
            for born in (one for one in stored if one.topic == AssetCreated.TOPIC):
                asset = fold(self._decoded(self._log.stream(str(born.originator_id), upto=upto)))
                if asset is not None and matches(asset):
                    found.append(asset)
                if len(found) == limit:
                    return found, None
            if len(stored) < PAGE:
                return found, None
            after = stored[-1].id
        return found, after

    def folder(self, user_id: str, folder_id: AssetId) -> Asset:
        """A live folder to put something into. Raises FieldError about `parent_id`."""
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
        """A live folder and those above it, innermost first. Raises FieldError about `parent_id`.

        Home is no folder of its own: the path of None is empty.
        """
        path: list[Asset] = []
        while folder_id is not None:
            path.append(self.folder(user_id, folder_id))
            folder_id = path[-1].parent_id
        return path

    def absence(self, asset_id: AssetId) -> Absence | None:
        """The last time an asset was a tombstone and came back; None if it is one, or never was."""
        gone = back = 0
        for position, event in self._decoded(self._log.stream(asset_id)):
            if isinstance(event, AssetDeleted):
                gone = position
            elif isinstance(event, AssetRestored):
                back = position
        return Absence(gone, back) if gone < back else None

    def sources(self, user_id: str, asset_ids: Iterable[AssetId]) -> None:
        """Check that assets exist to derive another from. Raises FieldError."""
        for asset_id in asset_ids:
            try:
                self.asset(user_id, asset_id)
            except UnknownAssetError as error:
                raise FieldError("derived_from", f"there is no asset {asset_id}") from error

    def between(self, first: int, last: int) -> list[Recorded]:
        """The events at positions `first` to `last`."""
        return self._decoded(self._log.read(first - 1, last - first + 1))

    def job(
        self, user_id: str, job_id: str, after: int, limit: int, *, upto: int | None = None
    ) -> list[Recorded]:
        """The next events of a job after a position: its assets' and its own.

        Raises UnknownJobError if no event of this user's, up to a position, names the job.
        """
        tag = Tag(user_id, "job", job_id)
        events = self._decoded(self._log.read(after, limit, tag=tag, upto=upto))
        if not events and not (after and self._log.read(0, 1, tag=tag, upto=upto)):
            raise UnknownJobError(job_id)
        return events

    def asset_events(
        self, user_id: str, asset_id: AssetId, after: int, limit: int, *, upto: int | None = None
    ) -> list[Recorded]:
        """The next events of an asset after a position. Raises UnknownAssetError."""
        stored = self._log.stream(asset_id, upto=upto)
        born = self._decoded(stored[:1])
        if not any(_is_born(event, user_id) for event in born):
            raise UnknownAssetError(asset_id)
        return self._decoded([one for one in stored if one.id > after][:limit])

    def position_as_of(self, as_of: int | datetime) -> int:
        """The position that a position names, or a moment: the last one recorded by then.

        Raises ParameterError for a position that the log does not have yet.
        """
        head = self._log.head().position
        if isinstance(as_of, datetime):
            return bisect_right(range(1, head + 1), as_of, key=self.recorded_at)
        if as_of > head:
            message = f"is beyond the log, which ends at {head:,}"
            raise ParameterError(f"as_of {message}", errors=[("as_of", message)])
        return as_of

    def recorded_at(self, position: int) -> datetime:
        """When the event at a position was recorded."""
        (recorded,) = self.between(position, position)
        return moment(recorded.event)

    def frame(self, user_id: str, job_id: str) -> Job | None:
        """What a job's own events say of it; None if it was neither started nor finished."""
        job: Job | None = None
        for recorded in self._decoded(self._log.stream(job_stream(user_id, job_id))):
            job = evolve_job(job, recorded)
        return job

    def job_record(self, user_id: str, job_id: str, *, upto: int | None = None) -> JobRecord:
        """Everything that a job's events up to a position add up to. Raises UnknownJobError."""
        record, tag = JobRecord(user_id, job_id), Tag(user_id, "job", job_id)
        while stored := self._log.read(record.last_position, PAGE, tag=tag, upto=upto):
            record.add(self._decoded(stored))
        if not record.last_position:
            raise UnknownJobError(job_id)
        return record

    def events_after(self, wanted: EventFilter, after: int, limit: int) -> EventBatch:
        """The next events that somebody wants to hear of, and where to go on."""
        return events_after(self._log, self._codec, wanted, after, limit)

    def head(self) -> int:
        """The last position of the log."""
        return self._log.head().position

    def command(self, key: CommandKey) -> Appended | None:
        """Where the events of this very request are. Raises KeyReusedError for another request."""
        known = self._log.find_command(key.user_id, key.key)
        if known is None:
            return None
        used_for, first, last = known
        if used_for != key:
            raise KeyReusedError(key.key)
        return Appended(first, last, replayed=True)

    def command_of(self, user_id: str, key: str) -> Appended | None:
        """Where the events of an Idempotency-Key are, whatever it was used for."""
        known = self._log.find_command(user_id, key)
        return Appended(*known[1:], replayed=True) if known else None

    def ledger_stream(self) -> tuple[str, int]:
        """The log's id, which names the ledger's own stream, and that stream's version."""
        (opened,) = self._log.read(0, 1)
        log_id = str(opened.originator_id)
        return log_id, len(self._log.stream(log_id))

    def _decoded(self, stored: Sequence[Notification]) -> list[Recorded]:
        return [self._codec.decode(notification) for notification in stored]


def _is_born(recorded: Recorded, user_id: str) -> bool:
    event = recorded.event
    return isinstance(event, AssetCreated) and event.user_id == user_id
