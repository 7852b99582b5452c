"""The Merkle tree of RFC 6962, section 2.1: roots, proofs, and their verification. Pure.

Roots and proofs are computed through a `Node`, which reads stored hashes. Verification needs only
the hashes of the proof (RFC 9162, sections 2.1.3 and 2.1.4).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from typing import Final

from asset_ledger.ledger.errors import ProofError

LEAF_PREFIX: Final = b"asset-ledger/leaf/1\n"

EMPTY_ROOT: Final = hashlib.sha256().digest()

HASH: Final = 32
"""The size of a hash in bytes."""

Node = Callable[[int, int], bytes]
"""`node(level, index)`: the root over the leaves from `index * 2**level`, `2**level` of them."""

Range = tuple[int, int]
"""A half-open range of leaf indexes."""


def leaf_of(originator_id: str, version: int, topic: str, state: bytes) -> bytes:
    """Return the bytes of a leaf: a prefix, then four parts, each after its u32 big-endian length.

    The position of the event is not among them: it is the index of the leaf plus one.
    """
    leaf = bytearray(LEAF_PREFIX)
    for part in (originator_id.encode("ascii"), b"%d" % version, topic.encode(), state):
        leaf += len(part).to_bytes(4, "big")
        leaf += part
    return bytes(leaf)


def parts_of(leaf: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Split a leaf into stream, version, topic and state. Raises ProofError for other bytes."""
    parts, rest = [], leaf.removeprefix(LEAF_PREFIX)
    while rest:
        end = 4 + int.from_bytes(rest[:4], "big")
        parts.append(rest[4:end])
        rest = rest[end:]
    match parts:
        case [stream, version, topic, state] if leaf.startswith(LEAF_PREFIX):
            return stream, version, topic, state
    raise ProofError("the leaf is not that of an event")


def leaf_hash(leaf: bytes) -> bytes:
    """Return the SHA-256 of 0x00 and the leaf. The first byte differs for inner nodes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the SHA-256 of 0x01 and the two child hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree in memory, with the root of every complete subtree. `node` is a `Node`."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        self.extend(leaf_hashes)

    def __len__(self) -> int:
        return len(self._levels[0])

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaves by their hashes."""
        self._levels[0].extend(leaf_hashes)
        for below, above in pairwise(self._levels):
            start = 2 * len(above)
            above.extend(map(node_hash, below[start::2], below[start + 1 :: 2]))
        while len(top := self._levels[-1]) > 1:
            self._levels.append(list(map(node_hash, top[::2], top[1::2])))

    def node(self, level: int, index: int) -> bytes:
        """Return the root of a complete subtree."""
        return self._levels[level][index]


def root(size: int, node: Node) -> bytes:
    """Return MTH(D[size]): the root over the first `size` leaves."""
    return range_hash((0, size), node) if size else EMPTY_ROOT


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """Return PATH(index, D[size]), from the leaf's sibling up."""
    return [range_hash(leaves, node) for leaves in _inclusion_ranges(index, size)]


def consistency_path(first: int, second: int, node: Node) -> list[bytes]:
    """Return PROOF(first, D[second]), which is empty for equal sizes."""
    return [range_hash(leaves, node) for leaves in _consistency_ranges(first, second)]


def range_hash(leaves: Range, node: Node) -> bytes:
    """Return the root over a subtree of some tree, complete or at its right edge."""
    parts = [node(level, index) for level, index in _complete_subtrees(*leaves)]
    return reduce(lambda right, left: node_hash(left, right), reversed(parts))


def _complete_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (level, index) of the complete subtrees of a range, the largest first."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _middle(start: int, end: int) -> int:
    """Return where RFC 6962 splits a range: after the largest power of two below its size."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def _inclusion_ranges(index: int, size: int) -> list[Range]:
    start, end, ranges = 0, size, list[Range]()
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(first: int, second: int) -> list[Range]:
    start, end, ranges = 0, second, list[Range]()
    while first < end:
        middle = _middle(start, end)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # else the range is the first tree, whose root the verifier has
        ranges.append((start, end))
    return ranges[::-1]


def check_inclusion(
    hashed: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes
) -> None:
    """Raise ProofError unless the path leads from the leaf hash at `index` to the root."""
    if root_from_inclusion(hashed, index, size, path) != expected:
        raise ProofError(f"the path of leaf {index} does not lead to the root of {size} leaves")


def root_from_inclusion(hashed: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that an inclusion path leads to (RFC 9162, 2.1.3.2). Raises ProofError."""
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    here, last = index, size - 1
    for sibling in _checked(path):
        if not last:
            raise ProofError(f"the path of leaf {index} is too long for {size} leaves")
        if here % 2 or here == last:
            hashed = node_hash(sibling, hashed)
            here, last = _up_from_right(here, last)
        else:
            hashed = node_hash(hashed, sibling)
        here, last = here >> 1, last >> 1
    if last:
        raise ProofError(f"the path of leaf {index} is too short for {size} leaves")
    return hashed


def check_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> None:
    """Raise ProofError unless the second tree begins with the first (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        raise ProofError(f"a tree of {second} leaves cannot follow a tree of {first}")
    if first == second:
        _check_same(first, first_root, second_root, path)
    elif (first_root, second_root) != _roots_from_consistency(first, second, first_root, path):
        raise ProofError(f"the tree of {second} leaves does not begin with the tree of {first}")


def _check_same(size: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> None:
    if first_root != second_root:
        raise ProofError(
            f"two trees of {size} leaves have different roots: the log was forked or changed"
        )
    if path:
        raise ProofError("the path between equal trees must be empty")


def _roots_from_consistency(
    first: int, second: int, first_root: bytes, path: Sequence[bytes]
) -> tuple[bytes, bytes]:
    is_subtree = first & (first - 1) == 0
    hashes = [first_root, *_checked(path)] if is_subtree else _checked(path)
    if len(hashes) < 1 + is_subtree:
        raise ProofError(f"the path from {first} to {second} leaves is too short")
    old = new = hashes[0]
    here, last = _up_while_right(first - 1, second - 1)
    for sibling in hashes[1:]:
        if not last:
            raise ProofError(f"the path from {first} to {second} leaves is too long")
        if here % 2 or here == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            here, last = _up_from_right(here, last)
        else:
            new = node_hash(new, sibling)
        here, last = here >> 1, last >> 1
    if last:
        raise ProofError(f"the path from {first} to {second} leaves is too short")
    return old, new


def _up_from_right(here: int, last: int) -> tuple[int, int]:
    """Go up until the node is a right child. Nodes on the right edge have no sibling."""
    while here and not here % 2:
        here, last = here >> 1, last >> 1
    return here, last


def _up_while_right(here: int, last: int) -> tuple[int, int]:
    """Go up to the subtree that ends with the first tree."""
    while here % 2:
        here, last = here >> 1, last >> 1
    return here, last


def _checked(path: Sequence[bytes]) -> Sequence[bytes]:
    if any(len(hashed) != HASH for hashed in path):
        raise ProofError("each hash of a path must have 32 bytes")
    return path
