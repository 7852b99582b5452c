"""Parse JSON strictly: refuse what a fast parser would change without an error.

orjson turns integers beyond 64 bits into floats, and keeps only the last of repeated keys. A
document that may contain either is parsed a second time, exactly.
"""

import json
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.checks import MAX_DEPTH, is_deep
from asset_ledger.ledger.errors import MalformedBodyError

_TEXTS: Final = frozenset({str})
_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**64 - 1


def read_object(text: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in `text`. Raises MalformedBodyError, which calls it `what`."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBodyError(f"{what} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise MalformedBodyError(f"{what} must be a JSON object")
    if not _is_plain(found, text):
        _read_exactly(text, what)
        if is_deep(found, text):
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


def _is_plain(found: dict[str, Any], text: bytes) -> bool:
    """Return whether all values are texts and no key is repeated: as many colons as keys."""
    return text.count(b":") == len(found) and _TEXTS.issuperset(map(type, found.values()))


def _read_exactly(text: bytes, what: str) -> None:
    try:
        json.loads(text, parse_int=_integer, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError(f"{what} cannot be stored unchanged: {error}") from error


def _integer(digits: str) -> int:
    if len(digits) > 20 or not _LOWEST <= int(digits) <= _HIGHEST:
        raise ValueError("it has an integer beyond 64 bits")
    return int(digits)


def _unrepeated(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"it repeats the key {key!r}")
        seen.add(key)
