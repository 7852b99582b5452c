"""Both gateways keep the contract: over HTTP, and in this process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger import Gateway, connect
from asset_ledger.api.settings import Settings
from tests.api.running import serving
from tests.contracts.gateway import GatewayContract


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
