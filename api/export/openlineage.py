"""A job as OpenLineage run events, in the order in which a reader has to receive them.

A job of the ledger is a run, and its workflow is the OpenLineage job. Each node has a run of its
own with the job's run as its parent. Assets are datasets, and their digest is the version.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from asset_ledger.api.export.names import Names, by_node
from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.domain.job import JobStatus
from asset_ledger.ledger.domain.job_record import JobRecord

PRODUCER: Final = "urn:asset-ledger"
_SPEC: Final = "https://openlineage.io/spec"
_SCHEMA: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"

_ENDS: Final[Mapping[JobStatus, str]] = {
    "untracked": "OTHER",
    "running": "RUNNING",
    "stale": "RUNNING",
    "completed": "COMPLETE",
    "failed": "FAIL",
    "cancelled": "ABORT",
    "lost": "ABORT",
}
# The log does not record which node failed a job, so its nodes end as COMPLETE.
_NODE_ENDS: Final[Mapping[JobStatus, str]] = {
    **_ENDS,
    "failed": "COMPLETE",
    "cancelled": "COMPLETE",
    "lost": "COMPLETE",
}

Event = dict[str, Any]


def run_events(record: JobRecord, log_id: str) -> Iterator[Event]:
    """Yield the run events of a job that has at least one event."""
    writer = _RunEventWriter(record, Names(log_id, record.user_id))
    frame, nodes, (first, last) = record.last_attempt, by_node(record), record.span
    began, ended = frame and frame.started_at, frame and frame.finished_at
    status = frame.status if frame else "untracked"
    yield writer.event("START", began or first, None, ())
    for node_id, assets in nodes.items():
        if node_id is not None:
            yield writer.event("START", assets[0].created_at, node_id, ())
            yield writer.event(_NODE_ENDS[status], assets[-1].created_at, node_id, assets)
    yield writer.event(_ENDS[status], ended or last, None, nodes.get(None, ()))


class _RunEventWriter:
    """Makes the run events of one job."""

    def __init__(self, record: JobRecord, names: Names) -> None:
        self._record, self._names = record, names
        self._namespace = names.namespace.removesuffix(":")
        self._job = record.workflow_id or record.job_id

    def event(self, kind: str, when: datetime, node_id: str | None, made: Iterable[Asset]) -> Event:
        """Return one event of the job's run, or of a node's run."""
        made = list(made)
        sources = dict.fromkeys(source for asset in made for source in asset.derived_from)
        return {
            "eventType": kind,
            "eventTime": iso(when),
            "run": {
                "runId": self._names.run(self._record.job_id, node_id),
                "facets": self._run_facets(kind, node_id),
            },
            "job": {"namespace": self._namespace, "name": self._name(node_id)},
            "inputs": [self._dataset(source) for source in sources],
            "outputs": [self._output(asset) for asset in made],
            "producer": PRODUCER,
            "schemaURL": _SCHEMA,
        }

    def _name(self, node_id: str | None) -> str:
        return self._job if node_id is None else f"{self._job}.{node_id}"

    def _run_facets(self, kind: str, node_id: str | None) -> dict[str, Any]:
        frame = self._record.last_attempt
        parent = self._record.job_id if node_id is not None else frame and frame.parent_job_id
        facets: dict[str, Any] = {}
        if parent:
            name = self._job if node_id is not None else parent
            facets["parent"] = _facet(
                "1-1-0/ParentRunFacet",
                run={"runId": self._names.run(parent)},
                job={"namespace": self._namespace, "name": name},
            )
        if kind == "FAIL" and frame and frame.error:
            error = {"message": frame.error, "programmingLanguage": "unknown"}
            facets["errorMessage"] = _facet("1-0-1/ErrorMessageRunFacet", **error)
        return facets

    def _dataset(self, asset_id: str) -> dict[str, Any]:
        return {"namespace": self._namespace, "name": self._names.asset(asset_id)}

    def _output(self, asset: Asset) -> dict[str, Any]:
        facets = {
            "documentation": _facet("1-1-0/DocumentationDatasetFacet", description=asset.name)
        }
        if asset.digest is not None:
            version = _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=asset.digest)
            facets["version"] = version
        statistics = _facet("1-0-2/OutputStatisticsOutputDatasetFacet", size=asset.size)
        return {
            **self._dataset(asset.id),
            "facets": facets,
            "outputFacets": {"outputStatistics": statistics},
        }


def _facet(schema: str, **members: Any) -> dict[str, Any]:
    url = f"{_SPEC}/facets/{schema}.json#/$defs/{schema.partition('/')[2]}"
    return {"_producer": PRODUCER, "_schemaURL": url, **members}
