"""OpenLineage run events, compared with those of the OpenLineage client for the same run."""

import re
from typing import Any

import attr
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openlineage.client import event_v2, facet_v2
from openlineage.client.generated import base
from openlineage.client.serde import Serde

from asset_ledger.api.export.openlineage import run_events
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.job_record import JobRecord
from tests.api.export.jobs import LOG_ID, example, retried
from tests.builders import asset_id, created, finished, recorded, started


def own_facet() -> Any:
    """Return our facet, as a program that uses their client would declare it."""
    optional = {name: attr.field(default=None) for name in ("workflowId", "nodeId", "parentJobId")}
    fields = {name: attr.field() for name in ("jobId", "attempt", "status")} | optional
    schema = "urn:asset-ledger:facets#/$defs/AssetLedgerJobRunFacet"
    body = {"_get_schema": staticmethod(lambda: schema)}
    return attr.make_class("OwnFacet", fields, bases=(base.RunFacet,), class_body=body)


FACETS: dict[str, Any] = {
    "AssetLedgerJobRunFacet": own_facet(),
    "ParentRunFacet": facet_v2.parent_run.ParentRunFacet,
    "ErrorMessageRunFacet": facet_v2.error_message_run.ErrorMessageRunFacet,
    "DatasetVersionDatasetFacet": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
    "DocumentationDatasetFacet": facet_v2.documentation_dataset.DocumentationDatasetFacet,
    "OutputStatisticsOutputDatasetFacet": (
        facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    ),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def theirs(event: dict[str, Any]) -> dict[str, Any]:
    """Return what their client sends for the same run. An unknown field is a TypeError."""
    run, job = event["run"], event["job"]
    made = event_v2.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=event_v2.RunState(event["eventType"]),
        run=event_v2.Run(run["runId"], facets=facets(run["facets"])),
        job=event_v2.Job(**job),
        inputs=[event_v2.InputDataset(**source) for source in event["inputs"]],
        outputs=[output(dataset) for dataset in event["outputs"]],
    )
    sent: dict[str, Any] = Serde.to_dict(made)
    return sent


def output(dataset: dict[str, Any]) -> base.OutputDataset:
    own, outputs = facets(dataset["facets"]), facets(dataset["outputFacets"])
    return event_v2.OutputDataset(
        dataset["namespace"], dataset["name"], facets=own, outputFacets=outputs
    )


def facets(members: dict[str, Any]) -> dict[str, Any]:
    return {name: facet(value) for name, value in members.items()}


def facet(members: dict[str, Any]) -> Any:
    own = {name: value for name, value in members.items() if name != "_schemaURL"}
    return FACETS[members["_schemaURL"].rpartition("/")[2]](
        producer=own.pop("_producer"), **{name: nested(name, own[name]) for name in own}
    )


def nested(name: str, value: Any) -> Any:
    kinds: dict[str, Any] = {"run": facet_v2.parent_run.Run, "job": facet_v2.parent_run.Job}
    return kinds[name](**value) if name in kinds else value


def comparable(value: Any) -> Any:
    """Remove empty values, and the versions of schemas: theirs are the newest."""
    if isinstance(value, dict):
        members = {name: comparable(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member not in ({}, [])}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return re.sub(r"/\d+-\d+-\d+/", "/*/", value) if isinstance(value, str) else value


@pytest.mark.parametrize("record", [example(), retried()])
def test_run_events_equal_those_of_the_openlineage_client(record: JobRecord) -> None:
    for event in run_events(record, LOG_ID):
        assert comparable(theirs(event)) == comparable(event)


def test_the_openlineage_client_refuses_invalid_events() -> None:
    """So the comparison with the client means something."""
    event = next(run_events(example(), LOG_ID))
    for wrong in ({"eventType": "DONE"}, {"eventTime": "today"}, {"job": {"name": "x"}}):
        with pytest.raises((TypeError, ValueError)):
            theirs({**event, **wrong})


@settings(max_examples=50)
@given(TEXT, TEXT, TEXT, st.sampled_from(["completed", "failed", "cancelled", None]))
def test_the_openlineage_client_accepts_any_names(
    job_id: str, node_id: str, name: str, status: Any
) -> None:
    tags = {"job_id": job_id, "workflow_id": name}
    events: list[Event] = [
        started(parent_job_id=node_id, **tags),
        created(originator_id=asset_id(1), node_id=node_id, private={"name": name}, **tags),
    ]
    events += [finished(status=status, private={"error": name}, **tags)] if status else []
    record = JobRecord("1", job_id)
    record.add(recorded(*events))

    for event in run_events(record, LOG_ID):
        assert comparable(theirs(event)) == comparable(event)
