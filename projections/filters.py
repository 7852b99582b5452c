"""Request words to conditions: which word reads which column, and how. Nothing else becomes SQL.

A new filter is a new row of `FILTERS`. Values are always parameters, never text of a statement.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple

from ledger.asset import Asset
from ledger.errors import ParameterError


class Comparison(NamedTuple):
    """One column against one value: equal (None is NULL), or a text that begins with it."""

    column: str
    how: Literal["equal", "prefix"]
    value: str | None

    def sql(self) -> tuple[str, tuple[str | None, ...]]:
        """The comparison as SQL over a row, and its parameters."""
        if self.how == "prefix":
            return f"substr({self.column}, 1, length(?)) = ?", (self.value, self.value)
        return f"{self.column} IS ?", (self.value,)

    def holds(self, asset: Asset) -> bool:
        """The same of a folded asset."""
        value = getattr(asset, self.column)
        if self.how == "prefix":
            return bool(value.startswith(self.value))
        return bool(value == self.value)


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
    def values(self) -> list[str | None]:
        """What the comparisons look for."""
        return [each.value for each in self.any_of]

    def holds(self, asset: Asset) -> bool:
        """Whether a folded asset matches."""
        return any(comparison.holds(asset) for comparison in self.any_of)

    def sql(self) -> tuple[str, list[str | None]]:
        """The condition as SQL over a row, and its parameters."""
        texts, parameters = zip(*(each.sql() for each in self.any_of), strict=True)
        return f"({' OR '.join(texts)})", [value for group in parameters for value in group]


Make = Callable[[str, str], Comparison]
"""From the caller's user id and a value to a comparison."""


def _equal(column: str) -> Make:
    return lambda _user_id, value: Comparison(column, "equal", value)


def _prefix(column: str) -> Make:
    return lambda _user_id, value: Comparison(column, "prefix", value)


def _folder(column: str) -> Make:
    """Home goes by the user's id or by nothing, and is NULL in the table."""
    return lambda user_id, value: Comparison(
        column, "equal", None if value in ("", user_id) else value
    )


def _missing(columns: Sequence[str]) -> Make:
    def make(_user_id: str, value: str) -> Comparison:
        if value not in columns:
            raise _refused("missing", f"must be one of {', '.join(columns)}")
        return Comparison(value, "equal", None)

    return make


FILTERS: Final[Mapping[str, Make]] = {
    "workflow_id": _equal("workflow_id"),
    "node_id": _equal("node_id"),
    "job_id": _equal("job_id"),
    "parent_id": _folder("parent_id"),
    "content_type": _prefix("content_type"),
    "missing": _missing(("workflow_id", "node_id", "job_id")),
}
MAY_BE_EMPTY: Final = frozenset({"parent_id"})


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
    return Condition(tuple(dict.fromkeys(make(user_id, value) for value in sorted(set(values)))))


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
