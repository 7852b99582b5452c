"""The projection `usage`: totals of live assets by node, job, workflow, content type, day and
quarter of an hour.

It follows the log in the background and sums a batch of events before it updates a total. A total
equals a count of the live assets, also after deletions, replacements and restores. The runs of
nodes that ended are summed beside them, in whole microseconds: sums of floats would depend on the
batches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from asset_ledger.ledger.domain.asset import AssetCreated, changes_of
from asset_ledger.ledger.domain.event import Event, Recorded, iso, moment
from asset_ledger.ledger.domain.node import NodeFinished, NodeRun, evolve
from asset_ledger.ledger.ids import bytes_of
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement

DIMENSIONS: Final = ("node_id", "job_id", "workflow_id", "content_type", "day", "quarter")
"""What totals are by. Day and quarter of an hour are those of `created_at`, of a run those of its
end, in UTC. The days and hours of any time zone are sums of quarters: see `queries/zones.py`."""

MAX_MICROS: Final = 2**53
"""A total of microseconds stays at this number, 285 years, so that no sum overflows."""

BLOCK: Final = 1_024
"""How many positions of the log form a block, for which extremes are stored."""

_INSERT: Final = """
    INSERT INTO usage_assets (seq, id, user_id, workflow_id, node_id, job_id, content_type,
        created_at, size)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SUMMED: Final = "(SELECT position FROM positions WHERE projection = 'usage')"
_FACET: Final = "user_id, dimension, key, block"

# A change subtracts the asset from its groups as it was and adds it as it is now. An asset that was
# created in the current batch is in no group yet: it is counted once, when the batch is settled.
_CHANGE: Final = f"""
    INSERT INTO usage_changes SELECT {_FACET}, ?, size, created_at FROM usage_facets
    WHERE id = ? AND live AND seq <= {_SUMMED}
"""
_COUNT_NEW: Final = f"""
    INSERT INTO usage_changes SELECT {_FACET}, 1, size, created_at FROM usage_facets
    WHERE seq > {_SUMMED} AND live
"""
_SUM: Final = """
    INSERT INTO usage (user_id, dimension, key, count, bytes, largest, first_seen, last_seen)
    SELECT user_id, dimension, key, sum(sign), sum(sign * size),
        coalesce(max(size) FILTER (WHERE sign > 0), 0),
        coalesce(min(created_at) FILTER (WHERE sign > 0), '~'),
        coalesce(max(created_at) FILTER (WHERE sign > 0), '')
    FROM usage_changes GROUP BY user_id, dimension, key
    ON CONFLICT (user_id, dimension, key) DO UPDATE SET
        count = usage.count + excluded.count, bytes = usage.bytes + excluded.bytes,
        largest = max(usage.largest, excluded.largest),
        first_seen = min(usage.first_seen, excluded.first_seen),
        last_seen = max(usage.last_seen, excluded.last_seen)
"""
_RUN: Final = "INSERT INTO usage_runs VALUES (?, ?, ?, ?, ?)"
_SUM_RUNS: Final = f"""
    INSERT INTO usage SELECT user_id, dimension, key, 0, 0, 0, '~', '', count(*), sum(failed),
        min(sum(micros), {MAX_MICROS})
    FROM usage_runs GROUP BY user_id, dimension, key
    ON CONFLICT (user_id, dimension, key) DO UPDATE SET
        runs = usage.runs + excluded.runs, failed = usage.failed + excluded.failed,
        micros = min(usage.micros + excluded.micros, {MAX_MICROS})
"""
_SUM_BLOCKS: Final = f"""
    INSERT INTO usage_blocks SELECT {_FACET}, max(size), min(created_at), max(created_at)
    FROM usage_changes WHERE sign > 0 GROUP BY {_FACET}
    ON CONFLICT ({_FACET}) DO UPDATE SET
        largest = max(usage_blocks.largest, excluded.largest),
        first_seen = min(usage_blocks.first_seen, excluded.first_seen),
        last_seen = max(usage_blocks.last_seen, excluded.last_seen)
"""
_MARK_LOST: Final = f"""
    INSERT INTO usage_lost SELECT DISTINCT {_FACET}
    FROM usage_changes JOIN usage_blocks USING ({_FACET})
    WHERE sign < 0 AND (size = largest OR created_at IN (first_seen, last_seen))
"""
_DELETE_BLOCKS: Final = f"""
    DELETE FROM usage_blocks WHERE ({_FACET}) IN (SELECT {_FACET} FROM usage_lost)
"""
# Without the plus signs, SQLite builds an index of all assets to read a few blocks.
_RESTORE_BLOCKS: Final = """
    INSERT INTO usage_blocks
    SELECT lost.user_id, dimension, key, block, max(size), min(created_at), max(created_at)
    FROM usage_lost AS lost CROSS JOIN usage_assets AS asset
        ON asset.seq BETWEEN lost.block * {block} AND lost.block * {block} + {block} - 1
        AND +asset.user_id = lost.user_id AND coalesce(+asset.{name}, '') = lost.key
    WHERE dimension = '{name}' AND live GROUP BY lost.user_id, dimension, key, block
"""
_RESTORE_EXTREMES: Final = """
    UPDATE usage SET (largest, first_seen, last_seen) = (
        SELECT coalesce(max(largest), 0), coalesce(min(first_seen), '~'),
            coalesce(max(last_seen), '')
        FROM usage_blocks AS block
        WHERE block.user_id = usage.user_id AND block.dimension = usage.dimension
            AND block.key = usage.key
    )
    WHERE (user_id, dimension, key) IN (SELECT user_id, dimension, key FROM usage_lost)
"""
_DELETE_EMPTY: Final = """
    DELETE FROM usage WHERE count = 0 AND runs = 0 AND (user_id, dimension, key) IN (
        SELECT user_id, dimension, key FROM usage_changes WHERE sign < 0
    )
"""


