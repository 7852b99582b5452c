"""Add a column `frame_rate` to the table of assets; older events have it in their metadata.

    python examples/add_a_column.py

A release that adds a column does this: the event gets a field and a version, older events an
upcast, the table a migration, the projection a statement, and lists a filter. A rebuild backfills
the column, and a comparison shows that nothing else changed. docs/decisions/0023 has the reasons.
Promise: the example works on its own ledger in a temporary folder.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import orjson

from asset_ledger import ProcessingContext, connect
from asset_ledger.ledger.domain.asset import AssetCreated, AssetDescribed
from asset_ledger.ledger.domain.event import UNSET, Recorded, UnsetType
from asset_ledger.ledger.ids import new_asset_id
from asset_ledger.ledger.log.codec import EVENTS, Codec, EventMapper
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.projection import Statement
from asset_ledger.projections.queries import asset_query
from asset_ledger.projections.rebuild import comparison
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import start
from asset_ledger.projections.runtime.table_files import SqliteDatabase, TableFiles
from asset_ledger.projections.tables.assets import Assets
from asset_ledger.projections.tables.jobs import Jobs
from asset_ledger.projections.tables.lineage import Lineage


def frame_rate_of(state: dict[str, Any]) -> float | None:
    """Return the frame rate in the metadata of version 1, None unless it is a number."""
    given = (state.get("private", {}).get("metadata") or {}).get("frame_rate")
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return float(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetCreated2(AssetCreated):
    """1. The event gets a field and a new version. Its topic stays."""

    class_version: ClassVar[int] = 2
    frame_rate: float | None = None

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """2. The upcast of older events when they are read. Their bytes never change."""
        state["frame_rate"] = frame_rate_of(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDescribed2(AssetDescribed):
    """The same for a new label: an absent field is unchanged, null clears it."""

    class_version: ClassVar[int] = 2
    frame_rate: float | UnsetType | None = UNSET

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Take the frame rate from the metadata, if the event changed them."""
        if "metadata" in state.get("private", {}):
            state["frame_rate"] = frame_rate_of(state)


KINDS = {AssetCreated: AssetCreated2, AssetDescribed: AssetDescribed2}
CODEC = Codec(EventMapper(tuple(KINDS.get(kind, kind) for kind in EVENTS)))


MIGRATION = "20300101_000000_add_frame_rate_to_assets"


def add_frame_rate(db: SqlConnection) -> None:
    """3. The migration: the column, and an index for its filter."""
    db.execute("ALTER TABLE assets ADD COLUMN frame_rate REAL")
    db.execute(
        "CREATE INDEX assets_by_frame_rate ON assets (user_id, frame_rate)"
        " WHERE deleted_at IS NULL AND frame_rate IS NOT NULL"
    )


class NextAssets:
    """4. The projection: one more statement for an event with the field."""

    name = Assets.name
    tables = Assets.tables
    migrations = (
        *Assets.migrations,
        Migration(MIGRATION, add_frame_rate, needs_events=True, backfills=("assets.frame_rate",)),
    )
    functions = Assets.functions
    settling = Assets.settling

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        yield from Assets().statements(recorded)
        frame_rate = getattr(recorded.event, "frame_rate", UNSET)
        if frame_rate is not UNSET:
            sql = "UPDATE assets SET frame_rate = ? WHERE id = ?"
            yield Statement(sql, (frame_rate, recorded.event.originator_id))


PROJECTIONS = (Jobs(), NextAssets(), Lineage())


def frame_rate_min(user_id: str, value: str) -> asset_query.ColumnTest:
    """5. The filter: a row of FILTERS in `projections/queries/asset_query.py`."""
    return asset_query.ColumnTest("frame_rate", "from", int(value))


async def record_with_this_release(folder: Path) -> None:
    """Record three clips with a frame rate in their metadata, and a picture. Change one clip."""
    async with connect(data_dir=folder):
        context = ProcessingContext(job_id="monday")
        first = await context.create_asset("a.mp4", "video/mp4", b".", metadata={"frame_rate": 24})
        await context.create_asset("b.mp4", "video/mp4", b".", metadata={"frame_rate": 59.94})
        await context.create_asset("c.mp4", "video/mp4", b".", metadata={"frame_rate": "fast"})
        await context.create_asset("still.png", "image/png", b".")
        await first.update(metadata={"frame_rate": 25})


def rebuild_with_the_next(folder: Path, feed: Feed) -> comparison.GenerationComparison:
    """6. Rebuild generation 2 from the log. 7. Compare it with generation 1 before the switch."""
    with closing(SqliteDatabase(folder, 2, PROJECTIONS)) as database:
        migrate(database)
        runner = Runner(database, feed)
        runner.catch_up()
        compared = comparison.GenerationComparison(before=1, after=2)
        reach = runner.position.__eq__  # the runner has caught up
        compared.files.append(comparison.compare_part(TableFiles(folder), 1, runner, reach))
        database.declare("ready")
    return compared


def record_with_the_next(folder: Path, log: SqliteLog, feed: Feed) -> None:
    """Record an event of version 2, with a frame rate of its own."""
    event = AssetCreated2(
        originator_id=new_asset_id(),
        originator_version=1,
        by="1",
        user_id="1",
        size=0,
        content_type="video/mp4",
        frame_rate=120.0,
        private={"name": "d.mp4"},
    )
    log.append([Command([event])], lambda _: None)
    start(TableFiles(folder), feed, projections=PROJECTIONS).close()


def names_from(folder: Path, frame_rate: str) -> list[str]:
    """Return the names that a list with `?frame_rate_min=...` selects."""
    condition, parameters = frame_rate_min("1", frame_rate).sql()
    sql = f"SELECT name FROM assets WHERE user_id = ? AND {condition} ORDER BY seq"
    with TableFiles(folder).reading(2) as db:
        return [name for (name,) in db.execute(sql, ("1", *parameters))]


def add_the_column(folder: Path) -> None:
    """Open the ledger with the code of the next release."""
    with closing(SqliteLog(folder / "ledger.db", CODEC)) as log:
        feed = Feed(log, CODEC, read_identity(log, CODEC).log_id)
        compared = rebuild_with_the_next(folder, feed)
        print(f"rows that differ, in the columns that both have: {compared.rows}")
        for table in compared.tables:
            print(f"{table.table}: {table.after} rows, new columns: {table.new_columns}")
        record_with_the_next(folder, log, feed)
        versions = [orjson.loads(event.state).get("class_version", 1) for event in log.read(0, 100)]
        print("versions in the log, none of them rewritten:", versions)
    print("from 25 frames a second on:", ", ".join(names_from(folder, "25")))


def main() -> None:
    """Make a ledger without the column, and add it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(record_with_this_release(folder))
        add_the_column(folder)


if __name__ == "__main__":
    main()
