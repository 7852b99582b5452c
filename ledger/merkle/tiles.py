"""The Merkle tree in tiles of 256 hashes (C2SP tlog-tiles), and roots and proofs from them.

A proof at a million events reads three tiles and the right edge of the tree. A hash in a tile
never changes, so tiles are cached.
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

CACHED_TILES: Final = 256
"""The maximal number of tiles in memory, about 40 KB each."""

_INDEX: Final = re.compile(r"((?:x\d{3}/){0,6}\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)
_LEVEL: Final = re.compile(r"\d|[1-5]\d|6[0-3]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tile:
    """The address of a tile: its first `width` hashes, each the root over 256**level leaves."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def first(self) -> int:
        """The index of the tile's first hash within its level."""
        return self.index * WIDTH

    @property
    def path(self) -> str:
        """`<level>/<index>[.p/<width>]`, as in C2SP tlog-tiles."""
        return f"{self.level}/{spell_index(self.index, self.width)}"


def spell_index(index: int, width: int = WIDTH) -> str:
    """Return `x001/x234/067` for 1234067, and `.p/<width>` after it if the tile is not full."""
    *above, last = (f"{int(digits):03}" for digits in f"{index:,}".split(","))
    partial = "" if width == WIDTH else f".p/{width}"
    return "".join(f"x{digits}/" for digits in above) + last + partial


def read_tile(path: str) -> Tile:
    """Parse `<level>/<index>[.p/<width>]`. Raises UnknownTileError."""
    level, _, index = path.partition("/")
    if not _LEVEL.fullmatch(level):
        raise UnknownTileError(path)
    return Tile(int(level), *read_index(index))


def read_index(path: str) -> tuple[int, int]:
    """Parse `<index>[.p/<width>]` to index and width. Raises UnknownTileError."""
    match = _INDEX.fullmatch(path)
    if match is None:
        raise UnknownTileError(path)
    index = int(match[1].replace("x", "").replace("/", ""))
    width = int(match[2] or WIDTH)
    # Refuse x000/001 for 001, and a partial tile of 256 hashes.
    if width > WIDTH or spell_index(index, width) != path:
        raise UnknownTileError(path)
    return index, width


def check_tile(tile: Tile, size: int) -> None:
    """Raise UnknownTileError unless a tree of this size has the tile at this width."""
    width = size // WIDTH**tile.level - tile.first
    if not 0 < tile.width <= min(width, WIDTH):
        raise UnknownTileError(tile.path)


def completed(before: int, size: int) -> Iterator[Tile]:
    """Yield the tiles of level 1 and above that a growing tree fills, lower levels first."""
    for level in count(1):
        leaves = WIDTH ** (level + 1)
        if leaves > size:
            return
        yield from (Tile(level, index) for index in range(before // leaves, size // leaves))


class TileSource(Protocol):
    """Stores the hashes of the tree."""

    def leaf_hashes(self, after: int, limit: int) -> Sequence[bytes]:
        """Return the leaf hashes of the next `limit` events after a position."""

    def full_tile(self, level: int, index: int) -> bytes | None:
        """Return a stored full tile of level 1 or above (256 hashes of 32 bytes), or None."""


class Tiles:
    """Reads the tree tile by tile. Thread-safe. No size may exceed the number of events."""

    def __init__(self, source: TileSource) -> None:
        self._source = source
        self._cache: OrderedDict[tuple[int, int], Tree] = OrderedDict()
        self._lock = Lock()

    def hashes(self, tile: Tile) -> bytes:
        """Return the hashes of a tile, 32 bytes each, concatenated."""
        with self._lock:
            subtree = self._tile(tile.level, tile.index, tile.width)
            return b"".join(subtree.node(0, n) for n in range(tile.width))

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves."""
        with self._lock:
            return tree.root(size, self._node)

    def inclusion_path(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof of a leaf in the tree of this size."""
        with self._lock:
            return tree.inclusion_path(index, size, self._node)

    def consistency_path(self, first: int, second: int) -> list[bytes]:
        """Return the consistency proof between the trees of two sizes."""
        with self._lock:
            return tree.consistency_path(first, second, self._node)

    def _node(self, level: int, index: int) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        tile_index, first = divmod(index << height, WIDTH)
        subtree = self._tile(tile_level, tile_index, first + (1 << height))
        return subtree.node(height, first >> height)

    def _tile(self, level: int, index: int, width: int) -> Tree:
        """Return a tile as a tree of its own, with at least `width` leaves."""
        subtree = self._cache.pop((level, index), None) or Tree()
        if len(subtree) < width:
            subtree.extend(self._missing(level, index, range(len(subtree), width)))
        if len(subtree) < width:
            raise CorruptLogError(f"the log lacks hashes of its tile {Tile(level, index).path}")
        self._cache[level, index] = subtree  # last: the tiles below may have evicted it
        if len(self._cache) > CACHED_TILES:
            self._cache.popitem(last=False)
        return subtree

    def _missing(self, level: int, index: int, missing: range) -> Iterable[bytes]:
        """Return the missing hashes of a tile, and those after them if they are read anyway."""
        if not level:
            return self._source.leaf_hashes(index * WIDTH + missing.start, WIDTH - missing.start)
        full = self._source.full_tile(level, index)
        if full is not None:
            return (full[n : n + HASH] for n in range(missing.start * HASH, len(full), HASH))
        below = (self._tile(level - 1, index * WIDTH + n, WIDTH) for n in missing)
        return (tile.node(HEIGHT, 0) for tile in below)
