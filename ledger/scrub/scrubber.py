"""Read the parts of a ledger again: those that are due, or all of them.

Both ways are iterators that yield after every piece of work, so that a server can rest between
them. The log names the parts: what an event recorded has to be there.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from math import inf
from typing import Any, Final

import orjson

from asset_ledger.ledger.content.packs import PackReader
from asset_ledger.ledger.content.places import Place
from asset_ledger.ledger.domain.asset import AssetContentReplaced, AssetCreated
from asset_ledger.ledger.domain.ledger import ContentCollected
from asset_ledger.ledger.scrub.notes import AT_ONCE, Checked, LedgerPart, ScrubNotes
from asset_ledger.ledger.scrub.reading import (
    EVENTS,
    Reading,
    hash_of,
    places_of,
    read_content,
    read_events,
    read_table,
)
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.sqlite import is_fatal, open_reader

_TOPICS: Final = (AssetCreated.TOPIC, AssetContentReplaced.TOPIC, ContentCollected.TOPIC)
_HEAD: Final = "SELECT coalesce(max(position), 0) FROM event_leaves"
_EVENTS: Final = """SELECT rowid, originator_id, originator_version, topic, state
    FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid"""
_TABLES: Final = """SELECT name FROM sqlite_master
    WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"""


class Scrubber:
    """Reads the parts of one ledger. One thread at a time."""

    def __init__(self, files: DataFolder, notes: ScrubNotes) -> None:
        self._files, self.notes = files, notes
        self._db: sqlite3.Connection | None = None

    def due(self) -> Iterator[Checked | None]:
        """Follow the log and read up to 256 parts that are due. Yield each that was read, and None
        after other work. Raises sqlite3.Error and OSError."""
        yield from self._follow()
        yield from self._read(iter(self.notes.due()))

    def all(self) -> Iterator[Checked | None]:
        """Follow the log and read every part, the damaged ones first."""
        yield from self._follow()
        yield from self._read(self.notes.all())

    def read(self, part: LedgerPart) -> Checked:
        """Read one part, and store the result."""
        reading = self._reading(part, PackReader(self._files.content))
        while True:
            try:
                next(reading)
            except StopIteration as end:
                self.notes.keep([end.value])
                return end.value  # type: ignore[no-any-return]

    def interrupt(self) -> None:
        """End the reading of a table, which may take minutes. Any thread may call."""
        if self._db is not None:
            with suppress(sqlite3.ProgrammingError):  # it is closed
                self._db.interrupt()

    def _read(self, parts: Iterator[LedgerPart]) -> Iterator[Checked | None]:
        while batch := list(islice(parts, AT_ONCE)):
            results = list[Checked]()
            for reading in self._readings(batch):
                checked = yield from reading
                results.append(checked)
                if checked.cause:
                    self.notes.keep(results)
                    results = []
                yield checked
            self.notes.keep(results)

    def _readings(self, parts: Sequence[LedgerPart]) -> Iterator[Reading]:
        """Yield the reading of each part: packed contents first, as they follow on the disk."""
        packs, places = PackReader(self._files.content), self._places(parts)
        for part in sorted(parts, key=lambda part: _order(places.get(part.name))):
            yield self._reading(part, packs, places.get(part.name))

    def _places(self, parts: Sequence[LedgerPart]) -> Mapping[str, Place]:
        try:
            return places_of(self._files.content, parts)
        except sqlite3.Error as error:
            if is_fatal(error):
                return {}  # the reading of each part reports it
            raise

    def _reading(self, part: LedgerPart, packs: PackReader, place: Place | None = None) -> Reading:
        if part.is_content:
            return read_content(self._files.content, part, packs, place)
        if part.name.startswith("events "):
            return read_events(self._files.log, part)
        return read_table(self._files.log, part, self._hold)

    def _hold(self, db: sqlite3.Connection) -> None:
        self._db = db

    def _follow(self) -> Iterator[None]:
        """Note the parts that new events name."""
        with closing(open_reader(self._files.log)) as db:
            head = _rows(db, _HEAD)
            while head and self.notes.position < head[0][0]:
                self._follow_page(db, head[0][0])
                yield

    def _follow_page(self, db: sqlite3.Connection, head: int) -> None:
        after = self.notes.position
        upto = min((after // EVENTS + 1) * EVENTS, head)
        changes: dict[str, int | None] = {f"events {after // EVENTS}": 0}
        if not after:
            changes |= {f"table {name}": 0 for (name,) in _rows(db, _TABLES)}
        leaf = b""
        for position, *event in _rows(db, _EVENTS, after, upto):
            changes |= _named(*event[2:])
            leaf = hash_of(*event) if position == upto else b""
        self.notes.follow(changes, upto, leaf)


def _order(place: Place | None) -> tuple[float, int]:
    """Return a key that sorts contents as they follow on the disk, those in no pack last."""
    return (inf, 0) if place is None else (place.pack, place.offset)


def _rows(db: sqlite3.Connection, sql: str, *parameters: int) -> list[Any]:
    """Return the rows of a statement; none from damaged pages, which `read_events` finds."""
    try:
        return db.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        if is_fatal(error):
            return []
        raise


def _named(topic: str, state: bytes) -> dict[str, int | None]:
    """Return the contents that an event stores, with their sizes, or removes."""
    if topic not in _TOPICS:
        return {}
    try:
        event = orjson.loads(state)
        if topic == ContentCollected.TOPIC:
            return dict.fromkeys(event["digests"])
        return {event["digest"]: event["size"]} if event.get("digest") else {}
    except (ValueError, KeyError, TypeError):  # changed bytes, which `read_events` finds
        return {}
