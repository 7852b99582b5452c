"""Bulk deletion: a dry run counts, and a deletion needs the expected count."""

import asyncio
from typing import Any

import pytest

from asset_ledger.ledger.commands import delete as deletion
from tests.api.failing import fail_commits
from tests.api.running import Answer, Api


async def bulk(api: Api, key: str | None = None, **body: Any) -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await api.call("POST", "/api/assets/bulk-delete", json=body, headers=headers)


async def made(api: Api, count: int, **fields: Any) -> list[Any]:
    return await asyncio.gather(*(api.created(**fields) for _ in range(count)))


async def live(api: Api) -> int:
    count: int = (await api.get("/api/assets?count=exact&page_size=1")).json["count"]
    return count


async def test_a_dry_run_counts_and_deletes_nothing(api: Api) -> None:
    await made(api, 3, job_id="j")
    await made(api, 2, job_id="k")
    head = api.head()

    answer = await bulk(api, filter={"job_id": "j"}, dry_run=True)

    assert (answer.status, answer.json) == (200, {"count": 3})
    assert api.head() == head


async def test_a_bulk_deletion_deletes_all_matches_when_the_count_is_as_expected(api: Api) -> None:
    assets = await made(api, 3, job_id="j", tags=["t"])
    await made(api, 2, job_id="j")

    answer = await bulk(api, filter={"job_id": ["j", "x"], "tag": "t"}, expected_count=3)

    assert answer.status == 200, answer.body
    assert answer.json["count"] == 3
    assert set(answer.json["deleted_asset_ids"]) == {asset["id"] for asset in assets}
    assert answer.headers["Ledger-Position"] == str(api.head())
    assert await live(api) == 2


async def test_a_bulk_deletion_deletes_nothing_when_the_count_differs(api: Api) -> None:
    await made(api, 3, job_id="j")
    head = api.head()

    answer = await bulk(api, filter={"job_id": "j"}, expected_count=2)

    assert (answer.status, answer.slug) == (409, "version-conflict")
    assert "3 assets match by now, not 2" in answer.json["detail"]
    assert api.head() == head


async def test_a_bulk_deletion_deletes_folders_with_their_contents(api: Api) -> None:
    folder = await api.created(None, name="f", content_type="folder", tags=["t"])
    await made(api, 2, parent_id=folder["id"])

    answer = await bulk(api, filter={"tag": "t"}, expected_count=1)

    assert (answer.json["count"], len(answer.json["deleted_asset_ids"])) == (1, 3)
    assert await live(api) == 0


async def test_a_bulk_deletion_without_matches_succeeds(api: Api) -> None:
    answer = await bulk(api, filter={"job_id": "j"}, expected_count=0)

    assert (answer.status, answer.json) == (200, {"count": 0, "deleted_asset_ids": []})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dry_run": True}, "filter"),
        ({"filter": {}, "dry_run": True}, "filter"),
        ({"filter": {"job_id": []}, "dry_run": True}, "filter"),
        ({"filter": {"job_id": [], "node_id": "n"}, "dry_run": True}, "filter"),
        ({"filter": {"jobid": "j"}, "dry_run": True}, "filter.jobid"),
        ({"filter": {"job_id": "j"}}, "expected_count"),
        ({"filter": {"job_id": "j"}, "expected_count": -1}, "expected_count"),
        ({"filter": {"job_id": "j"}, "expected_count": 1, "limit": 1}, "limit"),
    ],
)
async def test_a_bulk_deletion_refuses_an_invalid_request(api: Api, body: Any, field: str) -> None:
    await made(api, 1)

    answer = await bulk(api, **body)

    assert (answer.status, answer.slug) == (422, "bad-field")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert await live(api) == 1


async def test_a_bulk_deletion_refuses_an_invalid_filter_value(api: Api) -> None:
    answer = await bulk(api, filter={"size_min": "much"}, dry_run=True)

    assert (answer.status, answer.slug) == (400, "bad-parameter")


async def test_bulk_delete_allows_only_post(api: Api) -> None:
    answer = await api.get("/api/assets/bulk-delete")

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_a_repeated_bulk_deletion_is_replayed_in_full(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "BATCH", 2)
    folder = await api.created(None, name="f", content_type="folder", job_id="j")
    await made(api, 4, job_id="j")
    await made(api, 3, parent_id=folder["id"])
    body: dict[str, Any] = {"filter": {"job_id": "j"}, "expected_count": 5}

    first = await bulk(api, "k", **body)
    await made(api, 1, job_id="j")
    head = api.head()
    repeated = await bulk(api, "k", **body)
    other = await bulk(api, "k", **{**body, "expected_count": 1})

    assert (first.json["count"], len(first.json["deleted_asset_ids"])) == (5, 8)
    assert (repeated.status, repeated.json) == (200, first.json)
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert (other.status, other.slug) == (422, "key-reused")
    assert api.head() == head


async def test_an_interrupted_bulk_deletion_is_finished_by_its_retry(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "BATCH", 2)
    await made(api, 5, job_id="j")
    with monkeypatch.context() as patch:
        fail_commits(patch, 1)
        cut = await bulk(api, "k", filter={"job_id": "j"}, expected_count=5)

    repeated = await bulk(api, "k", filter={"job_id": "j"}, expected_count=5)

    assert cut.status == 500
    assert (repeated.status, repeated.json["count"]) == (200, 5)
    assert await live(api) == 0


@pytest.mark.parametrize("recorded", [1, 2, 3])
async def test_a_retried_bulk_deletion_deletes_what_its_folders_still_contain(
    api: Api, monkeypatch: pytest.MonkeyPatch, recorded: int
) -> None:
    monkeypatch.setattr(deletion, "BATCH", 2)
    folder = await api.created(None, name="f", content_type="folder", job_id="j")
    inner = await api.created(None, name="g", content_type="folder", parent_id=folder["id"])
    await made(api, 2, parent_id=folder["id"])
    await made(api, 3, parent_id=inner["id"])
    with monkeypatch.context() as patch:
        fail_commits(patch, recorded)
        cut = await bulk(api, "k", filter={"job_id": "j"}, expected_count=1)

    repeated = await bulk(api, "k", filter={"job_id": "j"}, expected_count=1)

    assert cut.status == 500
    assert (repeated.status, len(repeated.json["deleted_asset_ids"])) == (200, 7)
    assert await live(api) == 0
