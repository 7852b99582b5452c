"""Settings of all tests: none depends on the speed of the machine."""

import signal

import pytest
from hypothesis import settings

from asset_ledger.projections import serving as projections
from tests.properties import FULL

settings.register_profile("house", deadline=None, print_blob=True)
settings.register_profile(FULL, settings.get_profile("house"))
settings.load_profile("house")

# A shell starts background jobs with SIGINT ignored; so would every process of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    engines = ("folder", "postgres")
    parser.addoption("--engine", choices=engines, default="folder", help="what API tests run on")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--engine") == "postgres":
        for item in items:
            for mark in item.iter_markers("in_a_folder"):
                item.add_marker(pytest.mark.skip(reason=f"only in a data folder: {mark.args[0]}"))


@pytest.fixture(autouse=True)
def wait_longer_for_projections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the wait for a projection from 1 s to 60 s: on a busy machine 1 s can be too short."""
    monkeypatch.setattr(projections, "PATIENCE", 60.0)


pytest_plugins = ["tests.postgres"]
