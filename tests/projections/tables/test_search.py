"""The search index, filled from events."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.event import Event
from asset_ledger.projections.runtime import runner as running
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import asset_id, deleted, described, restored
from tests.projections.histories import histories, live
from tests.projections.searching import (
    find,
    naive,
    named,
    search,
    texts,
)
from tests.projections.world import World, file_of, select, world
from tests.properties import examples


@examples(50)
@given(histories(), st.integers(1, 7))
async def test_index_has_exactly_the_live_assets_after_any_history(
    events: list[Event], batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(running, "BATCH", batch)
        with world(Path(folder)) as here:
            for event in events:
                here.append(event)
            with search(here) as part:
                check = "INSERT INTO {0} ({0}, rank) VALUES ('integrity-check', 0)"
                for index in ("search_text", "search_heads"):
                    part.database.write.execute(check.format(index))
            assets = live(here.feed.read(0, 1_000)).values()
            words = {word for asset in assets for text in texts(asset) for word in text.split()}
            with here.projections() as runner:
                for user in ("1", "2"):
                    own = [asset for asset in assets if asset.user_id == user]
                    for word in sorted(words)[:8]:
                        assert await find(here, runner, word, user) == naive(own, word)


async def test_deleted_and_renamed_assets_are_not_found_under_their_old_words(
    here: World, runner: Runner
) -> None:
    here.write(runner, *named("cat.png"), described(private={"name": "dog.png"}))
    assert await find(here, runner, "cat") == []
    here.write(runner, deleted(originator_version=3))
    assert await find(here, runner, "dog") == []
    here.write(runner, restored(originator_version=4))
    assert await find(here, runner, "dog") == [asset_id(1)]


def test_migration_empties_and_refills_the_index(here: World) -> None:
    here.append(*named("cat"))
    with search(here) as part:
        from_before = file_of(part)
    with search(here) as part:
        part.database.write.execute("DELETE FROM schema_migrations")
        for table in ("search_assets", "search_text", "search_heads"):
            part.database.write.execute(f"DROP TABLE {table}")
    with search(here) as part:
        assert file_of(part) == from_before
        assert select(part, "SELECT name FROM search_assets") == [("cat",)]
