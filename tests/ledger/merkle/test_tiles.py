"""Tiles: their paths and widths, and roots and proofs from tiles."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.errors import CorruptLogError, UnknownTileError
from asset_ledger.ledger.merkle.tiles import (
    WIDTH,
    Tile,
    Tiles,
    check_tile,
    completed,
    read_index,
    read_tile,
    spell_index,
)
from asset_ledger.ledger.merkle.tree import (
    EMPTY_ROOT,
    HASH,
    Tree,
    consistency_path,
    inclusion_path,
    node_hash,
    root,
)

SIZE = 70_000  # the example of the specification: tiles of three levels
HASHES = [hashlib.sha256(b"%d" % n).digest() for n in range(SIZE)]


class Leaves:
    """A TileSource in memory, with the stored full tiles given in `full`."""

    def __init__(self, hashes: Sequence[bytes], full: dict[tuple[int, int], bytes]) -> None:
        self.hashes, self.full, self.reads = hashes, full, 0

    def leaf_hashes(self, after: int, limit: int) -> Sequence[bytes]:
        self.reads += 1
        return self.hashes[after : after + limit]

    def full_tile(self, level: int, index: int) -> bytes | None:
        return self.full.get((level, index))


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(HASHES)


@pytest.fixture(params=["stored", "computed"])
def source(request: pytest.FixtureRequest, tree: Tree) -> Leaves:
    first = b"".join(tree.node(8, n) for n in range(WIDTH))
    return Leaves(HASHES, {(1, 0): first} if request.param == "stored" else {})


@pytest.mark.parametrize(
    ("index", "width", "spelled"),
    [
        (0, WIDTH, "000"),
        (7, 1, "007.p/1"),
        (999, WIDTH, "999"),
        (1_000, WIDTH, "x001/000"),
        (1_234_067, WIDTH, "x001/x234/067"),
        (1_234_067, 255, "x001/x234/067.p/255"),
        (10**12 + 1, WIDTH, "x001/x000/x000/x000/001"),
    ],
)
def test_spell_index_follows_the_specification(index: int, width: int, spelled: str) -> None:
    assert spell_index(index, width) == spelled
    assert read_index(spelled) == (index, width)


@given(st.integers(0, 63), st.integers(0, 10**12), st.integers(1, WIDTH))
def test_read_tile_inverts_path(level: int, index: int, width: int) -> None:
    assert read_tile(Tile(level, index, width).path) == Tile(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/",
        "0/0",
        "0/0000",
        "00/000",
        "64/000",
        "-1/000",
        "0/000/",
        "0/x000/001",
        "0/x001",
        "0/001/002",
        "0/x001/x002",
        "0/000.p/0",
        "0/000.p/01",
        "0/000.p/256",
        "0/000.p/257",
        "0/000.p/",
        "0/٠٠٠",
        "٣/000",
        "entries/000",
        "0/000\n",
        "0/" + "x999/" * 2_000 + "999",
    ],
)
def test_read_tile_refuses_other_paths(path: str) -> None:
    with pytest.raises(UnknownTileError):
        read_tile(path)


@pytest.mark.parametrize(
    ("size", "present", "missing"),
    [
        (SIZE, ["0/272", "0/273.p/112", "1/000", "1/001.p/17", "2/000.p/1"], []),
        (SIZE, [], ["0/273", "0/273.p/113", "1/001", "1/001.p/18", "2/000.p/2", "3/000.p/1"]),
        (256, ["0/000", "1/000.p/1"], ["0/001.p/1", "1/000.p/2", "2/000.p/1"]),
        (1, ["0/000.p/1"], ["0/000.p/2", "1/000.p/1"]),
        (0, [], ["0/000.p/1"]),
    ],
)
def test_check_tile_follows_the_example_of_the_specification(
    size: int, present: list[str], missing: list[str]
) -> None:
    for path in present:
        check_tile(read_tile(path), size)
    for path in missing:
        with pytest.raises(UnknownTileError, match=path):
            check_tile(read_tile(path), size)


def test_completed_yields_each_tile_once() -> None:
    steps = [0, 1, 65_535, 65_536, 200_000, 256**3 - 1, 256**3, 256**3 + 65_536]
    seen = [tile for before, size in pairwise(steps) for tile in completed(before, size)]

    assert [tile for tile in seen if tile.level == 1] == [Tile(1, n) for n in range(257)]
    assert [tile for tile in seen if tile.level == 2] == [Tile(2, 0)]
    assert seen.index(Tile(2, 0)) > seen.index(Tile(1, 255))


@pytest.mark.parametrize("path", ["0/000", "0/273.p/112", "0/003.p/7", "1/000", "1/001.p/17"])
def test_hashes_of_a_tile_are_the_roots_over_its_leaves(
    source: Leaves, tree: Tree, path: str
) -> None:
    tile = read_tile(path)

    hashes = Tiles(source).hashes(tile)

    first = tile.index * WIDTH
    expected = [tree.node(8 * tile.level, first + n) for n in range(tile.width)]
    assert [hashes[n : n + HASH] for n in range(0, len(hashes), HASH)] == expected


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, SIZE])
def test_root_from_tiles_equals_the_root_of_the_tree(source: Leaves, tree: Tree, size: int) -> None:
    assert Tiles(source).root(size) == root(size, tree.node)


def test_root_of_a_smaller_size_comes_from_the_same_tiles(source: Leaves, tree: Tree) -> None:
    tiles = Tiles(source)

    for size in (SIZE, 69_999, 65_537, 66_000, 257, 0, SIZE):
        assert tiles.root(size) == root(size, tree.node)


def test_paths_from_tiles_equal_the_paths_of_the_tree(source: Leaves, tree: Tree) -> None:
    tiles = Tiles(source)

    for index, size in [(0, SIZE), (65_535, SIZE), (65_536, SIZE), (SIZE - 1, SIZE), (300, 301)]:
        path = inclusion_path(index, size, tree.node)
        assert tiles.inclusion_path(index, size) == path
    for first, second in [(1, SIZE), (65_536, SIZE), (65_537, SIZE), (257, 300), (300, 300)]:
        path = consistency_path(first, second, tree.node)
        assert tiles.consistency_path(first, second) == path


def test_root_of_a_growing_tree_reads_further_leaves(tree: Tree) -> None:
    hashes: list[bytes] = []
    tiles = Tiles(Leaves(hashes, {}))

    for size in (1, 100, 256, 600, 1_000):
        hashes.extend(HASHES[len(hashes) : size])
        assert tiles.root(size) == root(size, tree.node)


def test_a_cached_tile_is_not_read_again() -> None:
    source = Leaves(HASHES[:1_000], {})
    tiles = Tiles(source)
    path = tiles.inclusion_path(5, 1_000)
    reads = source.reads

    assert tiles.inclusion_path(5, 1_000) == path
    assert source.reads == reads


def test_an_evicted_tile_is_read_again(tree: Tree) -> None:
    tiles = Tiles(Leaves(HASHES, {}))

    for index in (*range(0, SIZE, WIDTH), 0):  # 274 tiles of level 0
        path = inclusion_path(index, SIZE, tree.node)
        assert tiles.inclusion_path(index, SIZE) == path


def test_tiles_are_thread_safe(tree: Tree) -> None:
    tiles = Tiles(Leaves(HASHES, {}))
    sizes = [*range(1, SIZE, 997)] * 2

    with ThreadPoolExecutor(8) as threads:
        roots = list(threads.map(tiles.root, sizes))

    assert roots == [root(size, tree.node) for size in sizes]


def test_root_raises_corrupt_log_error_if_leaf_hashes_are_missing() -> None:
    tiles = Tiles(Leaves(HASHES[:200], {}))

    with pytest.raises(CorruptLogError, match="0/000"):
        tiles.root(201)
    assert tiles.root(0) == EMPTY_ROOT
    assert tiles.root(2) == node_hash(*HASHES[:2])
