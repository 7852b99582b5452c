"""OpenLineage events: received, repeated, out of order, malformed; and a job that comes back."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from openlineage.client import OpenLineageClient, event_v2
from openlineage.client.facet_v2 import error_message_run, parent_run
from openlineage.client.transport.http import HttpConfig, HttpTransport

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.domain.lineage import DATASET
from tests.api.calling import ALL, caller, serving_with_tokens
from tests.api.running import Answer, Api, serving

RUN = "01941f29-7c00-7000-8000-000000000001"
PARENT = "01941f29-7c00-7000-8000-00000000000f"
TIMES = {"START": "2026-01-01T10:00:00Z", "COMPLETE": "2026-01-01T10:00:05.5Z"}
JSON = {"Content-Type": "application/json"}


def event(kind: str | None = "START", *, run: str = RUN, **members: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": TIMES.get(kind or "", "2026-01-01T10:00:06Z"),
        "run": {"runId": run, **members.pop("facets", {})},
        "job": {"namespace": "airflow", "name": "daily.clean"},
        "producer": "https://example.com/airflow",
        **members,
    }


def dataset(name: str, **facets: Any) -> dict[str, Any]:
    return {"namespace": "s3://lake", "name": name, "facets": facets}


async def send(api: Any, *events: Any, **headers: str) -> Answer:
    body = orjson.dumps(events[0] if len(events) == 1 else events)
    headers = {**JSON, **headers}
    answer = await api.call("POST", "/api/v1/lineage", data=body, headers=headers)
    assert isinstance(answer, Answer)
    return answer


async def received(api: Any, *events: Any) -> Any:
    answer = await send(api, *events)
    assert answer.status == 201, answer.body
    return answer.json["runs"]


async def assets(api: Any, query: str = "") -> dict[str, Any]:
    listed = (await api.get(f"/api/assets{query}")).json["assets"]
    return {each["name"]: each for each in listed}


async def job(api: Any, job_id: str = RUN) -> Any:
    return (await api.get(f"/api/jobs/{job_id}")).json


async def test_a_run_becomes_a_job_whose_outputs_derive_from_its_inputs(api: Api) -> None:
    facets = {"facets": {"parent": {"run": {"runId": PARENT}, "job": {"name": "daily"}}}}
    (begun,) = await received(api, event(inputs=[dataset("raw.csv")], facets=facets))
    (ended,) = await received(api, event("COMPLETE", outputs=[dataset("clean.parquet")]))

    assert begun == {"job_id": RUN, "attempt": 1, "status": "running"}
    assert ended == {"job_id": RUN, "attempt": 1, "status": "completed"}
    found, recorded = await assets(api), await job(api)
    raw, clean = found["s3://lake/raw.csv"], found["s3://lake/clean.parquet"]
    assert (raw["job_id"], raw["content_type"], raw["size"]) == (None, DATASET, 0)
    assert (clean["job_id"], clean["workflow_id"]) == (RUN, "airflow/daily.clean")
    assert clean["derived_from"] == [raw["id"]]
    assert clean["digest"] is clean["get_url"] is None
    assert clean["metadata"]["openlineage"]["namespace"] == "s3://lake"
    assert recorded["parent_job_id"] == PARENT
    assert recorded["workflow_id"] == "airflow/daily.clean"
    assert recorded["parameters"]["openlineage"]["producer"] == "https://example.com/airflow"
    assert (recorded["started_at"], recorded["finished_at"]) == (
        "2026-01-01T10:00:00.000000Z",
        "2026-01-01T10:00:05.500000Z",
    )


async def test_first_event_of_a_run_gives_its_status(api: Api) -> None:
    statuses = {"START": "running", "RUNNING": "running", "OTHER": "running", None: "running"}
    statuses |= {"COMPLETE": "completed", "FAIL": "failed", "ABORT": "cancelled"}
    for number, (kind, status) in enumerate(statuses.items()):
        run_id = f"{RUN[:-1]}{number}"
        (run,) = await received(api, event(kind, run=run_id))

        assert (run["status"], (await job(api, run_id))["status"]) == (status, status)


async def test_failure_has_the_message_and_the_stack_of_its_facet(api: Api) -> None:
    error = {"message": "out of paint", "programmingLanguage": "PYTHON", "stackTrace": "line 7"}
    await received(api, event(), event("FAIL", facets={"facets": {"errorMessage": error}}))

    assert (await job(api))["error"] == "out of paint\nline 7"


async def test_repeated_events_record_nothing(api: Api) -> None:
    events = [
        event(inputs=[dataset("a")], outputs=[dataset("b")]),
        event("RUNNING", outputs=[dataset("c")]),
        event("COMPLETE", inputs=[dataset("a")], outputs=[dataset("b")]),
    ]
    first = await received(api, *events)
    head = api.head()

    assert await received(api, *events) == [{**run, "status": "completed"} for run in first]
    assert await received(api, event("COMPLETE", eventTime="2026-01-01T11:00:00Z"))
    assert (await received(api, event("FAIL")))[0]["status"] == "completed"
    assert api.head() == head


async def test_start_that_arrives_after_the_end_changes_nothing(api: Api) -> None:
    await received(api, event("COMPLETE", outputs=[dataset("b")]))
    before = await job(api)

    (run,) = await received(api, event("START"))

    assert run["status"] == "completed"
    assert await job(api) == before


async def test_output_of_a_late_event_is_added_to_the_job(api: Api) -> None:
    await received(api, event("COMPLETE"), event("RUNNING", outputs=[dataset("b")]))

    assert (await job(api))["assets"] == 1


async def test_start_makes_no_output_but_names_it_for_the_end(api: Api) -> None:
    await received(api, event(inputs=[dataset("a")], outputs=[dataset("b")]))
    before = await assets(api)
    await received(api, event("COMPLETE"))
    made = (await assets(api))["s3://lake/b"]

    assert [*before] == ["s3://lake/a"]
    assert made["derived_from"] == [before["s3://lake/a"]["id"]]


async def test_failed_run_makes_only_what_its_end_names(api: Api) -> None:
    await received(api, event(outputs=[dataset("b")]), event("FAIL", outputs=[dataset("c")]))

    assert [*await assets(api)] == ["s3://lake/c"]


async def test_input_is_the_newest_asset_of_its_data_set(api: Api) -> None:
    other = "01941f29-7c00-7000-8000-000000000002"
    made = event("COMPLETE", outputs=[dataset("b")])
    await received(api, made, event("COMPLETE", run=other, outputs=[dataset("b")]))
    newest = (await assets(api, f"?job_id={other}"))["s3://lake/b"]
    third = "01941f29-7c00-7000-8000-000000000003"
    await received(api, event("COMPLETE", run=third, inputs=[dataset("b")], outputs=[dataset("c")]))

    derived = (await assets(api, f"?job_id={third}"))["s3://lake/c"]
    assert derived["derived_from"] == [newest["id"]]
    assert len((await api.get("/api/assets?name=s3://lake/b")).json["assets"]) == 2


async def test_same_events_at_the_same_time_record_one_run(api: Api) -> None:
    ended = event("COMPLETE", inputs=[dataset("a")], outputs=[dataset("b")])

    answers = await asyncio.gather(*(send(api, each) for each in [event(), ended] * 8))

    assert {answer.status for answer in answers} == {201}
    assert sorted(await assets(api)) == ["s3://lake/a", "s3://lake/b"]
    topics = [each["topic"] for each in (await api.get("/api/events")).json["events"]]
    assert sorted(topics) == ["asset.created"] * 2 + ["job.finished", "job.started"]


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"eventType": "DONE"}, "eventType"),
    ({"eventTime": "today"}, "eventTime"),
    ({"eventTime": "2026-01-01T00:00:00"}, "eventTime"),
    ({"eventTime": "0001-01-01T00:00:00+23:00"}, "eventTime"),
    ({"run": {"runId": "7"}}, "run.runId"),
    ({"run": None}, "run"),
    ({"job": {"namespace": "n"}}, "job.name"),
    ({"job": {"namespace": "n", "name": "a\nb"}}, "job.name"),
    ({"job": {"namespace": "n", "name": "a" * 1_024}}, "job.name"),
    ({"inputs": {}}, "inputs"),
    ({"outputs": [{"name": "b"}]}, "outputs.0.namespace"),
    ({"run": {"runId": RUN, "facets": {"parent": {}}}}, "run.facets.parent.run"),
    (
        {"run": {"runId": RUN, "facets": {"assetLedger_job": {"jobId": "j", "attempt": 0}}}},
        "run.facets.assetLedger_job.attempt",
    ),
]


async def test_malformed_event_is_refused_with_its_field(api: Api) -> None:
    for change, field in MALFORMED:
        alone = await send(api, {**event(), **change})
        batch = await send(api, event(), {**event(), **change})

        assert (alone.slug, alone.json["errors"][0]["field"]) == ("bad-field", field)
        assert "Value error" not in alone.json["detail"]
        assert batch.json["errors"][0]["field"] == f"1.{field}"
    assert api.head() == 1


NO_EVENTS: list[tuple[bytes, dict[str, str], str]] = [
    (b"7", {}, "malformed-body"),
    (b"{", {}, "malformed-body"),
    (b"[]", {"Content-Type": "text/plain"}, "unsupported-type"),
    (b"[]", {"Content-Encoding": "br"}, "unsupported-type"),
    (b"[]", {"Content-Encoding": "gzip"}, "malformed-body"),
    (gzip.compress(b"[]" * 9)[:-3], {"Content-Encoding": "gzip"}, "malformed-body"),
    (gzip.compress(b" " * 2**24), {"Content-Encoding": "gzip"}, "too-large"),
    (b"[" + b",".join([b"{}"] * 257) + b"]", {}, "too-large"),
]


async def test_body_that_is_no_event_is_refused(api: Api) -> None:
    for body, headers, slug in NO_EVENTS:
        answer = await api.call("POST", "/api/v1/lineage", data=body, headers={**JSON, **headers})

        assert answer.slug == slug


async def test_facets_beyond_the_limit_are_left_out_and_named(api: Api) -> None:
    large = {"sql": {"query": "x" * 40_000}, "documentation": {"description": "what it is"}}
    facets = {"facets": {"spark_plan": {"plan": "y" * 40_000}}}
    await received(api, event("COMPLETE", facets=facets, outputs=[dataset("b", **large)]))

    metadata = (await assets(api))["s3://lake/b"]["metadata"]["openlineage"]
    assert (metadata["left_out"], metadata["name"]) == (["sql"], "b")
    assert metadata["documentation"] == {"description": "what it is"}
    assert (await job(api))["parameters"]["openlineage"]["left_out"] == ["spark_plan"]


async def test_largest_event_is_recorded(api: Api) -> None:
    sources = [dataset(f"in{number}") for number in range(500)]
    others = [dataset(f"other{number}") for number in range(500)]
    large = dataset("b", sql={"query": "x" * 20_000})

    await received(api, event(inputs=sources), event("COMPLETE", inputs=others, outputs=[large]))

    assert len((await assets(api, "?name=s3://lake/b"))["s3://lake/b"]["derived_from"]) == 700


async def test_thousands_of_facets_are_left_out(api: Api) -> None:
    many = {f"facet{number}": "x" * 20 for number in range(9_000)}
    await received(api, event("COMPLETE", outputs=[dataset("b", **many)]))

    metadata = (await assets(api))["s3://lake/b"]["metadata"]["openlineage"]
    assert len(metadata["left_out"]) == 10
    assert 100 < len(metadata) < 1_500


async def test_foreign_parameters_of_a_job_do_not_fail_its_end(api: Api) -> None:
    kept = [7, {"inputs": 7}, {"inputs": [7], "outputs": [["a"], 7]}, {"outputs": "ab"}]
    for number, noted in enumerate(kept):
        run_id = f"{RUN[:-1]}{number}"
        started = {"parameters": {"openlineage": noted}}
        await api.call("POST", f"/api/jobs/{run_id}/start", json=started)

        (run,) = await received(api, event("COMPLETE", run=run_id, outputs=[dataset("b")]))

        assert run["status"] == "completed"
        (made,) = (await assets(api, f"?job_id={run_id}")).values()
        assert made["derived_from"] == []


async def test_only_the_scope_admin_claims_the_time_of_an_event(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        writer, admin = caller(api, "alice", "read", "write"), caller(api, "alice", *ALL)
        other = "01941f29-7c00-7000-8000-000000000002"
        await received(writer, event(), event("COMPLETE", outputs=[dataset("b")]))
        await received(admin, event(run=other))

        assert (await job(writer))["started_at"] > "2026-01-01T10:00:01"
        assert (await job(writer, other))["started_at"] == "2026-01-01T10:00:00.000000Z"


async def test_another_users_run_and_data_sets_are_not_found(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        alice, bob = (caller(api, name, "read", "write") for name in ("alice", "bob"))
        ended = event("COMPLETE", inputs=[dataset("a")], outputs=[dataset("b")])
        await received(alice, ended)
        of_alice = await assets(alice)
        await received(bob, ended)

        of_bob = await assets(bob)
        assert [*of_alice] == [*of_bob]
        ids = [{asset["id"] for asset in found.values()} for found in (of_alice, of_bob)]
        assert not ids[0] & ids[1]


async def recorded_job(api: Api) -> None:
    """Record a job of two attempts, with two nodes and a source from elsewhere."""
    source = await api.created(b"photo", name="photo.png")
    for attempt, status in ((1, "failed"), (2, "completed")):
        began = {"workflow_id": "w", "parent_job_id": "above", "attempt": attempt}
        await api.call("POST", "/api/jobs/j.1/start", json=began)
        tags = {"job_id": "j.1", "workflow_id": "w", "attempt": attempt}
        load = await api.created(b"x", node_id="load", derived_from=[source["id"]], **tags)
        await api.created(b"y", node_id="draw", derived_from=[load["id"]], **tags)
        await api.created(b"z", **tags)
        ended = {"status": status, "attempt": attempt}
        await api.call("POST", "/api/jobs/j.1/finish", json=ended)


async def exported(api: Api) -> Any:
    answer = await api.get("/api/jobs/j.1/openlineage")
    assert answer.status == 200
    return answer.json


async def test_own_export_that_comes_back_records_nothing(api: Api) -> None:
    await recorded_job(api)
    head = api.head()

    await received(api, *await exported(api))

    assert api.head() == head


async def test_export_gives_the_same_job_in_another_ledger(api: Api, tmp_path: Path) -> None:
    await recorded_job(api)
    events = await exported(api)

    async with serving(Settings(data_dir=tmp_path / "other")) as other:
        for _ in range(2):
            await received(other, *events)
        here, there = await job(api, "j.1"), await job(other, "j.1")
        same = ("workflow_id", "parent_job_id", "attempt", "status", "error", "assets")
        assert [here[name] for name in same] == [there[name] for name in same]
        attempts = [[each["status"] for each in found["attempts"]] for found in (here, there)]
        assert attempts == [["failed", "completed"]] * 2
        assert shape(await exported(other)) == shape(events)
        (found,) = (await api.get("/api/assets?name=photo.png")).json["assets"]
        named = (await assets(other, "?missing=job_id")).popitem()[1]
        assert named["name"].endswith(f"/asset.{found['id']}")


def shape(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what two exports of the same job have in common: all but the names of their logs."""
    return [
        (
            each["eventType"],
            each["job"]["name"],
            each["run"]["facets"]["assetLedger_job"],
            len(each["inputs"]),
            len(each["outputs"]),
        )
        for each in events
    ]


