"""The comparison of two jobs through HTTP."""

from typing import Any

import pytest

from tests.api.running import Api


async def compared(api: Api, a: str, b: str) -> Any:
    answer = await api.get(f"/api/jobs/{a}/compare/{b}")
    assert answer.status == 200, answer.body
    return answer.json


async def test_a_comparison_pairs_the_assets_of_two_jobs(api: Api) -> None:
    same = [await api.created(b"1", name="x", node_id="load", job_id=job) for job in "ab"]
    other = [await api.created(job.encode(), name="y", node_id="save", job_id=job) for job in "ab"]
    extra = await api.created(b"3", name="z", job_id="b")

    found = await compared(api, "a", "b")

    rows = [
        {"node_id": "load", "name": "x", "nth": 1, "status": "same", "a": same[0], "b": same[1]},
        {
            "node_id": "save",
            "name": "y",
            "nth": 1,
            "status": "different",
            "a": other[0],
            "b": other[1],
        },
        {"node_id": None, "name": "z", "nth": 1, "status": "only_b", "a": None, "b": extra},
    ]
    assert found == {
        "a": "a",
        "b": "b",
        "attempt_a": 1,
        "attempt_b": 1,
        "counts": {"same": 1, "different": 1, "only_a": 0, "only_b": 1},
        "rows": rows,
        "first_divergence": rows[1],
        "next": "",
    }


async def test_a_comparison_is_read_in_pages(api: Api) -> None:
    for name, content in (("x", b"1"), ("y", b"2"), ("z", b"3")):
        for job in "ab":
            await api.created(content + job.encode() * (name != "x"), name=name, job_id=job)
    whole = await compared(api, "a", "b")

    rows, link = [], "</api/jobs/a/compare/b?page_size=1&status=different>"
    while link:
        answer = await api.get(link.strip("<>"))
        page = answer.json
        rows += page["rows"]
        assert page["counts"] == {"same": 1, "different": 2, "only_a": 0, "only_b": 0}
        assert page["first_divergence"] == whole["rows"][1]
        link = answer.headers.get("Link", "").partition(";")[0]
        assert bool(link) == bool(page["next"])

    assert rows == whole["rows"][1:]


async def test_a_comparison_omits_deleted_assets(api: Api) -> None:
    asset = await api.created(b"1", job_id="a")
    await api.created(b"2", job_id="b")
    await api.call("DELETE", f"/api/assets/{asset['id']}")

    answer = await api.get("/api/jobs/a/compare/b?min_position=4")

    assert [row["status"] for row in answer.json["rows"]] == ["only_b"]
    assert answer.headers["Ledger-Position"] == "4"


async def test_a_comparison_of_a_job_with_itself_finds_no_difference(api: Api) -> None:
    for _ in range(2):
        await api.created(job_id="a")

    found = await compared(api, "a", "a")

    assert [(row["nth"], row["status"]) for row in found["rows"]] == [(1, "same"), (2, "same")]
    assert found["first_divergence"] is None


async def test_a_comparison_treats_a_job_without_assets_as_empty(api: Api) -> None:
    await api.created(job_id="a")
    await api.call("POST", "/api/jobs/b/start")

    assert (await compared(api, "a", "b"))["counts"]["only_a"] == 1


@pytest.mark.parametrize(("a", "b"), [("a", "unknown"), ("unknown", "a"), ("unknown", "unknown")])
async def test_a_comparison_with_an_unknown_job_is_404(api: Api, a: str, b: str) -> None:
    await api.created(job_id="a")

    answer = await api.get(f"/api/jobs/{a}/compare/{b}")

    assert (answer.status, answer.slug) == (404, "unknown-job")
    assert answer.json["job_id"] == "unknown"
