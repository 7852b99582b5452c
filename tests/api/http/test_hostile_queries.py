"""Queries that were made to do harm: forged cursors, thousands of values."""

from urllib.parse import quote

import orjson
import pytest

from asset_ledger.projections.queries.asset_query import AssetQuery
from asset_ledger.projections.queries.job_comparison import STATUSES
from asset_ledger.projections.queries.job_list import JobQuery
from asset_ledger.projections.queries.pages import seal
from asset_ledger.projections.queries.usage import UsageQuery
from asset_ledger.projections.queries.zones import zone_named
from tests.api.running import Api

GROUP = "&group_by=node_id"


def forged(binding: bytes, key: bytes) -> str:
    return quote(seal(key, binding))


FORGED = [b"[[1],2]", b'[{"a":1},2]', b"7", b"null", b'["a"]', b'["a",1e300]', b"[1,2,3]", b"\xff"]
"""Keys that no list has made."""
TOO_LARGE = [
    b'[18446744073709551615,"a"]',
    b'["a",18446744073709551615]',
    b"[9223372036854775808,1]",
]
"""Keys with a number that SQLite cannot hold."""


@pytest.mark.parametrize("key", [*FORGED, *TOO_LARGE])
@pytest.mark.parametrize("sort", ["size", "-size", "name"])
async def test_a_forged_cursor_of_assets_is_refused(api: Api, key: bytes, sort: str) -> None:
    cursor = forged(AssetQuery.of("1", {}, sort, 10, "").binding, key)

    answer = await api.get(f"/api/assets?sort={sort}&page_size=10&cursor={cursor}")

    assert (answer.status, answer.slug) == (400, "bad-cursor")


@pytest.mark.parametrize("key", [*FORGED, *TOO_LARGE])
@pytest.mark.parametrize("sort", ["-bytes", "-seconds", "key"])
async def test_a_forged_cursor_of_usage_is_refused(api: Api, key: bytes, sort: str) -> None:
    cursor = forged(UsageQuery("1", ("node_id",), {}, sort).binding, key)

    answer = await api.get(f"/api/assets/usage?group_by=node_id&sort={sort}&cursor={cursor}")

    assert (answer.status, answer.slug) == (400, "bad-cursor")


@pytest.mark.parametrize("key", [*FORGED, *TOO_LARGE, b'["a","b"]', b'[1,"a",2]', b'[1,"a",null]'])
@pytest.mark.parametrize("sort", ["-bytes", "key"])
async def test_a_forged_cursor_of_usage_by_two_groupings_is_refused(
    api: Api, key: bytes, sort: str
) -> None:
    query = UsageQuery("1", ("day", "node_id"), {}, sort, zone_named("Europe/Berlin"))
    cursor = forged(query.binding, key)

    path = f"/api/assets/usage?group_by=day,node_id&tz=Europe/Berlin&sort={sort}"
    answer = await api.get(f"{path}&cursor={cursor}")

    assert (answer.status, answer.slug) == (400, "bad-cursor")


@pytest.mark.parametrize("key", [*FORGED, *TOO_LARGE])
@pytest.mark.parametrize("sort", ["created_at", "-bytes", "-finished_at"])
async def test_a_forged_cursor_of_jobs_is_refused(api: Api, key: bytes, sort: str) -> None:
    cursor = forged(JobQuery("1", {}, sort, "j").binding, key)

    answer = await api.get(f"/api/jobs?query=j&sort={sort}&cursor={cursor}")

    assert (answer.status, answer.slug) == (400, "bad-cursor")


@pytest.mark.parametrize("key", [*FORGED, *TOO_LARGE])
@pytest.mark.parametrize("sort", ["created_at", "-seconds", "-bytes"])
async def test_a_forged_cursor_of_nodes_is_refused(api: Api, key: bytes, sort: str) -> None:
    await api.created(job_id="j", node_id="n")
    cursor = forged(orjson.dumps(["nodes", "1", "j", None, sort]), key)

    answer = await api.get(f"/api/jobs/j/nodes?sort={sort}&cursor={cursor}")

    assert (answer.status, answer.slug) == (400, "bad-cursor")


@pytest.mark.parametrize("key", [*FORGED, *TOO_LARGE, b"[1,1,0,-2]", b"[1,1,0.5,0]", b"[1,1,0]"])
async def test_a_forged_cursor_of_compared_jobs_is_refused(api: Api, key: bytes) -> None:
    for job_id in ("a", "b"):
        await api.created(job_id=job_id)
    binding = orjson.dumps(["compare", "1", "a", None, "b", None, sorted(STATUSES)])

    await check_refused(api, "/api/jobs/a/compare/b?", binding, key, b"[1,1,0,0]")


@pytest.mark.parametrize("key", [*FORGED[:4], *FORGED[5:], *TOO_LARGE, b"[1]", b'["a","b"]'])
async def test_a_forged_cursor_of_users_is_refused(api: Api, key: bytes) -> None:
    binding = orjson.dumps(["users", "a"])

    await check_refused(api, "/api/users?prefix=a&", binding, key, b'["a"]')


async def check_refused(api: Api, path: str, binding: bytes, key: bytes, real: bytes) -> None:
    """Check that a cursor with a key is refused, and not for its binding: a real key is taken."""
    answer = await api.get(f"{path}cursor={forged(binding, key)}")

    assert (answer.status, answer.slug) == (400, "bad-cursor")
    assert (await api.get(f"{path}cursor={forged(binding, real)}")).status == 200


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/api/assets?node_id", "n"),
        ("/api/jobs?status", "failed"),
        ("/api/assets/usage?job_id", "j"),
    ],
)
async def test_hundreds_of_filter_values_are_refused(api: Api, path: str, value: str) -> None:
    base, name = path.split("?")

    async def status(number: int) -> int:
        query = "&".join([f"{name}={value}"] * number)
        return (
            await api.get(f"{base}?{query}&page_size=5{GROUP if 'usage' in base else ''}")
        ).status

    assert (await status(200), await status(201)) == (200, 400)


@pytest.mark.parametrize("path", ["/health", "/api/assets", "/api/nothing", "/openapi.json"])
async def test_every_answer_forbids_sniffing(api: Api, path: str) -> None:
    assert (await api.get(path)).headers["X-Content-Type-Options"] == "nosniff"
