"""Queries that were made to do harm: forged cursors, thousands of values."""

from urllib.parse import quote

import pytest

from asset_ledger.projections.queries.asset_query import AssetQuery
from asset_ledger.projections.queries.pages import seal
from tests.api.running import Api

GROUP = "&group_by=node_id"


def forged(binding: bytes, key: bytes) -> str:
    return quote(seal(key, binding))


@pytest.mark.parametrize(
    "key",
    [b"[[1],2]", b'[{"a":1},2]', b"7", b"null", b'["a"]', b'["a",1e300]', b"[1,2,3]", b"\xff"],
)
@pytest.mark.parametrize("sort", ["size", "-size", "name"])
async def test_a_forged_cursor_is_refused(api: Api, key: bytes, sort: str) -> None:
    query = AssetQuery.of("1", {}, sort, 10, "")

    cursor = forged(query.binding, key)
    answer = await api.get(f"/api/assets?sort={sort}&page_size=10&cursor={cursor}")

    assert (answer.status, answer.slug) == (400, "bad-cursor")


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
