"""A small hub's sealed record over three days, and a thousand ways to tamper with it."""

from __future__ import annotations

import dataclasses
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from lienthong.core import access_record, clock, ingest, journal, spool, storage, tables
from lienthong.monitoring import log_check, seals, verification

BEGUN = datetime(2026, 3, 2, 8, tzinfo=clock.VIETNAM)
NOW = BEGUN + timedelta(days=2, hours=3)
DAYS = ("2026-03-02", "2026-03-03", "2026-03-04")


def record(number: int, at: datetime) -> access_record.Record:
    """Invent a call."""
    return access_record.Record(
        at,
        clock.new_id(int(at.timestamp() * 1000)),
        ("residents.look_up", "dossiers.put", "procedures.list")[number % 3],
        "/v1/residents/look-up",
        "ok" if number % 7 else "Client.NotGranted",
        1.5 + number % 40,
        status=200 if number % 7 else 403,
        key_id=f"key-{number % 5}",
        generation=1,
        organisation="Sở Tư pháp",
        official=f"canbo{number % 9}",
        address=f"10.0.0.{number % 250}",
        bytes_out=number,
        rows=1,
        field_groups=("identity",) if number % 3 == 0 else (),
        subject=f"{number % 50:016x}" if number % 3 == 0 else None,
        purpose="đối chiếu",
        upstream=(access_record.Attempt("population_c06", "ok", 12),) if number % 3 == 0 else (),
    )


