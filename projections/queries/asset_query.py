"""Check a request for a list of assets, with its filters, sort and cursor, as an `AssetQuery`.

`FILTERS` maps the name of a filter to the test of a column; a new filter is a new entry there.
Values are always parameters of a statement, never part of its text.
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
from asset_ledger.ledger.ids import parse_asset_id, parse_digest
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
    unseal_values,
)

Value = str | int | None
FilterItems = tuple[tuple[str, tuple[str, ...]], ...]


class Operator(NamedTuple):
    """A comparison: as SQL over a column, with the value `times` times, and as a function."""

    sql: str
    times: int
    holds: Callable[[Any, Any], bool]


OPERATORS: Final[Mapping[str, Operator]] = {
    "equal": Operator("{} = ?", 1, lambda given, value: bool(given == value)),
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
    """A test of one column against one value by an operator. Equal to None means NULL."""

    column: str
    operator: str
    value: Value

    def sql(self) -> tuple[str, tuple[Value, ...]]:
        """Return the test as SQL over a row, and its parameters."""
        if self.value is None:
            return f"{self.column} IS NULL", ()
        operator = OPERATORS[self.operator]
        return operator.sql.format(self.column), (self.value,) * operator.times

    def holds(self, asset: Asset) -> bool:
        """Return whether an asset passes the test."""
        given = getattr(asset, self.column)
        if isinstance(given, datetime):
            given = iso(given)
        return OPERATORS[self.operator].holds(given, self.value)


class Condition(NamedTuple):
    """One filter of a request: a row matches if it passes any of the tests."""

    any_of: tuple[ColumnTest, ...]

    @property
    def column(self) -> str | None:
        """The column that all tests read, as an index can; None if they read several."""
        columns = {each.column for each in self.any_of}
        return columns.pop() if len(columns) == 1 else None

    @property
    def fixed(self) -> bool:
        """Whether it matches exactly one value."""
        return len(self.any_of) == 1 and self.any_of[0].operator == "equal"

    @property
    def values(self) -> list[Value]:
        """The values of the tests."""
        return [each.value for each in self.any_of]

    def holds(self, asset: Asset) -> bool:
        """Return whether an asset matches."""
        return any(test.holds(asset) for test in self.any_of)

    def sql(self) -> tuple[str, list[Value]]:
        """Return the condition as SQL over a row, and its parameters."""
        texts, parameters = zip(*(each.sql() for each in self.any_of), strict=True)
        return f"({' OR '.join(texts)})", [value for group in parameters for value in group]


Make = Callable[[str, str], ColumnTest]
"""Makes the test of a filter from the caller's user id and a value. Raises ValueError."""


def _plain(column: str, operator: str = "equal", parse: Callable[[str], Value] = str) -> Make:
    return lambda _user_id, value: ColumnTest(column, operator, parse(value))


def _folder(column: str) -> Make:
    """Test for a folder. The home folder is the user's id or `""`, and NULL in the table."""
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
        raise ValueError("is out of range: use a year from 1 to 9999") from error


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _size(text: str) -> int:
    if (size := _whole(text)) is None:
        raise ValueError("must be a whole number of bytes, 0 or more")
    return size


def _attempt(text: str) -> int:
    if not (attempt := _whole(text)):
        raise ValueError("must be the number of an attempt, 1 or more")
    return attempt


FILTERS: Final[Mapping[str, Make]] = {
    "id": _plain("id", parse=parse_asset_id),
    "workflow_id": _plain("workflow_id"),
    "node_id": _plain("node_id"),
    "job_id": _plain("job_id"),
    "attempt": _plain("attempt", parse=_attempt),
    "parent_id": _folder("parent_id"),
    "content_type": _plain("content_type", "prefix", lower_media_type),
    "name": _plain("name"),
    "tag": _plain("tags", "holds"),
    "digest": _plain("digest", parse=parse_digest),
    "created_after": _plain("created_at", "from", _time),
    "created_before": _plain("created_at", "before", _time),
    "size_min": _plain("size", "from", _size),
    "size_max": _plain("size", "upto", _size),
    "missing": _missing(("workflow_id", "node_id", "job_id")),
}
MAY_BE_EMPTY: Final = frozenset({"parent_id"})

