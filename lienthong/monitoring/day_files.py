"""Closed days of the record as Parquet files: written once, checked against what they replace, read with DuckDB.

A part is a file, what is said of it (a manifest), and its counts by the hour, which outlive it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lienthong.core import clock, errors
from lienthong.monitoring import day_columns, day_counts, folders, places, whole_files

PERSONAL, CALLS, OUTGOING = "personal", "calls", "outgoing"
KINDS = (PERSONAL, CALLS, OUTGOING)
ROW_GROUP = 8_192
_ZSTD_LEVEL = 9
_FETCHED = 10_000
Leaf = Callable[[Mapping[str, Any]], bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """One file of one day: what it holds, and whether the rows that it replaces have left the database.

    `leaves` is the SHA-256 over the length and the exact bytes of every record, in the order of their numbers.
    """

    day: date
    kind: str
    number: int
    rows: int
    first: int
    last: int
    leaves: str
    file_sha256: str
    nodes: dict[str, tuple[int, int]]
    is_settled: bool

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return f"{self.day.isoformat()}.{self.kind}.{self.number}"


def kind_of(row: Mapping[str, Any]) -> str:
    """Say which kind a row is: each kind is kept for a time of its own."""
    if row["direction"] == "out":
        return OUTGOING
    return CALLS if row.get("subject") is None else PERSONAL


def day_of(moment: datetime) -> date:
    """Give the day that a moment belongs to, in Vietnam."""
    return moment.astimezone(clock.VIETNAM).date()


def bounds(day: date) -> tuple[datetime, datetime]:
    """Give the first moment of a day, and the first of the next."""
    begun = datetime.combine(day, time(), clock.VIETNAM)
    return begun, begun + timedelta(days=1)


class Archive:
    """The day files of a hub, in one folder. Its methods wait for the disk: call them in a thread."""

    def __init__(self, folder: Path, *, threads: int = 2, memory: str = "1GB") -> None:
        self.folder = folder
        self._threads, self._memory = threads, memory
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()
        self._read: dict[Path, tuple[int, Part]] = {}
        self._schemas: dict[Path, tuple[int, int]] = {}
        self._folders = folders.Folders()
        self._years: dict[Path, tuple[tuple[str, ...], list[Part]]] = {}
        self.counts = day_counts.Counts(folder, self._cursor, self._folders)

    def parts(
        self, *, since: date | None = None, until: date | None = None, kinds: Sequence[str] = KINDS
    ) -> list[Part]:
        """List the parts of a range of days, both ends included, the oldest first."""
        first, last = since or date.min, until or date.max
        return [
            part
            for name in self._folders.names(self.folder / "days")
            if first.isoformat()[:4] <= name <= last.isoformat()[:4]
            for part in self._parts_of(self.folder / "days" / name)
            if first <= part.day <= last and part.kind in kinds
        ]

    def file(self, part: Part) -> Path:
        """Say where a part lies."""
        return self.folder / "days" / f"{part.day.year}" / f"{part.name}.parquet"

    def _parts_of(self, year: Path) -> list[Part]:
        names, known = self._folders.names(year), self._years.get(year)
        if known is None or known[0] is not names:
            found = (self._manifest(year / name) for name in names if name.endswith(".json"))
            parts = sorted((part for part in found if part is not None), key=lambda part: (part.day, part.name))
            known = self._years[year] = names, parts
        return known[1]

    def _manifest(self, path: Path) -> Part | None:
        try:
            changed = path.stat().st_mtime_ns
            if (kept := self._read.get(path)) and kept[0] == changed:
                return kept[1]
            told = orjson.loads(path.read_bytes())
        except FileNotFoundError:  # dropped in this moment
            return None
        except orjson.JSONDecodeError as exc:
            raise _broken(path, "its manifest cannot be read", "không đọc được bản khai của nó") from exc
        nodes = {node: (ends[0], ends[1]) for node, ends in told["nodes"].items()}
        part = Part(**{**told, "day": date.fromisoformat(told["day"]), "nodes": nodes})
        self._read[path] = (changed, part)
        return part

    def query(self, text: str, values: Mapping[str, Any], files: Sequence[Path]) -> list[dict[str, Any]]:
        """Ask DuckDB; `{files}` in the text stands for these files."""
        if not files:
            return []
        return list(self._asked(text, values, files))

    def _asked(self, text: str, values: Mapping[str, Any], files: Sequence[Path]) -> Iterator[dict[str, Any]]:
        with self._cursor() as cursor:
            named = [str(path) for path in files]
            # Files of several versions of the hub are put together by name, which takes half as long again.
            by_name = len({self._schema(path) for path in files}) > 1
            source = f"read_parquet($files, union_by_name = {str(by_name).lower()})"
            try:
                cursor.execute(text.replace("{files}", source), {**values, "files": named})
                names = [column[0] for column in cursor.description or ()]
                while found := cursor.fetchmany(_FETCHED):
                    yield from (dict(zip(names, row, strict=True)) for row in found)
            except duckdb.Error as exc:
                raise unreadable(files[0], exc) from exc

    def _schema(self, path: Path) -> int:
        """Say which columns a file has, as a number that files with the same ones share."""
        try:
            changed = path.stat().st_mtime_ns
            if (kept := self._schemas.get(path)) is None or kept[0] != changed:
                kept = self._schemas[path] = changed, hash(pq.read_schema(path).remove_metadata().to_string())
        except (OSError, pa.ArrowException):  # gone or damaged: for the engine to say
            return 0
        return kept[1]

    def records(self, part: Part) -> Iterator[dict[str, Any]]:
        """Give back the rows of a part as the database had them, in the order of their numbers."""
        try:
            for found in self._asked(_IN_ORDER, {}, [self.file(part)]):
                yield dict.fromkeys(day_columns.COLUMNS) | day_columns.row(found)
        except (TypeError, ValueError, OverflowError) as exc:
            raise _broken(self.file(part), "it is not as the hub wrote it", "không còn như trục đã ghi") from exc

    def rows(self, day: date, leaf: Leaf) -> Iterator[bytes]:
        """Give back the exact bytes of every record of a day that a node numbered, in the order of the table.

        What stands in a file is taken as it stands, altered or not. StorageUnavailable where it cannot be read,
        and after the last record where rows of another kind or a wrong list could hide some from a search.
        """
        faults: list[errors.StorageUnavailable] = []
        for part in self.parts(since=day, until=day):
            strays = 0
            for row in self.records(part):
                strays += kind_of(row) != part.kind
                if row["node"] is not None:
                    yield _leaf(leaf, row)
            if strays:
                # Searches pass over the files of other kinds: who looked at a person would not be found there.
                why = "records of another kind stand in it", "có bản ghi khác loại"
                faults.append(_broken(self.file(part), *why))
            if not places.is_of(self.file(part)):
                why = "it is not of its file", "không khớp với tệp ngày"
                faults.append(_broken(places.beside(self.file(part)), *why))
        if faults:
            raise faults[0]

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._opening:
            if self._engine is None:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._engine = duckdb.connect(":memory:", config=self._config())
                self._engine.execute("set parquet_metadata_cache = true")
        cursor = self._engine.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def _config(self) -> dict[str, Any]:
        # It reads our own files and nothing else, and never fetches a part of itself from anywhere.
        return {
            "threads": self._threads,
            "memory_limit": self._memory,
            "temp_directory": str(self.folder / "tmp"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }

    def close(self) -> None:
        """Let go of the engine."""
        with self._opening:
            if self._engine is not None:
                self._engine.close()
                self._engine = None

    @contextmanager
    def writing(self, name: str = "lock") -> Iterator[None]:
        """Be the only process that writes here; Conflict where another one does."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / name).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise errors.Conflict(
                    "another process is writing day files", detail_vi="Một tiến trình khác đang ghi tệp ngày."
                ) from exc
            yield

    def next_number(self, day: date, kind: str) -> int:
        """Give the number of the next part of a day: rows that come late make a part of their own."""
        used = [part.number for part in self.parts(since=day, until=day, kinds=[kind])]
        return max(used, default=0) + 1

    def keep(self, draft: Draft, leaf: Leaf) -> Part:
        """Sort a draft into its file, read it back against the draft's sum, count its hours; then it stands."""
        part = draft.part(self.next_number(draft.day, draft.kind))
        new = self.file(part).with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.sort(draft.path, new, part)
        if _sum(leaf(day_columns.row(row)) for row in self._asked(_IN_ORDER, {}, [new])) != (
            part.rows,
            part.leaves,
        ):
            new.unlink()
            raise _broken(new, "it does not give back what was put in", "nội dung không khớp với dữ liệu gốc")
        part = replace(part, file_sha256=_file_sum(new))
        self.place(part, new)
        return part

    def place(self, part: Part, file: Path) -> None:
        """Count and list a finished file, put it in its place, and declare it: from then on it is read."""
        self.file(part).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.counts.add(part.name, file)
        places.write(file, place=self.file(part))
        os.replace(file, self.file(part))
        self._declare(part)

    def settle(self, part: Part) -> Part:
        """Write down that the rows which a part replaces have left the database."""
        settled = replace(part, is_settled=True)
        self._declare(settled)
        return settled

    def drop(self, part: Part) -> None:
        """Remove a part for good; the manifest first, so that nobody looks for a file that is gone."""
        self.counts.forget(part.name)
        file = self.file(part)
        for path in (file.with_suffix(".json"), file, places.beside(file)):
            path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a killed process left half-made; make the lists and counts that are wanting."""
        for path in (*self.folder.glob("days/*/*"), *self.folder.glob("drafts/*")):
            if path.suffix.endswith("new") or not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)
        for part in self.parts():
            if not places.is_made(file := self.file(part)):
                places.write(file, place=file)
        self.counts.add_wanting((part.name, self.file(part)) for part in self.parts())
        self.counts.merge()

    def sort(self, source: Path, target: Path, part: Part) -> None:
        """Write the rows of a draft in the order that packs and is read best: by key, then by time."""
        with self._cursor() as cursor:
            ordered = cursor.sql(
                "select * from read_parquet($file) order by key_id, at_us, number", params={"file": str(source)}
            )
            with _writer(target, part) as writer:
                for batch in ordered.to_arrow_reader(ROW_GROUP):
                    writer.write_batch(batch.cast(day_columns.SCHEMA), row_group_size=ROW_GROUP)
        whole_files.sync(target)

    def _declare(self, part: Part) -> None:
        path = self.file(part).with_suffix(".json")
        new = path.with_suffix(".json-new")
        new.write_bytes(orjson.dumps({**asdict(part), "day": part.day.isoformat()}, option=orjson.OPT_INDENT_2))
        whole_files.put(new, path)
        whole_files.sync(path.parent)


_IN_ORDER = "select * from {files} order by number"


class Draft:
    """Rows on their way into a part: written down as they come, in the order of their numbers."""

    def __init__(self, archive: Archive, day: date, kind: str, leaf: Leaf) -> None:
        self.day, self.kind, self._leaf = day, kind, leaf
        folder = archive.folder / "drafts"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{day.isoformat()}.{kind}"
        self._writer = pq.ParquetWriter(self.path, day_columns.SCHEMA, compression="lz4")
        self._sum = hashlib.sha256()
        self._rows = self._first = self._last = 0
        self._nodes: dict[str, tuple[int, int]] = {}

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take the next rows."""
        for row in rows:
            leaf = self._leaf(row)
            self._sum.update(len(leaf).to_bytes(4, "big") + leaf)
            if row.get("node") is not None and row.get("number_in_node") is not None:
                low, high = self._nodes.get(row["node"], (row["number_in_node"],) * 2)
                self._nodes[row["node"]] = (min(low, row["number_in_node"]), max(high, row["number_in_node"]))
        self._first = self._first or rows[0]["number"]
        self._last = rows[-1]["number"]
        self._rows += len(rows)
        self._writer.write_batch(day_columns.batch(rows))

    def part(self, number: int) -> Part:
        """End the draft, and say what it holds."""
        self._writer.close()
        return Part(
            day=self.day,
            kind=self.kind,
            number=number,
            rows=self._rows,
            first=self._first,
            last=self._last,
            leaves=self._sum.hexdigest(),
            file_sha256="",
            nodes=self._nodes,
            is_settled=False,
        )


