"""Fixtures of API tests: a real server on a temporary data folder for each test."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from asset_ledger.api.backend import open_backend
from asset_ledger.api.settings import Settings
from tests.api import running
from tests.api.running import Api, serving
from tests.postgres import Databases


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> Databases | None:
    """The databases of `--engine postgres`, one for each data folder; None for the other engine."""
    if request.config.getoption("--engine") == "folder":
        return None
    return Databases(request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def unused(tmp_path_factory: pytest.TempPathFactory, database: Databases | None) -> Path:
    """Return the data folder of a ledger that was started once and recorded no asset."""

    async def first_start(folder: Path) -> None:
        engine = database.engine_for(folder) if database else None
        async with open_backend(Settings(data_dir=folder), engine=engine):
            pass

    folder = tmp_path_factory.mktemp("unused") / "data"
    asyncio.run(first_start(folder))
    return folder


@pytest.fixture(autouse=True)
def engines(database: Databases | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run servers on the engine that `--engine` names."""
    if database is not None:
        monkeypatch.setattr(running, "engine_for", database.engine_for)
    yield
    if database is not None:
        database.drop()


@pytest.fixture
def opened_data_dir(data_dir: Path, unused: Path, database: Databases | None) -> Path:
    """Return `data_dir` as a first start leaves it; the copy takes half the time of that start."""
    if database is not None:
        database.copy(unused, data_dir)
    return shutil.copytree(unused, data_dir)


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=opened_data_dir)) as api:
        yield api
