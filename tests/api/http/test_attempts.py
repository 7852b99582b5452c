"""Attempts of a job through HTTP: starts, ends, late assets, filters, silence and restarts."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.settings import Settings
from tests.api.running import Answer, Api, serving


async def start(api: Api, attempt: int | None = None, **fields: Any) -> Answer:
    body = {"attempt": attempt, **fields}
    return await api.call("POST", "/api/jobs/j/start", json=body)


async def finish(api: Api, status: str, attempt: int | None = None) -> Answer:
    body = {"status": status, "attempt": attempt}
    return await api.call("POST", "/api/jobs/j/finish", json=body)


async def retried(api: Api) -> None:
    """Record attempt 1, which fails, attempt 2, which is lost, and attempt 3, which runs.

    Each has an asset and a run of a node; attempt 1 has a late asset.
    """
    for number, end in ((1, "failed"), (2, "lost"), (3, None)):
        assert (await start(api, number, parameters={"lr": number})).status == 200
        name = f"{number}.txt"
        await api.created(b"x" * number, job_id="j", node_id="n", name=name)
        node = {"node_id": "n", "status": "completed", "seconds": number}
        path = "/api/jobs/j/nodes/finish"
        run = (await api.call("POST", path, json=node)).json
        assert (run["attempt"], run["run"]) == (number, "1")
        if end:
            assert (await finish(api, end)).json["status"] == end
    await api.created(b"late", job_id="j", attempt=1, node_id="n", name="late.txt")


async def events(api: Api, query: str = "") -> list[Any]:
    answer = await api.get(f"/api/jobs/j/history?{query}")
    assert answer.status == 200, answer.body
    return list(answer.json["events"])


async def names(api: Api, path: str) -> list[str]:
    answer = await api.get(path)
    assert answer.status == 200, answer.body
    return [asset["name"] for asset in answer.json["assets"]]


async def test_a_job_shows_its_last_attempt_and_lists_all(api: Api) -> None:
    await retried(api)

    job = (await api.get("/api/jobs/j")).json

    assert [job[name] for name in ("attempt", "status", "finished_at")] == [3, "running", None]
    assert (job["parameters"], job["assets"]) == ({"lr": 3}, 4)
    assert [(each["attempt"], each["status"]) for each in job["attempts"]] == [
        (1, "failed"),
        (2, "lost"),
        (3, "running"),
    ]


async def test_the_list_of_attempts_has_the_beginning_of_long_errors(api: Api) -> None:
    """The row and the fold of the events, which answers a repeated request, have the same."""
    long = "é" * 20_000
    answers = []
    for number in (1, 2, 1):
        await start(api, number)
        body = {"status": "failed", "attempt": number, "error": long}
        key = {"Idempotency-Key": f"{number}"}
        answers += [await api.call("POST", "/api/jobs/j/finish", json=body, headers=key)]

    first, second, repeated = (answer.json for answer in answers)
    assert [each["error"] for each in second["attempts"]] == [long[:2_000]] * 2
    assert second == (await api.get("/api/jobs/j")).json
    assert (first["error"], first) == (long, repeated)
    ends = [each for each in await events(api) if each["topic"] == "job.finished"]
    assert [each["data"]["error"] for each in ends] == [long] * 2


async def test_events_name_their_attempt_and_job_seq_continues(api: Api) -> None:
    await retried(api)

    found = await events(api)

    assert [event["attempt"] for event in found] == [1] * 4 + [2] * 4 + [3] * 3 + [1]
    assert [event["job_seq"] for event in found] == [*range(1, 13)]
    assert [event["data"]["name"] for event in found if event["late"]] == ["late.txt"]


@pytest.mark.parametrize(("attempt", "count"), [(1, 5), (2, 4), (3, 3)])
async def test_a_history_of_one_attempt_has_only_its_events(
    api: Api, attempt: int, count: int
) -> None:
    await retried(api)
    expected = [event for event in await events(api) if event["attempt"] == attempt]

    assert await events(api, f"attempt={attempt}") == expected
    paged = await api.get(f"/api/jobs/j/history?attempt={attempt}&page_size=2")
    assert (len(expected), paged.json["events"]) == (count, expected[:2])
    following = paged.json["next"]
    rest = await events(api, f"attempt={attempt}&page_size=9&cursor={following}")
    assert rest == expected[2:]
    feed = await api.get(f"/api/events?job_id=j&attempt={attempt}")
    assert feed.json["events"] == expected


@pytest.mark.parametrize("path", ["history?attempt=4", "proof?attempt=4", "compare/j?attempt=4"])
async def test_an_attempt_that_has_not_begun_is_unknown(api: Api, path: str) -> None:
    await retried(api)

    answer = await api.get(f"/api/jobs/j/{path}")

    assert (answer.status, answer.slug) == (404, "unknown-job")
    assert "attempt 4 of job j" in answer.json["detail"]


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", ""])
@pytest.mark.parametrize(
    "path", ["/api/jobs/j/history", "/api/assets", "/api/assets/usage", "/api/jobs/j/nodes"]
)
async def test_an_attempt_that_is_no_number_from_1_is_refused(
    api: Api, path: str, value: str
) -> None:
    await retried(api)

    answer = await api.get(f"{path}?attempt={value}")

    assert (answer.status, answer.slug) == (400, "bad-parameter")


async def test_lists_usage_and_nodes_take_an_attempt(api: Api) -> None:
    await retried(api)

    assert await names(api, "/api/assets?job_id=j&attempt=2") == ["2.txt"]
    assert await names(api, "/api/assets?attempt=1&attempt=3") == ["1.txt", "3.txt", "late.txt"]
    assert await names(api, "/api/jobs/j/assets?attempt=1") == ["1.txt", "late.txt"]
    assert await names(api, "/api/jobs/j/assets") == ["1.txt", "2.txt", "3.txt", "late.txt"]
    jobs = [(await api.get(f"/api/jobs?attempt={n}")).json["jobs"] for n in (1, 3)]
    assert [len(found) for found in jobs] == [0, 1]
    for query, totals in (("", (4, 10, 3, 6)), ("&attempt=1", (2, 5, 1, 1))):
        (node,) = (await api.get(f"/api/jobs/j/nodes?min_position=13{query}")).json["nodes"]
        shown = tuple(node[name] for name in ("assets", "bytes", "runs", "seconds"))
        assert shown == totals
        path = f"/api/assets/usage?job_id=j&min_position=13{query}"
        (usage,) = (await api.get(path)).json["usage"]
        assert tuple(usage[n] for n in ("count", "bytes", "runs", "seconds")) == totals


@pytest.mark.parametrize(
    ("query", "compared", "counts"),
    [("", (3, 3), 1), ("?attempt=1", (1, 1), 2), ("?attempt=1&attempt=2", (1, 2), 3)],
)
async def test_a_comparison_is_of_the_last_attempts_or_the_named(
    api: Api, query: str, compared: tuple[int, int], counts: int
) -> None:
    await retried(api)

    found = (await api.get(f"/api/jobs/j/compare/j{query}")).json

    assert (found["attempt_a"], found["attempt_b"]) == compared
    assert sum(found["counts"].values()) == counts


async def test_three_attempts_in_one_comparison_are_refused(api: Api) -> None:
    await retried(api)

    answer = await api.get("/api/jobs/j/compare/j?attempt=1&attempt=2&attempt=3")

    assert (answer.status, answer.slug) == (400, "bad-parameter")


@pytest.mark.parametrize("attempt", [None, 1])
async def test_three_concurrent_first_starts_begin_one_attempt(
    api: Api, attempt: int | None
) -> None:
    answers = await asyncio.gather(*(start(api, attempt, workflow_id="w") for _ in range(3)))

    assert [(answer.status, answer.json["attempt"]) for answer in answers] == [(200, 1)] * 3
    assert [event["topic"] for event in await events(api)] == ["job.started"]


async def test_three_concurrent_starts_after_a_failure_begin_one_attempt(api: Api) -> None:
    await start(api)
    await finish(api, "failed")

    answers = await asyncio.gather(*(start(api, 2) for _ in range(3)))

    assert [(answer.status, answer.json["attempt"]) for answer in answers] == [(200, 2)] * 3
    assert [event["attempt"] for event in await events(api)] == [1, 1, 2]


async def test_concurrent_starts_with_other_fields_begin_one_attempt(api: Api) -> None:
    answers = await asyncio.gather(*(start(api, workflow_id=str(n)) for n in range(3)))

    assert sorted(answer.status for answer in answers) == [200, 409, 409]


@pytest.mark.parametrize(
    ("attempt", "detail"),
    [
        (None, "attempt 1 of job j ended as failed: begin attempt 2"),
        (3, "attempt 3 of job j is not the next one: begin attempt 2"),
    ],
)
async def test_a_refused_start_names_the_next_attempt(
    api: Api, attempt: int | None, detail: str
) -> None:
    await start(api)
    await finish(api, "failed")

    answer = await start(api, attempt)

    assert (answer.status, answer.slug) == (409, "job-state")
    assert answer.json["detail"] == detail


async def test_an_asset_of_an_attempt_that_has_not_begun_is_refused(api: Api) -> None:
    await start(api)

    answers = [
        await api.upload(b"x", job_id="j", attempt=2, name="a"),
        await api.upload(b"x", job_id="new", attempt=2, name="a"),
        await api.call("POST", "/api/jobs/j/nodes/start", json={"node_id": "n", "attempt": 2}),
        await finish(api, "failed", attempt=2),
    ]

    assert [(answer.status, answer.slug) for answer in answers] == [(409, "job-state")] * 4
    without_job = await api.upload(b"x", attempt=1, name="a")
    assert (without_job.status, without_job.slug) == (422, "bad-field")


async def test_as_of_shows_the_attempts_of_that_position(api: Api) -> None:
    await retried(api)

    history = await events(api, "as_of=6&attempt=2")
    unknown = await api.get("/api/jobs/j/history?as_of=5&attempt=2")

    assert [event["position"] for event in history] == [6]
    assert (unknown.status, unknown.slug) == (404, "unknown-job")
    assert await names(api, "/api/assets?job_id=j&attempt=1&as_of=9") == ["1.txt"]


async def test_a_repeated_start_is_replayed_with_the_job_as_it_was(api: Api) -> None:
    path, headers = "/api/jobs/j/start", {"Idempotency-Key": "k"}
    first = await api.call("POST", path, json={}, headers=headers)
    await finish(api, "failed")
    await start(api, 2)

    repeated = await api.call("POST", path, json={}, headers=headers)

    assert repeated.json == first.json


async def test_attempts_continue_after_a_restart_and_a_rebuild(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    async with serving(settings) as api:
        await start(api)
        await finish(api, "failed")
        before = (await api.get("/api/jobs/j")).body
    for table in data_dir.glob("projections.*"):
        table.unlink()
    async with serving(settings) as api:
        rebuilt = (await api.get("/api/jobs/j")).body
        refused = await start(api)
        second = await start(api, 2)
        late = await api.created(b"x", job_id="j", attempt=1)
        shown = (await api.get("/api/jobs/j")).json
        (event,) = [each for each in await events(api) if each["asset_id"] == late["id"]]

    assert rebuilt == before
    assert (refused.status, second.json["attempt"]) == (409, 2)
    assert (event["attempt"], event["late"], shown["attempt"]) == (1, True, 2)


async def test_a_silent_job_reads_as_stale_until_its_next_event(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await start(api)
        assert (await api.get("/api/jobs?status=running")).json["jobs"]
    await asyncio.sleep(1.1)
    async with serving(Settings(data_dir=data_dir, job_silence=1)) as api:
        job = (await api.get("/api/jobs/j")).json
        (listed,) = (await api.get("/api/jobs?status=stale")).json["jobs"]
        running = (await api.get("/api/jobs?status=running")).json["jobs"]
        ended = await finish(api, "lost")
        none = (await api.get("/api/jobs?status=stale")).json["jobs"]

    assert job["status"] == job["attempts"][0]["status"] == "stale"
    assert (listed, running, none) == (job, [], [])
    assert (ended.json["status"], ended.json["attempt"]) == ("lost", 1)


async def test_a_proof_of_an_attempt_has_its_events(api: Api) -> None:
    await retried(api)

    proof = (await api.get("/api/jobs/j/proof?attempt=1")).json
    whole = (await api.get("/api/jobs/j/proof")).json

    positions = [event["position"] for event in await events(api, "attempt=1")]
    assert [proven["position"] for proven in proof["events"]] == positions
    assert [p for p in whole["events"] if p["position"] in positions] == proof["events"]
    assert orjson.dumps(whole) != orjson.dumps(proof)
