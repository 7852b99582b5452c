"""One async method for each thing that a caller may want of the ledger: each answers a receipt."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from asset_ledger.ledger.commands.call import BulkDeletion, Call, Deletion, Receipt
from asset_ledger.ledger.commands.create import Creations, Owners
from asset_ledger.ledger.commands.delete import Deletions, Find, Folders
from asset_ledger.ledger.commands.edit import Edits
from asset_ledger.ledger.commands.imports import Import, ImportReceipt, Imports, Presence
from asset_ledger.ledger.commands.jobs import Framed, Frames
from asset_ledger.ledger.commands.recorder import Commits
from asset_ledger.ledger.commands.restore import Graves, Restorations
from asset_ledger.ledger.commands.skip import Refusals, Skipped, Skips
from asset_ledger.ledger.commit.committer import Writer
from asset_ledger.ledger.content.store import Content, ContentStore, Kept, Stage, Staged
from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.decisions import Label, NewAsset
from asset_ledger.ledger.domain.event import Json, Recorded
from asset_ledger.ledger.domain.job import JobEnd, JobStart
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.ids import AssetId, Digest, new_asset_id
from asset_ledger.ledger.log.event_log import EventLog, Tag
from asset_ledger.ledger.reading.event_filter import Heard, Wanted
from asset_ledger.ledger.reading.replay import Replay


class Tables(Folders, Graves, Owners, Refusals, Protocol):
    """What the ledger asks the tables."""


class Ledger:
    """The facts' front door, for the event loop that it was made on."""

    def __init__(
        self,
        log: EventLog,
        replay: Replay,
        contents: ContentStore,
        writer: Writer,
        tables: Tables,
        *,
        new_id: Callable[[], AssetId] = new_asset_id,
    ) -> None:
        self._replay, self._contents, self._writer = replay, contents, writer
        self._commits = Commits(log, replay, writer)
        self._creations = Creations(self._commits, replay, contents, tables, new_id)
        self._edits = Edits(self._commits, replay, contents)
        self._deletions = Deletions(self._commits, replay, tables)
        self._restorations = Restorations(self._commits, replay, self._edits, tables)
        self._frames = Frames(self._commits, replay)
        self._imports = Imports(self._commits, replay, contents)
        self._skips = Skips(self._commits, log, tables)

    def close(self) -> None:
        """Stop reading; the writer and the stores belong to whoever made them."""
        self._commits.close()

    def place(self) -> AbstractContextManager[None]:
        """A place among the waiting writes, to be taken before a body is read. Raises BusyError."""
        return self._writer.place()

    def stage(self) -> Stage:
        """Begin to receive a content."""
        return self._contents.stage()

    async def create_asset(
        self, call: Call, wanted: NewAsset, staged: Staged | None, fields: Mapping[str, Json]
    ) -> Receipt:
        """Record a new asset with its content, or without (a folder, or metadata only).

        `fields` are the wire fields that were sent, to tell a retry from another request.
        Raises FieldError, TooLargeError, KeyReusedError, and the UnavailableErrors.
        """
        return await self._creations.create(call, wanted, staged, fields)

    async def find_content(self, call: Call, digest: Digest) -> Kept | None:
        """A content that the caller owns already; None for any other. Raises ViewBehindError."""
        return await self._creations.find_content(call, digest)

    async def update_asset(
        self,
        call: Call,
        asset_id: AssetId,
        wanted: Label,
        staged: Staged | None,
        fields: Mapping[str, Json],
    ) -> Receipt:
        """Change an asset's label, or its content, or both. Raises PreconditionFailedError too."""
        return await self._edits.update(call, asset_id, wanted, staged, fields)

    async def check_asset(self, call: Call, asset_id: AssetId) -> None:
        """Raises what a change of this asset would meet before its fields are looked at."""
        await self._edits.current(call, asset_id)

    async def restore_asset(self, call: Call, asset_id: AssetId) -> Receipt:
        """Restore an asset; a folder with what was deleted along with it."""
        return await self._restorations.restore(call, asset_id)

    async def delete_asset(self, call: Call, asset_id: AssetId) -> Deletion:
        """Delete an asset; a folder with all that is in it. Raises UnknownAssetError."""
        return await self._deletions.delete(call, asset_id)

    async def delete_matching(
        self, call: Call, find: Find, expected: int, fields: Mapping[str, Json]
    ) -> BulkDeletion:
        """Delete what is found, if it is as many as expected. Raises VersionConflictError."""
        return await self._deletions.delete_matching(call, find, expected, fields)

    async def finish_interrupted(self) -> int:
        """Finish what a killed server began; answers how many assets that deleted."""
        return await self._deletions.finish_interrupted()

    async def import_assets(self, by: str, batch: Sequence[Import]) -> ImportReceipt:
        """Record assets that were made elsewhere, at most 256, folders before what is in them.

        One that is refused is left out, and the receipt says why.
        """
        return await self._imports.record(by, batch)

    async def present(self, asset_ids: Sequence[AssetId]) -> Mapping[AssetId, Presence]:
        """Which of these assets are there already, whoever has them."""
        return await self._imports.present(asset_ids)

    async def find_asset(
        self, user_id: str, asset_id: AssetId, *, upto: int | None = None
    ) -> Asset:
        """One asset, folded from its facts, tombstone or not. Raises UnknownAssetError."""
        return await self._commits.in_thread(self._replay.asset, user_id, asset_id, upto=upto)

    async def start_job(
        self, call: Call, job_id: str, wanted: JobStart, fields: Mapping[str, Json]
    ) -> Framed:
        """Record that a job begins. Raises JobStateError if it began otherwise."""
        return await self._frames.start(call, job_id, wanted, fields)

    async def finish_job(
        self, call: Call, job_id: str, wanted: JobEnd, fields: Mapping[str, Json]
    ) -> Framed:
        """Record that a job is over. Raises JobStateError if it ended otherwise."""
        return await self._frames.finish(call, job_id, wanted, fields)

    async def skip_fact(
        self, call: Call, position: int, reason: str, fields: Mapping[str, Json]
    ) -> Skipped:
        """Let the projections that cannot take a fact go on without it. Raises FieldError."""
        return await self._skips.skip(call, position, reason, fields)

    async def job_record(self, user_id: str, job_id: str, *, upto: int | None = None) -> JobRecord:
        """One job with its assets, folded from its facts. Raises UnknownJobError."""
        return await self._commits.in_thread(self._replay.job_record, user_id, job_id, upto=upto)

    async def job_history(
        self, user_id: str, job_id: str, after: int, limit: int, *, upto: int | None = None
    ) -> list[Recorded]:
        """The next facts of a job after a position. Raises UnknownJobError."""
        read = self._replay.job
        return await self._commits.in_thread(read, user_id, job_id, after, limit, upto=upto)

    async def asset_history(
        self, user_id: str, asset_id: AssetId, after: int, limit: int, *, upto: int | None = None
    ) -> list[Recorded]:
        """The next facts of an asset after a position. Raises UnknownAssetError."""
        read = self._replay.asset_facts
        return await self._commits.in_thread(read, user_id, asset_id, after, limit, upto=upto)

    async def asset_as_of(self, user_id: str, asset_id: AssetId, position: int) -> Asset:
        """One asset as it was. Raises UnknownAssetError and AssetDeletedError."""
        read = self._replay.live_asset
        return await self._commits.in_thread(read, user_id, asset_id, upto=position)

    async def asset_at_version(self, user_id: str, asset_id: AssetId, version: int) -> Asset:
        """One asset as it was at a version. Raises UnknownAssetError and UnknownVersionError."""
        read = self._replay.asset_at_version
        return await self._commits.in_thread(read, user_id, asset_id, version)

    async def assets_of_tag(
        self, tag: Tag, after: int, limit: int, *, upto: int, wants: Callable[[Asset], bool]
    ) -> tuple[list[Asset], int | None]:
        """Assets that were made with a tag, as they were, and an edge: see Replay."""
        read = self._replay.assets_of_tag
        return await self._commits.in_thread(read, tag, after, limit, upto=upto, wants=wants)

    async def events_after(self, wanted: Wanted, after: int, limit: int) -> Heard:
        """The next facts that somebody wants to hear of, and where to go on."""
        return await self._commits.in_thread(self._replay.events_after, wanted, after, limit)

    async def position_as_of(self, as_of: int | datetime) -> int:
        """The position that a position or a moment names. Raises ParameterError."""
        return await self._commits.in_thread(self._replay.position_as_of, as_of)

    async def opened_at(self) -> datetime:
        """When the ledger was opened."""
        return await self._commits.in_thread(self._replay.recorded_at, 1)

    async def open_content(self, digest: Digest) -> Content:
        """A content that a fact names. Raises CorruptLogError if it is gone."""
        content = await self._contents.open(digest)
        if content is None:
            raise CorruptLogError(f"the content {digest} is missing from the data folder")
        return content
