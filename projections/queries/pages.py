"""What all lists share: keyset pages, sorts, cursors, and parameter errors.

A cursor holds the key of a row and no offset, so the last page of a list is as fast as the first.
It is bound to its query. It stays valid after a rebuild, since its key is a position.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.errors import CursorError, ParameterError, ProjectionBehindError

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1_000
MAX_BYTES: Final = 2**20
"""Bytes of JSON after which a page ends, whatever its size, about."""
SHORT: Final = 100
"""The largest page of assets whose bytes need no count: a document has about 40 KiB at most."""
BRIEF: Final = 200
"""The longest page that the event loop reads itself, if its rows are one range of an index."""
LAST: Final = 2**63 - 1
INVALID_CURSOR: Final = "the cursor is invalid: start without a cursor"
_SEAL: Final = 12
"""How many bytes of a hash bind a cursor to its query. It detects mistakes, not attacks."""


class Sort(NamedTuple):
    """An order of rows: by `column` if there is one, then by `seq`.

    `onwards` is the SQL operator that compares a row with the start of a page; `start` is the seq
    at which the first page starts.
    """

    direction: str
    onwards: str
    start: int
    column: str | None = None


SORTS: Final[Mapping[str, Sort]] = {
    "created_at": Sort("ASC", ">=", 0),
    "-created_at": Sort("DESC", "<=", LAST),
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: JSON objects with commas between them, their count, the cursor of the next
    page (`""` on the last page), and the position that the table reflects. `is_exact`: all of it
    was read in one statement, so that it is the page at exactly this position.

    A newline follows each comma in a page of assets, and is nowhere else in it.
    """

    json: bytes
    count: int
    next: str
    position: int
    is_exact: bool = False


def fitting(rows: str, order: str, limit: str = str(MAX_BYTES)) -> str:
    """Return SQL of `rows` in an order, with the `json` of their assets, until `bytes`, the sum of
    their octets, exceeds a limit. The row that exceeds it is the last one.

    `rows` is SQL of `seq`, `octets` and more.
    """
    return f"""
        SELECT sized.*, assets.json AS json FROM (
            SELECT *, sum(octets) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS bytes
            FROM ({rows})
        ) AS sized CROSS JOIN assets ON assets.seq = sized.seq
        WHERE bytes - octets <= {limit} ORDER BY bytes
    """


def among(column: str) -> str:
    """Return SQL of a value of `json_each` that is compared with this column."""
    return "CAST(value AS INTEGER)" if column == "attempt" else "value"


def sort_of(name: str, known: Mapping[str, Sort] = SORTS) -> Sort:
    """Return the sort that a parameter names. Raises ParameterError."""
    order = known.get(name)
    if order is None:
        raise refuse("sort", f"must be one of {', '.join(known)}{suggestion(name, known)}")
    return order


def seal_cursor(start: int, binding: bytes) -> str:
    """Return a cursor that starts at a position and is bound to a query."""
    return seal(start.to_bytes(8, "big"), binding)


def open_cursor(cursor: str, binding: bytes) -> int:
    """Return the start in a cursor. Raises CursorError if it is invalid or of another query."""
    start = int.from_bytes(unseal(cursor, binding), "big")
    if start > LAST:
        raise CursorError(INVALID_CURSOR)
    return start


def seal(key: bytes, binding: bytes) -> str:
    """Return a cursor with a key, bound to a query. It is checked, not encrypted."""
    return base64.urlsafe_b64encode(_seal(key, binding) + key).decode().rstrip("=")


def unseal(cursor: str, binding: bytes) -> bytes:
    """Return the key in a cursor. Raises CursorError if it is invalid or of another query."""
    try:
        token = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError) as error:
        raise CursorError(INVALID_CURSOR) from error
    key = token[_SEAL:]
    # Compare the text: several base64 texts decode to the same bytes.
    if seal(key, binding) != cursor:
        raise CursorError(
            "the cursor belongs to another query, or was altered: start without a cursor"
        )
    return key


def unseal_values(cursor: str, binding: bytes, *kinds: tuple[type, ...]) -> list[Any]:
    """Return the values of a cursor's key: one for each of `kinds`, and of one of its types.

    Raises CursorError, also for an integer that no list has: a cursor may be forged.
    """
    try:
        values = orjson.loads(unseal(cursor, binding))
    except ValueError as error:
        raise CursorError(INVALID_CURSOR) from error
    if not isinstance(values, list) or len(values) != len(kinds):
        raise CursorError(INVALID_CURSOR)
    for value, types in zip(values, kinds, strict=True):
        if type(value) not in types or (type(value) is int and not -1 <= value <= LAST):
            raise CursorError(INVALID_CURSOR)
    return values


def _seal(key: bytes, binding: bytes) -> bytes:
    return hashlib.sha256(b"asset-ledger/cursor/1\n" + key + binding).digest()[:_SEAL]


PendingBackfill = Callable[[], Collection[str]]
"""Returns the columns (`assets.node_id`) that older rows lack in the generation in use."""


def check_backfilled(
    pending_backfill: PendingBackfill, table: str, columns: Collection[str]
) -> None:
    """Raise ProjectionBehindError for a column that a migration added and no rebuild filled yet.

    The column is NULL in every older row, so a filter on it would miss them.
    """
    pending = pending_backfill()
    for column in sorted(columns) if pending else ():
        if f"{table}.{column}" in pending:
            raise ProjectionBehindError(f"{column} is being filled from the log; retry later")


def suggestion(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Return `: did you mean node_id?` if a known name is similar, else `""`."""
    close = get_close_matches(name, list(known), n=1)
    return f": did you mean {close[0]}?" if close else ""


def refuse(name: str, message: str) -> ParameterError:
    """Return the error of one parameter: `<name>: <message>`."""
    return ParameterError(f"{name}: {message}", errors=[(name, message)])
