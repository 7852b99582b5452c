"""Every gateway keeps the contract: over HTTP, also to PostgreSQL, and in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from asset_ledger import Asset, Gateway, ProcessingContext, connect
from asset_ledger.api.settings import Settings
from asset_ledger.errors import EventLoopError
from tests.api import running
from tests.api.running import serving
from tests.contracts.gateway import GatewayContract
from tests.postgres import Databases, Postgres


class TestEmbedded(GatewayContract):
    @pytest.fixture
    async def gateway(self, opened_data_dir: Path) -> AsyncIterator[Gateway]:
        async with connect(data_dir=opened_data_dir) as gateway:
            yield gateway


class TestRemote(GatewayContract):
    @pytest.fixture
    async def gateway(self, opened_data_dir: Path) -> AsyncIterator[Gateway]:
        async with serving(Settings(data_dir=opened_data_dir)) as api, connect(api.url) as gateway:
            yield gateway


@pytest.mark.chaos  # a new database for each of 150 tests
class TestRemoteInDatabase(GatewayContract):
    @pytest.fixture
    async def gateway(
        self, postgres: Postgres, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Gateway]:
        databases = Databases(postgres)
        monkeypatch.setattr(running, "engine_for", databases.engine_for)
        async with serving(Settings(data_dir=data_dir)) as api, connect(api.url) as gateway:
            yield gateway
        databases.drop()


def in_another_loop(call: Callable[[], Coroutine[Any, Any, object]]) -> object:
    return asyncio.run(call())


async def test_an_open_data_folder_is_refused_in_another_event_loop(opened_data_dir: Path) -> None:
    async with connect(data_dir=opened_data_dir) as gateway:
        asset = await ProcessingContext(job_id="j").create_asset("a", content=b"x")
        calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
            lambda: Asset.paginate(gateway=gateway),
            lambda: Asset.get(asset.id, gateway=gateway),
            lambda: ProcessingContext(gateway=gateway).create_asset("b", content=b"x"),
            lambda: gateway.delete(asset.id),
            asset.history,
            asset.content,
        ]
        for call in calls:
            with pytest.raises(EventLoopError, match="another event loop"):
                await asyncio.to_thread(in_another_loop, call)

        assert await Asset.paginate() == ([asset], "")
