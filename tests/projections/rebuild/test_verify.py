"""Verification of the tables in use, without the command line."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.progress import Progress, no_progress
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.projections.projection import Statement
from asset_ledger.projections.rebuild.difference import EXAMPLES
from asset_ledger.projections.rebuild.verify import Verified, verify_tables
from asset_ledger.projections.runtime.registry import FOLLOWING
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.tables.catalog import Catalog
from tests.builders import asset_id, created
from tests.projections.world import World

ASSETS = 600


@pytest.fixture
def full(here: World) -> World:
    """A ledger of many assets of different names, with all tables."""
    names = [f"{n * 7919:x}-{n}.png" for n in range(ASSETS)]
    here.append(
        *[created(originator_id=asset_id(n), private={"name": names[n]}) for n in range(ASSETS)]
    )
    with here.projections() as runner:
        for projection in FOLLOWING:
            follow(here.tables, runner.database.number, projection, here.feed).close()
    return here


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def verify(
    here: World, scratch: Path, progress: Progress = no_progress
) -> list[Finding | Verified]:
    return list(verify_tables(here.folder, scratch, FeedUpTo.of(here.feed), progress))


def findings(here: World, scratch: Path) -> list[str]:
    return [str(each) for each in verify(here, scratch) if isinstance(each, Finding)]


def change(here: World, part: str, sql: str) -> None:
    with closing(sqlite3.connect(here.folder / f"projections.g1{part}.db")) as db, db:
        db.execute(sql)


def test_verify_compares_every_file_at_the_end_of_the_log(full: World, scratch: Path) -> None:
    verified = [each for each in verify(full, scratch) if isinstance(each, Verified)]

    assert [each.file for each in verified] == [
        *("projections.g1.db", "projections.g1.usage.db"),
        *("projections.g1.search.db", "projections.g1.catalog.db"),
    ]
    assert {each.position for each in verified} == {ASSETS + 1}
    assert [each.digest is None for each in verified] == [False, False, True, True]


def test_verify_names_some_of_many_rows_and_counts_all(full: World, scratch: Path) -> None:
    change(full, ".catalog", "DELETE FROM catalog WHERE seq > 101")

    found = findings(full, scratch)

    assert len(found) == EXAMPLES + 1
    assert found[-1] == (
        "projections.g1.catalog.db catalog as a whole: "
        "500 rows are not what the events make them; 100 are named"
    )


def test_verify_names_terms_that_a_search_does_not_find(full: World, scratch: Path) -> None:
    change(full, ".search", "DELETE FROM search_text_idx")

    found = findings(full, scratch)

    name = "projections.g1.search.db search_text as a whole"
    assert found
    assert {line.rpartition(" term ")[0] for line in found} == {
        f"{name}: a search does not find all of the"
    }


def test_verify_finds_an_index_that_contradicts_its_table(full: World, scratch: Path) -> None:
    with closing(sqlite3.connect(full.folder / "projections.g1.catalog.db")) as db, db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, '(user_id, size)', '(user_id, name)') "
            "WHERE name = 'catalog_by_size'"
        )

    found = findings(full, scratch)

    assert found
    assert all(line.startswith("projections.g1.catalog.db as a whole: ") for line in found)


def test_verify_reports_progress_up_to_the_end_of_the_log(full: World, scratch: Path) -> None:
    reported: list[tuple[str, int, int]] = []

    verify(full, scratch, lambda *each: reported.append(each))

    assert reported[-1] == ("reading", ASSETS + 1, ASSETS + 1)


def test_verify_compares_a_lagging_file_at_its_own_position(full: World, scratch: Path) -> None:
    full.append(created(originator_id=asset_id(ASSETS)))

    verified = verify(full, scratch)

    assert [isinstance(each, Verified) and each.lag for each in verified] == [1, 1, 1, 1]


def test_verify_reports_a_projection_that_cannot_take_the_next_event(
    full: World, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.append(created(originator_id=asset_id(ASSETS)))
    statements = Catalog.statements

    def refuse(self: Catalog, recorded: Recorded) -> Iterator[Statement]:
        if recorded.position > ASSETS + 1:
            raise ValueError("no")
        return statements(self, recorded)

    monkeypatch.setattr(Catalog, "statements", refuse)

    (found,) = findings(full, scratch)

    name = "projections.g1.catalog.db as a whole"
    assert found.startswith(
        f"{name}: is at {ASSETS + 1} of {ASSETS + 2} events, and cannot reach the last one: "
    )
    assert "ValueError('no')" in found


def test_verify_names_a_file_whose_bulk_fill_was_interrupted(full: World, scratch: Path) -> None:
    change(full, ".search", "UPDATE generation SET state = 'filling'")

    assert findings(full, scratch) == [
        "projections.g1.search.db as a whole: was not filled to its end"
    ]


def test_verify_finds_nothing_in_a_folder_without_tables(here: World, scratch: Path) -> None:
    assert verify(here, scratch) == []
