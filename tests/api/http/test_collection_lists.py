"""The lists and events of a collection, and the scope that a purge needs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.contract.imports import NDJSON
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commands.collect import BATCH
from asset_ledger.ledger.commands.collection_plan import MOST_LISTED
from asset_ledger.ledger.commands.imports import MOST
from tests.api.calling import caller, serving_with_tokens
from tests.api.http.test_collection import collect
from tests.api.running import Api, serving
from tests.journeys.server import run


@pytest.fixture
async def api(data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=data_dir)) as running:
        yield running


async def test_plan_lists_what_was_deleted_first_first(api: Api) -> None:
    contents = [b"1", b"2", b"3"]
    assets = [await api.created(content, name="a") for content in contents]
    for asset in reversed(assets):
        assert (await api.call("DELETE", f"/api/assets/{asset['id']}")).status == 200

    planned = (await collect(api, apply=False))["contents"]

    assert [each["digest"] for each in planned] == [each["digest"] for each in reversed(assets)]


async def test_long_collection_lists_its_first_contents_and_records_several_events(
    api: Api,
) -> None:
    count = MOST_LISTED + 1
    await import_contents(api, count)
    sent: dict[str, Any] = {"filter": {"name": "a"}, "expected_count": count}
    assert (await api.call("POST", "/api/assets/bulk-delete", json=sent)).status == 200

    planned = await collect(api, apply=False)
    listed = await asyncio.to_thread(run, "gc", "--url", api.url, "--retain-deleted", "0")
    done = await collect(api)
    events = (await api.get("/api/events?all=true&topic=content.collected")).json["events"]

    times = [each["since"] for each in planned["contents"]]
    assert (planned["count"], len(times), times) == (count, MOST_LISTED, sorted(times))
    assert listed.stdout.splitlines()[-2:] == [
        "... and 1 more: the list has the oldest 1,000",
        f"would collect {count:,} contents ({planned['size']:,} bytes)",
    ]
    assert done["count"] == count
    assert [len(each["data"]["digests"]) for each in events] == [BATCH, BATCH, count - 2 * BATCH]


async def import_contents(api: Api, count: int) -> None:
    """Create assets with different contents."""
    for first in range(0, count, MOST):
        lines = list[bytes]()
        for number in range(first, min(first + MOST, count)):
            lines.append(orjson.dumps({"id": f"{number:032x}", "name": "a"}))
            lines.append(orjson.dumps({"bytes": f"{number:08}"}))
        headers = {"Content-Type": NDJSON}
        answer = await api.call("POST", "/api/import", data=b"\n".join(lines), headers=headers)
        assert answer.status == 200, answer.body


async def test_purge_without_the_scope_admin_deletes_nothing(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        alice = caller(api, "alice", "read", "write", "audit")
        asset = await alice.created(b"content")
        folder = await alice.created(None, content_type="folder")
        before = api.head()

        for each in (asset, folder):
            refused = await alice.call("DELETE", f"/api/assets/{each['id']}?purge=true")
            assert (refused.status, refused.slug) == (403, "missing-scope")
            assert refused.json["scope"] == "admin"

        assert api.head() == before
        assert (await alice.get(asset["get_url"])).body == b"content"
        assert (await alice.get(f"/api/assets/{folder['id']}")).status == 200
