"""Check a request for a list of assets: its filters, its sort and its cursor, as an AssetQuery.

`FILTERS` maps the name of a filter to the column that it tests; nothing else becomes SQL. A new
filter is a new row of `FILTERS`. Values are always parameters, never text of a statement.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.checks import lower_media_type
from asset_ledger.ledger.domain.event import iso, parse_time
from asset_ledger.ledger.ids import parse_digest
from asset_ledger.projections.queries.pages import (
    LAST,
    MAX_PAGE_SIZE,
    SORTS,
    Sort,
    open_cursor,
    refuse,
    seal,
    seal_cursor,
    sort_of,
    suggestion,
    unseal,
)

Value = str | int | None


class Operator(NamedTuple):
    """One way to compare: as SQL over a column (which takes its value so many times), and as is."""

    sql: str
    times: int
    holds: Callable[[Any, Any], bool]


OPERATORS: Final[Mapping[str, Operator]] = {
    "equal": Operator("{} IS ?", 1, lambda given, value: bool(given == value)),
    "prefix": Operator(
        "substr({}, 1, length(?)) = ?", 2, lambda given, value: given.startswith(value)
    ),
    "from": Operator("{} >= ?", 1, lambda given, value: bool(given >= value)),
    "upto": Operator("{} <= ?", 1, lambda given, value: bool(given <= value)),
    "before": Operator("{} < ?", 1, lambda given, value: bool(given < value)),
    "holds": Operator(
        "EXISTS (SELECT 1 FROM json_each({}) WHERE value = ?)",
        1,
        lambda given, value: value in given,
    ),
}


class ColumnTest(NamedTuple):
    """One column against one value, in one of the ways of `OPERATORS`. Equal to None is NULL."""

    column: str
    how: str
    value: Value

    def sql(self) -> tuple[str, tuple[Value, ...]]:
        """The comparison as SQL over a row, and its parameters."""
        how = OPERATORS[self.how]
        return how.sql.format(self.column), (self.value,) * how.times

    def holds(self, asset: Asset) -> bool:
        """The same of a folded asset."""
        given = getattr(asset, self.column)
        if isinstance(given, datetime):
            given = iso(given)
        return OPERATORS[self.how].holds(given, self.value)


class Condition(NamedTuple):
    """One filter of a request: a row matches if any comparison holds."""

    any_of: tuple[ColumnTest, ...]

    @property
    def column(self) -> str | None:
        """The one column that all comparisons read, as an index can; None if they read several."""
        columns = {each.column for each in self.any_of}
        return columns.pop() if len(columns) == 1 else None

    @property
    def fixed(self) -> bool:
        """Whether it asks for exactly one value."""
        return len(self.any_of) == 1 and self.any_of[0].how == "equal"

    @property
    def values(self) -> list[Value]:
        """What the comparisons look for."""
        return [each.value for each in self.any_of]

    def holds(self, asset: Asset) -> bool:
        """Whether a folded asset matches."""
        return any(comparison.holds(asset) for comparison in self.any_of)

    def sql(self) -> tuple[str, list[Value]]:
        """The condition as SQL over a row, and its parameters."""
        texts, parameters = zip(*(each.sql() for each in self.any_of), strict=True)
        return f"({' OR '.join(texts)})", [value for group in parameters for value in group]


Make = Callable[[str, str], ColumnTest]
"""From the caller's user id and a value to a comparison. Raises ValueError: `<word>: <why>`."""


def _plain(column: str, how: str = "equal", read: Callable[[str], Value] = str) -> Make:
    return lambda _user_id, value: ColumnTest(column, how, read(value))


def _folder(column: str) -> Make:
    """Home goes by the user's id or by nothing, and is NULL in the table."""
    return lambda user_id, value: ColumnTest(
        column, "equal", None if value in ("", user_id) else value
    )


def _missing(columns: Sequence[str]) -> Make:
    def make(_user_id: str, value: str) -> ColumnTest:
        if value not in columns:
            raise ValueError(f"must be one of {', '.join(columns)}")
        return ColumnTest(value, "equal", None)

    return make


def _time(text: str) -> str:
    try:
        return iso(parse_time(text))
    except OverflowError as error:
        raise ValueError("is before or after every time") from error


