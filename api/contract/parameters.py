"""Query parameters: what each means, and how what was sent is read.

Promise: a parameter that is not understood is refused, never ignored, since a filter that was
silently ignored is a wrong answer in an audit. (The lenient setting ignores unknown names.)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final, Generic, TypeVar

from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.errors import ParameterError

Asked = Mapping[str, Any]
"""Parameters by name, read. One that was not sent is absent, unless it has a default."""

T = TypeVar("T")

MAX_PAGE: Final = 1_000
MAX_POSITION: Final = 2**63 - 1


Schema = Mapping[str, Any]
"""A JSON Schema."""


_TEXT: Final[Schema] = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Reader(Generic[T]):
    """From a parameter's text to its value, and the schema of what that takes."""

    parse: Callable[[str], T]
    schema: Schema

    def __call__(self, text: str) -> T:
        return self.parse(text)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name in the query. `parse` raises ValueError, whose text completes `<name> ...`.

    One that `repeats` is read into a list.
    """

    name: str
    about: str
    parse: Callable[[str], Any] = str
    repeats: bool = False
    may_be_empty: bool = False
    default: Any = None
    alias: str | None = None

    @property
    def schema(self) -> Schema:
        """What may be sent; a list of it for one that repeats."""
        one: Schema = self.parse.schema if isinstance(self.parse, Reader) else _TEXT
        if self.repeats:
            return {"type": "array", "items": one}
        return {**one, "default": self.default} if self.default is not None else one


class Parameters:
    """The parameters of one operation."""

    def __init__(self, *parameters: Parameter) -> None:
        self.all = parameters
        self._named = {p.name: p for p in parameters} | {p.alias: p for p in parameters if p.alias}
        self.defaults: Asked = {p.name: p.default for p in parameters if p.default is not None}

    def read(self, sent: Iterable[tuple[str, str]], *, lenient: bool = False) -> Asked:
        """What was asked for. Raises ParameterError."""
        asked = dict(self.defaults)
        seen: set[str] = set()
        for name, text in sent:
            parameter = self._named.get(name)
            if parameter is not None:
                _take(asked, parameter, name, text, again=parameter.name in seen)
                seen.add(parameter.name)
            elif not lenient:
                raise refuse(name, f"is not a parameter here{hint(name, self._named)}")
        return asked


def _take(
    asked: dict[str, Any], parameter: Parameter, sent_as: str, text: str, again: bool
) -> None:
    value = _value(parameter, sent_as, text)
    if parameter.repeats:
        asked.setdefault(parameter.name, []).append(value)
    elif again:
        raise refuse(sent_as, "was sent more than once")
    else:
        asked[parameter.name] = value


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
    """The refusal of one parameter."""
    return ParameterError(f"{name} {message}", errors=[(name, message)])


def required(asked: Asked, name: str) -> Any:
    """What was asked for under this name. Raises ParameterError where nothing was."""
    if name not in asked:
        raise refuse(name, "is required")
    return asked[name]


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean node_id?`, or nothing if no known name is near."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def whole(low: int, high: int) -> Reader[int]:
    """Reads a whole number between these two, both included."""

    def parse(text: str) -> int:
        # int() would also take "1_000", " 1" and digits of every script.
        if not (text.isascii() and text.isdecimal()):
            raise ValueError("must be a whole number")
        if not low <= int(text) <= high:
            raise ValueError(f"must be between {low:,} and {high:,}")
        return int(text)

    return Reader(parse, {"type": "integer", "minimum": low, "maximum": high})


_PAGE_SIZE: Final = whole(1, 10 ** len(str(MAX_PAGE)))


def page_size(text: str) -> int:
    """A page's length: 1 or more; more than 1,000 is read as 1,000."""
    digits = text.lstrip("0")
    if digits.isascii() and digits.isdecimal() and len(digits) > len(str(MAX_PAGE)):
        return MAX_PAGE
    return min(_PAGE_SIZE(text), MAX_PAGE)


def one_of(words: Sequence[str]) -> Reader[str]:
    """Reads one of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return Reader(parse, {"type": "string", "enum": [*words]})


CURSOR: Final = Parameter(
    "cursor", "Where the page begins: `next` of the page before.", may_be_empty=True
)
PAGE_SIZE: Final = Parameter(
    "page_size",
    "How many are on a page; above 1,000 is read as 1,000.",
    Reader(page_size, {"type": "integer", "minimum": 1}),
    default=100,
    alias="limit",
)
MIN_POSITION: Final = Parameter(
    "min_position",
    "Wait up to a second until the answer reflects this position of the log.",
    whole(0, MAX_POSITION),
)
VERSION: Final = Parameter("version", "As it was at this version.", whole(1, MAX_POSITION))

_POSITION: Final = whole(0, MAX_POSITION)


def read_as_of(text: str) -> int | datetime:
    """A position, or a moment in RFC 3339 with its zone. Raises ValueError."""
    if text.isdecimal():
        return _POSITION(text)
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a position, or a time such as 2026-01-31T12:00:00Z") from error


AS_OF: Final = Parameter(
    "as_of", "As it was at this position of the log, or at this time (RFC 3339).", read_as_of
)
