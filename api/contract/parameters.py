"""Query parameters: their descriptions, and how they are parsed.

Promise: an unknown or malformed parameter is refused, because a filter that is silently ignored
gives a wrong answer in an audit. (The setting lenient_queries ignores unknown names.)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final, Generic, TypeVar

from asset_ledger.ledger.domain.event import iso, parse_time
from asset_ledger.ledger.errors import ParameterError

ParameterValues = Mapping[str, Any]
"""Parsed values by parameter name. Without a default, a parameter that was not sent is absent."""

T = TypeVar("T")

MAX_PAGE: Final = 1_000
MAX_POSITION: Final = 2**63 - 1


Schema = Mapping[str, Any]
"""A JSON Schema."""


_TEXT: Final[Schema] = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Reader(Generic[T]):
    """A parser of parameter values, with the JSON Schema of what it accepts."""

    parse: Callable[[str], T]
    schema: Schema

    def __call__(self, text: str) -> T:
        return self.parse(text)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter. `parse` raises ValueError with a text that continues `<name> ...`.

    `repeats`: the parameter may be sent several times, and its value is a list. `described`: it is
    in the OpenAPI description.
    """

    name: str
    about: str
    parse: Callable[[str], Any] = str
    repeats: bool = False
    may_be_empty: bool = False
    default: Any = None
    alias: str | None = None
    described: bool = True

    @property
    def schema(self) -> Schema:
        """The JSON Schema of the value."""
        item: Schema = self.parse.schema if isinstance(self.parse, Reader) else _TEXT
        if self.repeats:
            return {"type": "array", "items": item}
        return {**item, "default": self.default} if self.default is not None else item


MAX_VALUES: Final = 200
"""Values of one repeated parameter in a request."""


class Parameters:
    """The parameters of one operation."""

    def __init__(self, *parameters: Parameter) -> None:
        self.all = parameters
        named = ((name, p) for p in parameters for name in (p.name, p.alias) if name)
        self._by_name = dict(named)
        self.defaults = {p.name: p.default for p in parameters if p.default is not None}

    def read(self, sent: Iterable[tuple[str, str]], *, lenient: bool = False) -> ParameterValues:
        """Return the values of a query. Raises ParameterError."""
        values = dict(self.defaults)
        seen: set[str] = set()
        for name, text in sent:
            parameter = self._by_name.get(name)
            if parameter is not None:
                _take(values, parameter, name, text, repeated=parameter.name in seen)
                seen.add(parameter.name)
            elif not lenient:
                raise refuse(name, f"is not a parameter here{hint(name, self._by_name)}")
        return values


def _take(
    values: dict[str, Any], parameter: Parameter, sent_as: str, text: str, repeated: bool
) -> None:
    value = _value(parameter, sent_as, text)
    if parameter.repeats:
        taken = values.setdefault(parameter.name, [])
        if len(taken) >= MAX_VALUES:
            raise refuse(sent_as, f"has more than {MAX_VALUES} values: send several requests")
        taken.append(value)
    elif repeated:
        raise refuse(sent_as, "was sent more than once")
    else:
        values[parameter.name] = value


def _value(parameter: Parameter, sent_as: str, text: str) -> Any:
    if "\0" in text:
        raise refuse(sent_as, "contains U+0000")
    if not text and not parameter.may_be_empty:
        raise refuse(sent_as, "is empty: leave it out, or give it a value")
    try:
        return parameter.parse(text)
    except ValueError as error:
        raise refuse(sent_as, str(error)) from error


def refuse(name: str, message: str) -> ParameterError:
    """Return the error for one parameter or header."""
    return ParameterError(f"{name} {message}", errors=[(name, message)])


def required(values: ParameterValues, name: str) -> Any:
    """Return the value of a parameter. Raises ParameterError if it was not sent."""
    if name not in values:
        raise refuse(name, "is required")
    return values[name]


def hint(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean node_id?`, or an empty text if no known name is similar."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def whole(low: int, high: int) -> Reader[int]:
    """Return a parser of whole numbers from `low` to `high`, both included."""

    def parse(text: str) -> int:
        # int() also accepts "1_000", " 1" and digits of other scripts.
        if not (text.isascii() and text.isdecimal()):
            raise ValueError("must be a whole number")
        if not low <= int(text) <= high:
            raise ValueError(f"must be between {low:,} and {high:,}")
        return int(text)

    return Reader(parse, {"type": "integer", "minimum": low, "maximum": high})


def page_size(text: str) -> int:
    """Return the number of rows per page: 1 or more; above 1,000 is read as 1,000."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("must be a whole number")
    digits = text.lstrip("0")
    if not digits:
        raise ValueError("must be 1 or more")
    return MAX_PAGE if len(digits) > len(str(MAX_PAGE)) else min(int(digits), MAX_PAGE)


def one_of(words: Sequence[str]) -> Reader[str]:
    """Return a parser that accepts one of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return Reader(parse, {"type": "string", "enum": [*words]})


CURSOR: Final = Parameter(
    "cursor", "Where the page begins: `next` of the previous page.", may_be_empty=True
)
PAGE_SIZE: Final = Parameter(
    "page_size",
    "The number of rows per page; above 1,000 is read as 1,000.",
    Reader(page_size, {"type": "integer", "minimum": 1}),
    default=100,
    alias="limit",
)
MIN_POSITION: Final = Parameter(
    "min_position",
    "Wait up to a second until the response reflects this position of the log.",
    whole(0, MAX_POSITION),
)
ATTEMPT: Final = Parameter("attempt", "Of this attempt of a job.", whole(1, MAX_POSITION))
VERSION: Final = Parameter("version", "As it was at this version.", whole(1, MAX_POSITION))

_POSITION: Final = whole(0, MAX_POSITION)


def read_time(text: str) -> str:
    """Return a time in RFC 3339 with its zone as `iso` writes it. Raises ValueError."""
    try:
        return iso(parse_time(text))
    except OverflowError as error:
        raise ValueError("is out of range: use a year from 1 to 9999") from error


def read_as_of(text: str) -> int | datetime:
    """Return a position, or a time in RFC 3339 with its zone. Raises ValueError."""
    if text.isdecimal():
        return _POSITION(text)
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a position, or a time such as 2026-01-31T12:00:00Z") from error


AS_OF: Final = Parameter(
    "as_of", "As it was at this position of the log, or at this time (RFC 3339).", read_as_of
)
