"""`ProcessingContext`: what a node is given to record what it makes, under the job it runs in.

Promise: every asset that is made through a context carries its workflow and job, and the node that
is running.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Any, Final, Literal, Self, Unpack

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.content import IN_MEMORY, Source, opened
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.record import AssetRecord, Event, Filters
from asset_ledger.ledger.errors import LedgerError

MAX_ERROR: Final = 4_000
"""How many characters of an error are recorded."""

OnSaveError = Literal["raise", "report"]


@dataclass(slots=True)
class Run:
    """One run of one node: what it is made from, and what it has made so far."""

    node_id: str
    derived_from: Sequence[str | AssetRecord] = ()
    made: list[Asset] = field(default_factory=list)


running: Final[ContextVar[Run | None]] = ContextVar("asset_ledger_run", default=None)
"""The run that the current task belongs to; `run_node` sets it."""


class ProcessingContext:
    """One job of one workflow, for one user: the caller, or anybody if he is an admin.

    Without a `job_id` it makes one, so that no asset of a run is outside of any job. Without a
    `gateway` it asks the ledger that is connected. `on_save_error`: whether a node fails when what
    it returned cannot be saved, or its result reports it.

    `async with` it to record when the job begins and how it ends.
    """

    def __init__(
        self,
        *,
        user_id: str = "1",
        workflow_id: str | None = None,
        job_id: str | None = None,
        gateway: Gateway | None = None,
        on_save_error: OnSaveError = "raise",
    ) -> None:
        self.user_id = user_id
        self.workflow_id = workflow_id
        self.job_id = job_id or uuid.uuid4().hex
        self.on_save_error = on_save_error
        self._gateway = gateway

    async def __aenter__(self) -> Self:
        """Record that the job begins. Raises JobStateError if it began otherwise."""
        gateway = self._reach()
        await gateway.start_job(self.job_id, {"workflow_id": self.workflow_id})
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Record how the job ended: what failed is raised on, whether or not that succeeds."""
        try:
            gateway = self._reach()
            await gateway.finish_job(self.job_id, _ending(failure))
        except LedgerError as error:
            if failure is None:
                raise
            failure.add_note(f"the end of job {self.job_id} was not recorded: {error}")

    async def create_asset(
        self,
        name: str,
        content_type: str | None = None,
        content: Source | None = None,
        parent_id: str | None = None,
        node_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        derived_from: Sequence[str | AssetRecord] | None = None,
    ) -> Asset:
        """Record an asset of this workflow and job; a failing network never makes two of it.

        `content` is bytes, a path, a binary file or an async iterator of bytes; None for a folder
        or for metadata alone. `content_type` is told from the bytes where it is None. `node_id`
        and `derived_from` come from the running node where they are None.
        Raises FieldError, TooLargeError, UnavailableError; MissingScopeError for somebody else's
        `user_id` unless the caller is an admin; OSError and TypeError for a content that cannot be
        read.
        """
        run = running.get()
        if run is not None:
            node_id = run.node_id if node_id is None else node_id
            derived_from = run.derived_from if derived_from is None else derived_from
        fields = {
            "name": name,
            "content_type": content_type,
            "workflow_id": self.workflow_id,
            "job_id": self.job_id,
            "node_id": node_id,
            "parent_id": parent_id,
            "metadata": metadata,
            "tags": tags,
            "derived_from": _ids(derived_from),
        }
        asset = await self._create(fields, content)
        if run is not None:
            run.made.append(asset)
        return asset

    async def find_asset(self, asset_id: str) -> Asset:
        """One asset. Raises UnknownAssetError, AssetDeletedError."""
        return await Asset.get(asset_id, gateway=self._reach())

    async def paginate_assets(
        self, *, limit: int = 100, cursor: str = "", **filters: Unpack[Filters]
    ) -> tuple[list[Asset], str]:
        """A page of this user's assets, of whatever job: see `Asset.paginate`."""
        gateway = self._reach()
        return await Asset.paginate(limit=limit, cursor=cursor, gateway=gateway, **filters)

    async def download(self, asset: AssetRecord | str) -> IO[bytes]:
        """An asset's bytes as an open file, at its beginning; on disk where they are many.

        Raises UnknownAssetError (a folder has no bytes), AssetDeletedError.
        """
        asset_id, version = (asset, None) if isinstance(asset, str) else (asset.id, asset.version)
        gateway = self._reach()
        with ExitStack() as stack:
            file = stack.enter_context(SpooledTemporaryFile(IN_MEMORY))
            async for piece in gateway.chunks(asset_id, version):
                await asyncio.to_thread(file.write, piece)
            file.seek(0)
            stack.pop_all()  # from here on it is the caller's to close
            return file

    async def history(self) -> AsyncGenerator[Event]:
        """The events of this job, in the log's order. Raises UnknownJobError if it has none."""
        gateway = self._reach()
        async for document in gateway.job_history(self.job_id):
            yield Event.of(document)

    def _reach(self) -> Gateway:
        """The ledger that this context asks, for its user."""
        return (self._gateway or current_gateway()).for_user(self.user_id)

    async def _create(self, fields: Mapping[str, Any], content: Source | None) -> Asset:
        gateway = self._reach()
        if content is None:
            return Asset.of(await gateway.create(fields, None), gateway)
        async with opened(content) as bytes_of_it:
            return Asset.of(await gateway.create(fields, bytes_of_it), gateway)


def _ending(failure: BaseException | None) -> dict[str, str]:
    if failure is None:
        return {"status": "completed"}
    if not isinstance(failure, Exception):  # a cancelled task, Ctrl-C, an exit
        return {"status": "cancelled"}
    error = f"{type(failure).__name__}: {failure}"[:MAX_ERROR]
    return {"status": "failed", "error": error.encode(errors="replace").decode().replace("\0", "")}


def _ids(assets: Sequence[str | AssetRecord] | None) -> list[str] | None:
    if not assets:
        return None
    return list(dict.fromkeys(a if isinstance(a, str) else a.id for a in assets))
