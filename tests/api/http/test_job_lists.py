"""Lists of jobs: found by prefix, node and time; in any order; with counts and previews."""

from pathlib import Path
from typing import Any

import pytest

from asset_ledger.projections.queries import job_list
from tests.api.calling import caller, serving_with_tokens
from tests.api.http.test_operations import shaped
from tests.api.running import Api

JOBS: Any = {
    # job: status, sizes of assets, start, seconds
    "cat-1": ("completed", [5], "2026-01-01T00:00:00Z", 60),
    "cat-2": ("failed", [1, 1], "2026-01-02T00:00:00Z", 5),
    "dog": ("running", [9, 9], "2026-01-03T00:00:00Z", None),
    "Cat": ("completed", [], "2026-01-04T00:00:00Z", 3_600),
    "\U0001f431%_": (None, [2], None, None),
}


@pytest.fixture
async def made(api: Api) -> None:
    for job, (status, sizes, began, seconds) in JOBS.items():
        path = f"/api/jobs/{job.replace('%', '%25')}"
        if began:
            sent = {"made_at": began, "workflow_id": "w"}
            assert (await api.call("POST", f"{path}/start", json=sent)).status == 200
        for n, size in enumerate(sizes):
            await api.created(b"x" * size, job_id=job, node_id=f"n{n}", content_type="image/png")
        if seconds is not None:
            ended = began.replace("00:00:00", f"{seconds // 3600:02}:{seconds // 60 % 60:02}:00")
            sent = {"status": status, "made_at": ended.replace(":00Z", f":{seconds % 60:02}Z")}
            assert (await api.call("POST", f"{path}/finish", json=sent)).status == 200
    await api.call("POST", "/api/jobs/dog/nodes/start", json={"node_id": "runs-only"})


async def listed(api: Api, query: str, size: int = 2) -> list[str]:
    """Return the jobs on all pages of a list."""
    found, cursor = [], ""
    while True:
        answer = await api.get(f"/api/jobs?page_size={size}&cursor={cursor}&{query}")
        assert answer.status == 200, answer.body
        page = shaped("list_jobs", answer)
        found += [job["job_id"] for job in page["jobs"]]
        if not (cursor := page["next"]):
            return found


CAT = "%F0%9F%90%B1"


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [*JOBS]),
        ("query=cat", ["cat-1", "cat-2"]),
        ("query=cat-&sort=-created_at", ["cat-2", "cat-1"]),
        ("query=cat&sort=-bytes", ["cat-1", "cat-2"]),
        ("query=cat&status=failed", ["cat-2"]),
        (f"query={CAT}%25_", ["\U0001f431%_"]),
        ("query=%25", []),
        ("node_id=n1", ["cat-2", "dog"]),
        ("node_id=n1&node_id=runs-only&sort=-created_at", ["dog", "cat-2"]),
        ("node_id=runs-only", ["dog"]),
        ("started_after=2026-01-02T00:00:00Z", ["cat-2", "dog", "Cat"]),
        ("started_before=2026-01-02T01:00:00%2B01:00", ["cat-1"]),
        ("started_after=2026-01-02T00:00:00Z&started_before=2026-01-03T00:00:00Z", ["cat-2"]),
        ("sort=-bytes", ["dog", "cat-1", "\U0001f431%_", "cat-2", "Cat"]),
        ("sort=-assets&workflow_id=w", ["dog", "cat-2", "cat-1", "Cat"]),
        ("sort=-duration", ["Cat", "cat-1", "cat-2", "\U0001f431%_", "dog"]),
        ("sort=-finished_at", ["Cat", "cat-2", "cat-1", "\U0001f431%_", "dog"]),
        ("sort=-finished_at&status=completed&status=failed", ["Cat", "cat-2", "cat-1"]),
    ],
)
async def test_jobs_are_found_and_sorted(api: Api, query: str, expected: list[str]) -> None:
    for size in (1, 2, 100):
        assert await listed(api, query, size) == expected


@pytest.mark.usefixtures("made")
async def test_jobs_are_counted_on_all_pages_and_by_status(api: Api) -> None:
    async def page(query: str) -> Any:
        return shaped("list_jobs", await api.get(f"/api/jobs?page_size=1&{query}"))

    assert (await page("count=exact"))["count"] == 5
    assert (await page("count=exact&query=cat&workflow_id=w"))["count"] == 2
    assert (await page("count=exact&node_id=n1&status=failed"))["count"] == 1
    expected = {"completed": 2, "failed": 1, "running": 1, "untracked": 1}
    assert (await page("count=status&status=failed"))["counts"] == expected
    assert (await page("count=status&query=nothing"))["counts"] == {}
    assert "count" not in await page("")


@pytest.mark.usefixtures("made")
async def test_previews_are_the_newest_pictures_of_a_job(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await api.created(name=f"{n}", job_id="dog", content_type="image/png") for n in "abc"]
    await api.created(b"text", job_id="dog", content_type="text/plain")
    await api.call("DELETE", f"/api/assets/{made[2]['id']}")

    jobs = {each["job_id"]: each for each in (await api.get("/api/jobs?preview=2")).json["jobs"]}
    one = await api.get("/api/jobs?preview=1&sort=-bytes&page_size=1000")
    monkeypatch.setattr(job_list, "NEWEST", 1)

    assert jobs["dog"]["preview"] == [made[1]["thumb_url"], made[0]["thumb_url"]]
    assert jobs["Cat"]["preview"] == []
    assert [len(each["preview"]) for each in one.json["jobs"]] == [1, 1, 1, 1, 0]
    assert "preview" not in (await api.get("/api/jobs/dog")).json


@pytest.mark.parametrize(
    "query",
    [
        *(
            "query=",
            "sort=bytes",
            "sort=-size",
            "count=true",
            "preview=0",
            "preview=11",
            "node_id=",
        ),
        *("started_after=yesterday", "started_after=2026-01-01T00:00:00", "started_before=1"),
        *("started_after=0001-01-01T00:00:00%2B14:00", "started_before=9999-12-31T23:00:00-14:00"),
        *("query=a&query=b", "query=%00", "&".join(["node_id=x"] * 201)),
    ],
)
async def test_an_invalid_list_of_jobs_is_refused(api: Api, query: str) -> None:
    assert (await api.get(f"/api/jobs?{query}")).slug == "bad-parameter"


@pytest.mark.usefixtures("made")
async def test_a_cursor_of_another_list_of_jobs_is_refused(api: Api) -> None:
    cursors = [
        (await api.get(f"/api/jobs?page_size=1&{query}")).json["next"]
        for query in ("sort=-bytes", "query=cat", "sort=-created_at")
    ]
    for cursor in cursors:
        answer = await api.get(f"/api/jobs?page_size=1&sort=-assets&cursor={cursor}")
        assert answer.slug == "bad-cursor"


async def test_jobs_of_another_user_are_not_listed(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        alice, bob = caller(api, "alice"), caller(api, "bob")
        await alice.created(job_id="secret", node_id="n", content_type="image/png")
        await bob.created(job_id="secret", node_id="mine")

        for query in ("query=sec", "node_id=n", "sort=-bytes", "preview=4&count=exact"):
            answer = await bob.get(f"/api/jobs?{query}")
            assert [job["assets"] for job in answer.json["jobs"]] == (
                [] if query == "node_id=n" else [1]
            )
            assert "preview" not in query or len(answer.json["jobs"][0]["preview"]) == 1
