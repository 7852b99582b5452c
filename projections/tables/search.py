"""The projection `search`: a full-text index of the names, tags and metadata values of live assets.

Texts and queries are folded alike (NFKC, no case). A query word matches literally, anywhere in a
text: it has no operators or wildcards. A query word of one or two characters, which is nearly
everywhere, matches only where a word begins. Each asset has a token of its owner in both indexes.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.asset import AssetCreated, changes_of
from asset_ledger.ledger.domain.event import Event, Json, Recorded, private_of
from asset_ledger.ledger.ids import bytes_of
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement

TRIGRAM: Final = 3
"""The shortest word that trigrams can find."""

_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u312f\u31f0-\u31ff"  # Japanese, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\uac00-\ud7af"  # Korean: its words are joined to longer ones
)
_HEAD: Final = re.compile(rf"(?:(?<![^\W_])|(?=[\W_{_UNSPACED}]))(?=(\S\S?))")
"""Where a word begins: not between two letters or digits, but before each letter of a script that
puts no space between words. The group: its first two characters."""

_INSERT: Final = """
    INSERT INTO search_assets (seq, id, user_id, workflow_id, content_type, name, tags, metadata)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_TEXT: Final = "owner, name, tags, metadata"
_INDEX_TEXT: Final = f"INSERT INTO search_text (rowid, {_TEXT}) VALUES (?, ?, ?, ?, ?)"
_INDEX_HEADS: Final = "INSERT INTO search_heads (rowid, heads) VALUES (?, ?)"
_LIVE: Final = "FROM search_assets WHERE id = ? AND live"
_UNINDEX_TEXT: Final = f"""
    INSERT INTO search_text (search_text, rowid, {_TEXT})
    SELECT 'delete', seq, owner_of(user_id), name, tags, metadata {_LIVE}
"""
_UNINDEX_HEADS: Final = f"""
    INSERT INTO search_heads (search_heads, rowid, heads)
    SELECT 'delete', seq, heads_of(user_id, name, tags, metadata) {_LIVE}
"""
_REINDEX_TEXT: Final = f"""
    INSERT INTO search_text (rowid, {_TEXT})
    SELECT seq, owner_of(user_id), name, tags, metadata {_LIVE}
"""
_REINDEX_HEADS: Final = f"""
    INSERT INTO search_heads (rowid, heads)
    SELECT seq, heads_of(user_id, name, tags, metadata) {_LIVE}
"""


def fold(text: str) -> str:
    """Return the text that is compared: NFKC, casefolded, NFKC."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@lru_cache(maxsize=4_096)
def owner_of(user_id: str) -> str:
    """Return the text that stands for a user in the index of trigrams: three private characters of
    plane 15, so one token. Users may share one: a query tests the user's id too."""
    hashed = hashlib.sha256(user_id.encode()).digest()
    parts = (int.from_bytes(hashed[at : at + 2], "big") for at in (0, 2, 4))
    return "".join(chr(0xF0000 + part % 0xFFFE) for part in parts)


@lru_cache(maxsize=4_096)
def head(letters: str) -> str:
    """Return the index token of a word's first one or two characters."""
    return letters.encode().hex()


def word_heads(*texts: str) -> str:
    """Return the index tokens of the first characters of all words in texts, sorted."""
    found = set(_HEAD.findall("\n".join(texts)))
    return " ".join(sorted(map(head, found | {letters[0] for letters in found})))


def heads_of(user_id: str, *texts: str) -> str:
    """Return all index tokens of an asset: its owner's, and those of its words."""
    return f"{head(owner_of(user_id))} {word_heads(*texts)}"


def lines(values: Iterable[Json]) -> str:
    """Return all texts and numbers in JSON values, nested ones too, folded, one a line.

    The values of an object are in the order of its names. A stored event has its names in that
    order, and has to give the same row as the live event.
    """
    stack, texts = list(values), []
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, Mapping):
            stack += [value[name] for name in sorted(value)]
        elif isinstance(value, Sequence):
            stack += value
        elif value is not None:
            texts.append(orjson.dumps(value).decode())
    return fold("\n".join(reversed(texts)))


class Search:
    """The projection of search. The digest leaves its tables out: equal indexes differ in bytes."""

    name: Final = "search"
    tables: Final = ()
    migrations: Final[Sequence[Migration]] = (load("20260101_000000_create_search"),)
    functions: Final[Mapping[str, Callable[..., Any]]] = {
        "heads_of": heads_of,
        "owner_of": owner_of,
    }
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Index a new asset; if the texts of an asset change, remove and index it again."""
        event = recorded.event
        if isinstance(event, AssetCreated):
            yield from _insert(recorded.position, event)
        elif changes := changes_of_texts(event):
            asset_id = bytes_of(event.originator_id)
            setters = ", ".join(f"{name} = ?" for name in changes)
            change = f"UPDATE search_assets SET {setters} WHERE id = ?"
            yield from (Statement(sql, (asset_id,)) for sql in (_UNINDEX_TEXT, _UNINDEX_HEADS))
            yield Statement(change, (*changes.values(), asset_id))
            yield from (Statement(sql, (asset_id,)) for sql in (_REINDEX_TEXT, _REINDEX_HEADS))


def row_of(position: int, event: AssetCreated) -> tuple[Any, ...]:
    """Return the row of a new asset: its three texts are the last columns."""
    private = private_of(event)
    row = (bytes_of(event.originator_id), event.user_id, event.workflow_id, event.content_type)
    return (position, *row, *_texts(private).values())


def _insert(position: int, event: AssetCreated) -> Iterator[Statement]:
    row = row_of(position, event)
    yield Statement(_INSERT, row, independent=True)
    user_id, texts = event.user_id, row[-3:]
    yield Statement(_INDEX_TEXT, (position, owner_of(user_id), *texts), independent=True)
    yield Statement(_INDEX_HEADS, (position, heads_of(user_id, *texts)), independent=True)


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the three text columns."""
    tags, metadata = fields.get("tags"), fields.get("metadata")
    return {
        "name": fold(fields.get("name") or ""),
        "tags": lines(tags) if tags else "",
        "metadata": lines([metadata]) if metadata else "",
    }


def changes_of_texts(event: Event) -> dict[str, Any]:
    """Return the columns of `search_assets` that an event sets, with their values."""
    changes = changes_of(event) or {}
    texts = _texts(changes)
    columns: dict[str, Any] = {name: texts[name] for name in texts if name in changes}
    if "content_type" in changes:
        columns["content_type"] = changes["content_type"]
    if "deleted_at" in changes:
        columns["live"] = changes["deleted_at"] is None
    return columns
