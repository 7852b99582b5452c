"""The synchronous SDK, for scripts and notebooks: the names of `asset_ledger` without `await`.

    from asset_ledger.sync import Asset, connect

    with connect("http://127.0.0.1:7777"):
        for asset in Asset.iterate(job_id="job_456"):
            asset.save(asset.name)

Nodes stay async (`BaseNode` is the same class); `run_node` and `run_workflow` wait for them.
Everything raises what its namesake in `asset_ledger.api.sdk` raises.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import get_ident
from types import TracebackType
from typing import IO, Any, Self, Unpack

from asset_ledger.api.sdk import __all__ as __all__
from asset_ledger.api.sdk import connection as connections
from asset_ledger.api.sdk import context as contexts
from asset_ledger.api.sdk import following, proving
from asset_ledger.api.sdk import node as nodes
from asset_ledger.api.sdk import workflow as workflows
from asset_ledger.api.sdk.connection import ambient, blocks
from asset_ledger.api.sdk.content import Source
from asset_ledger.api.sdk.context import AttemptChoice, OnSaveError
from asset_ledger.api.sdk.encoded import Output as Output
from asset_ledger.api.sdk.errors import *  # noqa: F403
from asset_ledger.api.sdk.errors import SaveError
from asset_ledger.api.sdk.found import ComparedAssets as ComparedAssets
from asset_ledger.api.sdk.found import Comparison as Comparison
from asset_ledger.api.sdk.found import Lineage as Lineage
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.node import BaseNode
from asset_ledger.api.sdk.portal import drain, run
from asset_ledger.api.sdk.record import AssetRecord, Event, Filters, NodeSort, NodeSummary
from asset_ledger.api.sdk.record import Usage as Usage
from asset_ledger.api.sdk.remote import LOCAL_USER
from asset_ledger.api.sdk.sync_asset import Asset
from asset_ledger.api.sdk.sync_job import Job as Job
from asset_ledger.api.sdk.workflow import Graph


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    user_id: str = LOCAL_USER,
) -> "Connection":
    """Return a connection to the ledger at a URL, or to a data folder opened in this process.

    Raises what `asset_ledger.api.sdk.connect` raises.
    """
    return Connection(connections.connect(url, token=token, data_dir=data_dir, user_id=user_id))


class Connection:
    """A connection to one ledger: use it with `with`, or `install()` it for the process."""

    def __init__(self, opening: connections.Connection) -> None:
        self._opening = opening
        self._before: Gateway | None = None
        self._process = os.getpid()

    def __enter__(self) -> Gateway:
        """Open the ledger and use it inside the block, also in threads that are started there.

        Raises DataFolderError for a folder.
        """
        gateway = run(self._opening.__aenter__())
        self._before = ambient.get()
        ambient.set(gateway)
        self._block = get_ident(), gateway
        blocks.append(self._block)
        return gateway

    def __exit__(self, *_: object) -> None:
        ambient.set(self._before)
        blocks.remove(self._block)
        if os.getpid() == self._process:  # else it is open in the parent of this forked process
            run(self._opening.__aexit__())

    def install(self) -> Self:
        """Open the ledger for the process, until `close`. Raises DataFolderError for a folder."""
        run(self._opening.install())
        return self

    def close(self) -> None:
        """Undo `install`. With an open data folder, the process does not end before this call."""
        if os.getpid() == self._process:
            run(self._opening.close())


class ProcessingContext:
    """One job of one workflow, for one user: see `sdk.context.ProcessingContext`."""

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
        self.async_context = contexts.ProcessingContext(
            user_id=user_id,
            workflow_id=workflow_id,
            job_id=job_id,
            parameters=parameters,
            parent_job_id=parent_job_id,
            attempt=attempt,
            gateway=gateway,
            on_save_error=on_save_error,
        )
        self.user_id, self.workflow_id = user_id, workflow_id
        self.job_id = self.async_context.job_id

    @property
    def attempt(self) -> int | None:
        """The number of the attempt; None before its start, unless it was given."""
        return self.async_context.attempt

    def __enter__(self) -> Self:
        """Record the start of an attempt of the job. Raises JobStateError."""
        run(self.async_context.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        run(self.async_context.__aexit__(kind, failure, trace))

    def create_asset(
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
        """Create an asset of this workflow and job. Retries never create it twice."""
        created = self.async_context.create_asset(
            name, content_type, content, parent_id, node_id, metadata, tags, derived_from
        )
        return Asset.of_async(run(created))

    def find_asset(self, asset_id: str) -> Asset:
        """Return one asset. Raises UnknownAssetError, AssetDeletedError."""
        return Asset.of_async(run(self.async_context.find_asset(asset_id)))

    def paginate_assets(
        self, *, limit: int = 100, cursor: str = "", **filters: Unpack[Filters]
    ) -> tuple[Listing[Asset], str]:
        """Return a page of this user's assets, of any job, and the cursor of the next page."""
        found = self.async_context.paginate_assets(limit=limit, cursor=cursor, **filters)
        page, following = run(found)
        return Listing(Asset, map(Asset.of_async, page)), following

    def download(self, asset: AssetRecord | str) -> IO[bytes]:
        """Return the content of an asset as an open file at offset 0. The caller closes it."""
        return run(self.async_context.download(asset))

    def nodes(
        self, *, attempt: int | None = None, sort: NodeSort = "created_at"
    ) -> Listing[NodeSummary]:
        """Return every node of this job, or of one attempt: its runs, seconds and live assets."""
        return run(self.async_context.nodes(attempt=attempt, sort=sort))

    def history(self, *, attempt: int | None = None) -> Iterator[Event]:
        """Yield the events of this job, or of one attempt, in log order."""
        return drain(self.async_context.history(attempt=attempt))