def _size(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ValueError("must be a whole number of bytes")
    return int(text)


FILTERS: Final[Mapping[str, Make]] = {
    "workflow_id": _plain("workflow_id"),
    "node_id": _plain("node_id"),
    "job_id": _plain("job_id"),
    "parent_id": _folder("parent_id"),
    "content_type": _plain("content_type", "prefix", lower_media_type),
    "name": _plain("name"),
    "tag": _plain("tags", "holds"),
    "digest": _plain("digest", read=parse_digest),
    "created_after": _plain("created_at", "from", _time),
    "created_before": _plain("created_at", "before", _time),
    "size_min": _plain("size", "from", _size),
    "size_max": _plain("size", "upto", _size),
    "missing": _missing(("workflow_id", "node_id", "job_id")),
}
MAY_BE_EMPTY: Final = frozenset({"parent_id"})

LIVES: Final[Mapping[str, frozenset[bool]]] = {
    "false": frozenset({False}),
    "true": frozenset({True}),
    "any": frozenset({False, True}),
}
"""What the word `deleted` asks for: whether the assets that are shown are tombstones."""


def lives(word: str) -> frozenset[bool]:
    """Which assets `deleted` asks for. Raises ParameterError."""
    if word not in LIVES:
        raise refuse("deleted", f"must be one of {', '.join(LIVES)}")
    return LIVES[word]


def conditions(user_id: str, words: Mapping[str, Sequence[str]]) -> tuple[Condition, ...]:
    """What a request's filters ask for, in one order whatever order they came in.

    Raises ParameterError for a word that is no filter, and for a value that it cannot have.
    """
    return tuple(_condition(user_id, word, words[word]) for word in sorted(words) if words[word])


def _condition(user_id: str, word: str, values: Sequence[str]) -> Condition:
    make = FILTERS.get(word)
    if make is None:
        raise refuse(word, f"no such filter{suggestion(word, FILTERS)}")
    for value in values:
        _check(word, value)
    try:
        made = [make(user_id, value) for value in sorted(set(values))]
    except ValueError as error:
        raise refuse(word, str(error)) from error
    return Condition(tuple(dict.fromkeys(made)))


def _check(word: str, value: str) -> None:
    if not value and word not in MAY_BE_EMPTY:
        raise refuse(word, "must not be empty")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise refuse(word, "must be UTF-8")  # SQLite could not take it


ASSET_SORTS: Final[Mapping[str, Sort]] = {
    **SORTS,
    "name": Sort("ASC", ">=", 0, "name"),
    "-name": Sort("DESC", "<=", LAST, "name"),
    "size": Sort("ASC", ">=", 0, "size"),
    "-size": Sort("DESC", "<=", LAST, "size"),
}


@dataclass(frozen=True, slots=True)
class AssetQuery:
    """A checked request for a page of assets.

    The page starts at the row with seq `start`; in the order of a column, at the row that has
    `key` there. `lives` names what is listed: live assets, tombstones, or both. Pages of one list
    are equal, wherever they start.
    """

    user_id: str
    conditions: tuple[Condition, ...]
    lives: frozenset[bool]
    sort: Sort
    size: int
    binding: bytes
    start: int = field(compare=False)
    key: str | int | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        user_id: str,
        words: Mapping[str, Sequence[str]],
        sort: str,
        size: int,
        cursor: str,
        deleted: str = "false",
    ) -> "AssetQuery":
        """Check every part of a request. Raises ParameterError or CursorError.

        `words` are filters and their values; any value of a filter may match.
        """
        filters = tuple((word, tuple(values)) for word, values in words.items())
        first = _first_page(user_id, filters, sort, size, deleted)
        if not cursor:
            return first
        if first.sort.column is None:
            return replace(first, start=open_cursor(cursor, first.binding))
        key, start = orjson.loads(unseal(cursor, first.binding))
        return replace(first, start=start, key=key)

    def next_cursor(self, start: int | None) -> str:
        """The cursor of the page that starts at a row; `""` where none does."""
        return "" if start is None else seal_cursor(start, self.binding)

    def next_key_cursor(self, key: str | int, start: int) -> str:
        """The cursor of the page that starts at a row, in the order of a column."""
        return seal(orjson.dumps([key, start]), self.binding)


@lru_cache(maxsize=1_024)  # checks the words of a list once, not once a page
def _first_page(
    user_id: str, words: tuple[tuple[str, tuple[str, ...]], ...], sort: str, size: int, deleted: str
) -> AssetQuery:
    order = sort_of(sort, ASSET_SORTS)
    if size < 1:
        raise refuse("page_size", "must be 1 or more")
    wanted, shown = conditions(user_id, dict(words)), lives(deleted)
    binding = orjson.dumps([user_id, sort, wanted, sorted(shown)], default=tuple)
    return AssetQuery(
        user_id, wanted, shown, order, min(size, MAX_PAGE_SIZE), binding, start=order.start
    )
