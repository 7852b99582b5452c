"""Keyset pages: how many rows, in which order, and the cursor that says where the next one starts.

A cursor names the key of a row, never an offset, so that a page is as quick at the end as at the
beginning; it is bound to its query, and it outlives a rebuild, since its key is a position.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from asset_ledger.ledger.errors import CursorError, ParameterError
from asset_ledger.projections.queries.filters import Condition, conditions, lives, suggestion

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1_000
BRIEF: Final = 200
"""The longest page that the event loop may read itself, if one run of an index holds its rows."""
_LAST: Final = 2**63 - 1
_SEAL: Final = 12
"""How many bytes of a hash bind a cursor to its query: not a secret, a check."""


class Sort(NamedTuple):
    """An order of rows by `seq`: its direction, the comparison from a start on, the first start.

    By another column first, where one is named.
    """

    direction: str
    onwards: str
    start: int
    column: str | None = None


SORTS: Final[Mapping[str, Sort]] = {
    "created_at": Sort("ASC", ">=", 0),
    "-created_at": Sort("DESC", "<=", _LAST),
}
ASSET_SORTS: Final[Mapping[str, Sort]] = {
    **SORTS,
    "name": Sort("ASC", ">=", 0, "name"),
    "-name": Sort("DESC", "<=", _LAST, "name"),
    "size": Sort("ASC", ">=", 0, "size"),
    "-size": Sort("DESC", "<=", _LAST, "size"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows: their JSON objects, a comma and a newline between two; the next cursor (`""` where
    there is no more); the position that the table reflected."""

    json: bytes
    count: int
    next: str
    position: int


@dataclass(frozen=True, slots=True)
class Query:
    """A request for a page, checked.

    It starts at the row with seq `start`; in the order of a column, at that which has `key` there.
    `lives` says whether tombstones are wanted, live assets, or both. Pages of one list are equal,
    wherever they start.
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
    ) -> "Query":
        """Check every part of a request. Raises ParameterError or CursorError."""
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


@lru_cache(maxsize=1_024)  # a list is read page by page: its words are checked once
def _first_page(
    user_id: str, words: tuple[tuple[str, tuple[str, ...]], ...], sort: str, size: int, deleted: str
) -> Query:
    order = sort_of(sort, ASSET_SORTS)
    if size < 1:
        raise _refused("page_size", "must be 1 or more")
    wanted, shown = conditions(user_id, dict(words)), lives(deleted)
    binding = orjson.dumps([user_id, sort, wanted, sorted(shown)], default=tuple)
    return Query(
        user_id, wanted, shown, order, min(size, MAX_PAGE_SIZE), binding, start=order.start
    )


def sort_of(word: str, known: Mapping[str, Sort] = SORTS) -> Sort:
    """The order that a word names. Raises ParameterError."""
    order = known.get(word)
    if order is None:
        raise _refused("sort", f"must be one of {', '.join(known)}{suggestion(word, known)}")
    return order


def seal_cursor(start: int, binding: bytes) -> str:
    """An opaque token for a start, bound to a query."""
    return seal(start.to_bytes(8, "big"), binding)


def open_cursor(cursor: str, binding: bytes) -> int:
    """The start in a token. Raises CursorError for another query's, and for none of ours."""
    start = int.from_bytes(unseal(cursor, binding), "big")
    if start > _LAST:
        raise CursorError("the cursor is none of ours")
    return start


def seal(key: bytes, binding: bytes) -> str:
    """An opaque token for a key, bound to a query. It is checked, not secret."""
    return base64.urlsafe_b64encode(_seal(key, binding) + key).decode().rstrip("=")


def unseal(cursor: str, binding: bytes) -> bytes:
    """The key in a token. Raises CursorError for another query's, and for none of ours."""
    try:
        token = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError) as error:
        raise CursorError("the cursor is none of ours") from error
    key = token[_SEAL:]
    # Compared as text: base64 has several spellings of the same bytes, and only one is ours.
    if seal(key, binding) != cursor:
        raise CursorError("the cursor belongs to another query, or was altered")
    return key


def _seal(key: bytes, binding: bytes) -> bytes:
    return hashlib.sha256(b"asset-ledger/cursor/1\n" + key + binding).digest()[:_SEAL]


def _refused(word: str, message: str) -> ParameterError:
    return ParameterError(f"{word}: {message}", errors=[(word, message)])