def events(
    *,
    after: int | None = None,
    topic: str | Sequence[str] | None = None,
    job_id: str | None = None,
    attempt: int | None = None,
    node_id: str | None = None,
    workflow_id: str | None = None,
    asset_id: str | None = None,
    all_users: bool = False,
    gateway: Gateway | None = None,
) -> Iterator[Event]:
    """Yield events as they are recorded, for ever, each once and in the order of the log."""
    return drain(
        following.events(
            after=after,
            topic=topic,
            job_id=job_id,
            attempt=attempt,
            node_id=node_id,
            workflow_id=workflow_id,
            asset_id=asset_id,
            all_users=all_users,
            gateway=gateway,
        )
    )


def prove(
    assets: Sequence[AssetRecord | str], *, size: int | None = None, gateway: Gateway | None = None
) -> Document:
    """Return the proof object of every event of 1 to 1,000 assets: see `sdk.proving.prove`."""
    return run(proving.prove(assets, size=size, gateway=gateway))


def tree_head(*, gateway: Gateway | None = None) -> Document:
    """Return the size, root and times of the log as its newest checkpoint has it."""
    return run(proving.tree_head(gateway=gateway))


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a node: its return value, its assets, and the outputs that were not saved."""

    value: Any
    assets: Sequence[Asset]
    errors: Sequence[SaveError] = ()

    @property
    def asset_id(self) -> str | None:
        """The id of the first asset, None if there is none."""
        return self.assets[0].id if self.assets else None


def run_node(
    node: BaseNode,
    context: ProcessingContext,
    *,
    derived_from: Sequence[str | AssetRecord] = (),
) -> Result:
    """Run a node. Its assets have its id as `node_id`, and `derived_from` as their sources."""
    return _result(run(nodes.run_node(node, context.async_context, derived_from=derived_from)))


def run_workflow(graph: Graph, context: ProcessingContext) -> dict[BaseNode, Result]:
    """Run each node after the nodes of its inputs, and return a result for each node."""
    results = run(workflows.run_workflow(graph, context.async_context))
    return {each: _result(result) for each, result in results.items()}


def _result(result: nodes.Result) -> Result:
    return Result(result.value, [Asset.of_async(a) for a in result.assets], result.errors)
