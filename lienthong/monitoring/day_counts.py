"""Counts of the closed days: by the hour and by key, beside each day file, and the hours again by the month.

They are small, outlive the rows that they count, and can be made again from them while those are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lienthong.monitoring import whole_files

HOURS, BY_KEY, MONTHS = "hours", "keys", "months"
_ZSTD_LEVEL = 9
# Below this many files the hours of a month are as soon read from the days' own counts.
_WORTH_A_MONTH = 8
_COVERED = b"lienthong.covered"
_SUMS = "sum(took_ms) as took_ms, sum(bytes_in) as bytes_in, sum(bytes_out) as bytes_out"
# Operations by the hour, and keys by the day. The hours of a key are not counted: its rows lie together, so they
# are as soon read as such counts would be.
_COUNTS = {
    HOURS: f"""
        select at_us - at_us % 3600000000 as hour, system, direction, operation, outcome, count(*) as requests,
            {_SUMS}
        from read_parquet($file) group by all order by hour, system, operation, outcome""",
    BY_KEY: f"""
        select key_id, organisation, count(*) as requests, count(distinct subject) as subjects,
            count(*) filter (outcome <> 'ok') as failed, {_SUMS}
        from read_parquet($file) group by all order by key_id""",
}
_MONTH = f"""
    select hour, system, direction, operation, outcome, cast(sum(requests) as bigint) as requests, {_SUMS}
    from read_parquet($files) group by all order by hour, system, operation, outcome"""
Cursor = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


class Counts:
    """The counts in an archive's folder. A month's file says which of the days' it covers."""

    def __init__(self, folder: Path, cursor: Cursor) -> None:
        self._folder, self._cursor = folder, cursor
        self._known: dict[Path, tuple[int, frozenset[str]]] = {}

    def of(self, what: str, name: str) -> Path:
        """Say where the counts of one part lie."""
        return self._folder / what / name[:4] / f"{name}.parquet"

    def hours(self, since: date | None, until: date | None) -> list[Path]:
        """List files that together count every hour of a range of days once; months may reach beyond the range."""
        found, covered = [], set[str]()
        for month in self._months(since, until):
            if names := self._covered(month):
                found.append(month)
                covered |= names
        return [*found, *(path for path in self.days(HOURS, since, until) if path.stem not in covered)]

    def days(self, what: str, since: date | None, until: date | None) -> list[Path]:
        """List the counts of each part of a range of days."""
        first, last = (since or date.min).isoformat(), (until or date.max).isoformat()
        found = (self._folder / what).glob("*/*.parquet")
        return sorted(path for path in found if first <= path.name[:10] <= last)

    def add(self, name: str, source: Path) -> None:
        """Count a finished day file; a month that counted an earlier try at it is made again."""
        self._forget_months({name}, until=date.fromisoformat(name[:10]))
        for what, text in _COUNTS.items():
            with self._cursor() as cursor:
                self._write(self.of(what, name), cursor.sql(text, params={"file": str(source)}).to_arrow_table())

    def merge(self) -> None:
        """Put the hours of a month into one file, where many days have come since that was last done."""
        by_month: dict[str, list[Path]] = {}
        for path in self.days(HOURS, None, None):
            by_month.setdefault(path.name[:7], []).append(path)
        for month, files in by_month.items():
            place = self._folder / MONTHS / f"{month}.parquet"
            names = {path.stem for path in files}
            if len(names - self._covered(place)) >= _WORTH_A_MONTH:
                self._merge(place, files, names)

    def _merge(self, place: Path, files: Sequence[Path], names: set[str]) -> None:
        with self._cursor() as cursor:
            named = [str(path) for path in files]
            table = cursor.sql(_MONTH, params={"files": named}).to_arrow_table()
        self._write(place, table.replace_schema_metadata({_COVERED: orjson.dumps(sorted(names))}))

    def drop(self, *, until: date) -> None:
        """Remove the counts of old days; a month that covers one goes first, to be made again of the rest."""
        old = [path for what in (HOURS, BY_KEY) for path in self.days(what, None, until)]
        self._forget_months({path.stem for path in old}, until=until)
        for path in old:
            path.unlink(missing_ok=True)

    def _forget_months(self, names: set[str], *, until: date) -> None:
        for month in self._months(None, until):
            if names & self._covered(month):
                month.unlink(missing_ok=True)

    def _months(self, since: date | None, until: date | None) -> Iterator[Path]:
        first, last = (since or date.min).isoformat()[:7], (until or date.max).isoformat()[:7]
        yield from (p for p in sorted((self._folder / MONTHS).glob("*.parquet")) if first <= p.stem <= last)

    def _covered(self, month: Path) -> frozenset[str]:
        try:
            changed = month.stat().st_mtime_ns
            if (kept := self._known.get(month)) is None or kept[0] != changed:
                told = (pq.read_schema(month).metadata or {}).get(_COVERED, b"[]")
                kept = self._known[month] = changed, frozenset(orjson.loads(told))
        except (FileNotFoundError, pa.ArrowInvalid):  # gone or damaged: the days' own counts are read in its place
            return frozenset()
        return kept[1]

    def _write(self, place: Path, table: pa.Table) -> None:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = place.with_suffix(".new")
        pq.write_table(table, new, compression="zstd", compression_level=_ZSTD_LEVEL)
        whole_files.put(new, place)
