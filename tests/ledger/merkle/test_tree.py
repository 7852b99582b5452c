"""The RFC 6962 tree against published vectors, another implementation, and forged proofs."""

import hashlib
from collections.abc import Sequence

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.tree import (
    EMPTY_ROOT,
    Tree,
    check_consistency,
    check_inclusion,
    consistency_path,
    inclusion_path,
    leaf_hash,
    leaf_of,
    node_hash,
    root,
)

# The vectors of the Certificate Transparency reference implementation.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SECOND_LEAF = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
THIRD_AND_FOURTH = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
LAST_FOUR = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
FIFTH_LEAF = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
LAST_TWO = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
FIFTH_AND_SIXTH = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"


def tree_of(leaves: Sequence[bytes]) -> Tree:
    return Tree([leaf_hash(leaf) for leaf in leaves])


def numbered(size: int) -> Tree:
    return tree_of([b"%d" % n for n in range(size)])


@pytest.mark.parametrize("size", range(9))
def test_root_equals_the_published_vector(size: int) -> None:
    assert root(size, tree_of(LEAVES).node).hex() == ROOTS[size]


def test_root_of_an_empty_tree_is_the_hash_of_no_bytes() -> None:
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT == root(0, Tree().node)


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 1, []),
        (0, 8, [SECOND_LEAF, THIRD_AND_FOURTH, LAST_FOUR]),
        (5, 8, [FIFTH_LEAF, LAST_TWO, ROOTS[4]]),
        (2, 3, [ROOTS[2]]),
        (1, 5, [ROOTS[1], THIRD_AND_FOURTH, FIFTH_LEAF]),
    ],
)
def test_inclusion_path_equals_the_published_vector(index: int, size: int, path: list[str]) -> None:
    made = inclusion_path(index, size, tree_of(LEAVES).node)

    assert [hashed.hex() for hashed in made] == path


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        (1, 1, []),
        (1, 8, [SECOND_LEAF, THIRD_AND_FOURTH, LAST_FOUR]),
        (6, 8, [FIFTH_AND_SIXTH, LAST_TWO, ROOTS[4]]),
        (2, 5, [THIRD_AND_FOURTH, FIFTH_LEAF]),
    ],
)
def test_consistency_path_equals_the_published_vector(
    first: int, second: int, path: list[str]
) -> None:
    made = consistency_path(first, second, tree_of(LEAVES).node)

    assert [hashed.hex() for hashed in made] == path


def test_paths_of_seven_leaves_equal_the_example_of_the_rfc() -> None:
    """RFC 6962, 2.1.3: leaves d0 to d6 hash to a b c d e f j; g h i, k l are the nodes above."""
    tree = numbered(7)
    a, b, c, d, e, f, j = (tree.node(0, index) for index in range(7))
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741

    assert root(7, tree.node) == node_hash(k, l)
    assert inclusion_path(0, 7, tree.node) == [b, h, l]
    assert inclusion_path(3, 7, tree.node) == [c, g, l]
    assert inclusion_path(4, 7, tree.node) == [f, j, k]
    assert inclusion_path(6, 7, tree.node) == [i, k]
    assert consistency_path(3, 7, tree.node) == [c, d, g, l]
    assert consistency_path(4, 7, tree.node) == [l]
    assert consistency_path(6, 7, tree.node) == [i, j, k]


def test_roots_and_inclusion_paths_agree_with_pymerkle() -> None:
    tree, reference = Tree(), pymerkle.InmemoryTree(algorithm="sha256")
    for size in range(1, 71):
        tree.extend([leaf_hash(b"%d" % size)])
        reference.append_entry(b"%d" % size)
        assert root(size, tree.node) == reference.get_root()
        for index in range(size):
            _leaf, *path = reference.prove_inclusion(index + 1, size).path
            assert inclusion_path(index, size, tree.node) == path


def test_consistency_paths_equal_the_definition_of_the_rfc() -> None:
    hashes = [leaf_hash(b"%d" % n) for n in range(70)]
    tree = Tree(hashes)
    for second in range(1, len(hashes) + 1):
        for first in range(1, second + 1):
            path = consistency_path(first, second, tree.node)
            assert path == subproof(first, hashes[:second], True)


def test_consistency_paths_verify_between_roots_of_pymerkle() -> None:
    tree, reference = Tree(), pymerkle.InmemoryTree(algorithm="sha256")
    for second in range(1, 71):
        tree.extend([leaf_hash(b"%d" % second)])
        reference.append_entry(b"%d" % second)
        for first in range(1, second + 1):
            path = consistency_path(first, second, tree.node)
            check_consistency(first, second, reference.get_root(first), reference.get_root(), path)


