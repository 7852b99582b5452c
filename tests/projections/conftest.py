from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from asset_ledger.ledger.storage.readers import AsyncReaders
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.queries.jobs import JobQueries
from asset_ledger.projections.runtime.runner import Runner
from tests.projections.world import World, asset_queries, world


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """A data folder with a log that has begun."""
    with world(tmp_path) as it:
        yield it


@pytest.fixture
def runner(here: World) -> Iterator[Runner]:
    """The projections of that folder."""
    with here.projections() as it:
        yield it


@pytest.fixture
async def assets(here: World, runner: Runner) -> AsyncIterator[AssetQueries]:
    """The reads of that folder's assets."""
    async with asset_queries(here, runner) as queries:
        yield queries


@pytest.fixture
async def jobs(runner: Runner) -> AsyncIterator[JobQueries]:
    """The reads of that folder's jobs."""
    readers = AsyncReaders(runner.database.path, size=1)
    yield JobQueries(readers)
    await readers.close()
