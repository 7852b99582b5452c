"""Compare two jobs: which assets are the same, different, or made by only one of the two.

Assets are paired by node, name and occurrence of that name. Rows are in the order of the first job;
assets that only the second job made stand where it made them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import orjson

from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import UnknownJobError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.database import AsyncReaders, Snapshot
from asset_ledger.projections.queries.pages import PendingBackfill, check_backfilled
from asset_ledger.projections.tables.assets import document_json

Status = Literal["same", "different", "only_a", "only_b"]

STATUSES: Final[tuple[Status, ...]] = ("same", "different", "only_a", "only_b")


class MadeAsset(NamedTuple):
    """A live asset of a job: the fields that are compared, and its JSON."""

    node_id: str | None
    name: str
    digest: Digest | None
    json: bytes


class PairKey(NamedTuple):
    """The key by which two assets are paired. `nth` is the occurrence of the name, from 1."""

    node_id: str | None
    name: str
    nth: int


class ComparedPair(NamedTuple):
    """Two paired assets, or an asset that only one of the jobs made."""

    key: PairKey
    status: Status
    a: MadeAsset | None
    b: MadeAsset | None


@dataclass(frozen=True, slots=True)
class JobComparison:
    """The comparison of one attempt of each of the jobs `a` and `b`, at a position."""

    a: str
    b: str
    attempts: tuple[int, int]
    rows: Sequence[ComparedPair]
    position: int

    @property
    def counts(self) -> dict[Status, int]:
        """The number of rows by status."""
        statuses = [row.status for row in self.rows]
        return {status: statuses.count(status) for status in STATUSES}

    @property
    def first_divergence(self) -> ComparedPair | None:
        """The first row that is not `same`; None if the jobs made the same."""
        return next((row for row in self.rows if row.status != "same"), None)


def align(a: Iterable[MadeAsset], b: Iterable[MadeAsset]) -> list[ComparedPair]:
    """Return the rows of two jobs. Each job's assets are given in the order of creation."""
    first, second = _numbered(a), _numbered(b)
    order = list(second)
    indexes = {key: index for index, key in enumerate(order)}
    rows: list[ComparedPair] = []
    shown = 0
    for key, made in first.items():
        index = indexes.get(key, -1)
        if index >= shown:
            rows += _only_second(order[shown:index], first, second)
            shown = index + 1
        rows.append(_row(key, made, second.get(key)))
    return rows + list(_only_second(order[shown:], first, second))


def _numbered(made: Iterable[MadeAsset]) -> dict[PairKey, MadeAsset]:
    counts: dict[tuple[str | None, str], int] = {}
    numbered: dict[PairKey, MadeAsset] = {}
    for asset in made:
        name = (asset.node_id, asset.name)
        counts[name] = counts.get(name, 0) + 1
        numbered[PairKey(*name, counts[name])] = asset
    return numbered


def _only_second(
    keys: Iterable[PairKey], first: Mapping[PairKey, MadeAsset], second: Mapping[PairKey, MadeAsset]
) -> Iterator[ComparedPair]:
    return (_row(key, None, second[key]) for key in keys if key not in first)


def _row(key: PairKey, a: MadeAsset | None, b: MadeAsset | None) -> ComparedPair:
    if a is None or b is None:
        return ComparedPair(key, "only_b" if a is None else "only_a", a, b)
    return ComparedPair(key, "same" if a.digest == b.digest else "different", a, b)


class AttemptName(NamedTuple):
    """An attempt of a job; without a number, the last one."""

    job_id: str
    attempt: int | None = None


def compare_records(a: JobRecord, b: JobRecord, position: int) -> JobComparison:
    """Compare two jobs that were folded from their events: the attempt of each, else the last."""
    attempts = _shown(a), _shown(b)
    rows = align(_made_in(a, attempts[0]), _made_in(b, attempts[1]))
    return JobComparison(a.job_id, b.job_id, attempts, rows, position)


def _shown(record: JobRecord) -> int:
    last = record.last_attempt
    return record.attempt or (last.number if last else 1)


def _made_in(record: JobRecord, attempt: int) -> Iterator[MadeAsset]:
    for asset in record.live:
        if asset.attempt != attempt:
            continue
        json = document_json(asset).encode()
        yield MadeAsset(asset.node_id, asset.name, asset.digest, json)


def comparison_document(comparison: JobComparison) -> dict[str, Any]:
    """Return the API document of a comparison, for orjson."""
    divergence = comparison.first_divergence
    return {
        "a": comparison.a,
        "b": comparison.b,
        "attempt_a": comparison.attempts[0],
        "attempt_b": comparison.attempts[1],
        "counts": comparison.counts,
        "rows": [_row_out(row) for row in comparison.rows],
        "first_divergence": _row_out(divergence) if divergence else None,
    }


def _row_out(row: ComparedPair) -> dict[str, Any]:
    return {
        **row.key._asdict(),
        "status": row.status,
        "a": row.a and orjson.Fragment(row.a.json),
        "b": row.b and orjson.Fragment(row.b.json),
    }


# A number up to the last one is known, also if the attempt made nothing.
_LAST: Final = "SELECT attempt FROM jobs WHERE user_id = ? AND job_id = ?"
_MADE: Final = """
    SELECT made.node_id, made.name, made.digest, CAST(made.json AS BLOB)
    FROM assets AS made INDEXED BY assets_by_job
    WHERE user_id = ? AND job_id = ? AND deleted_at IS NULL AND attempt = ? ORDER BY seq
"""
_REFLECTED: Final = "SELECT position FROM positions WHERE projection = 'assets'"


class CompareQueries:
    """The query that compares two jobs from the tables."""

    def __init__(
        self, readers: AsyncReaders, pending_backfill: PendingBackfill = frozenset
    ) -> None:
        self._readers, self._pending_backfill = readers, pending_backfill

    async def compare(self, user_id: str, a: AttemptName, b: AttemptName) -> JobComparison:
        """Compare attempts of two jobs of a user. Raises UnknownJobError, ProjectionBehindError."""
        check_backfilled(self._pending_backfill, "assets", ("job_id", "node_id", "attempt"))
        async with self._readers.snapshot() as db:
            numbers = await _number(db, user_id, a), await _number(db, user_id, b)
            made = [
                await _made(db, user_id, name.job_id, number)
                for name, number in zip((a, b), numbers, strict=True)
            ]
            ((position,),) = await db.rows(_REFLECTED)
        return JobComparison(a.job_id, b.job_id, numbers, align(*made), position)


async def _number(db: Snapshot, user_id: str, name: AttemptName) -> int:
    """Return the number of an attempt. Raises UnknownJobError."""
    for (last,) in await db.rows(_LAST, (user_id, name.job_id)):
        if (name.attempt or last) <= last:
            return name.attempt or int(last)
        raise UnknownJobError(name.job_id, name.attempt)
    raise UnknownJobError(name.job_id)


async def _made(db: Snapshot, user_id: str, job_id: str, attempt: int) -> list[MadeAsset]:
    rows = await db.rows(_MADE, (user_id, job_id, attempt))
    return [MadeAsset(*row) for row in rows]
