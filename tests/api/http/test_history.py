"""Histories through HTTP: the events of a job or an asset, as pages, lines or CloudEvents."""

from typing import Any
from urllib.parse import quote

import orjson
import pytest

from asset_ledger.api.http import event_pages
from asset_ledger.api.http.event_pages import BATCH
from asset_ledger.api.http.lines import LINES
from asset_ledger.ledger.domain.job import job_stream
from asset_ledger.ledger.ids import digest_of
from tests.api.running import Api


async def history(api: Api, job_id: str, query: str = "") -> Any:
    answer = await api.get(f"/api/jobs/{quote(job_id, safe='')}/history{query}")
    assert answer.status == 200, answer.body
    return answer.json


async def test_a_job_history_lists_all_events_in_order(api: Api) -> None:
    first = await api.created(b"x", name="first", job_id="j", node_id="n", workflow_id="w")
    await api.created(name="another job's", job_id="other")
    await api.created(name="no job's")
    second = await api.created(None, name="second", job_id="j", content_type="folder")
    await api.call("DELETE", f"/api/assets/{first['id']}")

    page = await history(api, "j")

    events = page["events"]
    assert page["next"] == ""
    assert [event["topic"] for event in events] == [
        "asset.created",
        "asset.created",
        "asset.deleted",
    ]
    assert [event["asset_id"] for event in events] == [first["id"], second["id"], first["id"]]
    assert [event["job_seq"] for event in events] == [1, 2, 3]
    assert [event["version"] for event in events] == [1, 1, 2]
    assert [event["position"] for event in events] == [2, 5, 6]
    assert {event["by"] for event in events} == {"1"}
    assert events[0] == {
        "position": 2,
        "topic": "asset.created",
        "time": first["created_at"],
        "clock": None,
        "by": "1",
        "asset_id": first["id"],
        "job_id": "j",
        "workflow_id": "w",
        "node_id": "n",
        "job_seq": 1,
        "attempt": 1,
        "late": False,
        "version": 1,
        "data": {
            "size": 1,
            "content_type": "image/png",
            "digest": digest_of(b"x"),
            "parent_id": None,
            "derived_from": [],
            "made_at": None,
            "name": "first",
        },
    }
    assert events[2]["data"] == {"reason": None}


async def test_pages_list_every_event_of_a_job_history_once(api: Api) -> None:
    for number in range(7):
        await api.created(name=f"{number}", job_id="j")

    pages, cursor = [], ""
    while True:
        page = await history(api, "j", f"?page_size=3&cursor={cursor}")
        pages.append([event["job_seq"] for event in page["events"]])
        cursor = page["next"]
        if not cursor:
            break

    assert pages == [[1, 2, 3], [4, 5, 6], [7]]


async def test_a_full_last_page_has_no_next_cursor(api: Api) -> None:
    for _ in range(3):
        await api.created(job_id="j")

    assert (await history(api, "j", "?page_size=3"))["next"] == ""


async def test_a_history_as_lines_holds_the_same_events(api: Api) -> None:
    for number in range(5):
        await api.created(name=f"{number}", job_id="j")
    page = await history(api, "j", "?page_size=2")

    whole = await api.get("/api/jobs/j/history", Accept="text/html, application/x-ndjson;q=0.9")
    rest = await api.get(
        f"/api/jobs/j/history?cursor={page['next']}", Accept="application/x-ndjson"
    )

    lines = [orjson.loads(line) for line in whole.body.splitlines()]
    assert whole.headers["Content-Type"] == "application/x-ndjson"
    assert lines == (await history(api, "j"))["events"]
    assert [orjson.loads(line) for line in rest.body.splitlines()] == lines[2:]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("accept", ["*/*", LINES, BATCH])
async def test_a_history_varies_by_accept(api: Api, accept: str, method: str) -> None:
    asset = await api.created(job_id="j")

    for path in ("/api/jobs/j/history", f"/api/assets/{asset['id']}/history"):
        answer = await api.call(method, path, headers={"Accept": accept})
        varies = "Accept" if accept == "*/*" else "Accept, Accept-Encoding"  # lines are compressed
        assert answer.headers.getall("Vary") == [varies]


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_head_of_a_history_has_no_body(api: Api, accept: str) -> None:
    await api.created(job_id="j")

    for _ in range(2):  # a body would be read as the beginning of the next answer
        answer = await api.call("HEAD", "/api/jobs/j/history", headers={"Accept": accept})
        assert (answer.status, answer.headers["Content-Type"]) == (200, accept)


@pytest.mark.parametrize("job_id", ["a/b", "a b", "jöb 文", "100%", "..", "?", "#", "a;b=c", "%2F"])
async def test_a_job_history_is_found_for_any_job_id(api: Api, job_id: str) -> None:
    await api.created(job_id=job_id)

    assert [event["job_id"] for event in (await history(api, job_id))["events"]] == [job_id]


@pytest.mark.parametrize("job_id", [".", "..", "..."])
async def test_a_marked_id_of_dots_names_a_job_of_dots(api: Api, job_id: str) -> None:
    await api.created(job_id=job_id)

    answer = await api.get(f"/api/jobs/%7F{job_id}")

    assert answer.status == (404 if job_id == "..." else 200)


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("job_id", ["unknown", "%00", "j%C3%B6b"])
async def test_a_history_of_an_unknown_job_is_404(api: Api, job_id: str, accept: str) -> None:
    answer = await api.get(f"/api/jobs/{job_id}/history", Accept=accept)

    assert (answer.status, answer.slug) == (404, "unknown-job")


