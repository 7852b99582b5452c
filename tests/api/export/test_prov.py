"""A job as W3C PROV-JSON."""

from typing import Any

import orjson

from asset_ledger.api.export.prov import prov_json
from asset_ledger.ledger.domain.event import iso
from tests.api.export.jobs import LOG_ID, PHOTO, example, record_of, retried
from tests.builders import DIGEST, asset_id, at, created

JOB = "al:job.job%2E4%2F5"
LOAD = f"{JOB}.node.load"
FIRST, SECOND, THIRD = (f"al:asset.{asset_id(number)}" for number in (1, 2, 3))


def exported() -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(orjson.dumps(prov_json(example(), LOG_ID)))
    return document


def relations(document: dict[str, Any], kind: str) -> list[tuple[str, ...]]:
    """Return the members of each relation of a kind, without times and plans."""
    left_out = ("prov:time", "prov:plan")
    return [
        tuple(value for name, value in relation.items() if name not in left_out)
        for relation in document[kind].values()
    ]


def test_the_job_and_its_nodes_are_activities() -> None:
    document = exported()

    assert document["activity"][JOB] == {
        "prov:startTime": iso(at(1)),
        "prov:endTime": iso(at(6)),
        "ledger:job_id": "job.4/5",
        "ledger:attempt": 1,
        "ledger:status": "failed",
        "ledger:error": "out of paint",
    }
    assert document["activity"][LOAD] == {
        "ledger:node_id": "load",
        "dcterms:isPartOf": {"$": JOB, "type": "prov:QUALIFIED_NAME"},
    }
    assert relations(document, "wasInformedBy") == [(JOB, "al:job.above")]


def test_assets_are_entities_with_their_activities() -> None:
    document = exported()

    assert document["entity"][FIRST] == {
        "prov:label": "cat.png",
        "ledger:content_type": "image/png",
        "ledger:size": 4,
        "ledger:digest": DIGEST,
        "ledger:version": 1,
        "ledger:position": 2,
    }
    made = [(FIRST, LOAD), (SECOND, LOAD), (THIRD, JOB)]
    assert relations(document, "wasGeneratedBy") == made
    assert relations(document, "wasAttributedTo") == [
        (entity, "al:user.1") for entity in (FIRST, SECOND, THIRD)
    ]
    (gone,) = document["wasInvalidatedBy"].values()
    assert gone == {"prov:entity": SECOND, "prov:time": iso(at(5))}


def test_sources_are_used_entities_also_from_another_job() -> None:
    document = exported()
    photo = f"al:asset.{PHOTO}"

    assert document["entity"][photo] == {}
    assert relations(document, "used") == [(LOAD, photo), (LOAD, FIRST)]
    assert relations(document, "wasDerivedFrom") == [(FIRST, photo, LOAD), (SECOND, FIRST, LOAD)]


def test_the_workflow_is_the_plan() -> None:
    document = exported()

    (association,) = document["wasAssociatedWith"].values()
    assert association == {
        "prov:activity": JOB,
        "prov:agent": "al:user.1",
        "prov:plan": "al:workflow.w",
    }
    assert document["entity"]["al:workflow.w"]["prov:type"]["$"] == "prov:Plan"


def test_every_used_name_is_declared() -> None:
    document = exported()
    declared = {name for kind in ("entity", "activity", "agent") for name in document[kind]}
    kinds = set(document) - {"prefix", "entity", "activity", "agent"}

    used = {
        value
        for kind in kinds
        for relation in document[kind].values()
        for name, value in relation.items()
        if name != "prov:time"
    }
    assert used <= declared
    assert {name.partition(":")[0] for name in declared} == {"al"}
    assert document["prefix"]["al"] == f"urn:asset-ledger:{LOG_ID}:1:"


def test_a_job_without_start_and_end_has_no_times() -> None:
    document = prov_json(record_of(created(job_id="job.4/5")), LOG_ID)

    assert document["activity"][JOB] == {
        "ledger:job_id": "job.4/5",
        "ledger:attempt": 1,
        "ledger:status": "untracked",
    }
    assert "wasInformedBy" not in document


def test_each_attempt_is_an_activity_with_activities_of_its_nodes() -> None:
    document = prov_json(retried(), LOG_ID)
    attempts = [JOB, f"{JOB}.attempt.2", f"{JOB}.attempt.3"]

    found = [document["activity"][name] for name in attempts]
    assert [each["ledger:attempt"] for each in found] == [1, 2, 3]
    assert [each["ledger:status"] for each in found] == ["failed", "lost", "running"]
    assert [each.get("ledger:error") for each in found] == ["out of paint", None, None]
    assert [each.get("prov:endTime") for each in found] == [iso(at(3)), iso(at(6)), None]
    nodes = [document["activity"][f"{name}.node.load"] for name in attempts]
    assert [each["dcterms:isPartOf"]["$"] for each in nodes] == attempts
    assert relations(document, "wasGeneratedBy") == [
        (FIRST, f"{JOB}.node.load"),
        (f"al:asset.{asset_id(4)}", JOB),
        (SECOND, f"{JOB}.attempt.2.node.load"),
        (THIRD, f"{JOB}.attempt.3.node.load"),
    ]
    plans = [each["prov:plan"] for each in document["wasAssociatedWith"].values()]
    assert plans == ["al:workflow.w", "al:workflow.w", "al:workflow.v"]
