"""The tree cut into tiles of 256 hashes (C2SP tlog-tiles), and the roots and proofs made from them.

A proof at a million events reads three tiles and the right edge of the tree. What a tile has once
held never changes, so it is remembered.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import Final, Protocol

from asset_ledger.ledger.errors import CorruptLogError, UnknownTileError
from asset_ledger.ledger.merkle import tree
from asset_ledger.ledger.merkle.tree import HASH, Tree

HEIGHT: Final = 8
WIDTH: Final = 256

REMEMBERED: Final = 256
"""How many tiles are held in memory, at some 40 KB each."""

_INDEX: Final = re.compile(r"((?:x\d{3}/){0,6}\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)
_LEVEL: Final = re.compile(r"\d|[1-5]\d|6[0-3]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile by its place: its first `width` hashes, each the root over 256**level leaves."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def first(self) -> int:
        """The index of its first hash in its level."""
        return self.index * WIDTH

    @property
    def path(self) -> str:
        """`<level>/<index>[.p/<width>]`, as the specification spells it."""
        return f"{self.level}/{spell_index(self.index, self.width)}"


def spell_index(index: int, width: int = WIDTH) -> str:
    """`x001/x234/067` for 1234067; `.p/<width>` behind it where the tile is not full."""
    *above, last = (f"{int(digits):03}" for digits in f"{index:,}".split(","))
    partial = "" if width == WIDTH else f".p/{width}"
    return "".join(f"x{digits}/" for digits in above) + last + partial


def read_tile(path: str) -> Tile:
    """The tile that `<level>/<index>[.p/<width>]` spells. Raises UnknownTileError."""
    level, _, index = path.partition("/")
    if not _LEVEL.fullmatch(level):
        raise UnknownTileError(path)
    return Tile(int(level), *read_index(index))


def read_index(path: str) -> tuple[int, int]:
    """The index and width that `<index>[.p/<width>]` spells. Raises UnknownTileError."""
    match = _INDEX.fullmatch(path)
    if match is None:
        raise UnknownTileError(path)
    index = int(match[1].replace("x", "").replace("/", ""))
    width = int(match[2] or WIDTH)
    # x000/001 is no second name of 001, and 256 hashes are no partial tile.
    if width > WIDTH or spell_index(index, width) != path:
        raise UnknownTileError(path)
    return index, width


def check_tile(tile: Tile, size: int) -> None:
    """Raises UnknownTileError unless a tree of this size has the tile, and as wide."""
    there = size // WIDTH**tile.level - tile.first
    if not 0 < tile.width <= min(there, WIDTH):
        raise UnknownTileError(tile.path)


def completed(before: int, size: int) -> Iterator[Tile]:
    """The tiles of level 1 and up that get full while a tree grows, the lower levels first."""
    for level in count(1):
        leaves = WIDTH ** (level + 1)
        if leaves > size:
            return
        yield from (Tile(level, index) for index in range(before // leaves, size // leaves))


class TileSource(Protocol):
    """What keeps the hashes."""

    def leaf_hashes(self, after: int, limit: int) -> Sequence[bytes]:
        """The leaf hashes of the next events after a position."""

    def full_tile(self, level: int, index: int) -> bytes | None:
        """A full tile of level 1 or up, if it is kept: 256 hashes in one piece."""


class Tiles:
    """The tree, read tile by tile. Any thread may ask.

    Sizes that are asked for must not be beyond the source's last event.
    """

    def __init__(self, source: TileSource) -> None:
        self._source = source
        self._known: OrderedDict[tuple[int, int], Tree] = OrderedDict()
        self._lock = Lock()

    def hashes(self, tile: Tile) -> bytes:
        """The hashes of a tile in one piece."""
        with self._lock:
            known = self._tile(tile.level, tile.index, tile.width)
            return b"".join(known.node(0, n) for n in range(tile.width))

    def root(self, size: int) -> bytes:
        """The root over the first `size` leaves."""
        with self._lock:
            return tree.root(size, self._node)

    def inclusion_path(self, index: int, size: int) -> list[bytes]:
        """The proof that a leaf is in the tree of this size."""
        with self._lock:
            return tree.inclusion_path(index, size, self._node)

    def consistency_path(self, first: int, second: int) -> list[bytes]:
        """The proof that the tree of one size begins with that of another."""
        with self._lock:
            return tree.consistency_path(first, second, self._node)

    def _node(self, level: int, index: int) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        tile_index, first = divmod(index << height, WIDTH)
        known = self._tile(tile_level, tile_index, first + (1 << height))
        return known.node(height, first >> height)

    def _tile(self, level: int, index: int, width: int) -> Tree:
        """A tile as a small tree of its own, at least this wide."""
        known = self._known.pop((level, index), None) or Tree()
        if len(known) < width:
            known.extend(self._missing(level, index, range(len(known), width)))
        if len(known) < width:
            raise CorruptLogError(f"the log lacks hashes of its tile {Tile(level, index).path}")
        self._known[level, index] = known  # last: what it was made from may have pushed it out
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

    def _missing(self, level: int, index: int, wanted: range) -> Iterable[bytes]:
        """The hashes of a tile from the first that is wanted on; more, where they are at hand."""
        if not level:
            return self._source.leaf_hashes(index * WIDTH + wanted.start, WIDTH - wanted.start)
        kept = self._source.full_tile(level, index)
        if kept is not None:
            return (kept[n : n + HASH] for n in range(wanted.start * HASH, len(kept), HASH))
        below = (self._tile(level - 1, index * WIDTH + n, WIDTH) for n in wanted)
        return (tile.node(HEIGHT, 0) for tile in below)
