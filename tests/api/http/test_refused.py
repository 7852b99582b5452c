"""Each limit that refuses a request counts it in the metrics under its name."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.http import metrics
from asset_ledger.api.uploads import resumable
from asset_ledger.ledger.commit.slots import LEAST
from tests.api.calling import caller, serving_with_tokens
from tests.api.http.test_connections import get, sending, unfinished_upload
from tests.api.http.test_health import numbers
from tests.api.http.test_uploads import create
from tests.api.running import Api


async def counted(api: Api) -> dict[str, float]:
    """Return the number of refused requests by limit."""
    prefix = "refused_total{limit="
    found = await numbers(api)
    return {name[len(prefix) : -1]: n for name, n in found.items() if name.startswith(prefix)}


async def test_every_limit_is_counted_from_the_start(api: Api) -> None:
    assert await counted(api) == dict.fromkeys(metrics.REFUSING, 0)


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "/api/assets", {"json": {"name": "x" * 300_000}}),
        ("POST", "/api/assets", {"json": {"name": "a", "metadata": {"a": "x" * 40_000}}}),
        ("POST", "/api/assets/download", {"json": {"asset_ids": [[]] * 20_000}}),
        ("POST", "/api/assets?name=a", {"data": b"x" * 200_000}),
    ],
)
async def test_what_is_too_large_is_counted(
    opened_data_dir: Path, method: str, path: str, options: Any
) -> None:
    async with serving_with_tokens(opened_data_dir, max_upload_bytes=100_000) as api:
        answer = await caller(api, "bob").call(method, path, **options)

        assert answer.slug == "too-large"
        assert {name for name, number in (await counted(api)).items() if number} == {"too-large"}


@pytest.mark.parametrize(
    ("limit", "settings"),
    [
        ("writes-of-a-user", {"queue_size": 2}),
        ("writes", {"queue_size": 1}),
        ("queue-wait", {"queue_wait": 1e-6}),
        ("requests-of-a-user", {"max_connections": 2}),
        ("rate-limited", {"rate_limit": "1/h"}),
        ("deadline-exceeded", {"read_deadline": 1e-6}),
        ("unfinished-uploads", {}),
    ],
)
async def test_what_is_too_much_is_counted_by_its_limit(
    opened_data_dir: Path, monkeypatch: pytest.MonkeyPatch, limit: str, settings: Any
) -> None:
    monkeypatch.setattr(resumable, "MOST", 1)
    async with serving_with_tokens(opened_data_dir, **settings) as api, AsyncExitStack() as held:
        bob = caller(api, "bob")
        stream = get("/api/events/stream", bob.token)
        sent = unfinished_upload(bob) if limit.startswith("writes") else stream
        await held.enter_async_context(sending(api, sent))
        async with asyncio.timeout(30):  # fails a test that hangs
            while not (await counted(api))[limit]:
                await refusable(bob, limit)


async def refusable(bob: Any, limit: str) -> None:
    """Send a request that this limit refuses."""
    match limit:
        case "deadline-exceeded":
            await bob.get("/api/jobs/a/compare/b")
        case "unfinished-uploads":
            await create(bob, 5)
        case "queue-wait":
            await asyncio.gather(
                *(bob.call("POST", "/api/assets", json={"name": "a"}) for _ in range(4 * LEAST))
            )
        case _:
            await bob.call("POST", "/api/assets", json={"name": "a"})
