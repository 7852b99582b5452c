"""The views as the first release made them: assets did not know their node and job, and there
were no jobs. Its migration is the real one, so its files are the real ones too."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.domain.asset import AssetCreated, evolve
from asset_ledger.ledger.domain.event import Fact, Recorded, iso, moment
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement
from asset_ledger.projections.runtime.start import start
from asset_ledger.projections.tables.assets import document
from tests.builders import asset_id, created, deleted, described, started
from tests.projections.world import World

_INSERT: Final = """
    INSERT INTO assets (seq, id, json, user_id, workflow_id, name, content_type, size, tags,
        derived_from, version, position, created_at, recorded_at, updated_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, '[]', '[]', ?, ?, ?, ?, ?)
"""


class FirstAssets:
    """New assets only: that is all this file of the first release needs to hold."""

    name: Final = "assets"
    tables: Final = ("assets",)
    migrations: Final[Sequence[Migration]] = (load("20260101_000000_create_assets"),)
    functions: Final[Mapping[str, Callable[..., Any]]] = {}
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        asset = evolve(None, recorded)
        if isinstance(recorded.event, AssetCreated) and asset is not None:
            position, when = recorded.position, iso(moment(recorded.event))
            label = (asset.user_id, asset.workflow_id, asset.name, asset.content_type, asset.size)
            row = (position, asset.id, str(document(asset)), *label, 1, position, when, when, when)
            yield Statement(_INSERT, row)


def facts() -> list[Fact]:
    """Twelve assets of two jobs, of which one was changed and one deleted."""
    made: list[Fact] = [
        created(originator_id=asset_id(n), job_id=f"job_{n % 2}", node_id="node", workflow_id="w")
        for n in range(1, 13)
    ]
    label = described(originator_id=asset_id(3), job_id="job_1", private={"name": "dog.png"})
    return [
        started(job_id="job_1"),
        *made,
        label,
        deleted(originator_id=asset_id(4), job_id="job_0"),
    ]


def leave_behind(here: World) -> Path:
    """Record the facts, and leave the first release's views of them in the folder."""
    here.append(*facts())
    runner = start(here.folder, here.feed, projections=[FirstAssets()])
    assert runner.error is None
    runner.database.close()
    return runner.database.path
