"""Read one part of a ledger from the disk, and compare it with what the log records.

Each function is a generator: it yields after every piece of work, so that the caller can rest.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from asset_ledger.ledger.content.offline import place_now, url_now
from asset_ledger.ledger.content.packs import PackReader
from asset_ledger.ledger.content.places import (
    COLLECTED_AT,
    Place,
    find_places,
    key_of,
)
from asset_ledger.ledger.content.reading import PIECE
from asset_ledger.ledger.errors import StoreUnavailableError
from asset_ledger.ledger.ids import Digest, digest_from_hex
from asset_ledger.ledger.merkle.frontier import Frontier
from asset_ledger.ledger.merkle.tiles import WIDTH
from asset_ledger.ledger.merkle.tree import HASH, leaf_hash, leaf_of
from asset_ledger.ledger.scrub.notes import Checked, LedgerPart
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.files import drop_cached
from asset_ledger.ledger.storage.object_store import ObjectReader
from asset_ledger.ledger.storage.sqlite import is_fatal, open_reader

Reading = Generator[None, None, Checked]

_DEADLINE: Final = 5.0
"""Seconds that a store may take to answer."""

EVENTS: Final = WIDTH
"""Events of a part: as many as a tile of the tree has leaves."""

_EVENTS: Final = """SELECT rowid, originator_id, originator_version, topic, state
    FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid"""
_LEAVES: Final = "SELECT position, hash FROM event_leaves WHERE position > ? AND position <= ?"
_TILE: Final = "SELECT hashes FROM merkle_tiles WHERE level = 1 AND idx = ?"
_HEAD: Final = "SELECT coalesce(max(rowid), 0) FROM stored_events"


def read_content(
    files: ContentFolder, part: LedgerPart, packs: PackReader, known: Place | None = None
) -> Reading:
    """Read a content. It may be moved or collected meanwhile. Raises sqlite3.Error.

    `known`: its place in a pack a moment ago.
    """
    digest, before = Digest(part.name), None
    while (place := known or place_now(files, digest)) is not None:
        if place == before:
            return Checked(part, "changed", f"it is not at its place in pack {place.pack}")
        try:
            if packs.find_on_disk(place) is not None:
                return Checked(part)
        except OSError as error:
            return Checked(part, "unreadable", error.strerror)
        before, known = place, None
        yield
    if (url := url_now(files, digest)) is not None:
        checked = _look_at_object(url, part)
    else:
        checked = yield from _read_file(files.object(digest), part)
    is_gone = checked.cause == "missing" and _is_collected(files, digest)
    return Checked(part, is_gone=True) if is_gone else checked


def places_of(files: ContentFolder, parts: Sequence[LedgerPart]) -> dict[str, Place]:
    """Return the places of those of these parts that are packed, by name. Raises sqlite3.Error."""
    digests = [Digest(part.name) for part in parts if part.is_content]
    with closing(open_reader(files.log)) as db:
        found = find_places(lambda *query: db.execute(*query).fetchall(), digests)
    return {str(digest): place for digest, place in found.items()}


def _look_at_object(url: str, part: LedgerPart) -> Checked:
    """Check the size of an object. A store checks its disks by itself, and asks money for reads.

    Raises StoreUnavailableError.
    """
    try:
        size = ObjectReader(_DEADLINE).size(url)
    except FileNotFoundError:
        return Checked(part, "missing", "its bytes are missing")
    except OSError as error:
        raise StoreUnavailableError from error
    if size != part.size:
        return Checked(part, "changed", f"it has {size:,} bytes instead of {part.size:,}")
    return Checked(part)


def _is_collected(files: ContentFolder, digest: Digest) -> bool:
    with closing(open_reader(files.log)) as db:
        return db.execute(COLLECTED_AT, (key_of(digest),)).fetchone() is not None


def _read_file(path: Path, part: LedgerPart) -> Reading:
    hashed, size = hashlib.sha256(), 0
    try:
        with path.open("rb", buffering=0) as file:
            drop_cached(file.fileno(), 0, 0)
            while piece := file.read(PIECE):
                hashed.update(piece)
                size += len(piece)
                yield
    except FileNotFoundError:
        return Checked(part, "missing", "its bytes are missing")
    except OSError as error:
        return Checked(part, "unreadable", error.strerror)
    if size != part.size:
        return Checked(part, "changed", f"it has {size:,} bytes instead of {part.size:,}")
    found = digest_from_hex(hashed.hexdigest())
    if found != part.name:
        return Checked(part, "changed", f"its bytes have the digest {found}")
    return Checked(part)


def read_events(log: Path, part: LedgerPart) -> Reading:
    """Read 256 events, their leaf hashes and their node in the tree. Raises sqlite3.Error."""
    number = int(part.name.split()[1])
    first, last = number * EVENTS, (number + 1) * EVENTS
    with closing(open_reader(log)) as db:
        try:
            last = min(last, db.execute(_HEAD).fetchone()[0])
            rows = db.execute(_EVENTS, (first, last)).fetchall()
            leaves = dict(db.execute(_LEAVES, (first, last)).fetchall())
            tile = db.execute(_TILE, (number // WIDTH,)).fetchone()
        except sqlite3.Error as error:
            return _unreadable(part, error)
    yield
    tree, found = Frontier(), dict[int, bytes]()
    for position, *event in rows:
        found[position] = hash_of(*event)
        tree.add(found[position])
    for position in range(first + 1, last + 1):
        if position not in found or position not in leaves:
            return Checked(part, "missing", f"event {position:,}, or its leaf hash, is missing")
        if found[position] != leaves[position]:
            return Checked(part, "changed", f"event {position:,} does not have its leaf hash")
    at = number % WIDTH * HASH
    if tile is not None and tile[0][at : at + HASH] != tree.root():
        return Checked(part, "changed", f"the tree has another hash of events {first + 1:,}...")
    return Checked(part)


def hash_of(stream: str, version: int, topic: str, state: bytes) -> bytes:
    """Return the leaf hash of a stored event; nothing if its columns have other types."""
    try:
        return leaf_hash(leaf_of(stream, version, topic, state))
    except (TypeError, AttributeError, ValueError):
        return b""


def read_table(
    log: Path, part: LedgerPart, opened: Callable[[sqlite3.Connection], None]
) -> Reading:
    """Read the pages of a table and of its indexes, in one piece of work. Raises sqlite3.Error.

    `opened` gets the connection, to interrupt it.
    """
    table = part.name.split()[1]
    with closing(open_reader(log)) as db:
        opened(db)
        try:
            rows = db.execute(f"PRAGMA quick_check('{table}')").fetchmany(1)
        except sqlite3.Error as error:
            return _unreadable(part, error)
    yield
    wrong = [str(what) for (what,) in rows if what != "ok"]
    return Checked(part, "changed", wrong[0]) if wrong else Checked(part)


def _unreadable(part: LedgerPart, error: sqlite3.Error) -> Checked:
    """Return the finding for a damaged file. Raise any other error, such as a lock."""
    if not is_fatal(error):
        raise error
    return Checked(part, "unreadable", str(error))
