"""The same names for code that does not await: scripts and notebooks.

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
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, Unpack

from asset_ledger.api.sdk import asset as assets
from asset_ledger.api.sdk import connection as connections
from asset_ledger.api.sdk import context as contexts
from asset_ledger.api.sdk import node as nodes
from asset_ledger.api.sdk import workflow as workflows
from asset_ledger.api.sdk.asset import GroupBy, UsageSort
from asset_ledger.api.sdk.connection import ambient
from asset_ledger.api.sdk.content import Source
from asset_ledger.api.sdk.context import OnSaveError
from asset_ledger.api.sdk.errors import (
    AssetDeletedError,
    FieldError,
    ForbiddenError,
    LedgerError,
    NotConnectedError,
    RefusedError,
    SaveError,
    TooLargeError,
    UnavailableError,
    UnknownAssetError,
    UnknownJobError,
    UnreachableError,
    WorkflowError,
)
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.node import BaseNode
from asset_ledger.api.sdk.portal import drain, run
from asset_ledger.api.sdk.record import AssetRecord, Event, Filters, Usage
from asset_ledger.api.sdk.remote import LOCAL_USER
from asset_ledger.api.sdk.results import Output
from asset_ledger.api.sdk.workflow import Graph
from asset_ledger.ledger.domain.event import UNSET, UnsetType

__all__ = [
    "Asset",
    "AssetDeletedError",
    "BaseNode",
    "Connection",
    "Event",
    "FieldError",
    "ForbiddenError",
    "Gateway",
    "Graph",
    "LedgerError",
    "NotConnectedError",
    "Output",
    "ProcessingContext",
    "RefusedError",
    "Result",
    "SaveError",
    "TooLargeError",
    "UnavailableError",
    "UnknownAssetError",
    "UnknownJobError",
    "UnreachableError",
    "Usage",
    "WorkflowError",
    "connect",
    "run_node",
    "run_workflow",
]


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    user_id: str = LOCAL_USER,
) -> "Connection":
    """A connection to the ledger at a URL, or to a data folder, opened in this process.

    Raises what `asset_ledger.api.sdk.connect` raises.
    """
    return Connection(connections.connect(url, token=token, data_dir=data_dir, user_id=user_id))


class Connection:
    """One way into a ledger: use it `with`, or `install()` it for the whole process."""

    def __init__(self, opening: connections.Connection) -> None:
        self._opening = opening
        self._before: Gateway | None = None

    def __enter__(self) -> Gateway:
        """Open it, and ask it from here on. Raises DataFolderError for a folder."""
        gateway = run(self._opening.__aenter__())
        self._before = ambient.get()
        ambient.set(gateway)
        return gateway

    def __exit__(self, *_: object) -> None:
        ambient.set(self._before)
        run(self._opening.__aexit__())

    def install(self) -> Self:
        """Open it for the whole process, until `close`. Raises DataFolderError for a folder."""
        run(self._opening.install())
        return self

    def close(self) -> None:
        """Undo `install`. A process does not end while it has a data folder open."""
        run(self._opening.close())


class Asset(AssetRecord):
    """One asset, as it was when it was asked for."""

    @classmethod
    def get(cls, asset_id: str, *, gateway: Gateway | None = None) -> Self:
        """One asset. Raises UnknownAssetError (also for another user's), AssetDeletedError."""
        return cls._of(run(assets.Asset.get(asset_id, gateway=gateway)))

    @classmethod
    def paginate(
        cls,
        *,
        user_id: str | None = None,
        limit: int = 100,
        cursor: str = "",
        gateway: Gateway | None = None,
        **filters: Unpack[Filters],
    ) -> tuple[list[Self], str]:
        """A page of the assets that match, and the cursor of the next page."""
        page, following = run(
            assets.Asset.paginate(
                user_id=user_id, limit=limit, cursor=cursor, gateway=gateway, **filters
            )
        )
        return [cls._of(one) for one in page], following

    @classmethod
    def iterate(
        cls,
        *,
        user_id: str | None = None,
        gateway: Gateway | None = None,
        **filters: Unpack[Filters],
    ) -> Iterator[Self]:
        """All assets that match, page by page."""
        found = assets.Asset.iterate(user_id=user_id, gateway=gateway, **filters)
        return map(cls._of, drain(found))

    @classmethod
    def usage(
        cls,
        *,
        group_by: GroupBy = "node_id",
        workflow_id: str | Sequence[str] | None = None,
        job_id: str | Sequence[str] | None = None,
        node_id: str | Sequence[str] | None = None,
        sort: UsageSort = "-bytes",
        limit: int = 100,
        gateway: Gateway | None = None,
    ) -> list[Usage]:
        """What the live assets come to, in groups: the first `limit` of them, at most 1,000."""
        return run(
            assets.Asset.usage(
                group_by=group_by,
                workflow_id=workflow_id,
                job_id=job_id,
                node_id=node_id,
                sort=sort,
                limit=limit,
                gateway=gateway,
            )
        )

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces."""
        return drain(self._awaited.chunks())

    def content(self) -> bytes:
        """The bytes, all at once."""
        return run(self._awaited.content())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes to a file, which has its name only once it is whole."""
        return run(self._awaited.save(path))

    def history(self) -> list[Event]:
        """Every event about it, oldest first."""
        return run(self._awaited.history())

    def update(
        self,
        *,
        name: str | UnsetType = UNSET,
        parent_id: str | UnsetType | None = UNSET,
        content_type: str | UnsetType = UNSET,
        metadata: Mapping[str, Any] | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType | None = UNSET,
        duration: float | UnsetType | None = UNSET,
        if_unchanged: bool = False,
    ) -> Self:
        """Change its label; the asset as it is then. What is not given stays, None clears."""
        changed = self._awaited.update(
            name=name,
            parent_id=parent_id,
            content_type=content_type,
            metadata=metadata,
            tags=tags,
            duration=duration,
            if_unchanged=if_unchanged,
        )
        return self._of(run(changed))

    def restore(self) -> Self:
        """Bring it back after it was deleted, and a folder with its contents; as it is then."""
        return self._of(run(self._awaited.restore()))

    def delete(self) -> list[str]:
        """Delete it, and a folder with all that is in it; the ids of what became a tombstone."""
        return run(self._awaited.delete())

    @classmethod
    def _of(cls, found: assets.Asset) -> Self:
        return cls(**vars(found))

    @property
    def _awaited(self) -> assets.Asset:
        return assets.Asset(**vars(self))


class ProcessingContext:
    """One job of one workflow, for one user: see `sdk.context.ProcessingContext`."""

    def __init__(
        self,
        *,
        user_id: str = "1",
        workflow_id: str | None = None,
        job_id: str | None = None,
        gateway: Gateway | None = None,
        on_save_error: OnSaveError = "raise",
    ) -> None:
        self.awaited = contexts.ProcessingContext(
            user_id=user_id,
            workflow_id=workflow_id,
            job_id=job_id,
            gateway=gateway,
            on_save_error=on_save_error,
        )
        self.user_id, self.workflow_id = user_id, workflow_id
        self.job_id = self.awaited.job_id

    def __enter__(self) -> Self:
        """Record that the job begins. Raises JobStateError if it began otherwise."""
        run(self.awaited.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        run(self.awaited.__aexit__(kind, failure, trace))

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
        """Record an asset of this workflow and job; a failing network never makes two of it."""
        created = self.awaited.create_asset(
            name, content_type, content, parent_id, node_id, metadata, tags, derived_from
        )
        return Asset._of(run(created))

    def find_asset(self, asset_id: str) -> Asset:
        """One asset. Raises UnknownAssetError, AssetDeletedError."""
        return Asset._of(run(self.awaited.find_asset(asset_id)))

    def paginate_assets(
        self, *, limit: int = 100, cursor: str = "", **filters: Unpack[Filters]
    ) -> tuple[list[Asset], str]:
        """A page of this user's assets, of whatever job, and the cursor of the next page."""
        found = self.awaited.paginate_assets(limit=limit, cursor=cursor, **filters)
        page, following = run(found)
        return [Asset._of(one) for one in page], following

    def download(self, asset: AssetRecord | str) -> IO[bytes]:
        """An asset's bytes as an open file, at its beginning; on disk where they are many."""
        return run(self.awaited.download(asset))

    def history(self) -> Iterator[Event]:
        """The events of this job, in the log's order. Raises UnknownJobError if it has none."""
        return drain(self.awaited.history())


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one run of a node: what it returned, what it made, what was not saved."""

    value: Any
    assets: Sequence[Asset]
    errors: Sequence[SaveError] = ()

    @property
    def asset_id(self) -> str | None:
        """The id of what it made, or of the first of several."""
        return self.assets[0].id if self.assets else None


def run_node(
    node: BaseNode,
    context: ProcessingContext,
    *,
    derived_from: Sequence[str | AssetRecord] = (),
) -> Result:
    """Run a node; what it makes carries its id, and is derived from these assets."""
    return _result(run(nodes.run_node(node, context.awaited, derived_from=derived_from)))


def run_workflow(graph: Graph, context: ProcessingContext) -> dict[BaseNode, Result]:
    """Run each node once those that feed it are done, derived from what these have made."""
    results = run(workflows.run_workflow(graph, context.awaited))
    return {each: _result(result) for each, result in results.items()}


def _result(result: nodes.Result) -> Result:
    return Result(result.value, [Asset._of(a) for a in result.assets], result.errors)