def mth(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    k = max(2**n for n in range(10) if 2**n < len(hashes))
    return node_hash(mth(hashes[:k]), mth(hashes[k:]))


def subproof(m: int, hashes: list[bytes], b: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2, word for word."""
    if m == len(hashes):
        return [] if b else [mth(hashes)]
    k = max(2**n for n in range(10) if 2**n < len(hashes))
    if m <= k:
        return [*subproof(m, hashes[:k], b), mth(hashes[k:])]
    return [*subproof(m - k, hashes[k:], False), mth(hashes[:k])]


sizes = st.integers(1, 600)


@st.composite
def leaf_and_path(draw: st.DrawFn) -> tuple[Tree, int, int, list[bytes]]:
    size = draw(sizes)
    index = draw(st.integers(0, size - 1))
    tree = numbered(size)
    return tree, index, size, inclusion_path(index, size, tree.node)


@st.composite
def sizes_and_path(draw: st.DrawFn) -> tuple[int, int, bytes, bytes, list[bytes]]:
    second = draw(sizes)
    first = draw(st.integers(1, second))
    node = numbered(second).node
    path = consistency_path(first, second, node)
    return first, second, root(first, node), root(second, node), path


def forged(draw: st.DrawFn, path: list[bytes]) -> list[bytes]:
    """Forge a path: flip a bit, drop, double, insert or cut a hash, or swap two hashes."""
    where = draw(st.integers(0, max(len(path) - 1, 0)))
    insert = [*path[:where], hashlib.sha256(b"forged").digest(), *path[where:]]
    if not path:
        return insert
    cut, rest = path[where], path[where + 1 :]
    bit = draw(st.integers(0, 255))
    flipped = (int.from_bytes(cut, "big") ^ 1 << bit).to_bytes(32, "big")
    other = draw(st.integers(0, len(path) - 1))
    swapped = list(path)
    swapped[where], swapped[other] = swapped[other], swapped[where]
    before = path[:where]
    forgeries = [
        insert,
        [*before, flipped, *rest],
        [*before, *rest],
        [*before, cut, cut, *rest],
        [*before, cut[:-1], *rest],
        swapped,
    ]
    return draw(st.sampled_from([forgery for forgery in forgeries if forgery != path]))


@given(leaf_and_path())
def test_check_inclusion_accepts_every_inclusion_path(
    proof: tuple[Tree, int, int, list[bytes]],
) -> None:
    tree, index, size, path = proof

    check_inclusion(tree.node(0, index), index, size, path, root(size, tree.node))


@given(leaf_and_path(), st.data())
def test_check_inclusion_refuses_a_forged_path(
    proof: tuple[Tree, int, int, list[bytes]], data: st.DataObject
) -> None:
    tree, index, size, path = proof
    other = data.draw(st.composite(forged)(path))

    with pytest.raises(ProofError):
        check_inclusion(tree.node(0, index), index, size, other, root(size, tree.node))


@given(leaf_and_path(), st.data())
def test_check_inclusion_refuses_another_leaf_index_or_root(
    proof: tuple[Tree, int, int, list[bytes]], data: st.DataObject
) -> None:
    tree, index, size, path = proof
    true_leaf, true_root = tree.node(0, index), root(size, tree.node)
    other_index = data.draw(st.integers(-1, size).filter(lambda other: other != index))

    with pytest.raises(ProofError):
        check_inclusion(leaf_hash(b"forged"), index, size, path, true_root)
    with pytest.raises(ProofError):
        check_inclusion(true_leaf, other_index, size, path, true_root)
    with pytest.raises(ProofError):
        check_inclusion(true_leaf, index, size, path, leaf_hash(b"forged"))


@given(sizes_and_path())
def test_check_consistency_accepts_every_consistency_path(
    proof: tuple[int, int, bytes, bytes, list[bytes]],
) -> None:
    check_consistency(*proof)


@given(sizes_and_path(), st.data())
def test_check_consistency_refuses_a_forged_path(
    proof: tuple[int, int, bytes, bytes, list[bytes]], data: st.DataObject
) -> None:
    first, second, old, new, path = proof
    other = data.draw(st.composite(forged)(path))

    with pytest.raises(ProofError):
        check_consistency(first, second, old, new, other)


@given(sizes_and_path())
def test_check_consistency_refuses_another_root(
    proof: tuple[int, int, bytes, bytes, list[bytes]],
) -> None:
    first, second, old, new, path = proof
    forged_root = leaf_hash(b"forged")

    with pytest.raises(ProofError):
        check_consistency(first, second, forged_root, new, path)
    with pytest.raises(ProofError):
        check_consistency(first, second, old, forged_root, path)


@pytest.mark.parametrize(("first", "second"), [(0, 3), (-1, 3), (4, 3)])
def test_check_consistency_refuses_an_empty_or_larger_first_tree(first: int, second: int) -> None:
    with pytest.raises(ProofError, match="cannot follow"):
        check_consistency(first, second, EMPTY_ROOT, EMPTY_ROOT, [])


def test_check_consistency_reports_a_fork_for_equal_sizes() -> None:
    with pytest.raises(ProofError, match="forked"):
        check_consistency(3, 3, leaf_hash(b"one"), leaf_hash(b"other"), [])


def test_leaf_of_prefixes_each_part_with_its_length() -> None:
    stream = "0123456789abcdef0123456789abcdef"

    assert leaf_of(stream, 12, "asset.créated", b'{"by":"1"}') == (
        b"asset-ledger/leaf/1\n"
        b"\x00\x00\x00\x20" + stream.encode() + b"\x00\x00\x00\x0212"
        b"\x00\x00\x00\x0easset.cr\xc3\xa9ated"
        b'\x00\x00\x00\x0a{"by":"1"}'
    )