@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_events_of_the_openlineage_client_are_received(
    api: Api, compression: str | None
) -> None:
    config = HttpConfig.from_dict({"url": api.url, "compression": compression})

    def emit() -> None:
        transport = HttpTransport(config)
        client = OpenLineageClient(transport=transport)
        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=PARENT), job=parent_run.Job(namespace="airflow", name="daily")
        )
        failed = error_message_run.ErrorMessageRunFacet("out of paint", "PYTHON")
        sets = [event_v2.InputDataset("s3://lake", "raw.csv")]
        for kind, facets in (("START", {"parent": parent}), ("FAIL", {"errorMessage": failed})):
            client.emit(
                event_v2.RunEvent(
                    eventTime="2026-01-01T10:00:00+01:00",
                    eventType=event_v2.RunState(kind),
                    run=event_v2.Run(RUN, facets=facets),  # type: ignore[arg-type]
                    job=event_v2.Job("airflow", "daily.clean"),
                    inputs=sets,
                    outputs=[event_v2.OutputDataset("s3://lake", "part.csv")],
                )
            )
        client.close()

    await asyncio.to_thread(emit)

    recorded = await job(api)
    assert (recorded["status"], recorded["error"]) == ("failed", "out of paint")
    assert recorded["parent_job_id"] == PARENT
    assert (await assets(api))["s3://lake/part.csv"]["derived_from"] == [
        (await assets(api))["s3://lake/raw.csv"]["id"]
    ]
