"""A job as OpenLineage run events."""

import uuid
from typing import Any

import pytest

from asset_ledger.api.export.openlineage import run_events
from asset_ledger.ledger.domain.event import Event, iso
from tests.api.export.jobs import LOG_ID, PHOTO, example, record_of, retried
from tests.builders import DIGEST, asset_id, at, created, finished, started

JOB = {"job_id": "job.4/5"}


def exported() -> list[dict[str, Any]]:
    return list(run_events(example(), LOG_ID))


def exported_states(events: list[Event]) -> list[tuple[str, str]]:
    run = run_events(record_of(*events), LOG_ID)
    return [(event["job"]["name"], event["eventType"]) for event in run]


def test_node_runs_lie_between_start_and_end_of_the_job() -> None:
    events = exported()

    assert [(event["job"]["name"], event["eventType"]) for event in events] == [
        ("w", "START"),
        ("w.load", "START"),
        ("w.load", "COMPLETE"),
        ("w", "FAIL"),
    ]
    assert [event["eventTime"] for event in events] == [iso(at(s)) for s in (1, 2, 3, 6)]


@pytest.mark.parametrize(
    ("frame", "job_end", "node_end"),
    [
        ([], "OTHER", "OTHER"),
        ([started(**JOB)], "RUNNING", "RUNNING"),
        ([finished(status="completed", **JOB)], "COMPLETE", "COMPLETE"),
        ([finished(status="cancelled", **JOB)], "ABORT", "COMPLETE"),
    ],
)
def test_end_events_have_the_recorded_outcome(
    frame: list[Event], job_end: str, node_end: str
) -> None:
    assert exported_states([*frame, created(node_id="n", **JOB)])[2:] == [
        ("job.4/5.n", node_end),
        ("job.4/5", job_end),
    ]


def test_assets_are_outputs_and_sources_are_inputs() -> None:
    *_, node, job = exported()

    assert [source["name"] for source in node["inputs"]] == [
        f"asset.{PHOTO}",
        f"asset.{asset_id(1)}",
    ]
    assert [made["name"] for made in node["outputs"]] == [
        f"asset.{asset_id(number)}" for number in (1, 2)
    ]
    facets = node["outputs"][0]["facets"]
    assert facets["version"]["datasetVersion"] == DIGEST
    assert facets["documentation"]["description"] == "cat.png"
    assert node["outputs"][0]["outputFacets"]["outputStatistics"]["size"] == 4
    assert [made["name"] for made in job["outputs"]] == [f"asset.{asset_id(3)}"]
    assert "version" not in job["outputs"][0]["facets"]


def test_a_nodes_run_has_the_jobs_run_as_parent() -> None:
    start, node, _, end = exported()

    assert node["run"]["facets"]["parent"]["run"] == {"runId": start["run"]["runId"]}
    assert node["run"]["facets"]["parent"]["job"]["name"] == "w"
    assert start["run"]["facets"]["parent"]["job"]["name"] == "above"
    assert end["run"]["facets"]["errorMessage"]["message"] == "out of paint"
    assert "errorMessage" not in node["run"]["facets"]


def test_every_event_has_the_required_fields() -> None:
    for event in exported():
        assert set(event) >= {"eventTime", "producer", "schemaURL", "run", "job"}
        assert str(uuid.UUID(event["run"]["runId"])) == event["run"]["runId"]
        assert event["job"]["namespace"] == f"urn:asset-ledger:{LOG_ID}:1"
        for facet in event["run"]["facets"].values():
            assert set(facet) > {"_producer", "_schemaURL"}


def test_two_logs_never_share_a_run() -> None:
    runs = {
        next(run_events(record, log_id))["run"]["runId"]
        for record in (example(), record_of(created(job_id="job.4/5")))
        for log_id in (LOG_ID, "ab" * 16)
    }

    assert len(runs) == 2


def test_each_attempt_is_a_run_with_runs_of_its_nodes() -> None:
    events = list(run_events(retried(), LOG_ID))

    states = [(event["job"]["name"], event["eventType"]) for event in events]
    assert [name for name, _ in states] == ["w", "w.load", "w.load", "w"] * 2 + [
        "v",
        "v.load",
        "v.load",
        "v",
    ]
    ends = [kind for _, kind in states]
    assert [ends[at : at + 4] for at in (0, 4, 8)] == [
        ["START", "START", "COMPLETE", "FAIL"],
        ["START", "START", "COMPLETE", "ABORT"],
        ["START", "START", "RUNNING", "RUNNING"],
    ]
    runs = [event["run"]["runId"] for event in events]
    assert [runs[at] == runs[at + 3] for at in (0, 4, 8)] == [True] * 3
    assert len(set(runs)) == 6
    parents = [event["run"]["facets"]["parent"]["run"]["runId"] for event in events[1::4]]
    assert parents == runs[0::4]
    made = [[made["name"] for made in event["outputs"]] for event in events]
    assert [made[at] for at in (2, 3, 6, 7, 10, 11)] == [
        [f"asset.{asset_id(1)}"],
        [f"asset.{asset_id(4)}"],
        [f"asset.{asset_id(2)}"],
        [],
        [f"asset.{asset_id(3)}"],
        [],
    ]
    assert "errorMessage" not in events[7]["run"]["facets"]