class DayLines:
    """Closed days in the simplest form: a file a day, a record a line."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "days"

    def days(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.jsonl"))

    def rows(self, day: str) -> Iterator[bytes]:
        yield from (line for line in (self.folder / f"{day}.jsonl").read_bytes().split(b"\n") if line)


@dataclasses.dataclass
class SealedHome:
    """A home folder with what lies in it; `old` is a copy of it as it was some steps ago."""

    home: Path
    old: Path

    @property
    def database(self) -> Path:
        return self.home / "lienthong.db"

    async def verify(self) -> log_check.Report:
        store = storage.Storage(storage.sqlite_url(self.database))
        try:
            return await verification.verify(self.home, store, days=DayLines(self.home))
        finally:
            await store.close()

    def copied(self, target: Path) -> SealedHome:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.home, target)
        return SealedHome(target, self.old)


# By the calls of a day: the home that the first test of this process made; the next ones get copies of it.
_built: dict[int, tempfile.TemporaryDirectory[str]] = {}


async def build(folder: Path, *, a_day: int = 500) -> SealedHome:
    """Give three days from two nodes, written, ingested and sealed; the first two days lie in day files."""
    if a_day not in _built:
        kept = tempfile.TemporaryDirectory(prefix="lienthong-sealed-")
        await _make(Path(kept.name), a_day)
        _built[a_day] = kept
    shutil.copytree(_built[a_day].name, folder, dirs_exist_ok=True)
    return SealedHome(folder / "home", folder / "old")


async def _make(folder: Path, a_day: int) -> SealedHome:
    made = SealedHome(folder / "home", folder / "old")
    store = storage.Storage(storage.sqlite_url(_parent(made.database)))
    async with store.engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    for day, name in enumerate(DAYS):
        begun = BEGUN + timedelta(days=day)
        for part in range(4):
            if (day, part) == (2, 2):
                shutil.copytree(made.home, made.old)
            await _live(made.home, store, begun + timedelta(minutes=30 * part), a_day // 4)
        if day < 2:
            await _close_day(made.home, store, name)
    await store.close()
    _one_file(made.database)
    _one_file(made.old / "lienthong.db")
    return made


async def _live(home: Path, store: storage.Storage, at: datetime, count: int) -> None:
    nodes = [spool.Spool(home / "spool", "gateway") for _ in range(2)]
    for number in range(count):
        nodes[number % 2].append(record(number, at + timedelta(seconds=number)))
    for node in nodes:
        node.close()
    async with store.transaction() as tx:
        await journal.write_act(tx, "keys.issue", "key-1", actor="thu", now=at, reason="thử", after={"n": count})
    await ingest.Ingest(home / "spool", store).step()
    async with seals.opened(home, store) as sealer:
        await sealer.step(at + timedelta(minutes=20))


async def _close_day(home: Path, store: storage.Storage, day: str) -> None:
    rows = [access_record.from_row(row) async for row in verification.hot_rows(store)]
    _parent(home / "days" / f"{day}.jsonl").write_bytes(b"".join(row + b"\n" for row in rows))
    async with store.transaction() as tx:
        await tx.execute(sa.delete(tables.exchanges))


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _one_file(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.execute("pragma journal_mode=delete")
    connection.close()


# ------------------------------------------------------------------------------------------------------ tampering

Tampering = Callable[[SealedHome, random.Random], str]


def edit(path: Path, chance: random.Random) -> str:
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data) - 1)
    data[at] ^= chance.randrange(1, 32) if data[at] != 10 else 1
    path.write_bytes(data)
    return "edit"


def cut(path: Path, chance: random.Random) -> str:
    path.write_bytes(path.read_bytes()[: -chance.randrange(40, 4_000)])
    return "truncate"


def change_lines(path: Path, chance: random.Random) -> str:
    lines = path.read_bytes().splitlines(keepends=True)
    at, other = chance.sample(range(len(lines)), 2)
    kind = chance.choice(["remove", "insert", "reorder", "truncate"])
    if kind == "remove":
        del lines[at]
    elif kind == "insert":
        lines.insert(at, lines[other])
    elif kind == "reorder":
        lines[at], lines[other] = lines[other], lines[at]
        if lines[at] == lines[other]:
            del lines[at]
    else:
        lines = lines[: max(at, 1)]
    path.write_bytes(b"".join(lines))
    return kind


def change_hashes(path: Path, chance: random.Random) -> str:
    data = path.read_bytes()
    hashes = [data[at : at + 32] for at in range(0, len(data), 32)]
    at, other = chance.sample(range(len(hashes)), 2)
    kind = chance.choice(["remove", "insert", "reorder"])
    if kind == "remove":
        del hashes[at]
    elif kind == "insert":
        hashes.insert(at, chance.randbytes(32))
    else:
        hashes[at], hashes[other] = hashes[other], hashes[at]
    path.write_bytes(b"".join(hashes))
    return kind


def tamper_tiles(made: SealedHome, chance: random.Random) -> str:
    path = made.home / "seals" / "access" / "hashes" / "0" / "000000"
    kind = chance.choice([edit, cut, change_hashes, old_copy_of("seals/access/hashes"), gone])
    return f"tiles: {kind(path, chance)}"


def tamper_checkpoints(made: SealedHome, chance: random.Random) -> str:
    log = chance.choice(["access", "admin"])
    path = made.home / "seals" / log / chance.choice(["checkpoints.jsonl", "order.jsonl"])
    kind = chance.choice([edit, cut, change_lines, old_copy_of(f"seals/{log}"), gone])
    return f"{log} {path.name}: {kind(path, chance)}"


def tamper_spool(made: SealedHome, chance: random.Random) -> str:
    path = chance.choice(sorted(made.home.glob("spool/*/*.spool")))
    while not path.stat().st_size:
        path = chance.choice(sorted(made.home.glob("spool/*/*.spool")))
    return f"spool: {chance.choice([edit, cut, gone])(path, chance)}"


def tamper_day(made: SealedHome, chance: random.Random) -> str:
    path = made.home / "days" / f"{chance.choice(DAYS[:2])}.jsonl"
    kind = chance.choice([edit, cut, _change_records, gone])
    return f"day file: {kind(path, chance)}"


def _change_records(path: Path, chance: random.Random) -> str:
    """Reorder by exchanging the numbers of two records: the order of lines means nothing."""
    lines = path.read_bytes().splitlines()
    at, other = chance.sample(range(len(lines)), 2)
    kind = chance.choice(["remove", "insert", "twice", "reorder"])
    first, second = (access_record.from_bytes(lines[one]) for one in (at, other))
    if kind == "remove":
        del lines[at]
    elif kind == "insert":
        lines.append(access_record.to_bytes(first._replace(number=first.number + 1_000_000)))
    elif kind == "twice":
        lines.append(lines[at])
    else:
        lines[at] = access_record.to_bytes(first._replace(node=second.node, number=second.number))
        lines[other] = access_record.to_bytes(second._replace(node=first.node, number=first.number))
    path.write_bytes(b"\n".join(lines) + b"\n")
    return kind


def gone(path: Path, _: random.Random) -> str:
    path.unlink()
    return "removed whole"


def old_copy_of(part: str) -> Callable[[Path, random.Random], str]:
    def put_back(path: Path, _: random.Random) -> str:
        home = next(each for each in path.parents if (each / "seals").is_dir())
        shutil.rmtree(home / part)
        shutil.copytree(home.parent / "old" / part, home / part)
        return f"old copy of {part}"

    return put_back


_EDITS = {
    "outcome": "'ok, really'",
    "key_id": "'key-x'",
    "official": "'nguoi-khac'",
    "bytes_out": "bytes_out + 1",
    "took_ms": "took_ms + 0.001",
    "at": "at - 1000000",
    "subject": "'ffffffffffffffff'",
    "address": "null",
    "upstream": "'[]x'",
    "rows": "rows + 1",
    "request_id": "'00000000-0000-7000-8000-000000000000'",
    "number_in_node": "number_in_node + 100000",
    "node": "null",
}


def tamper_hot(made: SealedHome, chance: random.Random) -> str:
    if chance.random() < 0.1:
        shutil.copy(made.old / "lienthong.db", made.database)
        return "hot store: old copy"
    connection = sqlite3.connect(made.database)
    try:
        return f"hot store: {_change_rows(connection, chance)}"
    finally:
        connection.commit()
        connection.close()


def _change_rows(connection: sqlite3.Connection, chance: random.Random) -> str:
    numbers = [number for (number,) in connection.execute("select number from exchanges")]
    at, other = chance.sample(numbers, 2)
    kind = chance.choice(["edit", "edit", "remove", "insert", "reorder", "truncate", "whole day", "act"])
    if kind == "edit":
        column = chance.choice(sorted(_EDITS))
        connection.execute(f"update exchanges set {column} = {_EDITS[column]} where number = ?", (at,))
        return f"edit {column}"
    if kind == "remove":
        connection.execute("delete from exchanges where number = ?", (at,))
    elif kind == "insert":
        _insert_copy(connection, at, has_number=chance.random() < 0.5)
    elif kind == "reorder":
        _exchange_times(connection, at, other)
    elif kind == "truncate":
        connection.execute("delete from exchanges where number > ?", (min(at, numbers[-2]),))
    elif kind == "whole day":
        connection.execute("delete from exchanges")
    else:
        return _change_acts(connection, chance)
    return kind


def _insert_copy(connection: sqlite3.Connection, at: int, *, has_number: bool) -> None:
    names = [row[1] for row in connection.execute("pragma table_info(exchanges)") if row[1] != "number"]
    given = {"number_in_node": "number_in_node + 50000" if has_number else "null"}
    if not has_number:
        given["node"] = "null"
    values = ", ".join(given.get(name, name) for name in names)
    connection.execute(
        f"insert into exchanges ({', '.join(names)}) select {values} from exchanges where number = ?", (at,)
    )


def _exchange_times(connection: sqlite3.Connection, at: int, other: int) -> None:
    times = dict(connection.execute("select number, at from exchanges where number in (?, ?)", (at, other)))
    shift = 0 if times[at] != times[other] else 1
    connection.execute("update exchanges set at = ? where number = ?", (times[other] + shift, at))
    connection.execute("update exchanges set at = ? where number = ?", (times[at], other))


def _change_acts(connection: sqlite3.Connection, chance: random.Random) -> str:
    kind = chance.choice(["edit", "remove", "insert"])
    if kind == "edit":
        connection.execute("update admin_acts set actor = 'ai-do' where number = 5")
    elif kind == "remove":
        connection.execute("delete from admin_acts where number = ?", (chance.randrange(1, 12),))
    else:
        connection.execute(
            "insert into admin_acts (at, actor, act, object, reason, outcome)"
            " select at, actor, 'keys.revoke', object, reason, outcome from admin_acts where number = 3"
        )
    return f"act {kind}"


TAMPERINGS: tuple[Tampering, ...] = (
    tamper_hot,
    tamper_hot,
    tamper_day,
    tamper_tiles,
    tamper_checkpoints,
    tamper_spool,
)
