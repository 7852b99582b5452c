"""Time zones of usage: the offsets of a zone as rows, so that SQL finds the local day of a time.

An offset holds for a whole quarter of an hour in UTC: so it is in every zone since 1972. Before
that, a time is taken to be the start of its quarter.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import orjson

QUARTER: Final = (
    "substr({0}, 1, 14) || CASE WHEN substr({0}, 15, 2) < '15' THEN '00'"
    " WHEN substr({0}, 15, 2) < '30' THEN '15' WHEN substr({0}, 15, 2) < '45' THEN '30'"
    " ELSE '45' END"
)
"""SQL of the start of the quarter of an hour of a time, such as `2026-01-31T12:45`."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}", re.ASCII)
_OFFSET: Final = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_LONGEST_NAME: Final = 64
_STEP: Final = timedelta(days=3)
"""No zone has two changes of its offset within this time."""
_MINUTE: Final = timedelta(minutes=1)


class Zone(NamedTuple):
    """A time zone: an IANA name, or an offset from UTC such as `+02:00`."""

    name: str
    rules: tzinfo

    @property
    def is_utc(self) -> bool:
        """Whether its days are those of UTC."""
        return self.rules is UTC


UTC_ZONE: Final = Zone("UTC", UTC)


@lru_cache(maxsize=256)
def zone_named(text: str) -> Zone:
    """Return the zone with a name, or with an offset. Raises ValueError."""
    if text in ("UTC", "Z", "+00:00", "-00:00"):
        return UTC_ZONE
    if found := _OFFSET.fullmatch(text):
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return Zone(text, timezone(ahead if found[1] == "+" else -ahead))
    try:
        if len(text) <= _LONGEST_NAME and _NAME.fullmatch(text):
            return Zone(text, ZoneInfo(text))
    except (ValueError, OSError, LookupError):
        pass  # no such zone, or a folder or another file of that name
    raise ValueError(
        "must be a time zone such as Europe/Berlin, or an offset such as +02:00 (in an address, "
        "%2B02:00)"
    )


def offsets_json(zone: Zone, years: Iterable[int]) -> str:
    """Return the offsets in these years as JSON: `[[year, begin, end, seconds], ...]`.

    Begin and end are UTC, as `QUARTER` writes them; the end is not included.
    """
    return orjson.dumps([row for year in years for row in _offsets(zone, year)]).decode()


@lru_cache(maxsize=4_096)
def _offsets(zone: Zone, year: int) -> list[tuple[str, str, str, int]]:
    """Return the offsets of a zone in a year, in the order of time."""
    begin, rows = datetime(year, 1, 1, tzinfo=UTC), []
    for end in _changes(zone, year):
        rows.append((f"{year:04}", _text(begin), _text(end), _offset(zone, begin)))
        begin = end
    return [*rows, (f"{year:04}", _text(begin), "~", _offset(zone, begin))]


def _changes(zone: Zone, year: int) -> Iterator[datetime]:
    """Yield the times at which the offset changes, to the minute."""
    when, last = datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, tzinfo=UTC)
    offset = _offset(zone, when)
    while when < last:
        following = when + min(_STEP, last - when)
        if _offset(zone, following) != offset:
            when = _change(zone, when, following)
            offset = _offset(zone, when)
            yield when
        when = following


def _change(zone: Zone, before: datetime, after: datetime) -> datetime:
    """Return the minute at which the offset has changed between these two times."""
    low, high, offset = 0, (after - before) // _MINUTE, _offset(zone, before)
    while high - low > 1:
        middle = (low + high) // 2
        same = _offset(zone, before + middle * _MINUTE) == offset
        low, high = (middle, high) if same else (low, middle)
    return before + high * _MINUTE


def _offset(zone: Zone, when: datetime) -> int:
    """Return the seconds ahead of UTC; near the ends of the calendar, those of two days off."""
    try:
        offset = when.astimezone(zone.rules).utcoffset()
    except OverflowError:
        return _offset(zone, when + timedelta(days=2 if when.year == 1 else -2))
    return round(offset.total_seconds()) if offset else 0


def _text(when: datetime) -> str:
    return when.isoformat()[:16]
