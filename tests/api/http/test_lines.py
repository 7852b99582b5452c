"""Lists of assets as NDJSON: all assets, one a line, as the pages have them."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.api.running import Api

NDJSON = "application/x-ndjson"


async def imported(api: Api, count: int) -> None:
    """Record this many assets of job j and of job k, with metadata that has odd characters."""
    for numbers in batched(range(1, count + 1), 256):
        body = b"".join(orjson.dumps(document(number)) + b"\n" for number in numbers)
        answer = await api.call("POST", "/api/import", data=body, headers={"Content-Type": NDJSON})
        assert answer.status == 200, answer.body
        assert {each["outcome"] for each in answer.json["outcomes"]} == {"recorded"}, answer.body
    await api.settled()


def batched(numbers: range, size: int) -> Iterator[range]:
    return (numbers[at : at + size] for at in range(0, len(numbers), size))


def document(number: int) -> dict[str, Any]:
    return {
        "id": f"{number:032x}",
        "user_id": "1",
        "name": f"n{number % 7},",
        "job_id": "jk"[number % 2],
        "node_id": "n",
        "metadata": {"text": "a,\nb\u2028\r", "n": number, "big": 2**53 + number},
        "tags": ["t"] * (number % 2),
    }


async def lines(api: Api, path: str) -> list[Any]:
    answer = await api.get(path, Accept=NDJSON)
    assert (answer.status, answer.headers["Content-Type"]) == (200, NDJSON), answer.body
    assert answer.headers["Vary"] == "Accept"
    past = path.partition("as_of=")[2]
    assert answer.headers["Ledger-Position"] == (past or str(api.head()))
    assert answer.body.endswith(b"\n") or not answer.body
    return [orjson.loads(line) for line in answer.body.split(b"\n")[:-1]]


async def pages(api: Api, path: str) -> list[Any]:
    found, cursor = [], ""
    while True:
        page = (await api.get(f"{path}&page_size=1000&cursor={cursor}")).json
        found += page["assets"]
        cursor = page["next"]
        if not cursor:
            return found


async def test_lines_are_the_assets_of_all_pages_with_every_filter_and_sort(api: Api) -> None:
    await imported(api, 2_100)
    await api.call("DELETE", f"/api/assets/{3:032x}")
    await api.settled()
    counts = {
        "/api/assets?": 2_099,
        "/api/assets?sort=-created_at": 2_099,
        "/api/assets?sort=name": 2_099,
        "/api/assets?sort=-size&job_id=j": 1_050,
        "/api/assets?name=n3,": 299,
        "/api/assets?tag=t": 1_049,
        "/api/assets?deleted=any": 2_100,
        "/api/assets?deleted=true": 1,
        "/api/assets?query=u2028+2100": 0,
        "/api/assets?query=t&tag=t&job_id=k": 1_049,
        "/api/assets?node_id=none": 0,
        "/api/assets?job_id=j&as_of=1000": 499,
        "/api/jobs/j/assets?": 1_050,
    }
    for path, count in counts.items():
        found = await lines(api, path)
        assert found == await pages(api, path), path
        assert (path, len(found)) == (path, count)


async def test_lines_begin_at_the_cursor(api: Api) -> None:
    await imported(api, 10)
    first = (await api.get("/api/assets?page_size=4")).json

    rest = await lines(api, f"/api/assets?cursor={first['next']}")
    short = await lines(api, f"/api/assets?page_size=2&cursor={first['next']}")

    assert [asset["metadata"]["n"] for asset in rest] == [5, 6, 7, 8, 9, 10]
    assert short == rest


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ("count=exact", "bad-parameter"),
        ("cursor=nonsense", "bad-cursor"),
        ("job_id=j&unknown=1", "bad-parameter"),
        ("as_of=1", "bad-parameter"),
    ],
)
async def test_lines_are_refused_as_pages_are(api: Api, query: str, slug: str) -> None:
    answer = await api.get(f"/api/assets?{query}", Accept=NDJSON)

    assert (answer.status, answer.slug) == (400, slug)


async def test_lines_of_an_unknown_job_are_404_and_head_has_no_body(api: Api) -> None:
    unknown = await api.get("/api/jobs/none/assets", Accept=NDJSON)
    head = await api.call("HEAD", "/api/assets", headers={"Accept": NDJSON})

    assert (unknown.status, unknown.slug) == (404, "unknown-job")
    assert (head.status, head.headers["Content-Type"], head.body) == (200, NDJSON, b"")