@contextmanager
def _writer(target: Path, part: Part) -> Iterator[pq.ParquetWriter]:
    # Who looked at one person asks every file of many days: the filter lets nearly all of them be passed over.
    filters = {"subject": {"ndv": max(1, min(part.rows, ROW_GROUP)), "fpp": 0.05}}
    with pq.ParquetWriter(
        target,
        day_columns.SCHEMA,
        compression="zstd",
        compression_level=_ZSTD_LEVEL,
        use_dictionary=day_columns.DICTIONARY,
        column_encoding=day_columns.DELTAS,
        bloom_filter_options=filters if part.kind == PERSONAL else None,
    ) as writer:
        yield writer


def _leaf(leaf: Leaf, row: Mapping[str, Any]) -> bytes:
    try:
        return leaf(row)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return b""  # a column holds what no record can hold: no seal is of these bytes


def _sum(leaves: Iterator[bytes]) -> tuple[int, str]:
    total, count = hashlib.sha256(), 0
    for leaf in leaves:
        total.update(len(leaf).to_bytes(4, "big") + leaf)
        count += 1
    return count, total.hexdigest()


def _file_sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable(path: Path, exc: Exception) -> errors.StorageUnavailable:
    """Say that day files cannot be read, this one or one of those after it."""
    return errors.StorageUnavailable(
        f"the day files cannot be read: {type(exc).__name__}",
        detail_vi="Không đọc được các tệp ngày của sổ nhật ký.",
        first=path.name,
    )


def _broken(path: Path, why_en: str, why_vi: str) -> errors.StorageUnavailable:
    return errors.StorageUnavailable(
        f"the day file {path.name} is not sound: {why_en}", detail_vi=f"Tệp ngày {path.name} hỏng: {why_vi}."
    )
