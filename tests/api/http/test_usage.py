"""Usage through HTTP: totals of live assets by group, up to a requested position."""

from typing import Any

import pytest

from asset_ledger.api.contract.shapes import UsagePage
from tests.api.running import Api


async def usage(api: Api, query: str = "") -> list[dict[str, Any]]:
    """Return every row once usage reflects every recorded event."""
    answer = await api.get(f"/api/assets/usage?min_position={api.head()}{query}")
    assert answer.status == 200, answer.body
    UsagePage.model_validate(answer.json)
    assert int(answer.headers["Ledger-Position"]) >= api.head()
    rows: list[dict[str, Any]] = answer.json["usage"]
    return rows


NO_RUNS = {"runs": 0, "failed": 0, "seconds": 0.0}


async def test_usage_totals_assets_by_node(api: Api) -> None:
    first = await api.created(b"123", node_id="a", job_id="j")
    await api.created(b"12345", node_id="b")
    last = await api.created(b"1", node_id="a")
    await api.created(b"")

    assert await usage(api) == [
        {"key": "b", "count": 1, "bytes": 5, "largest": 5, **_seen(await _only(api, "b"))},
        {
            "key": "a",
            "count": 2,
            "bytes": 4,
            "largest": 3,
            "first_seen": first["created_at"],
            "last_seen": last["created_at"],
            **NO_RUNS,
        },
        {"key": None, "count": 1, "bytes": 0, "largest": 0, **_seen(await _only(api, ""))},
    ]
    assert [row["key"] for row in await usage(api, "&sort=-count")] == ["a", "b", None]
    assert [row["key"] for row in await usage(api, "&sort=key")] == [None, "a", "b"]
    assert [row["bytes"] for row in await usage(api, "&job_id=j&job_id=k")] == [3]
    assert [row["key"] for row in await usage(api, "&group_by=job_id&node_id=a")] == ["j", None]


async def _only(api: Api, node: str) -> Any:
    filters = f"node_id={node}" if node else "missing=node_id"
    return (await api.get(f"/api/assets?{filters}")).json["assets"][0]


def _seen(asset: Any) -> dict[str, Any]:
    return {"first_seen": asset["created_at"], "last_seen": asset["created_at"], **NO_RUNS}


async def test_usage_omits_deleted_assets(api: Api) -> None:
    asset = await api.created(b"12345", node_id="n")
    await api.created(b"1", node_id="n")

    await api.call("DELETE", f"/api/assets/{asset['id']}")

    (row,) = await usage(api)
    assert (row["count"], row["bytes"], row["largest"]) == (1, 1, 1)


async def test_usage_is_grouped_by_day_or_content_type(api: Api) -> None:
    asset = await api.created(b"x", content_type="text/plain", made_at="2020-02-03T23:59:59Z")

    (day,), (kind,) = await usage(api, "&group_by=day"), await usage(api, "&group_by=content_type")

    assert (day["key"], kind["key"]) == ("2020-02-03", "text/plain")
    assert day["first_seen"] == asset["created_at"]


async def test_pages_of_usage_are_linked_by_cursor(api: Api) -> None:
    for node in "abc":
        await api.created(node_id=node)
    path = f"/api/assets/usage?min_position={api.head()}&sort=key&limit=2"

    first = await api.get(path)
    second = await api.get(f"{path}&cursor={first.json['next']}")

    assert [row["key"] for row in first.json["usage"]] == ["a", "b"]
    assert 'rel="next"' in first.headers["Link"]
    assert ([row["key"] for row in second.json["usage"]], second.json["next"]) == (["c"], "")
    assert (await api.get(f"{path}1&cursor={first.json['next']}")).status == 200
    assert (
        await api.get(path.replace("key", "-count") + f"&cursor={first.json['next']}")
    ).slug == ("bad-cursor")


