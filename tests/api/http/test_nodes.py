"""The runs of a job's nodes through HTTP: start, finish, the list of nodes, usage."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.nodes import node_documents
from tests.api.calling import ALL, caller, serving_with_tokens
from tests.api.http.test_projections import projections, rebuilt
from tests.api.running import Answer, Api


async def start(api: Any, node_id: str, **fields: Any) -> Answer:
    return await post(api, "start", {"node_id": node_id, **fields})


async def finish(api: Any, node_id: str, status: str = "completed", **fields: Any) -> Answer:
    return await post(api, "finish", {"node_id": node_id, "status": status, **fields})


async def post(api: Any, verb: str, fields: Any, **headers: str) -> Answer:
    answer = await api.call("POST", f"/api/jobs/j/nodes/{verb}", json=fields, headers=headers)
    assert isinstance(answer, Answer)
    return answer


async def nodes(api: Any, query: str = "") -> Any:
    answer = await api.get(f"/api/jobs/j/nodes{query}")
    assert answer.status == 200, answer.body
    return answer.json["nodes"]


async def test_a_node_is_started_creates_an_asset_and_fails(api: Api) -> None:
    started = await start(api, "n", workflow_id="w")
    await api.created(b"four", job_id="j", node_id="n")
    failed = await finish(api, "n", "failed", error="line 1\nline 2", seconds=2.5)

    assert (started.status, started.json["status"], started.json["seconds"]) == (
        200,
        "running",
        None,
    )
    assert (started.headers["Ledger-Position"], failed.headers["Ledger-Position"]) == ("2", "4")
    assert (failed.json["status"], failed.json["error"]) == ("failed", "line 1\nline 2")
    assert (failed.json["attempt"], failed.json["run"], failed.json["workflow_id"]) == (1, "1", "w")
    (node,) = await nodes(api)
    assert node == {
        "node_id": "n",
        "status": "failed",
        "runs": 1,
        "running": 0,
        "failed": 1,
        "seconds": 2.5,
        "longest": 2.5,
        "started_at": started.json["started_at"],
        "finished_at": failed.json["finished_at"],
        "error": "line 1\nline 2",
        "assets": 1,
        "bytes": 4,
    }


async def test_a_run_without_seconds_takes_the_time_since_its_start(api: Api) -> None:
    await start(api, "n")
    timed = await finish(api, "n")
    untimed = await finish(api, "other")

    assert timed.json["seconds"] >= 0
    assert (untimed.json["seconds"], untimed.json["started_at"]) == (None, None)


async def test_nodes_are_sorted_and_paged(api: Api) -> None:
    await finish(api, "slow", seconds=9)
    await finish(api, "broken", "failed", seconds=1)
    await start(api, "waits")
    await api.created(b"large" * 9, job_id="j", node_id="makes")
    await api.created(b"x", job_id="j")

    for sort, first in {
        "created_at": "slow",
        "-seconds": "slow",
        "-failed": "broken",
        "-bytes": "makes",
        "-assets": "makes",
    }.items():
        whole = await nodes(api, f"?sort={sort}")
        paged: list[Any] = []
        path = f"/api/jobs/j/nodes?sort={sort}&page_size=2"
        while path:
            answer = await api.get(path)
            paged += answer.json["nodes"]
            path = answer.headers["Link"].split(">")[0].strip("<") if answer.json["next"] else ""
        assert paged == whole
        assert whole[0]["node_id"] == first
        assert {node["node_id"] for node in whole} == {"slow", "broken", "waits", "makes", None}
    assert {node["node_id"]: node["status"] for node in await nodes(api)} == {
        "slow": "completed",
        "broken": "failed",
        "waits": "running",
        "makes": "untracked",
        None: "untracked",
    }


async def test_concurrent_runs_of_one_node_never_conflict(api: Api) -> None:
    await asyncio.gather(*(start(api, "n", run=str(number)) for number in range(40)))
    ends = await asyncio.gather(
        *(
            finish(api, "n", "failed" if number % 4 else "completed", run=str(number), seconds=0.5)
            for number in range(40)
        )
    )

    assert {end.status for end in ends} == {200}
    (node,) = await nodes(api)
    assert (node["runs"], node["running"], node["failed"], node["seconds"]) == (40, 0, 30, 20.0)


async def test_a_repeated_start_or_end_records_nothing(api: Api) -> None:
    starts = await asyncio.gather(*(start(api, "n") for _ in range(8)))
    ends = await asyncio.gather(*(finish(api, "n", "failed", error="e") for _ in range(8)))

    assert {answer.status for answer in (*starts, *ends)} == {200}
    assert len({answer.body for answer in starts}) == len({answer.body for answer in ends}) == 1
    assert api.head() == 3


async def test_a_request_with_a_known_key_gets_the_first_answer(api: Api) -> None:
    fields = {"node_id": "n"}
    first = await post(api, "start", fields, **{"Idempotency-Key": "k"})
    await finish(api, "n")
    again = await post(api, "start", fields, **{"Idempotency-Key": "k"})
    other = await post(api, "start", {"node_id": "m"}, **{"Idempotency-Key": "k"})

    assert (again.body, again.headers["Idempotency-Replayed"]) == (first.body, "true")
    assert (other.status, other.slug) == (422, "key-reused")


@pytest.mark.parametrize("changed", [{"status": "completed"}, {"error": "other"}, {"seconds": 2.0}])
async def test_another_end_of_a_run_is_refused(api: Api, changed: dict[str, Any]) -> None:
    end = {"node_id": "n", "status": "failed", "error": "e", "seconds": 1.0}
    await post(api, "finish", end)

    refused = await post(api, "finish", {**end, **changed})

    assert (refused.status, refused.slug) == (409, "job-state")
    assert "name another `run`" in refused.json["detail"]
    assert api.head() == 2


async def test_a_node_that_runs_again_names_another_run(api: Api) -> None:
    await start(api, "n")
    await finish(api, "n", "failed")

    refused = await start(api, "n")
    named = await start(api, "n", run="2")

    assert (refused.status, refused.slug) == (409, "job-state")
    assert named.status == 200
    (node,) = await nodes(api)
    assert (node["status"], node["runs"], node["running"], node["failed"]) == ("running", 2, 1, 1)


async def test_a_run_may_end_after_its_job(api: Api) -> None:
    await api.call("POST", "/api/jobs/j/start", json={"workflow_id": "w"})
    await start(api, "n")
    await api.call("POST", "/api/jobs/j/finish", json={"status": "failed"})

    late = await finish(api, "n", "cancelled")

    assert (late.status, late.json["workflow_id"]) == (200, "w")
    job = (await api.get("/api/jobs/j")).json
    assert (job["status"], job["last_position"]) == ("failed", 5)


@pytest.mark.parametrize(
    ("verb", "fields", "slug"),
    [
        ("start", {}, "bad-field"),
        ("start", {"node_id": ""}, "bad-field"),
        ("start", {"node_id": "a\0b"}, "bad-field"),
        ("start", {"node_id": "n", "run": "x" * 1_025}, "bad-field"),
        ("start", {"node_id": "n", "status": "failed"}, "bad-field"),
        ("start", {"node_id": "n", "made_at": "yesterday"}, "bad-field"),
        ("finish", {"node_id": "n"}, "bad-field"),
        ("finish", {"node_id": "n", "status": "running"}, "bad-field"),
        ("finish", {"node_id": "n", "status": "failed", "seconds": -1}, "bad-field"),
        ("finish", {"node_id": "n", "status": "failed", "seconds": 1e9}, "bad-field"),
        ("finish", {"node_id": "n", "status": "failed", "error": "x\0"}, "bad-field"),
    ],
)
async def test_wrong_fields_are_refused(api: Api, verb: str, fields: Any, slug: str) -> None:
    refused = await post(api, verb, fields)

    assert (refused.status, refused.slug) == (422, slug)
    assert api.head() == 1


@pytest.mark.parametrize("query", ["?sort=name", "?cursor=x", "?page_size=0"])
async def test_wrong_parameters_of_the_list_are_refused(api: Api, query: str) -> None:
    await start(api, "n")

    assert (await api.get(f"/api/jobs/j/nodes{query}")).status == 400


async def test_nodes_of_an_unknown_job_are_not_found(api: Api) -> None:
    assert (await api.get("/api/jobs/none/nodes")).slug == "unknown-job"


@pytest.mark.parametrize("name", ["a/b", "ü 🐈", "..", "%2F"])
async def test_ids_of_any_text_are_kept(api: Api, name: str) -> None:
    path = f"/api/jobs/{quote(name, safe='')}/nodes"
    await api.call("POST", f"{path}/start", json={"node_id": name, "run": name})

    (node,) = (await api.get(path)).json["nodes"]
    assert (node["node_id"], node["running"]) == (name, 1)


async def test_only_an_admin_claims_the_times_of_a_run(tmp_path: Path) -> None:
    times = ("2020-01-01T00:00:00+01:00", "2020-01-01T00:01:30+01:00")
    async with serving_with_tokens(tmp_path / "data") as api:
        user, admin = caller(api, "alice"), caller(api, "alice", *ALL)
        refusals = [
            await start(user, "n", made_at=times[0]),
            await finish(user, "n", made_at=times[1]),
        ]
        assert {(refused.status, refused.slug) for refused in refusals} == {(403, "missing-scope")}

        await start(admin, "n", made_at=times[0])
        early = await finish(admin, "n", made_at="2019-01-01T00:00:00Z")
        done = await finish(admin, "n", made_at=times[1])
        moved = await start(admin, "n", made_at=times[1])

        assert (early.slug, moved.slug) == ("bad-field", "job-state")
        assert (done.json["started_at"], done.json["seconds"]) == (
            "2019-12-31T23:00:00.000000Z",
            90.0,
        )
        other = await caller(api, "bob").get("/api/jobs/j/nodes")
        assert other.slug == "unknown-job"


async def test_usage_has_the_seconds_and_failures_of_nodes(api: Api) -> None:
    await finish(api, "a", "failed", seconds=1.25, workflow_id="w")
    await finish(api, "a", seconds=2, run="2", workflow_id="w")
    await finish(api, "b", seconds=10)
    await start(api, "c")
    await api.created(b"four", job_id="j", node_id="b")
    await api.settled()

    async def usage(query: str) -> list[tuple[Any, ...]]:
        rows = (await api.get(f"/api/assets/usage?{query}")).json["usage"]
        names = ("key", "count", "runs", "failed", "seconds")
        return [tuple(row[name] for name in names) for row in rows]

    by_node = [("b", 1, 1, 0, 10.0), ("a", 0, 2, 1, 3.25)]
    assert await usage("sort=-seconds") == by_node
    assert await usage("sort=-seconds&job_id=j") == by_node
    assert await usage("sort=-failed") == by_node[::-1]
    assert await usage("group_by=workflow_id&workflow_id=w") == [("w", 0, 2, 1, 3.25)]
    assert await usage("group_by=job_id") == [("j", 1, 3, 1, 13.25)]


async def test_nodes_of_the_log_as_of_a_position_equal_the_table(api: Api) -> None:
    steps: list[Callable[[], Awaitable[Any]]] = [
        lambda: start(api, "a"),
        lambda: api.created(b"four", job_id="j", node_id="a"),
        lambda: finish(api, "a", "failed", error="e", seconds=0.1),
        lambda: start(api, "a", run="2"),
        lambda: finish(api, "b", seconds=0.2),
        lambda: api.created(b"x", job_id="j"),
    ]
    for step in steps:
        await step()
        record = await api.backend.ledger.replay(Replay.job_record, "1", "j", upto=api.head())
        assert node_documents(record) == await nodes(api)


async def test_a_history_has_the_runs_as_of_a_position(api: Api) -> None:
    await start(api, "n")
    await finish(api, "n", "failed", error="e", seconds=1)

    whole = (await api.get("/api/jobs/j/history")).json["events"]
    before = (await api.get("/api/jobs/j/history?as_of=2")).json["events"]

    assert [(event["topic"], event["job_seq"], event["node_id"]) for event in whole] == [
        ("node.started", 1, "n"),
        ("node.finished", 2, "n"),
    ]
    assert whole[1]["data"]["error"] == "e"
    assert before == whole[:1]
    assert {event["asset_id"] for event in whole} == {None}


async def test_a_rebuild_makes_the_same_nodes(api: Api) -> None:
    await start(api, "a")
    await finish(api, "a", "failed", error="e", seconds=0.1)
    await start(api, "b")
    before = await nodes(api)

    finished = await rebuilt(api)

    assert (finished.result, finished.error) == ("switched", None)
    assert (await projections(api))["last"]["differences"] == 0
    assert await nodes(api) == before
