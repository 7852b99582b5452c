from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projections.before import restore
from tests.projections.world import World, world


@pytest.fixture
def older(tmp_path: Path) -> Iterator[World]:
    """A data folder with the tables from before the second migration."""
    restore(tmp_path)
    with world(tmp_path) as opened:
        yield opened
