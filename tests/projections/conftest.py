from collections.abc import Iterator
from pathlib import Path

import pytest

from projections.runner import Runner
from tests.projections.world import World, world


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """A data folder with a log that has begun."""
    with world(tmp_path) as it:
        yield it


@pytest.fixture
def runner(here: World) -> Iterator[Runner]:
    """The views of that folder."""
    with here.views() as it:
        yield it
