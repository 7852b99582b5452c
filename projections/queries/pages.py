"""What all lists share: keyset pages, their order and cursors, and the refusals of a request.

A cursor names the key of a row, never an offset, so the last page of a list is as quick as the
first. It is bound to its query, and stays valid after a rebuild, since its key is a position.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NamedTuple

from asset_ledger.ledger.errors import CursorError, ParameterError, ProjectionBehindError

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1_000
BRIEF: Final = 200
"""The longest page that the event loop may read itself, if one run of an index holds its rows."""
LAST: Final = 2**63 - 1
_SEAL: Final = 12
"""How many bytes of a hash bind a cursor to its query: not a secret, a check."""


class Sort(NamedTuple):
    """An order of rows: by `column` where one is named, then by `seq`.

    `onwards` is the comparison of a row with the start of a page; `start` is the first of all.
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
    """Some rows: their JSON objects, a comma and a newline between two; the next cursor (`""` where
    there is no more); the position that the table reflected."""

    json: bytes
    count: int
    next: str
    position: int


def sort_of(word: str, known: Mapping[str, Sort] = SORTS) -> Sort:
    """The order that a word names. Raises ParameterError."""
    order = known.get(word)
    if order is None:
        raise refuse("sort", f"must be one of {', '.join(known)}{suggestion(word, known)}")
    return order


def seal_cursor(start: int, binding: bytes) -> str:
    """An opaque token for a start, bound to a query."""
    return seal(start.to_bytes(8, "big"), binding)


def open_cursor(cursor: str, binding: bytes) -> int:
    """The start in a token. Raises CursorError for another query's, and for none of ours."""
    start = int.from_bytes(unseal(cursor, binding), "big")
    if start > LAST:
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


PendingBackfill = Callable[[], Collection[str]]
"""Returns the columns of the generation in use that are not filled yet: `assets.node_id`."""


def check_backfilled(
    pending_backfill: PendingBackfill, table: str, columns: Collection[str]
) -> None:
    """Raises ProjectionBehindError for a column that a migration added and no rebuild has filled yet.

    A filter on such a column, which is NULL in every older row, would find nothing.
    """
    lacking = pending_backfill()
    for column in sorted(columns) if lacking else ():
        if f"{table}.{column}" in lacking:
            raise ProjectionBehindError(
                f"{column} is being filled from the log; ask again in a while"
            )


def suggestion(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """`: did you mean node_id?` where a known word is close, else nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f": did you mean {close[0]}?" if close else ""


def refuse(word: str, message: str) -> ParameterError:
    """Return the refusal of one parameter: `<word>: <message>`."""
    return ParameterError(f"{word}: {message}", errors=[(word, message)])
