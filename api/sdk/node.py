"""Nodes: the steps of a workflow. `run_node` runs one, and saves what it returned if it asks so."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.context import ProcessingContext, Run, running
from asset_ledger.api.sdk.errors import SaveError
from asset_ledger.api.sdk.record import AssetRecord
from asset_ledger.api.sdk.results import assets_in, outputs_of
from asset_ledger.api.sdk.saving import save


class BaseNode:
    """A step. With `_auto_save_asset`, what `process` returns is saved by `run_node`."""

    _auto_save_asset: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None) -> None:
        self.id = id or uuid.uuid4().hex

    @classmethod
    def auto_save_asset(cls) -> bool:
        """Is what this node returns saved?"""
        return cls._auto_save_asset

    async def process(self, context: ProcessingContext) -> Any:
        """Do the step's work: each kind of node says what."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does")


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


async def run_node(
    node: BaseNode,
    context: ProcessingContext,
    *,
    derived_from: Sequence[str | AssetRecord] = (),
) -> Result:
    """Run a node; what it makes carries its id, and is derived from these assets.

    Raises what `process` raises, and SaveError if a save fails, unless the context has
    `on_save_error="report"`: then the result names it, and the log.
    """
    run, began = Run(node.id, derived_from), time.time()
    token = running.set(run)
    try:
        value = await node.process(context)
        if node.auto_save_asset():
            found = outputs_of(value, f"{type(node).__name__}_{node.id}", began)
            returned, errors = await save(found, context)
        else:
            returned, errors = list(assets_in(value)), []
    finally:
        running.reset(token)
    assets = {asset.id: asset for asset in (*returned, *run.made)}
    return Result(value, tuple(assets.values()), tuple(errors))
