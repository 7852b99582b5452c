"""Reads through HTTP at a past position or time (`as_of`)."""

import pytest

from tests.api.running import Api


async def ids(api: Api, path: str) -> list[str]:
    answer = await api.get(path)
    assert answer.status == 200, answer.body
    return [asset["id"] for asset in answer.json["assets"]]


async def test_an_asset_is_read_at_a_past_position_or_time(api: Api) -> None:
    asset = await api.created(job_id="j")
    await api.call("DELETE", f"/api/assets/{asset['id']}")
    path = f"/api/assets/{asset['id']}"

    then = await api.get(f"{path}?as_of=2")
    by_time = await api.get(f"{path}?as_of={asset['created_at']}")
    now = await api.get(f"{path}?as_of=3")
    before = await api.get(f"{path}?as_of=1")

    assert then.json == by_time.json == asset
    assert then.headers["Ledger-Position"] == by_time.headers["Ledger-Position"] == "2"
    assert (now.status, now.slug) == (410, "asset-deleted")
    assert now.json["deleted_by"] == "1"
    assert now.json["position"] == 3
    assert (before.status, before.slug) == (404, "unknown-asset")


@pytest.mark.parametrize(
    "path",
    [
        "/api/jobs/j/assets?",
        "/api/assets?job_id=j&",
        "/api/assets?node_id=n&",
        "/api/assets?workflow_id=w&content_type=image/&",
    ],
)
async def test_a_list_is_read_at_a_past_position(api: Api, path: str) -> None:
    first, second = [
        (await api.created(job_id="j", node_id="n", workflow_id="w"))["id"] for _ in range(2)
    ]
    await api.created(job_id="other")
    await api.call("DELETE", f"/api/assets/{first}")

    assert await ids(api, f"{path}as_of=2") == [first]
    assert await ids(api, f"{path}as_of=4") == [first, second]
    assert await ids(api, f"{path}as_of=5") == [second]
    assert (await api.get(f"{path}as_of=4")).headers["Ledger-Position"] == "4"


async def test_pages_of_a_past_list_are_linked(api: Api) -> None:
    made = [(await api.created(job_id="j"))["id"] for _ in range(3)]

    first = await api.get("/api/jobs/j/assets?as_of=3&page_size=1")
    second = await api.get(first.headers["Link"].split(">")[0].strip("<"))

    assert [asset["id"] for asset in first.json["assets"] + second.json["assets"]] == made[:2]
    assert second.json["next"] == ""


@pytest.mark.parametrize(
    "query", ["", "&content_type=image/", "&job_id=a&job_id=b", "&job_id=j&sort=-created_at"]
)
async def test_a_list_refuses_as_of_with_unsupported_filters_or_order(api: Api, query: str) -> None:
    answer = await api.get(f"/api/assets?as_of=1{query}")

    assert (answer.status, answer.slug) == (400, "bad-parameter")


async def test_a_job_is_unknown_before_its_first_event(api: Api) -> None:
    await api.created(job_id="j")

    answer = await api.get("/api/jobs/j/assets?as_of=1")

    assert (answer.status, answer.slug) == (404, "unknown-job")
