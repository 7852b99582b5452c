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


@pytest.mark.parametrize(
    "query", ["group_by=user_id", "sort=bytes", "content_type=a/b", "node_id=", "parent_id=x"]
)
async def test_usage_refuses_an_invalid_parameter(api: Api, query: str) -> None:
    assert (await api.get(f"/api/assets/usage?{query}")).slug == "bad-parameter"
