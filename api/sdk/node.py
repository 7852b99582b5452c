"""Nodes: the steps of a workflow. `run_node` runs one and can save its return value as assets."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.context import ProcessingContext, Run
from asset_ledger.api.sdk.errors import SaveError
from asset_ledger.api.sdk.record import AssetRecord
from asset_ledger.api.sdk.results import assets_in, outputs_of
from asset_ledger.api.sdk.saving import save


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
        """Do the work of this step. Every subclass overrides this method."""
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
    async with context.recorded_run(run):
        value = await node.process(context)
        if node.auto_save_asset():
            found = outputs_of(value, f"{type(node).__name__}_{node.id}", began)
            returned, errors = await save(found, context)
        else:
            returned, errors = list(assets_in(value)), []
        run.not_saved += map(str, errors)
    assets = {asset.id: asset for asset in (*returned, *run.made)}
    return Result(value, tuple(assets.values()), tuple(errors))
