"""A server process on a new data folder for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.client import Client, talking
from tests.journeys.server import Server, serving


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # pytest would keep gigabytes of earlier runs


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    with serving(data_dir) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with talking(server.port) as client:
        yield client
