"""Merkle trees as RFC 6962 section 2.1 has them: hashes, roots, proofs of inclusion and of consistency. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
# Gives the hash of a whole subtree: of its level (a leaf is 0) and its place among those of that level.
NodeReader = Callable[[int, int], bytes]


class DoesNotHold(ValueError):
    """A proof that does not prove what it was given for."""


def leaf_hash(data: bytes) -> bytes:
    """Hash one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """Hash many leaves; as `leaf_hash`, with less to do for each."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + data).digest() for data in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash a node of two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Give the root over a whole subtree's hashes: as many as a power of two."""
    sha256, level = hashlib.sha256, list(hashes)
    while len(level) > 1:
        level = [
            sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)
        ]
    return level[0]


def subtrees(first: int, end: int) -> list[tuple[int, int]]:
    """Divide a range of leaves into the fewest whole subtrees, from left to right, as (level, place)."""
    found = []
    while first < end:
        level = min((first & -first).bit_length() - 1 if first else 64, (end - first).bit_length() - 1)
        found.append((level, first >> level))
        first += 1 << level
    return found


def root(size: int, read: NodeReader) -> bytes:
    """Give the root of the first `size` leaves."""
    return _range(0, size, read) if size else EMPTY_ROOT


def _range(first: int, end: int, read: NodeReader) -> bytes:
    """Hash the leaves of a range that begins where a subtree of its size may begin."""
    *rest, last = subtrees(first, end)
    value = read(*last)
    for level, place in reversed(rest):
        value = node_hash(read(level, place), value)
    return value


def _split(size: int) -> int:
    """Give the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(index: int, size: int, read: NodeReader) -> list[bytes]:
    """Prove that the leaf at `index` is in the tree of the first `size` leaves (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise DoesNotHold(f"there is no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(_range(middle, end, read))
            end = middle
        else:
            path.append(_range(first, middle, read))
            first = middle
    return path[::-1]


def consistency_proof(old: int, new: int, read: NodeReader) -> list[bytes]:
    """Prove that the tree of `old` leaves is the beginning of that of `new` (RFC 6962 section 2.1.2)."""
    if not 0 < old <= new:
        raise DoesNotHold(f"a tree of {new} leaves cannot continue one of {old}")
    path: list[bytes] = []
    first, end, is_whole = 0, new, True
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(_range(middle, end, read))
            end = middle
        else:
            path.append(_range(first, middle, read))
            first, is_whole = middle, False
    if not is_whole:
        path.append(_range(first, end, read))
    return path[::-1]


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Work out the root that a proof of inclusion leads to; raises DoesNotHold where it has the wrong length."""
    if not 0 <= index < size:
        raise DoesNotHold(f"there is no leaf {index} in a tree of {size}")
    value, place, last = leaf, index, size - 1
    for step in proof:
        if last == 0:
            raise DoesNotHold("the proof is too long")
        if place & 1 or place == last:
            value = node_hash(step, value)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            value = node_hash(value, step)
        place, last = place >> 1, last >> 1
    if last:
        raise DoesNotHold("the proof is too short")
    return value


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check a proof of consistency (RFC 9162 section 2.1.4.2); raises DoesNotHold where it proves nothing."""
    if old == new:
        if proof or old_root != new_root:
            raise DoesNotHold("two trees of the same size are not the same")
        return
    if old == 0 and old_root == EMPTY_ROOT and not proof:
        return  # every tree continues the empty one
    if not 0 < old < new or not proof:
        raise DoesNotHold("the proof is empty, or the trees are the wrong way round")
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise DoesNotHold("the proof is too long")
        if place & 1 or place == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, step)
        place, last = place >> 1, last >> 1
    if last or (first, second) != (old_root, new_root):
        raise DoesNotHold("the later tree does not continue the earlier one")
