"""A file of every schema that was ever shipped is brought to today's, by the start alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from asset_ledger.projections.rebuild.build import rebuild
from asset_ledger.projections.runtime.database import numbers
from asset_ledger.projections.serving import Views
from tests.builders import asset_id
from tests.projections.releases import RELEASED, REVISIONS, TODAY, dump, restore
from tests.projections.world import LOG_ID, World, answers, digest_of, served, world

DIGEST = "60299a05c52860bd650dd60a2203e1cb8f65b64ea10d72d0323b78c34b4d5c33"
"""Of the views of that log, on any machine."""


def started(folder: Path) -> tuple[str, dict[str, object]]:
    """The digest of all views after a start, and what the API says of each asset."""
    with world(folder) as here, here.views() as runner:
        assert (runner.error, runner.database.number) == (None, 1)
        return digest_of(runner), answers(runner)


@asynccontextmanager
async def reading(folder: Path) -> AsyncIterator[Views]:
    """The views of a folder, as the server opens them."""
    with world(folder) as here:
        async with served(here) as server:
            yield server.views


def test_the_schema_of_today_is_kept_for_the_releases_to_come() -> None:
    assert TODAY in REVISIONS, "run `python -m tests.projections.releases`"


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_file_of_an_earlier_schema_has_the_digest_that_every_machine_gives(
    revision: str, tmp_path: Path
) -> None:
    restore(revision, tmp_path)

    value, shown = started(tmp_path)

    assert value == DIGEST
    with world(tmp_path) as here:
        rebuilt = rebuild(tmp_path, here.feed)
        assert rebuilt.digest == DIGEST
        with here.views() as anew:
            assert answers(anew) == shown


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_file_of_an_earlier_schema_answers_what_is_asked_today(
    revision: str, tmp_path: Path
) -> None:
    restore(revision, tmp_path)
    async with reading(tmp_path) as views:
        page = await views.assets.page("1", {"node_id": ["node_0"]}, sort="-name")
        dog = await views.assets.page("1", {"name": ["dog.png"]})
        cats = await views.search.page("1", "katze", {}, page_size=100)
        sources = await views.lineage.of_asset("1", asset_id(7), "up", 3)

    assert len(orjson.loads(b"[%b]" % page.json)) == 4
    assert orjson.loads(dog.json)["id"] == asset_id(3)
    assert cats.total == 10
    assert len(sources.json) == 3
    assert numbers(tmp_path) == [1]


def test_the_text_of_a_file_makes_the_same_file(tmp_path: Path) -> None:
    restore(TODAY, tmp_path)

    for text in (RELEASED / TODAY).iterdir():
        part = "" if text.stem == "tables" else f".{text.stem}"
        assert dump(tmp_path / f"projections.g1{part}.db") == text.read_text("utf-8")


def test_the_log_is_the_tests_own(tmp_path: Path) -> None:
    restore(TODAY, tmp_path)

    with world(tmp_path) as here:
        assert isinstance(here, World)
        assert (here.feed.log_id, here.feed.head()) == (LOG_ID, 22)
