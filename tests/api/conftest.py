"""Fixtures of API tests: a real server on a temporary data folder for each test."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.backend import open_backend
from asset_ledger.api.settings import Settings
from tests.api import running
from tests.api.running import Api, serving
from tests.postgres import Postgres


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


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run servers on the engine that `--engine` names."""
    name: str = request.config.getoption("--engine")
    if name == "folder":
        yield name
        return
    server: Postgres = request.getfixturevalue("postgres")
    with ExitStack() as stack:
        urls: dict[Path, str] = {}

        def engine_for(folder: Path) -> Any:
            from asset_ledger.api.database import DatabaseEngine  # noqa: PLC0415 - an extra

            if folder not in urls:
                urls[folder] = stack.enter_context(server.database())
            return DatabaseEngine(urls[folder], folder)

        monkeypatch.setattr(running, "engine_for", engine_for)
        yield name


@pytest.fixture
def opened_data_dir(data_dir: Path, unused: Path, engine: str) -> Path:
    """Return `data_dir` as a first start leaves it; the copy takes half the time of that start."""
    return shutil.copytree(unused, data_dir) if engine == "folder" else data_dir


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=opened_data_dir)) as api:
        yield api
