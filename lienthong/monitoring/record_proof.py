"""One record against its seal: where it stands in the signed log, and the hashes that lead to the signed root."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lienthong.core import access_record, errors
from lienthong.monitoring import checkpoints, log_files, merkle, sealed_log, seals

HOLDS, ALTERED, NOT_YET, UNNUMBERED, DROPPED = "holds", "altered", "not_yet", "unnumbered", "dropped"


@dataclass(frozen=True, slots=True)
class Proof:
    """What the seal says of a record. `path` leads from the record's hash to the root that was signed."""

    state: str
    node: str | None = None
    number: int | None = None
    leaf: str = ""
    index: int | None = None
    size: int = 0
    root: str = ""
    checkpoint: int = 0
    sealed_at: datetime | None = None
    path: tuple[str, ...] = ()
    key: str = ""


def prove(home: Path, row: Any) -> Proof:
    """Look a record up in the log of calls and work out its way to the signed root; waits for the disk.

    Raises StorageUnavailable where the log itself cannot be trusted.
    """
    if row["node"] is None:
        return Proof(UNNUMBERED)
    data = access_record.from_row(row)
    node, number, _ = access_record.place_of(data)
    folder = home / "seals" / seals.ACCESS
    leaf = merkle.leaf_hash(data)
    if not (folder / "verifier").exists():
        return Proof(NOT_YET, node, number, leaf.hex())
    who = _whose(home, folder)
    last = sealed_log.last_stated(folder, who)
    order, hashes = sealed_log.snapshot(folder, who)
    index = order.index_of(node, number)
    if last is None or index is None:
        return Proof(NOT_YET, node, number, leaf.hex())
    found = Proof(
        HOLDS,
        node,
        number,
        leaf.hex(),
        index,
        last.size,
        root=last.root.hex(),
        checkpoint=last.number,
        sealed_at=last.at,
        key=who.text,
    )
    try:
        sealed = hashes.read(0, index)
        path = merkle.inclusion_proof(index, last.size, hashes.read)
    except errors.StorageUnavailable:
        return replace(found, state=DROPPED)
    root = merkle.root_by_inclusion(leaf, index, last.size, path)
    state = HOLDS if root == last.root and sealed == leaf else ALTERED
    return replace(found, state=state, path=tuple(step.hex() for step in path))


def _whose(home: Path, folder: Path) -> checkpoints.Verifier:
    """Give whose log it is; one of another key than ours proves nothing. Raises StorageUnavailable."""
    try:
        who = checkpoints.verifier((folder / "verifier").read_text(encoding="utf-8"))
    except checkpoints.NotANote as exc:
        raise log_files.not_sound("its public key cannot be read") from exc
    if who.public != seals.signer(home).public:
        raise log_files.not_sound("it is signed with another key than HOME/keys/seal.key")
    return who
