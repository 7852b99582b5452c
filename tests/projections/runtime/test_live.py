import pytest

from asset_ledger.ledger.errors import PoisonFactError
from asset_ledger.projections.rebuild.build import build
from asset_ledger.projections.runtime.generation import NEAR, Generation, open_generation
from asset_ledger.projections.runtime.live import Live
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import asset_id, created
from tests.projections.world import World


@pytest.fixture
def behind(here: World, runner: Runner) -> Generation:
    """A generation that lacks more than a group of facts, which the one in use has."""
    build(here.folder, 2, here.feed)
    here.append(*[created(originator_id=asset_id(n)) for n in range(NEAR + 1)])
    runner.catch_up()
    return open_generation(here.folder, 2, here.feed)


def test_who_is_too_far_behind_does_not_keep_writers_waiting(
    behind: Generation, runner: Runner
) -> None:
    live, said = Live(runner), list[str]()
    with behind:
        early = live.replace(behind.tables, lambda: said.append("commit"), lambda: None)
        assert (early, said, behind.tables.position) == (False, [], 1)

        behind.approach()
        assert live.replace(
            behind.tables, lambda: said.append("commit"), lambda: said.append("announce")
        )

    assert said == ["commit", "announce"]
    assert behind.tables.position == runner.position


def test_who_stalls_on_his_way_does_not_take_over(
    here: World, behind: Generation, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(runner)

    def refuse(*_: object) -> None:
        raise PoisonFactError(5, "no")

    with behind:
        behind.approach()
        here.append(created(originator_id=asset_id(8_888)))
        monkeypatch.setattr(behind.tables, "prepare", refuse)
        with pytest.raises(PoisonFactError):
            live.replace(behind.tables, lambda: None, lambda: None)
    written = here.append(created(originator_id=asset_id(9_999)), prepare=live.prepare)[0]
    assert live.apply([written.prepared], written.last, written.leaf)
    assert runner.position == written.last
