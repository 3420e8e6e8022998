"""Merkle trees against the known answers of certificate transparency, and against the plain definition."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lienthong.monitoring import merkle, tiles

# Eight leaves, and the roots of the first 1 to 8 of them, that implementations of RFC 6962 share as vectors.
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
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive(leaves: list[bytes]) -> bytes:
    """Work the root out as RFC 6962 section 2.1 defines it."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return merkle.leaf_hash(leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return merkle.node_hash(naive(leaves[:half]), naive(leaves[half:]))


def tree(folder: Path, leaves: list[bytes], *, step: int = 100) -> tiles.Tiles:
    made = tiles.Tiles(folder, 0)
    for at in range(0, len(leaves), step):
        made.append(merkle.leaf_hashes(leaves[at : at + step]))
    return made


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_that_everybody_gets(tmp_path: Path, size: int) -> None:
    assert tree(tmp_path, LEAVES[:size]).root().hex() == ROOTS[size - 1]


def test_nothing_has_the_root_of_nothing(tmp_path: Path) -> None:
    assert tree(tmp_path, []).root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_proofs_are_those_of_certificate_transparency(tmp_path: Path) -> None:
    made = tree(tmp_path, LEAVES)
    assert [step.hex()[:8] for step in merkle.inclusion_proof(0, 8, made.read)] == [
        "96a296d2",
        "5f083f0a",
        "6b47aaf2",
    ]
    assert [step.hex()[:8] for step in merkle.consistency_proof(6, 8, made.read)] == [
        "0ebc5d34",
        "ca854ea1",
        "d37ee418",
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 1_200), step=st.integers(1, 700), data=st.data())
def test_any_tree_agrees_with_the_simple_one(
    tmp_path_factory: pytest.TempPathFactory, size: int, step: int, data: st.DataObject
) -> None:
    leaves = [b"leaf %d" % number for number in range(size)]
    made = tree(tmp_path_factory.mktemp("tree"), leaves, step=step)
    old, index = data.draw(st.integers(1, size)), data.draw(st.integers(0, size - 1))
    root, old_root = naive(leaves), naive(leaves[:old])
    assert (made.root(), made.root(old)) == (root, old_root)
    proof = merkle.inclusion_proof(index, size, made.read)
    assert merkle.root_by_inclusion(merkle.leaf_hash(leaves[index]), index, size, proof) == root
    merkle.check_consistency(old, size, old_root, root, merkle.consistency_proof(old, size, made.read))


@pytest.mark.parametrize("harm", ["drop", "add", "change", "other root"])
def test_a_consistency_proof_that_was_touched_proves_nothing(tmp_path: Path, harm: str) -> None:
    made = tree(tmp_path, [b"%d" % number for number in range(300)])
    proof = merkle.consistency_proof(170, 300, made.read)
    old_root = made.root(170 if harm != "other root" else 171)
    proof = {"drop": proof[1:], "add": [*proof, bytes(32)], "change": [bytes(32), *proof[1:]]}.get(harm, proof)
    with pytest.raises(merkle.DoesNotHold):
        merkle.check_consistency(170, 300, old_root, made.root(), proof)


def test_a_torn_step_is_taken_off(tmp_path: Path) -> None:
    leaves = [b"%d" % number for number in range(1_000)]
    root = tree(tmp_path, leaves).root(700)
    again = tiles.Tiles(tmp_path, 700)
    again.cut()
    assert again.root() == root
    again.append(merkle.leaf_hashes(leaves[700:]))
    assert again.root() == naive(leaves)


def test_leaf_hashes_that_retention_dropped_leave_the_other_proofs_whole(tmp_path: Path) -> None:
    leaves = [b"%d" % number for number in range(tiles.PACK + 10)]
    made = tree(tmp_path, leaves, step=20_000)
    root, index = made.root(), tiles.PACK + 5
    made.drop(0)
    assert made.root() == root
    proof = merkle.inclusion_proof(index, made.size, made.read)
    assert merkle.root_by_inclusion(merkle.leaf_hash(leaves[index]), index, made.size, proof) == root
