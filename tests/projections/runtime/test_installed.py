"""Projections of other packages: found, followed, rebuilt; broken projections stop nothing else."""

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path

import pytest

from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.storage.sqlite import open_reader
from asset_ledger.projections.rebuild.build import build, rebuild
from asset_ledger.projections.runtime.registry import other_projections
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.store import in_use, next_number
from asset_ledger.projections.runtime.table_files import path_of
from tests.builders import asset_id, created, deleted
from tests.house.console import document
from tests.house.source import ROOT
from tests.projections.packages import PROJECTION, importable, install_example, plant
from tests.projections.world import Served, World, served


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed `examples/leaderboard`."""
    site = tmp_path_factory.mktemp("site")
    install_example(site, tmp_path_factory.mktemp("scratch"))
    return site


@pytest.fixture
def leaderboard(example: Path) -> Iterator[None]:
    with importable(example):
        yield


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder for packages that Python imports from."""
    folder = tmp_path / "site"
    folder.mkdir()
    with importable(folder):
        yield folder


def made(here: World) -> str:
    """Record three assets of two nodes, one without a node, one deleted; return the date."""
    nodes = ["paint", "blur", "paint", None]
    here.append(*[created(originator_id=asset_id(n), node_id=nodes[n], size=n) for n in range(4)])
    (last,) = here.append(deleted(originator_id=asset_id(0)))
    recorded_at = last.recorded[0].event.recorded_at
    assert recorded_at is not None
    return iso(recorded_at)[:10]


def seen(here: World) -> list[int]:
    """Return the positions that the projection `seen` stored, in the generation in use."""
    db = open_reader(path_of(here.folder, in_use(here.tables) or 0, "seen"))
    try:
        return [position for (position,) in db.execute("SELECT position FROM seen ORDER BY 1")]
    finally:
        db.close()


@pytest.mark.usefixtures("leaderboard")
def test_example_projection_is_found_by_its_entry_point() -> None:
    found = other_projections()

    assert [(each.name, list(each.tables)) for each in found.projections] == [
        ("leaderboard", ["leaderboard"])
    ]
    assert found.broken == {}


@pytest.mark.usefixtures("leaderboard")
async def test_example_projection_follows_the_log_and_answers_queries(here: World) -> None:
    best = import_module("asset_ledger_leaderboard").best
    async with served(here) as server:
        day = made(here)
        server.report()
        await server.projections.runners["leaderboard"].wait_for(here.feed.head(), 30)

        assert best(here.folder, day) == [("paint", 2, 2), ("blur", 1, 1)]
        assert best(here.folder, "1999-12-31") == []


@pytest.mark.usefixtures("leaderboard")
def test_rebuild_includes_the_example_with_its_own_digest(here: World) -> None:
    made(here)

    first, second = rebuild(here.tables, here.feed), rebuild(here.tables, here.feed)

    assert set(first.others) == {"leaderboard"}
    assert first.others == second.others
    assert first.broken == {}
    assert path_of(here.folder, 2, "leaderboard").exists()


def test_digest_does_not_depend_on_other_packages(here: World, example: Path) -> None:
    made(here)
    alone = rebuild(here.tables, here.feed)

    with importable(example):
        assert rebuild(here.tables, here.feed).digest == alone.digest


async def test_projection_installed_later_is_filled_from_the_whole_log(
    here: World, site: Path
) -> None:
    made(here)
    async with served(here):
        plant(site)

    async with served(here):
        pass

    assert seen(here) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", ["python", "toml"])
def test_code_on_the_documentation_page_is_in_the_example(kind: str) -> None:
    shown = re.findall(
        rf"^```{kind}\n(.*?)^```", document("docs/projections.md"), re.DOTALL | re.MULTILINE
    )
    package = ROOT / "examples" / "leaderboard"
    shipped = "".join(path.read_text("utf-8") for path in package.glob("*.*"))

    assert shown
    assert [block for block in shown if block not in shipped] == []


async def switched(server: Served) -> None:
    """Build the next generation and switch to it."""
    number = next_number(server.here.tables)
    await asyncio.to_thread(build, server.here.tables, number, server.here.feed)
    await server.switch(number)


