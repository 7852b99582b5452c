"""A report of another program about a run: what it read and wrote, and how far it is.

Pure. A run is an attempt of a job, or with a `node_id` a node's part of one. A data set is an asset
without bytes: `dataset_id` is the id of one that no run wrote, `output_id` of one that a run wrote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import orjson

from asset_ledger.ledger.domain.checks import MAX_METADATA
from asset_ledger.ledger.domain.event import Json
from asset_ledger.ledger.domain.job import Ending
from asset_ledger.ledger.ids import AssetId

DATASET: Final = "application/x-openlineage-dataset"
"""The content type of the asset that stands for a data set."""

KEY: Final = "openlineage"
"""The member of `metadata` and `parameters` that holds what a report says."""


class Dataset(NamedTuple):
    """A data set by its names. `asset_id`: the asset that its name says it is, if it exists."""

    namespace: str
    name: str
    facets: Mapping[str, Json] = {}
    asset_id: AssetId | None = None

    @property
    def asset_name(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def metadata(self) -> dict[str, Json]:
        """Return the metadata of its asset."""
        return fitting({"namespace": self.namespace, "name": self.name, **self.facets})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One report. `ending` is None while it runs; `begins`: it is a start, which wrote nothing yet.

    `tracked`: the start and the end of the attempt are events, too. `when`: the claimed time.
    """

    job_id: str
    attempt: int = 1
    workflow_id: str | None = None
    node_id: str | None = None
    parent_job_id: str | None = None
    tracked: bool = True
    begins: bool = False
    ending: Ending | None = None
    error: str | None = None
    when: datetime | None = None
    parameters: Mapping[str, Json]
    inputs: Sequence[Dataset] = ()
    outputs: Sequence[Dataset] = ()


def dataset_id(user_id: str, dataset: Dataset) -> AssetId:
    """Return the id of the asset for a data set that no run of the user wrote."""
    return _id("dataset", user_id, dataset.namespace, dataset.name)


def output_id(user_id: str, report: RunReport, dataset: Dataset) -> AssetId:
    """Return the id of the asset that a run makes as this data set: a repeat names the same one."""
    run = (report.job_id, str(report.attempt), report.node_id or "")
    return _id("output", user_id, *run, dataset.namespace, dataset.name)


def _id(*parts: str) -> AssetId:
    return AssetId(uuid5(NAMESPACE_URL, "asset-ledger:" + "\0".join(parts)).hex)


def fitting(members: Mapping[str, Json]) -> dict[str, Json]:
    """Return the members under `KEY`, as many as metadata may hold: the largest are left out.

    `left_out` then has their names.
    """
    kept: dict[str, Any] = dict(members)
    sizes = {name: len(orjson.dumps(value)) + len(name) + 4 for name, value in kept.items()}
    left_out: list[str] = []
    while sum(sizes.values()) + sum(map(len, left_out)) + 4 * len(left_out) > MAX_METADATA - 64:
        largest = max(sizes, key=sizes.__getitem__)
        left_out.append(largest[:100])
        del kept[largest], sizes[largest]
    return {KEY: {**kept, "left_out": left_out} if left_out else kept}
