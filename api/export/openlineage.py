"""A job as OpenLineage run events, in the order in which a reader has to receive them.

Each attempt of a job is a run, and its workflow is the OpenLineage job. Each node has a run of its
own in it, with the attempt's run as its parent. Assets are datasets; a digest is a version. The
facet `assetLedger_job` names job, attempt and node as they are here, for another ledger.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from asset_ledger.api.contract.openlineage import OWN
from asset_ledger.api.export.names import ExportedAttempt, Names, attempts_of
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
    names = Names(log_id, record.user_id)
    for attempt in attempts_of(record):
        yield from _events_of(attempt, _RunEventWriter(record, attempt, names), record.span)


def _events_of(
    attempt: ExportedAttempt, writer: "_RunEventWriter", span: tuple[datetime, datetime]
) -> Iterator[Event]:
    frame, (first, last) = attempt.frame, span
    began, ended = frame and frame.started_at, frame and frame.finished_at
    status = frame.status if frame else "untracked"
    yield writer.event("START", began or ended or first, None, ())
    for node_id, assets in attempt.assets.items():
        if node_id is not None:
            yield writer.event("START", assets[0].created_at, node_id, ())
            yield writer.event(_NODE_ENDS[status], assets[-1].created_at, node_id, assets)
    yield writer.event(_ENDS[status], ended or last, None, attempt.assets.get(None, ()))


class _RunEventWriter:
    """Makes the run events of one attempt of a job."""

    def __init__(self, record: JobRecord, attempt: ExportedAttempt, names: Names) -> None:
        self._record, self._names = record, names
        self._frame, self._number = attempt.frame, attempt.number
        self._namespace = names.namespace.removesuffix(":")
        workflow_id = attempt.frame and attempt.frame.workflow_id
        self._job = workflow_id or record.workflow_id or record.job_id

    def event(self, kind: str, when: datetime, node_id: str | None, made: Iterable[Asset]) -> Event:
        """Return one event of the attempt's run, or of a node's run."""
        made = list(made)
        sources = dict.fromkeys(source for asset in made for source in asset.derived_from)
        return {
            "eventType": kind,
            "eventTime": iso(when),
            "run": {
                "runId": self._names.run(self._record.job_id, self._number, node_id),
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
        frame, facets = self._frame, {OWN: _facet("AssetLedgerJobRunFacet", **self._own(node_id))}
        if node_id is not None:
            run_id = self._names.run(self._record.job_id, self._number)
            facets["parent"] = self._parent(run_id, self._job)
        elif frame and frame.parent_job_id:
            parent = frame.parent_job_id
            facets["parent"] = self._parent(self._names.run(parent), parent)
        if kind == "FAIL" and frame and frame.error:
            error = {"message": frame.error, "programmingLanguage": "unknown"}
            facets["errorMessage"] = _facet("1-0-1/ErrorMessageRunFacet", **error)
        return facets

    def _own(self, node_id: str | None) -> dict[str, Any]:
        """Return the members of our own facet that have a value."""
        frame = self._frame
        named = {
            "jobId": self._record.job_id,
            "attempt": self._number,
            "workflowId": (frame and frame.workflow_id) or self._record.workflow_id,
            "nodeId": node_id,
            "parentJobId": frame and frame.parent_job_id,
            "status": frame.status if frame else "untracked",
        }
        return {name: value for name, value in named.items() if value is not None}

    def _parent(self, run_id: str, job: str) -> dict[str, Any]:
        named = {"namespace": self._namespace, "name": job}
        return _facet("1-1-0/ParentRunFacet", run={"runId": run_id}, job=named)

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
    """Return a facet of OpenLineage, or of our own if its schema has no version."""
    version, _, name = schema.rpartition("/")
    url = f"{_SPEC}/facets/{schema}.json" if version else f"{PRODUCER}:facets"
    url += f"#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": url, **members}
