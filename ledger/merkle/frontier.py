"""A Merkle tree that stores only its right edge, so that an audit of any length takes a few KB."""

from collections import defaultdict
from collections.abc import Iterator
from functools import reduce

from asset_ledger.ledger.merkle.tiles import HEIGHT, WIDTH, Tile
from asset_ledger.ledger.merkle.tree import EMPTY_ROOT, HASH, node_hash


class Frontier:
    """A growing tree: the roots of the complete subtrees over all leaves, the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []
        self._filling: defaultdict[int, bytearray] = defaultdict(bytearray)

    def add(self, hashed: bytes) -> list[tuple[Tile, bytes]]:
        """Add a leaf hash. Return the tiles of level 1 and above that it fills, with hashes."""
        self.size += 1
        self._edge.append(hashed)
        return [tile for height in self._merges() for tile in self._fill(height)]

    def root(self) -> bytes:
        """Return the root over all leaves."""
        if not self._edge:
            return EMPTY_ROOT
        return reduce(lambda right, left: node_hash(left, right), reversed(self._edge))

    def _merges(self) -> Iterator[int]:
        """Join the subtrees that the last leaf completed. Yield the height of each new subtree."""
        height, rest = 0, self.size
        while not rest % 2:
            right, left = self._edge.pop(), self._edge.pop()
            self._edge.append(node_hash(left, right))
            height, rest = height + 1, rest // 2
            yield height

    def _fill(self, height: int) -> Iterator[tuple[Tile, bytes]]:
        level, above = divmod(height, HEIGHT)
        if above:
            return
        filling = self._filling[level]
        filling += self._edge[-1]
        if len(filling) == WIDTH * HASH:
            yield Tile(level, (self.size >> height) // WIDTH - 1), bytes(filling)
            filling.clear()
