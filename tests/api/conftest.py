"""A real server on a temporary folder, one for each test, and a client that speaks to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.settings import Settings
from tests.api.running import Api, serving


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def api(data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=data_dir)) as api:
        yield api
