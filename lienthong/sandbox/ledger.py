"""What the sandbox received and what it holds: calls in order, dossiers with their steps.

Calls are kept compactly in memory (blocks of compressed lines) and, where a store is given, in its file.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from lienthong.sandbox import lean
from lienthong.sandbox.store import Statement, Store

Row = dict[str, Any]

BLOCK = 64
_KEEP_ROW = "INSERT INTO received VALUES (?, ?, ?, ?, ?, ?)"
_KEEP_DOSSIER = "INSERT INTO dossiers VALUES (?, ?, ?) ON CONFLICT (code) DO UPDATE SET head = excluded.head, "
_KEEP_DOSSIER += "item = excluded.item"
_KEEP_STEP = "INSERT INTO steps (code, line) VALUES (?, ?)"


@dataclass(slots=True)
class Dossier:
    """One dossier as the imitated portal holds it."""

    code: str
    item: bytes
    status: str = ""
    procedure: str = ""
    pushes: int = 0
    statuses: list[str] = field(default_factory=list)
    first_at: str = ""
    last_at: str = ""
    steps: list[bytes] = field(default_factory=list)

    def head(self) -> Row:
        """Return what is kept beside the last snapshot."""
        return {
            "code": self.code,
            "status": self.status,
            "procedure": self.procedure,
            "pushes": self.pushes,
            "statuses": self.statuses,
            "first_at": self.first_at,
            "last_at": self.last_at,
        }

    def described(self) -> Row:
        """Return the dossier with its steps in the order of arrival."""
        return self.head() | {"steps": [orjson.loads(step) for step in self.steps]}


class Ledger:
    """Every call and every dossier; the oldest calls give way when there are too many."""

    def __init__(self, *, keep: int = 200_000, store: Store | None = None) -> None:
        """Start empty, or from what the store holds."""
        self.keep = keep
        self.store = store
        self._written: list[Statement] = []
        self._empty()
        if store is not None:
            self._restore(store)

    def _empty(self) -> None:
        self.dossiers: dict[str, Dossier] = {}
        self.steps = 0
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._blocks: list[bytes] = []
        self._tail: list[bytes] = []
        self._base = 1
        self._next = 1
        self._kinds: dict[tuple[str, str, str], int] = {}
        self._kind_of = array("H")
        self._of_dossier: defaultdict[str, array[int]] = defaultdict(lambda: array("L"))

    def _restore(self, store: Store) -> None:
        for n, system, service, outcome, dossiers, line in store.received(keep=self.keep):
            if not self._kind_of:
                self._base = self._next = n
            self._index(system, service, outcome, orjson.loads(dossiers), line)
        for code, head, item in store.dossiers():
            known = orjson.loads(head)
            self.dossiers[code] = Dossier(item=item, **known)
        for code, line in store.steps():
            self.dossiers[code].steps.append(line)
            self.steps += 1

    @property
    def total(self) -> int:
        """How many calls were received since the last reset."""
        return self._next - 1

    def add(self, row: Row, *, dossiers: tuple[str, ...]) -> int:
        """Keep one call; returns its number."""
        n = self._next
        row["n"] = n
        line = orjson.dumps(row)
        system, service, outcome = row["system"], row["service"], row["outcome"]
        self._index(system, service, outcome, dossiers, line)
        if self.store is not None:
            self._written.append((_KEEP_ROW, (n, system, service, outcome, orjson.dumps(dossiers).decode(), line)))
        return n

    async def settle(self) -> None:
        """Wait until what was kept since the last time is on disk, where there is a store."""
        if self.store is not None and self._written:
            written, self._written = self._written, []
            await self.store.write(written)

    def _index(self, system: str, service: str, outcome: str, dossiers: Iterable[str], line: bytes) -> None:
        kind = (system, service, outcome)
        self.counts[kind] += 1
        self._kind_of.append(self._kinds.setdefault(kind, len(self._kinds)))
        for code in dossiers:
            self._of_dossier[code].append(self._next)
        self._tail.append(line)
        self._next += 1
        if len(self._tail) == BLOCK:
            self._blocks.append(zlib.compress(b"\n".join(self._tail), 1))
            self._tail = []
            self._forget()

    def _forget(self) -> None:
        while len(self._kind_of) > max(self.keep, BLOCK):
            del self._blocks[0]
            del self._kind_of[:BLOCK]
            self._base += BLOCK

    def put_dossier(self, item: Row, *, at: str) -> None:
        """Create a dossier or replace it; its steps stay."""
        code = item["MaHoSo"]
        dossier = self.dossiers.get(code) or Dossier(code, b"", first_at=at)
        dossier.item, dossier.last_at = lean.dumps(item), at
        dossier.status, dossier.procedure = item["TrangThaiHoSo"], item["MaTTHC"]
        dossier.pushes += 1
        dossier.statuses.append(dossier.status)
        self.dossiers[code] = dossier
        self._write_dossier(dossier)

    def append_step(self, item: Row, *, at: str) -> None:
        """Append one progress step; the same step given twice stands twice."""
        dossier = self.dossiers[item["MaHoSo"]]
        line = lean.dumps({"arrived_at": at, **item})
        dossier.steps.append(line)
        self.steps += 1
        dossier.status, dossier.last_at = item["TrangThai"], at
        if self.store is not None:
            self._written.append((_KEEP_STEP, (dossier.code, line)))
        self._write_dossier(dossier)

    def _write_dossier(self, dossier: Dossier) -> None:
        if self.store is not None:
            head = orjson.dumps(dossier.head())
            self._written.append((_KEEP_DOSSIER, (dossier.code, head, dossier.item)))

    def received(self, *, wanted: Row, limit: int, offset: int) -> tuple[int, list[Row]]:
        """Find calls by system, service, outcome and dossier: their number, and one page of them, newest last.

        The page is counted from the newest call: offset 0 holds the latest ones.
        """
        numbers = self._numbers(wanted)
        end = max(0, len(numbers) - offset)
        return len(numbers), self._rows(numbers[max(0, end - limit) : end])

    def one(self, n: int) -> Row | None:
        """Find one call by its number, where it is still kept."""
        return self._rows([n])[0] if self._base <= n < self._next else None

    def _numbers(self, wanted: Row) -> Any:
        kinds = {number for kind, number in self._kinds.items() if _agrees(kind, wanted)}
        if wanted.get("dossier"):
            of_dossier = self._of_dossier.get(wanted["dossier"], ())
            return [n for n in of_dossier if n >= self._base and self._kind_of[n - self._base] in kinds]
        if len(kinds) == len(self._kinds):
            return range(self._base, self._next)
        return [n for n, kind in enumerate(self._kind_of, self._base) if kind in kinds]

    def _rows(self, numbers: Iterable[int]) -> list[Row]:
        rows, opened, lines = [], -1, self._tail
        for n in numbers:
            block, place = divmod(n - self._base, BLOCK)
            if block != opened:
                opened = block
                is_tail = block >= len(self._blocks)
                lines = self._tail if is_tail else zlib.decompress(self._blocks[block]).split(b"\n")
            rows.append(orjson.loads(lines[place]))
        return rows

    async def reset(self) -> None:
        """Forget every call and every dossier."""
        self._empty()
        self._written = [("DELETE FROM received", ()), ("DELETE FROM dossiers", ()), ("DELETE FROM steps", ())]
        await self.settle()


def _agrees(kind: tuple[str, str, str], wanted: Row) -> bool:
    named = zip(("system", "service", "outcome"), kind, strict=True)
    return all(not wanted.get(key) or wanted[key] == value for key, value in named)
