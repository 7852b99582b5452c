"""How a database finds rows of `search_assets` by words: SQLite's FTS5, or trigrams."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from asset_ledger.projections.tables.search import TRIGRAM, head, owner_of


class TextMatch(NamedTuple):
    """SQL from FROM on, with a WHERE, whose rows have `row`, a column of their seq; parameters."""

    sql: str
    row: str
    parameters: list[Any]


class TextIndex(Protocol):
    """Finds live assets of a user by words."""

    def found(self, user_id: str, words: Sequence[str]) -> TextMatch:
        """Return the rows of `search_assets` that have all words."""

    def hits(self, user_id: str, words: Sequence[str]) -> TextMatch:
        """Return at least these rows, without looking any up: a superset if words are short."""


_ALSO: Final = (
    " AND hit.rowid IN (SELECT rowid FROM search_heads AS short WHERE search_heads MATCH ?)"
)


class FtsIndex:
    """The FTS5 tables `search_text` (of long words) and `search_heads`."""

    def found(self, user_id: str, words: Sequence[str]) -> TextMatch:
        """Return the rows of `search_assets` that have all words."""
        long, short = _matches(user_id, words)
        index, also = _index(long), _ALSO if long and short else ""
        sql = f"""
            FROM {index} AS hit CROSS JOIN search_assets ON seq = hit.rowid
            WHERE {index} MATCH ?{also} AND user_id = ?"""
        return TextMatch(sql, "hit.rowid", [*filter(None, (long, short)), user_id])

    def hits(self, user_id: str, words: Sequence[str]) -> TextMatch:
        """Return rows that have the long words, or the short ones if there are no others."""
        long, short = _matches(user_id, words)
        sql = f" FROM {_index(long)} WHERE {_index(long)} MATCH ?"
        return TextMatch(sql, "rowid", [long or short])


def _index(long: str) -> str:
    return "search_text" if long else "search_heads"


def _matches(user_id: str, words: Sequence[str]) -> tuple[str, str]:
    """Return the FTS5 queries of words for `search_text` (of long words) and `search_heads`."""
    owner = owner_of(user_id)
    long = _all(owner, [word for word in words if len(word) >= TRIGRAM])
    short = _all(head(owner), [head(word) for word in words if len(word) < TRIGRAM])
    return long, short


def _all(owner: str, tokens: Sequence[str]) -> str:
    """Return the FTS5 expression for all of these, in assets of this owner; "" for none of them."""
    return " AND ".join(map(_quoted, (owner, *tokens))) if tokens else ""


def _quoted(word: str) -> str:
    """Return a word as an FTS5 string, in which only the quote is special."""
    doubled = word.replace('"', '""')
    return f'"{doubled}"'


_HAS_HEADS: Final = " AND string_to_array(heads, ' ') @> ?::text[]"


class TrigramIndex:
    """The columns `texts`, with an index of pg_trgm, and `heads`."""

    def found(self, user_id: str, words: Sequence[str]) -> TextMatch:
        """Return the rows of `search_assets` that have all words."""
        long = [_pattern(word) for word in words if len(word) >= TRIGRAM]
        short = [head(word) for word in words if len(word) < TRIGRAM]
        tests = " AND texts LIKE ?" * len(long) + (
            " AND string_to_array(heads, ' ') @> ?::text[]" if short else ""
        )
        sql = f" FROM search_assets AS hit WHERE live AND user_id = ?{tests}"
        return TextMatch(sql, "hit.seq", [user_id, *long, *([short] if short else [])])

    hits = found


def _pattern(word: str) -> str:
    r"""Return a LIKE pattern for a word anywhere; % _ and \ stand for themselves."""
    for special in ("\\", "%", "_"):
        word = word.replace(special, f"\\{special}")
    return f"%{word}%"


TEXT_INDEXES: Final[Mapping[str, TextIndex]] = {"fts5": FtsIndex(), "trigrams": TrigramIndex()}
