"""What holds for every test: no test depends on how fast this machine is today."""

import pytest
from hypothesis import settings

from asset_ledger.projections import serving as projections
from tests.properties import FULL

settings.register_profile("house", deadline=None, print_blob=True)
settings.register_profile(FULL, settings.get_profile("house"))
settings.load_profile("house")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a projection waits until it is there: by the second that a caller is given, a projection
    that follows by itself is late whenever this machine is busy."""
    monkeypatch.setattr(projections, "PATIENCE", 60.0)