async def test_usage_takes_the_filters_of_a_list(api: Api) -> None:
    folder = await api.created(None, name="f", content_type="folder")
    await api.created(b"12", node_id="a", job_id="j", tags=["x"], content_type="image/png")
    await api.created(b"123", node_id="a", parent_id=folder["id"], made_at="2020-02-03T10:00:00Z")

    async def sizes(query: str) -> list[int]:
        return [row["bytes"] for row in await usage(api, f"&sort=key&{query}")]

    assert await sizes("tag=x") == [2]
    assert await sizes("content_type=image/&content_type=folder&tag=x") == [2]
    assert await sizes(f"parent_id={folder['id']}") == [3]
    assert await sizes("parent_id=&size_min=1") == [2]
    assert await sizes("created_before=2020-02-03T10:00:00Z") == []
    assert await sizes("created_after=2020-02-03T10:00:00Z&name=f&name=a.bin") == [0, 5]
    assert await sizes("attempt=1&missing=workflow_id") == [2]
    assert await sizes("missing=node_id") == [0]


async def test_usage_by_two_groupings_has_a_row_for_each_pair(api: Api) -> None:
    for day, node in (("01", "a"), ("01", "b"), ("02", "a"), ("01", "a")):
        await api.created(b"x", node_id=node, made_at=f"2020-02-{day}T23:30:00Z")
    path = f"/api/assets/usage?min_position={api.head()}&sort=key&page_size=2"

    async def pages(query: str) -> list[tuple[str, str, int]]:
        rows, cursor = [], ""
        while True:
            answer = await api.get(f"{path}&{query}&cursor={cursor}")
            page = UsagePage.model_validate(answer.json)
            rows += [(row.key or "", row.subkey or "", row.count) for row in page.usage]
            if not (cursor := page.next):
                return rows

    assert await pages("group_by=day,node_id") == [
        ("2020-02-01", "a", 2),
        ("2020-02-01", "b", 1),
        ("2020-02-02", "a", 1),
    ]
    assert await pages("group_by=node_id,day&tz=Europe/Berlin") == [
        ("a", "2020-02-02", 2),
        ("a", "2020-02-03", 1),
        ("b", "2020-02-02", 1),
    ]


async def test_usage_by_hour_tells_apart_the_hour_that_clocks_repeat(api: Api) -> None:
    for minute in ("2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T01:59", "2026-10-24T22:00"):
        await api.created(b"x", made_at=f"{minute}:00Z")

    hours = await usage(api, "&group_by=hour&tz=Europe/Berlin&sort=key")
    days = await usage(api, "&group_by=day&tz=Europe/Berlin&sort=key")

    expected = {"2026-10-24T22:00Z": 1, "2026-10-25T00:00Z": 1, "2026-10-25T01:00Z": 2}
    assert {row["key"]: row["count"] for row in hours} == expected
    assert [(row["key"], row["count"]) for row in days] == [("2026-10-25", 4)]


@pytest.mark.parametrize("tz", ["Europe/Berlin", "-11:00", "%2B14:00", "Asia/Kolkata"])
@pytest.mark.parametrize("group_by", ["day", "hour", "day,node_id"])
async def test_usage_counts_the_ends_of_the_calendar(api: Api, tz: str, group_by: str) -> None:
    for when in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        await api.created(b"x", made_at=when)

    rows = await usage(api, f"&group_by={group_by}&tz={tz}&sort=key")

    assert [row["count"] for row in rows] == [1, 1]
    assert rows[0]["key"][:4] in ("0000", "0001")
    assert rows[1]["key"][:4] == "9999"


@pytest.mark.parametrize(
    "query",
    [
        *("group_by=user_id", "sort=bytes", "size_min=x", "node_id=", "parent_id=x&tz="),
        *("group_by=day,hour", "group_by=day,day", "group_by=day,", "group_by=day,node_id,job_id"),
        *("tz=Mars/Phobos", "tz=%2B24:00", "tz=+02:00", "tz=../../etc/passwd", "tz=Europe"),
        *("tz=%F0%9F%98%80", f"tz={'a' * 5_000}", "tz=zone.tab", "tz=UTC&tz=UTC", "tag=x&query=x"),
    ],
)
async def test_usage_refuses_an_invalid_parameter(api: Api, query: str) -> None:
    assert (await api.get(f"/api/assets/usage?{query}")).slug == "bad-parameter"
