"""What retention took from a sealed log: signed statements, so that no removal can be passed off as its work.

Hashes above the leaves stay, so that every proof of what is left holds.
"""

from __future__ import annotations

import hashlib
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import orjson

from lienthong.core import access_record, crypto
from lienthong.monitoring import checkpoints, log_files, merkle, tiles

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Retired:
    """The leaves that retention took away, as ranges that do not touch."""

    ranges: tuple[Range, ...] = ()

    def has(self, index: int) -> bool:
        """Whether a leaf was dropped by retention."""
        return self.covers(index, index + 1)

    def covers(self, first: int, end: int) -> bool:
        """Whether all leaves of a range were."""
        at = bisect_right(self.ranges, first, key=lambda each: each[0]) - 1
        return at >= 0 and self.ranges[at][1] >= end


@dataclass(frozen=True, slots=True)
class Statement:
    """Which records are dropped: those of a day (Vietnam, as 2026-01-31) and a kind; and when that is said."""

    day: str
    kind: str
    at: datetime

    @property
    def name(self) -> str:
        """The name under which it is kept."""
        return f"{self.day}.{self.kind}"


class Order(Protocol):
    """Where records stand in the log."""

    def index_of(self, node: str, number: int) -> int | None:
        """Give the place of a record; nothing where it is not sealed."""
        ...

    def name(self, index: int) -> str:
        """Name a leaf for people."""
        ...


def state(
    log: Path,
    signer: crypto.Signer,
    statement: Statement,
    leaves: Iterable[bytes],
    *,
    order: Order,
    hashes: tiles.Tiles,
) -> int:
    """State, signed, that these records are dropped because their time is over; gives how many were sealed.

    Called before they are dropped; safe to repeat. A record that is not the sealed one is refused: nobody may pass
    an altered day off as an old one.
    """
    who = checkpoints.verifier((log / "verifier").read_text(encoding="utf-8"))
    before = _ranges_of(log / "retired" / f"{statement.name}.note", who)
    known, found = Retired(before), list[Range]()
    for data in leaves:
        node, number, _ = access_record.place_of(data)
        index = order.index_of(node, number)
        if index is None or known.has(index):
            continue
        if hashes.read(0, index) != merkle.leaf_hash(data):
            raise log_files.not_sound(f"{order.name(index)} was altered and is not dropped")
        found.append((index, index + 1))
    _write(log, who, signer, _merged([*before, *found]), statement=statement)
    _drop_packs(hashes, read(log, who))
    return len(found)


def read(log: Path, who: checkpoints.Verifier) -> Retired:
    """Read what was retired; raises NotANote naming a statement that does not hold."""
    everything: list[Range] = []
    for path in sorted((log / "retired").glob("*.note")):
        everything += _ranges_of(path, who)
    return Retired(_merged(everything))


def _write(
    log: Path, who: checkpoints.Verifier, signer: crypto.Signer, ranges: Iterable[Range], *, statement: Statement
) -> None:
    ranges = list(ranges)
    text = zlib.compress(orjson.dumps(ranges))
    count = sum(end - first for first, end in ranges)
    said = [
        f"{who.name} retired",
        statement.name,
        str(count),
        hashlib.sha256(text).hexdigest(),
        f"time {statement.at.isoformat()}",
    ]
    body = "\n".join(said) + "\n"
    line = checkpoints.signature_line(who, signer.sign(body.encode()))
    folder = log / "retired"
    folder.mkdir(exist_ok=True, mode=0o700)
    # Each statement has leaves of its own name, so that a crash between the two never leaves a broken pair.
    log_files.replace(folder / f"{said[3][:16]}.leaves", text)
    log_files.replace(folder / f"{statement.name}.note", f"{body}\n{line}".encode())


def _ranges_of(path: Path, who: checkpoints.Verifier) -> tuple[Range, ...]:
    if not path.exists():
        return ()
    body, lines = checkpoints.parts(path.read_text(encoding="utf-8"))
    said = body.splitlines()
    if not checkpoints.is_signed_by(who, body, lines) or said[0] != f"{who.name} retired" or said[1] != path.stem:
        raise checkpoints.NotANote(f"retired/{path.name} is not signed, or speaks of something else")
    leaves = path.with_name(f"{said[3][:16]}.leaves")
    text = leaves.read_bytes() if leaves.exists() else b""
    if hashlib.sha256(text).hexdigest() != said[3]:
        raise checkpoints.NotANote(f"retired/{leaves.name} is not what {path.name} speaks of")
    return tuple((first, end) for first, end in orjson.loads(zlib.decompress(text)))


def _drop_packs(hashes: tiles.Tiles, gone: Retired) -> None:
    for pack in hashes.packs(0):
        first, end = pack * tiles.PACK, (pack + 1) * tiles.PACK
        if end <= hashes.size and gone.covers(first, end):
            hashes.drop(pack)


def _merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return tuple(merged)
