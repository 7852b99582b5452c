"""JSON as it was meant: what a fast reader would quietly change is refused.

orjson reads integers beyond 64 bits as floats, and of a repeated key only the last. Both change
what was sent, so a document in which either could be is read a second time, exactly.
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
    """The JSON object in `text`. Raises MalformedBodyError, which calls it `what`."""
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
    """The JSON number in `text`. Raises ValueError."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError("must be a number") from error
    if type(found) not in (int, float):
        raise ValueError("must be a number")
    return float(found)


def _is_plain(found: dict[str, Any], text: bytes) -> bool:
    """As many colons as keys, and only texts: nothing was repeated, nothing was a number."""
    return text.count(b":") == len(found) and _TEXTS.issuperset(map(type, found.values()))


def _read_exactly(text: bytes, what: str) -> None:
    try:
        json.loads(text, parse_int=_integer, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError(f"{what} cannot be kept as it is: {error}") from error


def _integer(digits: str) -> int:
    if len(digits) > 20 or not _LOWEST <= int(digits) <= _HIGHEST:
        raise ValueError("it holds an integer beyond 64 bits")
    return int(digits)


def _unrepeated(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"it repeats the key {key!r}")
        seen.add(key)
