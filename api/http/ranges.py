"""Byte ranges (RFC 9110, 14): one range of a content, or all of it."""

import re
from typing import Final, NamedTuple

from asset_ledger.api.contract.errors import RangeError

_ONE: Final = re.compile(r"bytes\s*=\s*([0-9]{0,999})\s*-\s*([0-9]{0,999})\s*", re.IGNORECASE)


class Span(NamedTuple):
    """The bytes [start, stop)."""

    start: int
    stop: int


def asked_range(header: str | None, size: int) -> Span | None:
    """The part that a Range header asks for: `a-b`, `a-` or `-n`. Raises RangeError.

    None is all of it: no header, several ranges (which a server may ignore), or none of ours.
    """
    found = _ONE.fullmatch(header or "")
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return _suffix(int(last), size)
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise RangeError(size)
    return Span(start, min(end, size - 1) + 1)


def _suffix(length: int, size: int) -> Span | None:
    if not length:
        raise RangeError(size)
    return Span(max(0, size - length), size) if size else None
