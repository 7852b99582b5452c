"""Jobs through HTTP: start, finish, totals and lists."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asset_ledger.projections.queries import job_list
from tests.api.calling import ALL, caller, serving_with_tokens
from tests.api.running import Answer, Api


async def start(api: Api, job_id: str, key: str | None = None, **fields: Any) -> Answer:
    return await post(api, job_id, "start", fields, key)


async def finish(api: Api, job_id: str, key: str | None = None, **fields: Any) -> Answer:
    return await post(api, job_id, "finish", fields, key)


async def post(api: Api, job_id: str, verb: str, fields: Any, key: str | None) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    path = f"/api/jobs/{quote(job_id, safe='')}/{verb}"
    return await api.call("POST", path, json=fields, headers=headers)


async def job(api: Api, job_id: str) -> Any:
    answer = await api.get(f"/api/jobs/{job_id}")
    assert answer.status == 200, answer.body
    return answer.json


async def ids(api: Api, query: str = "") -> list[str]:
    answer = await api.get(f"/api/jobs{query}")
    assert answer.status == 200, answer.body
    return [job["job_id"] for job in answer.json["jobs"]]


async def test_a_job_without_start_or_end_is_untracked(api: Api) -> None:
    asset = await api.created(b"four", job_id="j", workflow_id="w")

    assert await job(api, "j") == {
        "job_id": "j",
        "user_id": "1",
        "workflow_id": "w",
        "parent_job_id": None,
        "attempt": 1,
        "status": "untracked",
        "error": None,
        "parameters": None,
        "started_at": None,
        "finished_at": None,
        "assets": 1,
        "bytes": 4,
        "attempts": [],
        "first_position": 2,
        "last_position": 2,
        "updated_at": asset["created_at"],
    }


async def test_a_job_is_started_creates_an_asset_and_is_finished(api: Api) -> None:
    parameters = {"steps": 20, "ü": ["a", None, 1.5]}
    started = await start(api, "j", workflow_id="w", parent_job_id="p", parameters=parameters)
    await api.created(b"four", job_id="j")
    finished = await finish(api, "j", status="failed", error="line 1\nline 2")

    assert started.status == 200
    assert (started.json["status"], started.json["finished_at"]) == ("running", None)
    assert (started.json["parameters"], started.json["parent_job_id"]) == (parameters, "p")
    assert started.headers["Ledger-Position"] == "2"
    assert finished.headers["Ledger-Position"] == "4"
    assert (finished.json["status"], finished.json["error"]) == ("failed", "line 1\nline 2")
    assert (finished.json["assets"], finished.json["bytes"], finished.json["workflow_id"]) == (
        1,
        4,
        "w",
    )
    assert finished.json == await job(api, "j")
    assert finished.json["started_at"] <= finished.json["finished_at"]


async def test_the_finish_event_counts_the_events_of_the_job(api: Api) -> None:
    await start(api, "j")
    await api.created(job_id="j")
    await finish(api, "j", status="completed")

    events = (await api.get("/api/jobs/j/history")).json["events"]

    assert [event["topic"] for event in events] == ["job.started", "asset.created", "job.finished"]
    assert [event["job_seq"] for event in events] == [1, 2, 3]
    assert events[-1]["data"] == {"status": "completed", "events": 3, "made_at": None}


async def test_an_administrator_claims_the_times_of_a_job(data_dir: Path) -> None:
    began, ended = "2024-05-01T12:00:00.000000Z", "2024-05-01T12:10:00.500000Z"
    async with serving_with_tokens(data_dir) as api:
        admin, alice = caller(api, "admin", *ALL), caller(api, "alice")
        for client, name in ((admin, "j"), (alice, "refused")):
            path = f"/api/jobs/{name}"
            started = await client.call("POST", f"{path}/start", json={"made_at": began})
            body = {"status": "completed", "made_at": "2024-05-01T14:10:00.5+02:00"}
            finished = await client.call("POST", f"{path}/finish", json=body)
            if client is alice:
                assert [each.slug for each in (started, finished)] == ["missing-scope"] * 2
                continue
            found = (await client.get(path)).json
            assert [a.json["started_at"] for a in (started, finished)] == [began, began]
            assert (found["started_at"], found["finished_at"]) == (began, ended)
        wrong = await admin.call("POST", "/api/jobs/k/start", json={"made_at": "yesterday"})
        assert (wrong.status, wrong.slug) == (422, "bad-field")


async def test_a_repeated_start_or_end_at_another_time_is_refused(data_dir: Path) -> None:
    times = [f"2024-05-01T12:0{minute}:00Z" for minute in range(3)]
    async with serving_with_tokens(data_dir) as api:
        admin = caller(api, "admin", *ALL)

        async def refused(verb: str, job: str, **fields: Any) -> list[str]:
            """Return the problems of a request that is repeated with and without other times."""
            path, sent = f"/api/jobs/{job}/{verb}", {"made_at": times[0], **fields}
            answers = [await admin.call("POST", path, json=sent) for _ in range(2)]
            answers += [await admin.call("POST", path, json=fields)]
            assert [each.status for each in answers] == [200] * 3
            others = [{**fields, "made_at": time} for time in times[1:]]
            return [(await admin.call("POST", path, json=each)).slug for each in others]

        for job, attempt in (("j", 1), ("j", 2), ("k", 1)):
            assert await refused("start", job, attempt=attempt) == ["job-state"] * 2
            assert await refused("finish", job, status="failed", error="x") == ["job-state"] * 2
        assert await refused("finish", "l", status="lost") == ["job-state"] * 2
        history = (await admin.get("/api/jobs/j/history")).json["events"]
    assert [event["topic"] for event in history] == ["job.started", "job.finished"] * 2


async def test_a_job_can_finish_without_a_start(api: Api) -> None:
    await api.created(job_id="j")

    finished = await finish(api, "j", status="cancelled")
    refused = await start(api, "j")

    assert finished.status == 200
    assert (finished.json["status"], finished.json["started_at"]) == ("cancelled", None)
    assert (refused.status, refused.slug) == (409, "job-state")


async def test_a_repeated_start_or_finish_records_nothing(api: Api) -> None:
    await start(api, "j", parameters={"a": 1, "b": 2})
    head = api.head()
    repeated = await start(api, "j", parameters={"b": 2, "a": 1})
    assert (repeated.status, repeated.json["status"], api.head()) == (200, "running", head)

    await finish(api, "j", status="completed")
    head = api.head()
    second_finish = await finish(api, "j", status="completed")
    second_start = await start(api, "j", parameters={"a": 1, "b": 2}, attempt=1)

    assert second_finish.json == second_start.json == await job(api, "j")
    assert api.head() == head


@pytest.mark.parametrize(
    "other",
    [{"workflow_id": "w"}, {"parent_job_id": "p"}, {"parameters": {"a": True}}, {"parameters": {}}],
)
async def test_a_second_start_with_other_fields_is_refused(api: Api, other: dict[str, Any]) -> None:
    await start(api, "j", parameters={"a": 1})

    refused = await start(api, "j", **other)

    assert (refused.status, refused.slug) == (409, "job-state")
    assert api.head() == 2


@pytest.mark.parametrize(
    "other", [{"status": "completed"}, {"status": "failed"}, {"status": "failed", "error": "b"}]
)
async def test_a_second_finish_with_other_fields_is_refused(
    api: Api, other: dict[str, Any]
) -> None:
    await finish(api, "j", status="failed", error="a")

    refused = await finish(api, "j", **other)

    assert (refused.status, refused.slug) == (409, "job-state")
    assert api.head() == 2


async def test_concurrent_finishes_of_a_job_record_one_event(api: Api) -> None:
    ends = [finish(api, "j", status="failed", error=str(number)) for number in range(8)]

    answers = await asyncio.gather(*ends)

    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert api.head() == 2


async def test_a_repeated_start_is_replayed_after_the_job_finished(api: Api) -> None:
    first = await start(api, "j", key="k", workflow_id="w")
    await api.created(job_id="j")
    await finish(api, "j", status="completed")

    repeated = await start(api, "j", key="k", workflow_id="w")

    assert (repeated.status, repeated.json) == (200, first.json)
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert repeated.headers["Ledger-Position"] == first.headers["Ledger-Position"]


async def test_a_key_is_refused_when_reused_for_another_job_or_command(api: Api) -> None:
    await start(api, "j", key="k")

    for other in (start(api, "i", key="k"), finish(api, "j", key="k", status="failed")):
        answer = await other
        assert (answer.status, answer.slug) == (422, "key-reused")


@pytest.mark.parametrize(
    ("verb", "fields", "field"),
    [
        ("start", {"workflow_id": ""}, "workflow_id"),
        ("start", {"parent_job_id": "a\nb"}, "parent_job_id"),
        ("start", {"parameters": [1]}, "parameters"),
        ("start", {"parameters": {"a": "\0"}}, "parameters"),
        ("start", {"paramters": {}}, "paramters"),
        ("finish", {}, "status"),
        ("finish", {"status": "running"}, "status"),
        ("finish", {"status": "failed", "error": "\0"}, "error"),
        ("finish", {"status": "failed", "error": "x" * 40_000}, "error"),
    ],
)
async def test_an_invalid_field_is_named_in_the_refusal(
    api: Api, verb: str, fields: dict[str, Any], field: str
) -> None:
    answer = await post(api, "j", verb, fields, None)

    assert (answer.status, answer.slug) == (422, "bad-field")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert api.head() == 1


async def test_a_job_start_needs_no_body(api: Api) -> None:
    answer = await api.call("POST", "/api/jobs/j/start")

    assert (answer.status, answer.json["status"]) == (200, "running")


async def test_a_non_json_body_is_refused(api: Api) -> None:
    form = await api.call("POST", "/api/jobs/j/finish", data={"status": "completed"})
    text = await api.call(
        "POST", "/api/jobs/j/finish", data=b"{", headers={"Content-Type": "application/json"}
    )

    assert (form.status, form.slug) == (415, "unsupported-type")
    assert (text.status, text.slug) == (400, "malformed-body")


async def test_job_parameters_above_the_size_limit_are_refused(api: Api) -> None:
    answer = await start(api, "j", parameters={"a": "x" * 40_000})

    assert (answer.status, answer.slug) == (413, "too-large")


async def test_a_job_id_may_hold_any_printable_text(api: Api) -> None:
    answer = await start(api, "a/b c")
    odd = await start(api, "a\nb")

    assert answer.json["job_id"] == "a/b c"
    assert (odd.status, odd.slug) == (422, "bad-field")


async def test_jobs_are_listed_in_order_of_their_first_event(api: Api) -> None:
    for job_id in ("b", "a", "c"):
        await api.created(job_id=job_id)
    await start(api, "b")

    assert await ids(api) == ["b", "a", "c"]
    assert await ids(api, "?sort=-created_at") == ["c", "a", "b"]


async def test_filters_of_jobs_are_combined_with_and(api: Api) -> None:
    await start(api, "a", workflow_id="v")
    await start(api, "b", workflow_id="w", parent_job_id="a")
    await start(api, "c", workflow_id="w")
    await finish(api, "c", status="failed")
    await api.created(job_id="d", workflow_id="w")

    assert await ids(api, "?workflow_id=w") == ["b", "c", "d"]
    assert await ids(api, "?workflow_id=w&workflow_id=v&status=running") == ["a", "b"]
    assert await ids(api, "?status=failed&status=untracked&workflow_id=w") == ["c", "d"]
    assert await ids(api, "?parent_job_id=a") == ["b"]
    assert await ids(api, "?status=cancelled") == []


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "-duration"])
async def test_a_job_larger_than_a_page_is_a_page_of_its_own(api: Api, sort: str) -> None:
    error = "x" * 32_000
    for job in ("first", "large", "last"):
        for attempt in range(1, 36 if job == "large" else 2):
            number = {"attempt": attempt}
            started = await api.call("POST", f"/api/jobs/{job}/start", json=number)
            assert started.status == 200, started.body
            failed = {**number, "status": "failed", "error": error if job == "large" else None}
            await api.call("POST", f"/api/jobs/{job}/finish", json=failed)

    found, cursor = list[str](), ""
    for _ in range(3):
        page = (await api.get(f"/api/jobs?sort={sort}&cursor={cursor}")).json
        found += [each["job_id"] for each in page["jobs"]]
        if not (cursor := page["next"]):
            break

    assert sorted(found) == ["first", "large", "last"]


async def test_pages_list_every_job_once(api: Api) -> None:
    for number in range(7):
        await api.created(job_id=f"{number}", workflow_id="w")

    for sort in ("created_at", "-created_at"):
        assert await walk(api, f"?page_size=3&sort={sort}") == await ids(api, f"?sort={sort}")
        assert len(await walk(api, f"?page_size=7&workflow_id=w&sort={sort}")) == 7


async def test_a_page_cut_short_by_the_scan_limit_has_a_next_cursor(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_list, "WALK", 3)
    for number in range(8):
        await start(api, f"{number}", parent_job_id="even" if number % 2 == 0 else "odd")

    first = await api.get("/api/jobs?parent_job_id=odd")

    assert [job["job_id"] for job in first.json["jobs"]] == ["1"]
    assert first.json["next"]
    assert await walk(api, "?parent_job_id=odd") == ["1", "3", "5", "7"]


async def walk(api: Api, query: str) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = await api.get(f"/api/jobs{query}&cursor={cursor}")
        found += [job["job_id"] for job in page.json["jobs"]]
        cursor = page.json["next"]
        assert ("Link" in page.headers) == bool(cursor)
        if not cursor:
            return found


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ("?status=lots", "bad-parameter"),
        ("?job_id=j", "bad-parameter"),
        ("?workflow_id=", "bad-parameter"),
        ("?sort=name", "bad-parameter"),
        ("?cursor=x", "bad-cursor"),
    ],
)
async def test_a_job_list_refuses_an_invalid_parameter(api: Api, query: str, slug: str) -> None:
    answer = await api.get(f"/api/jobs{query}")

    assert (answer.status, answer.slug) == (400, slug)


async def test_a_cursor_is_refused_with_other_filters(api: Api) -> None:
    for job_id in ("a", "b"):
        await start(api, job_id)
    cursor = (await api.get("/api/jobs?page_size=1")).json["next"]

    answer = await api.get(f"/api/jobs?page_size=1&status=running&cursor={cursor}")

    assert (answer.status, answer.slug) == (400, "bad-cursor")


async def test_assets_of_a_job_are_listed_and_filtered(api: Api) -> None:
    first = await api.created(job_id="j", node_id="a")
    second = await api.created(job_id="j", node_id="b")
    gone = await api.created(job_id="j", node_id="b")
    await api.created(job_id="other", node_id="a")
    await api.call("DELETE", f"/api/assets/{gone['id']}")

    every = await api.get("/api/jobs/j/assets")
    of_one_node = await api.get("/api/jobs/j/assets?node_id=b")

    assert [asset["id"] for asset in every.json["assets"]] == [first["id"], second["id"]]
    assert [asset["id"] for asset in of_one_node.json["assets"]] == [second["id"]]


async def test_a_job_without_live_assets_lists_no_assets(api: Api) -> None:
    await start(api, "j")

    assert (await api.get("/api/jobs/j/assets")).json == {"assets": [], "next": ""}


@pytest.mark.parametrize("path", ["", "/assets", "/history"])
async def test_an_unknown_job_is_404(api: Api, path: str) -> None:
    answer = await api.get(f"/api/jobs/unknown{path}")

    assert (answer.status, answer.slug) == (404, "unknown-job")