async def test_a_job_history_refuses_a_cursor_of_another_job(api: Api) -> None:
    for job_id in ("a", "a", "b", "b"):
        await api.created(job_id=job_id)
    cursor = (await history(api, "a", "?page_size=1"))["next"]

    for odd in (cursor, "x", "2"):
        answer = await api.get(f"/api/jobs/b/history?cursor={odd}")
        assert (answer.status, answer.slug) == (400, "bad-cursor")


async def test_a_history_refuses_an_unknown_filter(api: Api) -> None:
    await api.created(job_id="j")

    answer = await api.get("/api/jobs/j/history?node_id=n")

    assert (answer.status, answer.slug) == (400, "bad-parameter")


async def test_an_asset_history_lists_only_events_of_the_asset(api: Api) -> None:
    asset = await api.created(job_id="j")
    await api.created(job_id="j")
    await api.call("DELETE", f"/api/assets/{asset['id']}")

    events = (await api.get(f"/api/assets/{asset['id']}/history")).json["events"]

    assert [event["position"] for event in events] == [2, 4]
    assert [event["topic"] for event in events] == ["asset.created", "asset.deleted"]


async def test_pages_list_every_event_of_an_asset_history_once(api: Api) -> None:
    asset = await api.created()
    await api.call("DELETE", f"/api/assets/{asset['id']}")
    path = f"/api/assets/{asset['id']}/history?page_size=1"

    first = (await api.get(path)).json
    second = (await api.get(f"{path}&cursor={first['next']}")).json

    assert [event["version"] for event in first["events"] + second["events"]] == [1, 2]
    assert second["next"] == ""


async def test_an_asset_history_of_another_stream_is_404(api: Api) -> None:
    await api.call("POST", "/api/jobs/j/start")
    log_id = api.backend.feed.log_id

    for stream in (job_stream("1", "j"), log_id, "0" * 32, "x"):
        answer = await api.get(f"/api/assets/{stream}/history")
        assert (answer.status, answer.slug) == (404, "unknown-asset")


async def test_a_history_as_cloud_events_holds_the_same_events(api: Api) -> None:
    await api.call("POST", "/api/jobs/j/start")
    asset = await api.created(job_id="j")

    batch = await api.get("/api/jobs/j/history", Accept="application/cloudevents-batch+json")

    events = (await history(api, "j"))["events"]
    assert batch.headers["Content-Type"] == "application/cloudevents-batch+json"
    assert [event["data"] for event in batch.json] == events
    assert batch.json[1] == {
        "specversion": "1.0",
        "id": "3",
        "source": f"asset-ledger/{api.backend.feed.log_id}",
        "type": "asset-ledger.asset.created",
        "subject": asset["id"],
        "time": events[1]["time"],
        "datacontenttype": "application/json",
        "data": events[1],
    }
    assert batch.json[0]["subject"] == "j"


@pytest.mark.parametrize("accept", ["application/x-ndjson", "application/cloudevents-batch+json"])
async def test_a_history_without_pages_exceeds_the_page_limit(
    api: Api, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    monkeypatch.setattr(event_pages, "MAX_PAGE", 2)
    for _ in range(5):
        await api.created(job_id="j")
    last = (await history(api, "j", "?page_size=4"))["next"]

    whole = await api.get("/api/jobs/j/history", Accept=accept)
    rest = await api.get(f"/api/jobs/j/history?cursor={last}", Accept=accept)

    assert whole.body.count(b'"job_seq"') == 5
    assert rest.body.count(b'"job_seq"') == 1


async def test_a_history_is_read_at_a_past_position_or_time(api: Api) -> None:
    first = await api.created(job_id="j")
    second = await api.created(job_id="j")
    await api.call("DELETE", f"/api/assets/{first['id']}")

    for as_of in ("3", second["created_at"]):
        answer = await api.get(f"/api/jobs/j/history?as_of={as_of}")
        assert [event["position"] for event in answer.json["events"]] == [2, 3]
        assert answer.headers["Ledger-Position"] == "3"
    asset = await api.get(f"/api/assets/{first['id']}/history?as_of=3")
    assert [event["topic"] for event in asset.json["events"]] == ["asset.created"]


async def test_a_job_history_is_unknown_before_the_first_event_of_the_job(api: Api) -> None:
    await api.created(job_id="j")

    for as_of in ("0", "1", "1999-12-31T23:59:59Z"):
        answer = await api.get(f"/api/jobs/j/history?as_of={as_of}")
        assert (answer.status, answer.slug) == (404, "unknown-job")


async def test_a_future_as_of_time_reads_the_present(api: Api) -> None:
    await api.created(job_id="j")

    answer = await api.get("/api/jobs/j/history?as_of=2999-01-01T00:00:00-12:00")

    assert (len(answer.json["events"]), answer.headers["Ledger-Position"]) == (1, "2")


@pytest.mark.parametrize(
    "as_of", ["3", "-1", "tuesday", "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00%2B01:00"]
)
async def test_an_invalid_as_of_is_refused(api: Api, as_of: str) -> None:
    await api.created(job_id="j")

    answer = await api.get(f"/api/jobs/j/history?as_of={as_of}")

    assert (answer.status, answer.slug) == (400, "bad-parameter")
    assert answer.json["errors"][0]["parameter"] == "as_of"
