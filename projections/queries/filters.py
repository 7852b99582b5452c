"""Request words to conditions: which word reads which column, and how. Nothing else becomes SQL.

A new filter is a new row of `FILTERS`. Values are always parameters, never text of a statement.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import iso, parse_time
from asset_ledger.ledger.errors import ParameterError
from asset_ledger.ledger.ids import parse_digest

Value = str | int | None


class How(NamedTuple):
    """One way to compare: as SQL over a column (which takes its value so many times), and as is."""

    sql: str
    times: int
    holds: Callable[[Any, Any], bool]


HOWS: Final[Mapping[str, How]] = {
    "equal": How("{} IS ?", 1, lambda given, value: bool(given == value)),
    "prefix": How("substr({}, 1, length(?)) = ?", 2, lambda given, value: given.startswith(value)),
    "from": How("{} >= ?", 1, lambda given, value: bool(given >= value)),
    "upto": How("{} <= ?", 1, lambda given, value: bool(given <= value)),
    "before": How("{} < ?", 1, lambda given, value: bool(given < value)),
    "holds": How(
        "EXISTS (SELECT 1 FROM json_each({}) WHERE value = ?)",
        1,
        lambda given, value: value in given,
    ),
}


class Comparison(NamedTuple):
    """One column against one value, in one of the ways of `HOWS`. Equal to None is NULL."""

    column: str
    how: str
    value: Value

    def sql(self) -> tuple[str, tuple[Value, ...]]:
        """The comparison as SQL over a row, and its parameters."""
        how = HOWS[self.how]
        return how.sql.format(self.column), (self.value,) * how.times

    def holds(self, asset: Asset) -> bool:
        """The same of a folded asset."""
        given = getattr(asset, self.column)
        if isinstance(given, datetime):
            given = iso(given)
        return HOWS[self.how].holds(given, self.value)


class Condition(NamedTuple):
    """One filter of a request: a row matches if any comparison holds."""

    any_of: tuple[Comparison, ...]

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


Make = Callable[[str, str], Comparison]
"""From the caller's user id and a value to a comparison. Raises ValueError: `<word>: <why>`."""


def _plain(column: str, how: str = "equal", read: Callable[[str], Value] = str) -> Make:
    return lambda _user_id, value: Comparison(column, how, read(value))


def _folder(column: str) -> Make:
    """Home goes by the user's id or by nothing, and is NULL in the table."""
    return lambda user_id, value: Comparison(
        column, "equal", None if value in ("", user_id) else value
    )


def _missing(columns: Sequence[str]) -> Make:
    def make(_user_id: str, value: str) -> Comparison:
        if value not in columns:
            raise ValueError(f"must be one of {', '.join(columns)}")
        return Comparison(value, "equal", None)

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
    "content_type": _plain("content_type", "prefix"),
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
        raise _refused("deleted", f"must be one of {', '.join(LIVES)}")
    return LIVES[word]


def conditions(user_id: str, words: Mapping[str, Sequence[str]]) -> tuple[Condition, ...]:
    """What a request's filters ask for, in one order whatever order they came in.

    Raises ParameterError for a word that is no filter, and for a value that it cannot have.
    """
    return tuple(_condition(user_id, word, words[word]) for word in sorted(words) if words[word])


def _condition(user_id: str, word: str, values: Sequence[str]) -> Condition:
    make = FILTERS.get(word)
    if make is None:
        raise _refused(word, f"no such filter{suggestion(word, FILTERS)}")
    for value in values:
        _check(word, value)
    try:
        made = [make(user_id, value) for value in sorted(set(values))]
    except ValueError as error:
        raise _refused(word, str(error)) from error
    return Condition(tuple(dict.fromkeys(made)))


def _check(word: str, value: str) -> None:
    if not value and word not in MAY_BE_EMPTY:
        raise _refused(word, "must not be empty")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _refused(word, "must be UTF-8")  # SQLite could not take it


def suggestion(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """`: did you mean node_id?` where a known word is close, else nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f": did you mean {close[0]}?" if close else ""


def _refused(word: str, message: str) -> ParameterError:
    return ParameterError(f"{word}: {message}", errors=[(word, message)])