class Usage:
    """The projection of usage."""

    name: Final = "usage"
    tables: Final = ("usage",)
    migrations: Final[Sequence[Migration]] = (load("20260101_000000_create_usage"),)
    functions: Final[Mapping[str, Callable[..., Any]]] = {}
    settling: Final[Sequence[str]] = (
        _COUNT_NEW,
        _SUM,
        _SUM_BLOCKS,
        _MARK_LOST,
        _DELETE_BLOCKS,
        *(_RESTORE_BLOCKS.format(name=name, block=BLOCK) for name in DIMENSIONS),
        _RESTORE_EXTREMES,
        _SUM_RUNS,
        _DELETE_EMPTY,
        "DELETE FROM usage_runs",
        "DELETE FROM usage_lost",
        "DELETE FROM usage_changes",
    )

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Insert a new asset; subtract a changed asset from its groups and add it again.

        Add a run that ended to its groups.
        """
        event = recorded.event
        if isinstance(event, AssetCreated):
            yield _insert(recorded.position, event)
        elif isinstance(event, NodeFinished):
            yield from _runs(evolve(None, recorded))
        elif changes := _changes(event):
            setters = ", ".join(f"{name} = ?" for name in changes)
            asset_id = bytes_of(event.originator_id)
            yield Statement(_CHANGE, (-1, asset_id))
            yield Statement(
                f"UPDATE usage_assets SET {setters} WHERE id = ?", (*changes.values(), asset_id)
            )
            yield Statement(_CHANGE, (1, asset_id))


def _insert(position: int, event: AssetCreated) -> Statement:
    created_at = iso(event.made_at or moment(event))
    made_by = (event.workflow_id, event.node_id, event.job_id)
    kind = (event.content_type, created_at, event.size)
    row = (position, bytes_of(event.originator_id), event.user_id, *made_by, *kind)
    return Statement(_INSERT, row, independent=True)


def quarter_of(time: str) -> str:
    """Return the start of the quarter of an hour of a time: `2026-01-31T12:45`."""
    return f"{time[:14]}{int(time[14:16]) // 15 * 15:02}"


def _runs(run: NodeRun | None) -> Iterator[Statement]:
    """Return the rows of a run that ended, one for each grouping that it has."""
    if run is None or run.finished_at is None:
        return
    name, ended = run.name, iso(run.finished_at)
    keys = {
        "node_id": name.node_id,
        "job_id": name.job_id,
        "workflow_id": run.workflow_id or "",
        "day": ended[:10],
        "quarter": quarter_of(ended),
    }
    totals = (int(run.status == "failed"), run.micros or 0)
    for dimension, key in keys.items():
        yield Statement(_RUN, (name.user_id, dimension, key, *totals), independent=True)


def _changes(event: Event) -> dict[str, Any]:
    """Return the columns of `usage_assets` that an event sets, with their values."""
    changes = changes_of(event) or {}
    columns: dict[str, Any] = {
        name: changes[name] for name in ("size", "content_type") if name in changes
    }
    if "deleted_at" in changes:
        columns["live"] = changes["deleted_at"] is None
    return columns
