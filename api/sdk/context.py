"""`ProcessingContext`: record the assets of one job.

Promise: every asset that is created through a context has the workflow and the job of the context,
and the node that is running.
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
from asset_ledger.api.sdk.attempts import begin
from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.content import IN_MEMORY, Source, opened
from asset_ledger.api.sdk.endings import ending
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.node_list import nodes_of
from asset_ledger.api.sdk.record import AssetRecord, Event, Filters, NodeSort, NodeSummary
from asset_ledger.ledger.errors import LedgerError

OnSaveError = Literal["raise", "report"]
AttemptChoice = int | Literal["new"] | None


@dataclass(slots=True)
class Run:
    """One run of one node: its sources, the assets it has created so far, what was not saved."""

    node_id: str
    derived_from: Sequence[str | AssetRecord] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    made: list[Asset] = field(default_factory=list)
    not_saved: list[str] = field(default_factory=list)


running: Final[ContextVar[Run | None]] = ContextVar("asset_ledger_run", default=None)
"""The run that the current task belongs to; `run_node` sets it."""


class ProcessingContext:
    """One job of one workflow, for one user: the caller, or any user if the caller is an admin.

    The default user is that of the token, of the data folder, or of the `gateway`.
    Without a `job_id` a new one is made. Without a `gateway` the connected ledger is used.
    `parameters` (a JSON object) and `parent_job_id`, the job that started this one, are recorded
    with the start. `attempt`: see `__aenter__`.
    `on_save_error="raise"`: a node fails if its return value cannot be saved; `"report"`: its
    `Result` lists the error.

    Use it with `async with` to record the start and the end of the job.
    """

    def __init__(
        self,
        *,
        user_id: str | None = None,
        workflow_id: str | None = None,
        job_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        parent_job_id: str | None = None,
        attempt: AttemptChoice = None,
        gateway: Gateway | None = None,
        on_save_error: OnSaveError = "raise",
    ) -> None:
        self.user_id = user_id
        self.workflow_id = workflow_id
        self.job_id = job_id or uuid.uuid4().hex
        self.parameters, self.parent_job_id = parameters, parent_job_id
        self.on_save_error = on_save_error
        self.attempt = None if attempt == "new" else attempt
        self._chosen, self._gateway = attempt, gateway

    async def __aenter__(self) -> Self:
        """Record the start of an attempt of the job; `attempt` has its number from then on.

        By default: the first, the running one, or the next one after a failure. With
        `attempt="new"`: the next one, also after a completed one. With a number: this one.
        Raises JobStateError if the job completed, or if the attempt started with other fields.
        """
        fields = {
            "workflow_id": self.workflow_id,
            "parameters": self.parameters,
            "parent_job_id": self.parent_job_id,
        }
        self.attempt = await begin(self.user_gateway, self.job_id, fields, self._chosen)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Record the end of the job. The exception of the block is raised on in any case."""
        try:
            end = {**ending(failure), "attempt": self.attempt}
            await self.user_gateway.finish_job(self.job_id, end)
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
        """Create an asset of this workflow and job. Retries never create it twice.

        `content` is bytes, a path, a binary file or an async iterator of bytes; None for a folder
        or for metadata alone. A `content_type` of None is detected from the bytes. `node_id` and
        `derived_from` default to those of the running node.
        Raises FieldError, TooLargeError, UnavailableError; MissingScopeError for another user's
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
            "attempt": self.attempt,
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
        """Return one asset. Raises UnknownAssetError, AssetDeletedError."""
        return await Asset.get(asset_id, gateway=self.user_gateway)

    async def paginate_assets(
        self, *, limit: int = 100, cursor: str = "", **filters: Unpack[Filters]
    ) -> tuple[Listing[Asset], str]:
        """Return a page of this user's assets, of any job: see `Asset.paginate`."""
        gateway = self.user_gateway
        return await Asset.paginate(limit=limit, cursor=cursor, gateway=gateway, **filters)

    async def download(self, asset: AssetRecord | str) -> IO[bytes]:
        """Return the content of an asset as an open file at offset 0. The caller closes it.

        Raises UnknownAssetError (a folder has no bytes), AssetDeletedError.
        """
        asset_id, version = (asset, None) if isinstance(asset, str) else (asset.id, asset.version)
        gateway = self.user_gateway
        with ExitStack() as stack:
            file = stack.enter_context(SpooledTemporaryFile(IN_MEMORY))
            async for piece in gateway.chunks(asset_id, version):
                await asyncio.to_thread(file.write, piece)
            file.seek(0)
            stack.pop_all()
            return file

    async def history(self, *, attempt: int | None = None) -> AsyncGenerator[Event]:
        """Yield the events of this job, or of one attempt, in log order.

        Raises UnknownJobError if there are none.
        """
        async for document in self.user_gateway.job_history(self.job_id, attempt):
            yield Event.of(document)

    async def nodes(
        self, *, attempt: int | None = None, sort: NodeSort = "created_at"
    ) -> Listing[NodeSummary]:
        """Return every node of this job, or of one attempt: runs, failures, seconds, live assets.

        Raises UnknownJobError if the job has no events.
        """
        return await nodes_of(self.user_gateway, self.job_id, attempt, sort)

    @property
    def user_gateway(self) -> Gateway:
        """The gateway of this context for its user. Raises NotConnectedError."""
        gateway = self._gateway or current_gateway()
        return gateway if self.user_id is None else gateway.for_user(self.user_id)

    async def _create(self, fields: Mapping[str, Any], content: Source | None) -> Asset:
        gateway = self.user_gateway
        if content is None:
            return Asset.of(await gateway.create(fields, None), gateway)
        async with opened(content) as opened_content:
            return Asset.of(await gateway.create(fields, opened_content), gateway)


def _ids(assets: Sequence[str | AssetRecord] | None) -> list[str] | None:
    if not assets:
        return None
    return list(dict.fromkeys(a if isinstance(a, str) else a.id for a in assets))
