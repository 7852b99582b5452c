"""A report of another program about a run: what it read and wrote, and how far it is.

Pure. A run is an attempt of a job, or with a `node_id` a node's part of one. A data set is an asset
without bytes: `dataset_id` is the id of one that no run wrote, `output_id` of one that a run wrote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
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

MAX_NAMED: Final = 100
_RESERVED: Final = 10 * 6 * MAX_NAMED + 100
"""Bytes for the names of what is left out: a character takes six at most."""


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
        return fitting({**self.facets, "namespace": self.namespace, "name": self.name})


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

    `left_out` then has their names, the first ten of them.
    """
    sizes = {name: len(orjson.dumps({name: value})) for name, value in members.items()}
    kept, total = dict(members), sum(sizes.values())
    left_out: list[str] = []
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if total <= MAX_METADATA - _RESERVED:
            break
        left_out.append(name[:MAX_NAMED])
        total -= sizes[name]
        del kept[name]
    return {KEY: {**kept, "left_out": left_out[:10]} if left_out else kept}
