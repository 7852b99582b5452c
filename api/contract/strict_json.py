"""Parse JSON strictly: refuse what a fast parser would change without an error.

orjson turns integers beyond 64 bits into floats, and keeps only the last of repeated keys. A
document that may contain either is examined a second time.

Promise: no document takes more than a few tens of milliseconds, because it is measured first.
"""

import json
import re
from itertools import chain
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.checks import MAX_DEPTH, is_deep
from asset_ledger.ledger.errors import MalformedBodyError, TooLargeError

MAX_JSON: Final = 256 * 1024
"""Bytes of a JSON body, by default."""

MAX_STRUCTURE: Final = 512 * 1024
"""Bytes of a document without its longest text, such as `data`, which is cheap to parse."""

MAX_CONTAINERS: Final = 16_384
"""Objects and arrays in a document: more than `metadata` of 32 KiB can have."""

MAX_COMMAS: Final = 32_768
"""Commas between the values of a document: more than an event of 60,000 bytes can have."""

MAX_QUOTES: Final = 4 * (MAX_COMMAS + 1)
"""Quotes of as many texts, each with a key."""

_TEXTS: Final = frozenset({str})
_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**64 - 1
_DIGITS: Final = re.compile(rb"[0-9]{19}")
_INTEGER: Final = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}+(?![.eE])")


def read_object(text: bytes | bytearray, what: str) -> dict[str, Any]:
    """Return the JSON object in `text`.

    Raises MalformedBodyError and TooLargeError, which call it `what`.
    """
    found = read_document(text, what)
    if not isinstance(found, dict):
        raise MalformedBodyError(f"{what} must be a JSON object")
    return found


def read_document(text: bytes | bytearray, what: str) -> Any:
    """Return the JSON value in `text`. Raises likewise."""
    measured = _measured(text, what)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBodyError(f"{what} is not JSON: {error}") from error
    if not _is_plain(found, measured):
        _check_unchanged(found, measured, what)
        if is_deep(found, measured):
            raise MalformedBodyError(f"{what} is nested deeper than {MAX_DEPTH} levels")
    return found


def read_number(text: str) -> float:
    """Return the JSON number in `text`. Raises ValueError."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError("must be a number") from error
    if type(found) not in (int, float):
        raise ValueError("must be a number")
    return float(found)


def _measured(text: bytes | bytearray, what: str) -> bytes | bytearray:
    """Return the text, without its longest text if it is long, to check the rest of it.

    Raises TooLargeError before a parser builds too many values.
    """
    rest = text if len(text) <= MAX_STRUCTURE else _without_longest_text(text, what)
    if len(rest) > MAX_STRUCTURE:
        raise TooLargeError(
            f"{what} has more than {MAX_STRUCTURE:,} bytes besides its longest text"
        )
    if rest.count(b",") > MAX_COMMAS or _containers(rest) > MAX_CONTAINERS:
        outside = _without_texts(rest)
        if _containers(outside) > MAX_CONTAINERS:
            raise TooLargeError(f"{what} has more than {MAX_CONTAINERS:,} objects and arrays")
        if outside.count(b",") > MAX_COMMAS:
            raise _too_many_values(what)
    return rest


def _too_many_values(what: str) -> TooLargeError:
    return TooLargeError(f"{what} has more than {MAX_COMMAS:,} values")


def _containers(text: bytes | bytearray) -> int:
    return text.count(b"{") + text.count(b"[")


def _without_texts(text: bytes | bytearray) -> bytes:
    return b"".join(_without_escapes(text).split(b'"')[::2])


def _without_longest_text(text: bytes | bytearray, what: str) -> bytes | bytearray:
    pieces = _without_escapes(text).split(b'"', MAX_QUOTES)
    if len(pieces) > MAX_QUOTES:
        raise _too_many_values(what)
    lengths = [len(piece) for piece in pieces]
    longest = max(range(1, len(lengths), 2), key=lengths.__getitem__, default=0)
    start = sum(lengths[:longest]) + longest
    return text[:start] + text[start + lengths[longest] :]


def _without_escapes(text: bytes | bytearray) -> bytes | bytearray:
    """Return a text of the same length in which every quote begins or ends a string."""
    return text.replace(rb"\\", b"__").replace(rb"\"", b"__")


def _is_plain(found: Any, text: bytes | bytearray) -> bool:
    """Return whether it is an object of texts without a repeated key: one key for each colon."""
    is_flat = isinstance(found, dict) and text.count(b":") == len(found)
    return is_flat and _TEXTS.issuperset(map(type, found.values()))


def _check_unchanged(found: Any, text: bytes | bytearray, what: str) -> None:
    """Raise MalformedBodyError for a large integer or a repeated key."""
    outside = _without_texts(text)
    try:
        if _DIGITS.search(outside):
            _check_integers(outside)
        if outside.count(b":") != _count_keys(found):
            json.loads(text, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError(f"{what} cannot be stored unchanged: {error}") from error


def _count_keys(found: Any) -> int:
    """Return the number of keys in all objects. Parsing them in Python takes five times as long."""
    keys, level = 0, [found] if isinstance(found, dict | list) else []
    while level:
        objects = [each for each in level if isinstance(each, dict)]
        keys += sum(map(len, objects))
        inner = chain(*(each.values() if isinstance(each, dict) else each for each in level))
        level = [each for each in inner if isinstance(each, dict | list)]
    return keys


def _check_integers(outside: bytes | bytearray) -> None:
    for digits in _INTEGER.findall(outside):
        if len(digits) > 20 or not _LOWEST <= int(digits) <= _HIGHEST:
            raise ValueError("it has an integer beyond 64 bits")


def _unrepeated(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"it repeats the key {key!r}")
        seen.add(key)
