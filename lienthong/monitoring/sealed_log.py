"""One sealed log on the disk: its hashes, the order of its leaves, and its checkpoints. The leaves lie elsewhere.

`checkpoints.jsonl` and `order.jsonl` only grow; `verifier` is the public key; `retired/` says what retention took.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import orjson

from lienthong.core import crypto
from lienthong.monitoring import checkpoints, log_files, merkle, tiles


@dataclass(frozen=True, slots=True)
class Run:
    """Leaves that follow each other in the log and in the numbers of one node, all of one day (Vietnam)."""

    start: int
    node: str
    first: int
    count: int
    day: str

    def line(self) -> bytes:
        """Write the run as it stands in the file."""
        return orjson.dumps([self.start, self.node, self.first, self.count, self.day])


class Leaf(NamedTuple):
    """A leaf to be sealed."""

    node: str
    number: int
    day: str
    data: bytes


@dataclass(slots=True)
class Order:
    """Where each record of each node stands in the log."""

    runs: list[Run] = field(default_factory=list)
    size: int = 0
    _of_node: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)

    def add(self, run: Run) -> None:
        """Add the next run; raises NotInOrder where it does not follow."""
        _must_follow(run, self.size)
        last = self.runs[-1] if self.runs else None
        if last and (last.node, last.first + last.count, last.day) == (run.node, run.first, run.day):
            self.runs[-1] = dataclasses.replace(last, count=last.count + run.count)
        else:
            self.runs.append(run)
        known = self._of_node.setdefault(run.node, [])
        if known and known[-1][0] + known[-1][1] == run.first and known[-1][2] + known[-1][1] == run.start:
            known[-1] = (known[-1][0], known[-1][1] + run.count, known[-1][2])
        else:
            known.append((run.first, run.count, run.start))
            # Sorted only where it must be: with two nodes a month has a quarter of a million runs of each.
            if len(known) > 1 and known[-2] > known[-1]:
                known.sort()
        self.size += run.count

    def index_of(self, node: str, number: int) -> int | None:
        """Give the place in the log of a record; nothing where it is not sealed."""
        known = self._of_node.get(node, [])
        at = bisect_right(known, (number, 1 << 62, 0)) - 1
        if at < 0:
            return None
        first, count, start = known[at]
        return start + number - first if number < first + count else None

    def place_of(self, index: int) -> Run:
        """Give the run that a leaf belongs to."""
        return self.runs[bisect_right(self.runs, index, key=lambda run: run.start) - 1]

    def name(self, index: int) -> str:
        """Name a leaf for people: its node and number, and its day."""
        run = self.place_of(index)
        return f"{run.node} no. {run.first + index - run.start} ({run.day}, leaf {index})"

    def last(self, node: str) -> int:
        """Give the highest number of a node that is sealed."""
        known = self._of_node.get(node)
        return known[-1][0] + known[-1][1] - 1 if known else 0

    def numbers(self, node: str) -> list[tuple[int, int]]:
        """List the numbers of a node that are sealed, as (first, count)."""
        return [(first, count) for first, count, _ in self._of_node.get(node, [])]

    @property
    def nodes(self) -> list[str]:
        """Name every node that has leaves in the log."""
        return sorted(self._of_node)


class NotInOrder(ValueError):
    """The order of a log cannot be read, or does not follow."""


@dataclass(slots=True)
class Sealed:
    """Which numbers of each node are in the log, wherever they stand: what a sealer must know, and no more.

    Two busy nodes alternate some quarter of a million times a month; their numbers follow each other all the same.
    """

    size: int = 0
    _of_node: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # first, and the one after the last

    def add(self, run: Run) -> None:
        """Add the next run; raises NotInOrder where it does not follow."""
        _must_follow(run, self.size)
        self.size += run.count
        known = self._of_node.setdefault(run.node, [])
        first, end = run.first, run.first + run.count
        at = bisect_right(known, (first, 1 << 62))
        if at < len(known) and known[at][0] == end:
            end = known.pop(at)[1]
        if at and known[at - 1][1] == first:
            at -= 1
            first = known.pop(at)[0]
        known.insert(at, (first, end))

    def has(self, node: str, number: int) -> bool:
        """Whether a record is in the log."""
        known = self._of_node.get(node, [])
        at = bisect_right(known, (number, 1 << 62)) - 1
        return at >= 0 and number < known[at][1]

    def last(self, node: str) -> int:
        """Give the highest number of a node that is sealed."""
        known = self._of_node.get(node)
        return known[-1][1] - 1 if known else 0


def _must_follow(run: Run, size: int) -> None:
    if run.start != size or run.count < 1:
        raise NotInOrder(f"the order of the log breaks at leaf {size}")


_Read = TypeVar("_Read", Order, Sealed)


def read_order(lines: Iterable[bytes], *, size: int) -> Order:
    """Read the order of the first `size` leaves; raises NotInOrder naming where it breaks."""
    return _read(Order(), lines, size)


def read_sealed(lines: Iterable[bytes], *, size: int) -> Sealed:
    """Read which records are among the first `size` leaves; raises NotInOrder naming where the order breaks."""
    return _read(Sealed(), lines, size)


def _read(found: _Read, lines: Iterable[bytes], size: int) -> _Read:
    for line in lines:
        if found.size >= size:
            break
        found.add(_run(line, found.size))
    if found.size != size:
        raise NotInOrder(f"the order of the log ends at leaf {found.size} of {size}")
    return found


def _run(line: bytes, at: int) -> Run:
    try:
        start, node, first, count, day = orjson.loads(line)
        run = Run(start, sys.intern(node), first, count, sys.intern(day))  # many lines name the same few
        if run.line() == line and isinstance(run.count, int) and isinstance(run.first, int):
            return run
    except (ValueError, TypeError):
        pass
    raise NotInOrder(f"the order of the log cannot be read at leaf {at}")


class SealedLog:
    """A log that this process seals; nobody else does while it is open."""

    def __init__(self, folder: Path, *, origin: str, signer: crypto.Signer) -> None:
        self.folder, self._signer = folder, signer
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.verifier = _known_verifier(folder, checkpoints.Verifier(origin, signer.public))
            self._resume()
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let another process seal; closed once only: later the number of the lock is another file's."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _resume(self) -> None:
        """Go on after the last checkpoint: what was written after it belongs to a torn step and is taken off."""
        self.last = last_stated(self.folder, self.verifier, cut=True)
        size = self.last.size if self.last else 0
        try:
            self.sealed = read_sealed(log_files.each_line(self.folder / "order.jsonl"), size=size)
        except NotInOrder as exc:
            raise log_files.not_sound(str(exc)) from exc
        _keep_lines(self.folder / "order.jsonl", size)
        self.tiles = tiles.Tiles(self.folder, size)
        self.tiles.cut()
        if self.last and self.tiles.root() != self.last.root:
            raise log_files.not_sound(
                f"the hashes of the log do not give the root of checkpoint {self.last.number}"
            )

    def append(self, leaves: Sequence[Leaf]) -> None:
        """Add leaves; they count once a checkpoint states them."""
        if not leaves:
            return
        self.tiles.append(merkle.leaf_hashes(leaf.data for leaf in leaves))
        lines = []
        for run in _runs(leaves, self.sealed.size):
            self.sealed.add(run)
            lines.append(run.line())
        log_files.append_lines(self.folder / "order.jsonl", lines)

    def checkpoint(self, *, now: datetime, day: str | None = None) -> str:
        """State what is in the log now, signed; gives the note."""
        number = self.last.number + 1 if self.last else 1
        root = self.tiles.root()
        self.last = checkpoints.Checkpoint(self.verifier.name, self.tiles.size, root, number, now, day)
        note = checkpoints.sign(self.last, self._signer)
        log_files.append_lines(self.folder / "checkpoints.jsonl", [orjson.dumps(note)])
        log_files.replace(self.folder / "checkpoint", note.encode())
        return note


def _runs(leaves: Sequence[Leaf], start: int) -> Iterator[Run]:
    node, number, day, _ = leaves[0]
    first, count = number, 0
    for leaf_node, number, leaf_day, _ in leaves:
        if number != first + count or leaf_day != day or leaf_node != node:
            yield Run(start, node, first, count, day)
            start, node, first, count, day = start + count, leaf_node, number, 0, leaf_day
        count += 1
    yield Run(start, node, first, count, day)


def _known_verifier(folder: Path, ours: checkpoints.Verifier) -> checkpoints.Verifier:
    """Give the name and key of this log: those that it was begun with. Another key cannot go on with it."""
    path = folder / "verifier"
    if not path.exists():
        log_files.replace(path, (ours.text + "\n").encode())
        return ours
    known = checkpoints.verifier(path.read_text(encoding="utf-8"))
    if known.public != ours.public:
        raise log_files.not_sound("it was begun with another key than HOME/keys/seal.key")
    return known


def last_stated(folder: Path, who: checkpoints.Verifier, *, cut: bool = False) -> checkpoints.Checkpoint | None:
    """Give the last checkpoint of a log; raises StorageUnavailable where it cannot be trusted."""
    line = log_files.last_line(folder / "checkpoints.jsonl", cut=cut)
    try:
        return None if line is None else checkpoints.read(orjson.loads(line), who)
    except (checkpoints.NotANote, orjson.JSONDecodeError, AttributeError) as exc:
        raise log_files.not_sound(f"its last checkpoint cannot be trusted: {exc}") from exc


@dataclass(frozen=True, slots=True)
class Glance:
    """A log as it stood at one of its checkpoints, read apart from whoever seals meanwhile."""

    folder: Path
    verifier: checkpoints.Verifier
    tiles: tiles.Tiles


def snapshot(folder: Path, who: checkpoints.Verifier) -> tuple[Order, tiles.Tiles]:
    """Read a log as its last checkpoint states it, whoever is sealing meanwhile."""
    last = last_stated(folder, who)
    size = last.size if last else 0
    try:
        order = read_order(log_files.each_line(folder / "order.jsonl"), size=size)
    except NotInOrder as exc:
        raise log_files.not_sound(str(exc)) from exc
    return order, tiles.Tiles(folder, size)


def _keep_lines(path: Path, size: int) -> None:
    """Take off the lines of a torn step: those that begin at or after `size`."""
    keep, total = 0, 0
    for line in log_files.each_line(path):
        if total >= size:
            break
        keep, total = keep + len(line) + 1, total + orjson.loads(line)[3]
    if path.exists():
        os.truncate(path, keep)
