"""Timelines of jobs, and histories that begin after a position."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.projections.queries import timeline as timelines
from tests.api.calling import caller, serving_with_tokens
from tests.api.http.test_operations import shaped
from tests.api.running import Api

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
MADE: Any = [  # node, second, size
    ("b", 0, 3),
    ("a", 10, 5),
    ("a", 11, 7),
    ("a", 99, 2),
    (None, 50, 1),
]


@pytest.fixture
async def made(api: Api) -> list[Any]:
    return [
        await api.created(
            b"x" * size,
            job_id="j/1",
            made_at=f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.5Z",
            **({"node_id": node} if node else {}),
        )
        for node, second, size in MADE
    ]


async def timeline(api: Api, parameters: str = "") -> Any:
    path = f"/api/jobs/j%2F1/timeline?min_position={api.head()}{parameters}"
    answer = await api.get(path)
    assert answer.status == 200, answer.body
    return shaped("get_job_timeline", answer)


async def test_timeline_counts_the_assets_of_each_node_by_time(api: Api, made: list[Any]) -> None:
    found = await timeline(api, "&buckets=10")

    assert [lane["node_id"] for lane in found["nodes"]] == ["b", "a", None]  # by first asset
    assert found["step"] == 9_901  # 99.001 s in ten parts
    lane = found["nodes"][1]
    assert (lane["assets"], lane["bytes"]) == (3, 14)
    assert (lane["first"][14:19], lane["last"][14:19]) == ("00:10", "01:39")
    positions = [asset["position"] for asset in made]
    begin = int(START * 1000) + 500
    assert lane["buckets"] == [
        [begin + 1 * 9_901, 2, 12, positions[1]],
        [begin + 9 * 9_901, 1, 2, positions[3]],
    ]


@pytest.mark.parametrize("buckets", [1, 2, 7, 2000])
async def test_buckets_of_any_number_hold_every_live_asset(
    api: Api, made: list[Any], buckets: int
) -> None:
    await api.call("DELETE", f"/api/assets/{made[2]['id']}")
    await api.call("PUT", f"/api/assets/{made[3]['id']}", json={"data": "longer"})

    nodes = (await timeline(api, f"&buckets={buckets}"))["nodes"]
    job = (await api.get("/api/jobs/j%2F1")).json

    starts = {bucket[0] for lane in nodes for bucket in lane["buckets"]}
    assert len(starts) <= buckets
    for lane in nodes:
        assert [sum(c) for c in list(zip(*lane["buckets"], strict=True))[1:3]] == [
            lane["assets"],
            lane["bytes"],
        ]
    assert sum(lane["assets"] for lane in nodes) == job["assets"] == 4
    assert sum(lane["bytes"] for lane in nodes) == job["bytes"]


@pytest.mark.parametrize(
    ("most", "nodes"), [(1, ["b"]), (2, ["b"]), (3, ["b", "a"]), (4, ["b", "a", None])]
)
async def test_timeline_above_the_limit_of_its_spans_lacks_the_last_nodes(
    api: Api, made: list[Any], monkeypatch: pytest.MonkeyPatch, most: int, nodes: list[str | None]
) -> None:
    whole = await timeline(api, "&buckets=10")
    monkeypatch.setattr(timelines, "MAX_BUCKETS", most)

    found = await timeline(api, "&buckets=10")

    assert found["truncated"] == (most < 4)
    assert [lane["node_id"] for lane in found["nodes"]] == nodes
    assert found["nodes"] == whole["nodes"][: len(nodes)]


async def test_job_without_live_assets_has_no_nodes(api: Api) -> None:
    await api.call("POST", "/api/jobs/j%2F1/start")

    assert (await timeline(api))["nodes"] == []
    assert (await api.get("/api/jobs/other/timeline")).slug == "unknown-job"
    for parameters in ("buckets=0", "buckets=2001", "buckets=x", "bucket=1"):
        assert (await api.get(f"/api/jobs/j%2F1/timeline?{parameters}")).slug == "bad-parameter"


async def test_timeline_of_another_user_with_the_same_job_is_its_own(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        alice, bob = caller(api, "alice"), caller(api, "bob")
        await alice.created(b"alice", job_id="j", node_id="secret")
        await bob.created(b"b", job_id="j", node_id="own")

        found = await bob.get(f"/api/jobs/j/timeline?min_position={api.head()}")

    assert [lane["node_id"] for lane in found.json["nodes"]] == ["own"]


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_history_begins_after_a_position(api: Api, made: list[Any], accept: str) -> None:
    after = made[2]["position"]

    path = f"/api/jobs/j%2F1/history?after={after}"
    answer = await api.get(path, Accept=accept)
    beyond = await api.get("/api/jobs/j%2F1/history?after=999", Accept=accept)
    unknown = await api.get("/api/jobs/other/history?after=1")

    lines = answer.json["events"] if "json" in accept[-5:] and "nd" not in accept else None
    events = lines or [orjson.loads(line) for line in answer.body.splitlines()]
    assert [event["position"] for event in events] == [a["position"] for a in made[3:]]
    assert beyond.status == 200
    assert unknown.slug == "unknown-job"


async def test_pages_of_a_history_after_a_position_are_linked(api: Api, made: list[Any]) -> None:
    path = f"/api/jobs/j%2F1/history?after={made[0]['position']}&page_size=3"
    first = (await api.get(path)).json

    second = (await api.get(f"{path}&cursor={first['next']}")).json

    positions = [event["position"] for page in (first, second) for event in page["events"]]
    assert positions == [asset["position"] for asset in made[1:]]
    of_asset = await api.get(f"/api/assets/{made[0]['id']}/history?after={made[0]['position']}")
    assert of_asset.json == {"events": [], "next": ""}
