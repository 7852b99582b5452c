"""A real server on a temporary folder, one for each test, and a client that speaks to it."""

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
    """The data folder of a ledger that was opened once, and nothing recorded."""

    async def first_start(folder: Path) -> None:
        async with open_backend(Settings(data_dir=folder)):
            pass

    folder = tmp_path_factory.mktemp("unused") / "data"
    asyncio.run(first_start(folder))
    return folder


@pytest.fixture
def opened_data_dir(data_dir: Path, unused: Path) -> Path:
    """`data_dir`, as a first start leaves it: half of what that costs is making the files."""
    return shutil.copytree(unused, data_dir)


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=opened_data_dir)) as api:
        yield api
