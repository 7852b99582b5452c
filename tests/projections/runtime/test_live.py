"""The switch of the committer's tables to another generation."""

import pytest

from asset_ledger.ledger.errors import PoisonEventError
from asset_ledger.projections.rebuild.build import build
from asset_ledger.projections.runtime.generation import NEAR
from asset_ledger.projections.runtime.live import LiveTables
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.tables.assets import Assets
from tests.builders import asset_id, created
from tests.projections.world import World


@pytest.fixture
def live(here: World, runner: Runner) -> LiveTables:
    """Tables in use, beside a built generation that lags by more than `NEAR` events."""
    build(here.tables, 2, here.feed)
    here.append(*[created(originator_id=asset_id(n)) for n in range(NEAR + 1)])
    runner.catch_up()
    return LiveTables(here.tables, runner)


def test_lagging_generation_takes_batches_before_it_takes_over(
    live: LiveTables, here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.begin_switch(1, 2, retire=False)
    seen = [(live.turn(), live.is_working, live.state.generation) for _ in range(2)]

    assert seen == [(None, True, 1), (2, False, 2)]  # first a batch, then the rest and the switch
    assert live.state.position == NEAR + 2
    live.close()


def test_generation_that_stalls_during_a_switch_does_not_take_over(
    live: LiveTables, here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.begin_switch(1, 2, retire=False)
    with monkeypatch.context() as patch:
        patch.setattr(Assets, "statements", _refuse)
        result = live.turn()
    assert isinstance(result, PoisonEventError)

    written = here.append(created(originator_id=asset_id(9_999)), prepare=live.prepare)[0]
    live.apply([written.prepared], written.last, written.leaf)

    assert (live.state.generation, live.state.position) == (1, written.last)
    assert not live.is_working


def _refuse(*_: object) -> None:
    raise KeyError("smell")
