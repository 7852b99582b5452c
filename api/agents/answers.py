"""Answers of the tools: JSON of a bounded size, with texts cut and empty fields left out."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from asset_ledger.api.sdk.gateway import Document
from asset_ledger.ledger.errors import RefusedError

MAX_ANSWER: Final = 8_000
"""Bytes of the JSON of an answer: about 2,500 tokens."""

MAX_TEXT: Final = 200
"""Bytes of a text in a row."""

_ASSET: Final = (
    *("id", "name", "content_type", "size", "created_at", "node_id", "job_id", "workflow_id"),
    *("attempt", "tags", "derived_from", "version", "deleted_at"),
)


class TooLongError(RefusedError):
    """An answer is longer than MAX_ANSWER, even with one row."""


def cut(text: str, most: int = MAX_TEXT) -> str:
    """Return a text of at most so many bytes; an ellipsis shows that it was cut."""
    encoded = text.encode()
    return text if len(encoded) <= most else f"{encoded[:most].decode(errors='ignore')}…"


def short(value: Any, most: int = MAX_TEXT) -> Any:
    """Return a JSON value with its texts cut; a large list or object becomes a cut text."""
    if isinstance(value, str):
        return cut(value, most)
    if isinstance(value, list | dict) and len(text := orjson.dumps(value).decode()) > most:
        return cut(text, most)
    return value


def chosen(document: Document, names: Iterable[str], most: int = MAX_TEXT) -> dict[str, Any]:
    """Return the fields that have a value, cut."""
    given = ((name, document.get(name)) for name in names)
    return {name: short(value, most) for name, value in given if value not in (None, [], {}, "")}


def asset_row(document: Document) -> dict[str, Any]:
    """Return an asset as a row."""
    return chosen(document, _ASSET)


def packed(document: Mapping[str, Any]) -> str:
    """Return the JSON of an answer. Raises TooLongError."""
    text = orjson.dumps(document)
    if len(text) > MAX_ANSWER:
        raise TooLongError(f"the answer is longer than {MAX_ANSWER:,} bytes: ask for less")
    return text.decode()


async def fitted(limit: int, fetch: Callable[[int], Awaitable[Mapping[str, Any]]]) -> str:
    """Return the answer with the most rows that fit, `limit` at most. Raises TooLongError."""
    while True:
        document = await fetch(limit)
        try:
            return packed(document)
        except TooLongError:
            if limit == 1:
                raise
            limit = limit // 2