DELETED_STATES: Final[Mapping[str, frozenset[bool]]] = {
    "false": frozenset({False}),
    "true": frozenset({True}),
    "any": frozenset({False, True}),
}
"""The values of the parameter `deleted`: which values of `Asset.deleted` a list shows."""


def deleted_states(value: str) -> frozenset[bool]:
    """Return the values of `Asset.deleted` that a list shows. Raises ParameterError."""
    if value not in DELETED_STATES:
        raise refuse("deleted", f"must be one of {', '.join(DELETED_STATES)}")
    return DELETED_STATES[value]


def conditions(user_id: str, filters: Mapping[str, Sequence[str]]) -> tuple[Condition, ...]:
    """Return the conditions of filters, in the order of their names. Raises ParameterError."""
    return tuple(
        _condition(user_id, name, filters[name]) for name in sorted(filters) if filters[name]
    )


def _condition(user_id: str, name: str, values: Sequence[str]) -> Condition:
    make = FILTERS.get(name)
    if make is None:
        raise refuse(name, f"no such filter{suggestion(name, FILTERS)}")
    for value in values:
        _check(name, value)
    try:
        tests = [make(user_id, value) for value in sorted(set(values))]
    except ValueError as error:
        raise refuse(name, str(error)) from error
    return Condition(tuple(dict.fromkeys(tests)))


def _check(name: str, value: str) -> None:
    if not value and name not in MAY_BE_EMPTY:
        raise refuse(name, "must not be empty")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise refuse(name, "must be UTF-8")  # SQLite would fail on it


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

    The page starts at the row with seq `start`, and in the order of a column with `key` in it.
    `deleted_states` are the values of `Asset.deleted` that are listed; each asset has to contain
    every one of `words`. Queries for different pages
    of a list are equal.
    """

    user_id: str
    conditions: tuple[Condition, ...]
    deleted_states: frozenset[bool]
    sort: Sort
    size: int
    binding: bytes
    start: int = field(compare=False)
    key: str | int | None = field(default=None, compare=False)
    words: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        user_id: str,
        filters: Mapping[str, Sequence[str]],
        sort: str,
        size: int,
        cursor: str,
        deleted: str = "false",
        words: tuple[str, ...] = (),
    ) -> "AssetQuery":
        """Check all parts of a request. Raises ParameterError or CursorError."""
        hashable = tuple((name, tuple(values)) for name, values in filters.items())
        first = _first_page(user_id, hashable, sort, size, deleted)
        if words:
            first = replace(first, words=words, binding=first.binding + orjson.dumps(words))
        if not cursor:
            return first
        if first.sort.column is None:
            return first.at(open_cursor(cursor, first.binding))
        key, start = unseal_values(cursor, first.binding, (str, int), (int,))
        return first.at(start, key)

    def at(self, start: int, key: str | int | None = None) -> "AssetQuery":
        """Return the query of the page of the same list that starts at a row."""
        kept = (self.user_id, self.conditions, self.deleted_states, self.sort, self.size)
        return AssetQuery(*kept, self.binding, start, key, self.words)

    def next_cursor(self, start: int | None) -> str:
        """Return the cursor of the page that starts at a row; `""` without one."""
        return "" if start is None else seal_cursor(start, self.binding)

    def cursor_at(self, key: str | int, start: int) -> str:
        """Return the cursor of the page that starts at a row, in the order of the query."""
        if self.sort.column is None:
            return self.next_cursor(start)
        return seal(orjson.dumps([key, start]), self.binding)


@lru_cache(maxsize=1_024)  # checks the filters of a list once, not once a page
def _first_page(
    user_id: str, filters: FilterItems, sort: str, size: int, deleted: str
) -> AssetQuery:
    order = sort_of(sort, ASSET_SORTS)
    if size < 1:
        raise refuse("page_size", "must be 1 or more")
    tests, shown = conditions(user_id, dict(filters)), deleted_states(deleted)
    binding = orjson.dumps([user_id, sort, tests, sorted(shown)], default=tuple)
    return AssetQuery(
        user_id, tests, shown, order, min(size, MAX_PAGE_SIZE), binding, start=order.start
    )
