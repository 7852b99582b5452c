"""Gateways of the SDK tests: one to a data folder in this process, one over HTTP."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger import Gateway, ProcessingContext, connect
from asset_ledger.api.settings import Settings
from tests.api.running import Api


@pytest.fixture
async def embedded(tmp_path: Path, unused: Path) -> AsyncIterator[Gateway]:
    folder = shutil.copytree(unused, tmp_path / "embedded")
    async with connect(data_dir=folder) as gateway:
        yield gateway


@pytest.fixture
async def remote(api: Api) -> AsyncIterator[Gateway]:
    async with connect(api.url) as gateway:
        yield gateway


@pytest.fixture
def context(embedded: Gateway) -> ProcessingContext:
    return ProcessingContext(workflow_id="w", job_id="j", gateway=embedded)


@pytest.fixture
def data_dir_settings(data_dir: Path) -> Settings:
    """Settings with uploads of at most 2 MiB."""
    return Settings(data_dir=data_dir, max_upload_bytes=2 << 20)
