"""An open ledger: its commands, each an object of `ledger.commands`, and its reads.

await ledger.create.asset(call, new_asset, staged, fields)
await ledger.replay(Replay.asset, user_id, asset_id)
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Self, TypeVar

from asset_ledger.ledger.commands.bulk_edit import BulkEdit
from asset_ledger.ledger.commands.create import Create
from asset_ledger.ledger.commands.delete import Delete
from asset_ledger.ledger.commands.edit import Edit
from asset_ledger.ledger.commands.imports import Imports
from asset_ledger.ledger.commands.jobs import JobCommands
from asset_ledger.ledger.commands.lineage import RunReports
from asset_ledger.ledger.commands.nodes import NodeCommands
from asset_ledger.ledger.commands.restore import Restore
from asset_ledger.ledger.commands.skip import Skip
from asset_ledger.ledger.commands.tables import TableQueries
from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.commit.slots import Slots
from asset_ledger.ledger.content.checked import CheckedContents
from asset_ledger.ledger.content.store import Content, Stage
from asset_ledger.ledger.errors import AssetDeletedError, ContentCollectedError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The commands and reads of an open ledger, for one event loop."""

    create: Create
    edit: Edit
    bulk_edit: BulkEdit
    delete: Delete
    restore: Restore
    jobs: JobCommands
    nodes: NodeCommands
    imports: Imports
    run_reports: RunReports
    skip: Skip
    replay: AsyncReplay
    slots: Slots
    contents: CheckedContents

    @classmethod
    def of(
        cls,
        committer: Committer,
        replay: AsyncReplay,
        contents: CheckedContents,
        tables: TableQueries,
    ) -> Self:
        """Make the commands from these parts, which the caller closes."""
        edit = Edit(committer, replay, contents)
        jobs, imports = JobCommands(committer, replay), Imports(committer, replay, contents)
        return cls(
            create=Create(committer, replay, contents, tables),
            edit=edit,
            bulk_edit=BulkEdit(committer, replay),
            delete=Delete(committer, replay, tables),
            restore=Restore(committer, replay, edit, tables, contents),
            jobs=jobs,
            nodes=NodeCommands(committer, replay),
            imports=imports,
            run_reports=RunReports(jobs, imports, replay, tables),
            skip=Skip(committer, replay, tables),
            replay=replay,
            slots=committer.slots,
            contents=contents,
        )

    def stage(self) -> Stage:
        """Begin to receive a content."""
        return self.contents.stage()

    async def unless_collected(self, user_id: str, asset_id: AssetId, finding: Awaitable[T]) -> T:
        """Return what finds an asset whose bytes are to be read.

        Raises ContentCollectedError for a deleted asset whose bytes were collected, else what the
        finding raises.
        """
        try:
            return await finding
        except AssetDeletedError:
            digest = (await self.replay(Replay.asset, user_id, asset_id)).digest
            when = await self.contents.collected(digest) if digest is not None else None
            if digest is None or when is None:
                raise
            raise ContentCollectedError(digest, when) from None

    async def open_content(self, digest: Digest, size: int) -> Content:
        """Open a content of this recorded size. Raises ContentDamagedError."""
        return await self.contents.open(digest, size)
