"""Compare two jobs: which assets are the same, different, or made by only one of the two.

Assets are paired by node, name and occurrence of that name. Rows are in the order of the first job;
assets that only the second job made stand where it made them. `compare_records` pairs them in
Python, from events; `queries/compare.py` in SQL, from the tables.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import orjson

from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.ids import Digest
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
    """The JSON of two paired assets, or of an asset that only one of the jobs made."""

    key: PairKey
    status: Status
    a: bytes | None
    b: bytes | None


@dataclass(frozen=True, slots=True)
class JobComparison:
    """A page of the comparison of one attempt of each of the jobs `a` and `b`, at a position.

    `counts`, the number of rows by status, and `first_divergence`, the first row that is not
    `same`, are those of all pages. `next` is the cursor of the next page, `""` on the last.
    """

    a: str
    b: str
    attempts: tuple[int, int]
    counts: Mapping[Status, int]
    rows: Sequence[ComparedPair]
    first_divergence: ComparedPair | None
    next: str
    position: int


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
        return ComparedPair(key, "only_b" if a is None else "only_a", a and a.json, b and b.json)
    return ComparedPair(key, "same" if a.digest == b.digest else "different", a.json, b.json)


def compare_records(a: JobRecord, b: JobRecord, position: int) -> JobComparison:
    """Compare two jobs that were folded from their events: the attempt of each, else the last."""
    attempts = _shown(a), _shown(b)
    rows = align(_made_in(a, attempts[0]), _made_in(b, attempts[1]))
    counts = dict(zip(STATUSES, map([row.status for row in rows].count, STATUSES), strict=True))
    divergence = next((row for row in rows if row.status != "same"), None)
    return JobComparison(a.job_id, b.job_id, attempts, counts, rows, divergence, "", position)


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
        "next": comparison.next,
    }


def _row_out(row: ComparedPair) -> dict[str, Any]:
    return {
        **row.key._asdict(),
        "status": row.status,
        "a": row.a and orjson.Fragment(row.a),
        "b": row.b and orjson.Fragment(row.b),
    }
