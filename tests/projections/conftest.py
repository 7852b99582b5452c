from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.queries.jobs import JobQueries
from asset_ledger.projections.runtime.runner import Runner
from tests.projections.world import World, asset_queries, file_of, world


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """A data folder with a log that has one event."""
    with world(tmp_path) as opened:
        yield opened


@pytest.fixture
def runner(here: World) -> Iterator[Runner]:
    """The tables of assets and jobs of that folder."""
    with here.projections() as opened:
        yield opened


@pytest.fixture
async def assets(here: World, runner: Runner) -> AsyncIterator[AssetQueries]:
    """Queries of the assets of that folder."""
    async with asset_queries(here, runner) as queries:
        yield queries


@pytest.fixture
async def jobs(runner: Runner) -> AsyncIterator[JobQueries]:
    """Queries of the jobs of that folder."""
    readers = AsyncSqliteReaders(file_of(runner), size=1)
    yield JobQueries(readers)
    await readers.close()
