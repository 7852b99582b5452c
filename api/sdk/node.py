"""Nodes: the steps of a workflow. `run_node` runs one and can save its return value as assets."""

import asyncio
import inspect
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.context import ProcessingContext, Run, running
from asset_ledger.api.sdk.endings import ending, error_text
from asset_ledger.api.sdk.errors import SaveError
from asset_ledger.api.sdk.record import AssetRecord
from asset_ledger.api.sdk.results import assets_in, outputs_of
from asset_ledger.api.sdk.saving import save
from asset_ledger.ledger.errors import LedgerError


class BaseNode:
    """A step. With `_auto_save_asset = True`, `run_node` saves what `process` returns."""

    _auto_save_asset: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None) -> None:
        self.id = id or uuid.uuid4().hex

    @classmethod
    def auto_save_asset(cls) -> bool:
        """Return whether `run_node` saves what this node returns."""
        return cls._auto_save_asset

    async def process(self, context: ProcessingContext) -> Any:
        """Do the work of this step. Every subclass overrides this method.

        A `def` instead of an `async def` runs in a thread, so that it blocks no other node.
        """
        raise NotImplementedError(f"{type(self).__name__} has no process(): override it")


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


async def run_node(
    node: BaseNode,
    context: ProcessingContext,
    *,
    derived_from: Sequence[str | AssetRecord] = (),
) -> Result:
    """Run a node. Its assets have its id as `node_id`, and `derived_from` as their sources.

    Records the start of the run, and its end with status, error and seconds. Raises what `process`
    raises, with a note that names the node. Raises SaveError if a save fails; with
    `on_save_error="report"` the failure is in the result and in the Python log instead.
    """
    run, began = Run(node.id, derived_from), time.time()
    async with _recorded(run, context):
        value = await _processed(node, context)
        if node.auto_save_asset():
            found = outputs_of(value, f"{type(node).__name__}_{node.id}", began)
            returned, errors = await save(found, context)
        else:
            returned, errors = list(assets_in(value)), []
        run.not_saved += map(str, errors)
    assets = {asset.id: asset for asset in (*returned, *run.made)}
    return Result(value, tuple(assets.values()), tuple(errors))


async def _processed(node: BaseNode, context: ProcessingContext) -> Any:
    """Return what `process` returns; one that is no coroutine function runs in a thread."""
    process: Any = node.process
    if inspect.iscoroutinefunction(process):
        return await process(context)
    value = await asyncio.to_thread(process, context)
    return await value if inspect.isawaitable(value) else value


@asynccontextmanager
async def _recorded(run: Run, context: ProcessingContext) -> AsyncGenerator[None]:
    """Record the start and the end of a run around the block, whose assets belong to the run.

    An exception that leaves the block gets a note that names the node.
    """
    fields = {"node_id": run.node_id, "run": run.id, "attempt": context.attempt}
    fields["workflow_id"] = context.workflow_id
    await context.user_gateway.start_node(context.job_id, fields)
    began, token = time.monotonic(), running.set(run)
    try:
        yield
    except BaseException as failure:
        await _finish(run, context, began, failure)
        raise
    else:
        await _finish(run, context, began, None)
    finally:
        running.reset(token)


async def _finish(
    run: Run, context: ProcessingContext, began: float, failure: BaseException | None
) -> None:
    seconds = round(time.monotonic() - began, 6)
    named = {"node_id": run.node_id, "run": run.id, "attempt": context.attempt}
    fields = {**named, "seconds": seconds, **ending(failure)}
    if run.not_saved:
        fields["error"] = error_text(run.not_saved)
    try:
        await context.user_gateway.finish_node(context.job_id, fields)
    except LedgerError as error:
        if failure is None:
            raise
        failure.add_note(f"the end of node {run.node_id} was not recorded: {error}")
    if failure is not None:
        failure.add_note(f"in node {run.node_id} of job {context.job_id}")
