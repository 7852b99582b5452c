"""Frontier returns the same roots and tiles as the whole tree."""

from hashlib import sha256

import pytest

from asset_ledger.ledger.merkle.frontier import Frontier
from asset_ledger.ledger.merkle.tiles import WIDTH
from asset_ledger.ledger.merkle.tree import EMPTY_ROOT, Tree, root


def leaves(count: int) -> list[bytes]:
    return [sha256(b"%d" % n).digest() for n in range(count)]


def test_root_equals_the_root_of_the_whole_tree_at_every_size() -> None:
    frontier, whole = Frontier(), Tree()

    assert frontier.root() == EMPTY_ROOT
    for size, leaf in enumerate(leaves(600), 1):
        frontier.add(leaf)
        whole.extend([leaf])
        assert frontier.root() == root(size, whole.node)


@pytest.mark.parametrize("extra", [0, 1, 256])
def test_add_returns_each_full_tile_once(extra: int) -> None:
    hashed, frontier = leaves(WIDTH**2 + extra), Frontier()

    filled = [tile for leaf in hashed for tile in frontier.add(leaf)]

    ((tile, hashes),) = filled
    whole = Tree(hashed)
    assert (tile.level, tile.index) == (1, 0)
    assert hashes == b"".join(whole.node(8, n) for n in range(WIDTH))