async def test_rebuild_picks_up_packages_installed_and_removed_while_serving(
    here: World, tmp_path: Path
) -> None:
    made(here)
    plant(tmp_path / "first", package="seen")
    spotted = PROJECTION.replace("seen", "spotted")
    plant(tmp_path / "second", spotted, package="spotted", name="spotted")
    async with AsyncExitStack() as stack:
        with importable(tmp_path / "first"):
            server = await stack.enter_async_context(served(here))
            assert set(server.projections.others) == {"seen"}
        with importable(tmp_path / "second"):
            await switched(server)

        assert set(server.projections.others) == {"spotted"}
        server.write(created(originator_id=asset_id(9)))
        await server.projections.runners["spotted"].wait_for(here.feed.head(), 30)
        assert (await server.projections.assets.page("1", {})).position > 0
        assert server.projections.generation.number == 2


BROKEN = {
    "cannot be imported": ("import nothing_of_this_name", "seen", "No module named"),
    "does not exist": ("", "seen", "has no attribute 'Seen'"),
    "cannot be constructed": (
        "class Seen:\n def __init__(self): raise OSError('mine')",
        "seen",
        "mine",
    ),
    "has another name than its entry point": (
        PROJECTION,
        "saw",
        "entry point has the name saw, its class seen",
    ),
    "has a name that leaves the folder": (PROJECTION, "../seen", "lower-case letters"),
    "has the name of a built-in projection": (PROJECTION, "usage", "the name usage is taken"),
    "has no migrations": ("class Seen:\n name = 'seen'", "seen", "'migrations'"),
    "has a broken migration": (PROJECTION.replace("TABLE", "TALBE"), "seen", "syntax error"),
    "has a table without a primary key": (
        PROJECTION.replace(" PRIMARY KEY", ""),
        "seen",
        "a primary key",
    ),
    "creates a bookkeeping table": (
        PROJECTION.replace("TABLE seen", "TABLE positions"),
        "seen",
        "table positions already exists",
    ),
}


@pytest.mark.parametrize(("code", "name", "reason"), BROKEN.values(), ids=BROKEN)
async def test_broken_projection_is_reported_and_stops_nothing_else(
    here: World, site: Path, caplog: pytest.LogCaptureFixture, code: str, name: str, reason: str
) -> None:
    caplog.set_level(logging.ERROR)
    made(here)
    plant(site, code, name=name)

    async with served(here) as server:
        projections = server.projections
        assert [*projections.broken] == [name]
        assert reason in projections.broken[name]
        assert f"the projection {name} is not used" in caplog.text
        assert (await projections.assets.page("1", {"node_id": ["blur"]})).json
        assert {runner.position for runner in projections.runners.values()} == {6}


async def test_two_packages_with_the_same_name_are_both_rejected(here: World, site: Path) -> None:
    plant(site, package="one")
    plant(site, package="other")

    async with served(here) as server:
        assert server.projections.broken == {"seen": "ValueError: the name seen is taken"}


STATEMENT = 'yield Statement("INSERT INTO seen VALUES (?)", (recorded.position,))'


@pytest.mark.parametrize(
    "refusing", ["raise KeyError('smell')", 'yield Statement("INSERT INTO sean VALUES (1)", ())']
)
async def test_projection_stalls_alone_before_an_event_that_it_cannot_take(
    here: World, site: Path, refusing: str
) -> None:
    made(here)
    refusing_code = f"if recorded.position == 4: {refusing}\n        else: {STATEMENT}"
    plant(site, PROJECTION.replace(STATEMENT, refusing_code))

    async with served(here) as server:
        states = {name: status.state for name, status in server.projections.runners.items()}
        assert states.pop("seen") == "stalled"
        assert set(states.values()) == {"live"}
        assert server.projections.runners["seen"].position < 4


def test_rebuild_reports_a_broken_projection_and_builds_the_rest(here: World, site: Path) -> None:
    made(here)
    plant(site, PROJECTION.replace(STATEMENT, "raise KeyError('smell')"))

    rebuilt = rebuild(here.tables, here.feed)

    assert rebuilt.position == 6
    assert rebuilt.others == {}
    assert "position 1 cannot be read" in rebuilt.broken["seen"]


async def test_file_of_a_later_package_version_is_refused_with_both_revisions(
    here: World, site: Path
) -> None:
    plant(site)
    async with served(here) as server:
        seen = server.projections.runners["seen"]
        assert isinstance(seen, Runner)
        seen.database.write.execute(
            "INSERT INTO schema_migrations VALUES ('20991231_000000_add_smell', 'then')"
        )

    async with served(here) as server:
        assert "20991231_000000_add_smell" in server.projections.broken["seen"]
        assert "20260101_000000_create_seen" in server.projections.broken["seen"]
