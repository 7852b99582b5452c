"""Fixtures of API tests: a real server on a temporary data folder for each test."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger.api.backend import open_backend
from asset_ledger.api.settings import Settings
from tests.api.running import Api, serving


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="session")
def unused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of a ledger that was started once and recorded no asset."""

    async def first_start(folder: Path) -> None:
        async with open_backend(Settings(data_dir=folder)):
            pass

    folder = tmp_path_factory.mktemp("unused") / "data"
    asyncio.run(first_start(folder))
    return folder


@pytest.fixture
def opened_data_dir(data_dir: Path, unused: Path) -> Path:
    """Return `data_dir` as a first start leaves it; the copy takes half the time of that start."""
    return shutil.copytree(unused, data_dir)


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=opened_data_dir)) as api:
        yield api
