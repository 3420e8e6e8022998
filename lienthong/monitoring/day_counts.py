"""Counts of the closed days: by the hour, key and caller, beside each day file; hours again by the month.

They are small, and can be made again from the rows that they count while those are kept. All outlive them but the
counts of callers: who worked when, and from where, goes when the rows go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lienthong.monitoring import folders, whole_files

HOURS, BY_KEY, KEY_HOURS, CALLERS = "hours", "keys", "key-hours", "callers"
# What the counts by the hour know, the smallest first; the months of each lie in a folder of their own.
COLUMNS = {
    HOURS: frozenset({"hour", "day", "system", "direction", "operation", "outcome"}),
    KEY_HOURS: frozenset({"hour", "day", "key_id", "direction", "outcome"}),
    CALLERS: frozenset(
        {"hour", "day", "official", "key_id", "organisation", "operation", "address", "direction", "outcome"}
    ),
}
# What they add up beside the number of requests. Of keys nothing: sums would take as much room as many rows.
SUMS = {HOURS: ("took_ms", "bytes_in", "bytes_out"), KEY_HOURS: (), CALLERS: ()}
_MONTHS = {HOURS: "months", KEY_HOURS: "key-months", CALLERS: "caller-months"}
_ZSTD_LEVEL = 9
# A question about one key reads only the groups of rows in which the key stands.
_ROW_GROUP = 8_192
# Below this many files the hours of a month are as soon read from the days' own counts.
_WORTH_A_MONTH = 8
_COVERED = b"lienthong.covered"
# What each is grouped by, and in which order it lies.
_BY = {
    HOURS: ("hour, system, direction, operation, outcome", "hour, system, operation, outcome"),
    KEY_HOURS: ("hour, key_id, direction, outcome", "key_id, hour, outcome"),
    CALLERS: (
        "hour, official, key_id, organisation, operation, address, direction, outcome",
        "official, key_id, address, operation, hour, outcome",
    ),
}


def _summed(what: str, requests: str) -> str:
    return ", ".join([f"{requests} as requests", *(f"sum({name}) as {name}" for name in SUMS[what])])


_COUNTS = {
    **{
        what: f"""
        select {by}, {_summed(what, "count(*)")}
        from (select at_us - at_us % 3600000000 as hour, * from read_parquet($file))
        group by all order by {order}"""
        for what, (by, order) in _BY.items()
    },
    BY_KEY: """
        select key_id, organisation, count(*) as requests, count(distinct subject) as subjects,
            count(*) filter (outcome <> 'ok') as failed,
            sum(took_ms) as took_ms, sum(bytes_in) as bytes_in, sum(bytes_out) as bytes_out
        from read_parquet($file) group by all order by key_id""",
}
Cursor = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


class Hours(NamedTuple):
    """Files that count hours, and the names of the parts whose rows they count."""

    files: tuple[Path, ...]
    parts: frozenset[str]


class Counts:
    """The counts in an archive's folder. A month's file says which of the days' it covers."""

    def __init__(self, folder: Path, cursor: Cursor, listed: folders.Folders) -> None:
        self._folder, self._cursor, self._listed = folder, cursor, listed
        self._known: dict[Path, tuple[int, frozenset[str]]] = {}

    def of(self, what: str, name: str) -> Path:
        """Say where the counts of one part lie."""
        return self._folder / what / name[:4] / f"{name}.parquet"

    def hours(self, what: str, since: date | None, until: date | None) -> Hours:
        """List files that together count every hour of a range of days once; months may reach beyond the range."""
        found, covered = [], set[str]()
        for month in self._months(what, since, until):
            if names := self._covered(month):
                found.append(month)
                covered |= names
        days = [path for path in self.days(what, since, until) if path.stem not in covered]
        return Hours((*found, *days), frozenset({*covered, *(path.stem for path in days)}))

    def days(self, what: str, since: date | None, until: date | None) -> list[Path]:
        """List the counts of each part of a range of days."""
        first, last = (since or date.min).isoformat(), (until or date.max).isoformat()
        years = (self._folder / what / name for name in self._listed.names(self._folder / what))
        return [
            year / name
            for year in years
            if first[:4] <= year.name <= last[:4]
            for name in self._listed.names(year)
            if first <= name[:10] <= last and name.endswith(".parquet")
        ]

    def add(self, name: str, source: Path) -> None:
        """Count a finished day file; a month that counted an earlier try at it is made again."""
        self._forget_months({name}, until=date.fromisoformat(name[:10]))
        for what in _COUNTS:
            self._count(what, name, source)

    def add_wanting(self, parts: Iterable[tuple[str, Path]]) -> None:
        """Count day files that were finished before the hub counted keys and callers by the hour."""
        for name, source in parts:
            for what in (KEY_HOURS, CALLERS):
                if not self.of(what, name).exists():
                    self._count(what, name, source)

    def _count(self, what: str, name: str, source: Path) -> None:
        with self._cursor() as cursor:
            table = cursor.sql(_COUNTS[what], params={"file": str(source)}).to_arrow_table()
        self._write(self.of(what, name), table)

    def merge(self) -> None:
        """Put the hours of a month into one file, where many days have come since that was last done."""
        for what, folder in _MONTHS.items():
            by_month: dict[str, list[Path]] = {}
            for path in self.days(what, None, None):
                by_month.setdefault(path.name[:7], []).append(path)
            for month, files in by_month.items():
                place = self._folder / folder / f"{month}.parquet"
                names = {path.stem for path in files}
                if len(names - self._covered(place)) >= _WORTH_A_MONTH:
                    self._merge(what, place, files, names)

    def _merge(self, what: str, place: Path, files: Sequence[Path], names: set[str]) -> None:
        by, order = _BY[what]
        text = f"""
            select {by}, {_summed(what, "cast(sum(requests) as bigint)")}
            from read_parquet($files) group by all order by {order}"""
        with self._cursor() as cursor:
            table = cursor.sql(text, params={"files": [str(path) for path in files]}).to_arrow_table()
        self._write(place, table.replace_schema_metadata({_COVERED: orjson.dumps(sorted(names))}))

    def drop(self, *, until: date) -> None:
        """Remove the counts of old days; a month that covers one goes first, to be made again of the rest."""
        old = [path for what in _COUNTS for path in self.days(what, None, until)]
        self._forget_months({path.stem for path in old}, until=until)
        for path in old:
            path.unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        """Remove the counts that may not outlive the rows of a part; done before the rows go."""
        self._forget_months({name}, until=date.fromisoformat(name[:10]), of=(CALLERS,))
        self.of(CALLERS, name).unlink(missing_ok=True)

    def _forget_months(self, names: set[str], *, until: date, of: Iterable[str] = tuple(_MONTHS)) -> None:
        for month in (path for what in of for path in self._months(what, None, until)):
            if names & self._covered(month):
                month.unlink(missing_ok=True)

    def _months(self, what: str, since: date | None, until: date | None) -> Iterator[Path]:
        first, last = (since or date.min).isoformat()[:7], (until or date.max).isoformat()[:7]
        months = self._folder / _MONTHS[what]
        found = (months / name for name in self._listed.names(months) if name.endswith(".parquet"))
        yield from (path for path in found if first <= path.stem <= last)

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
        pq.write_table(table, new, compression="zstd", compression_level=_ZSTD_LEVEL, row_group_size=_ROW_GROUP)
        whole_files.put(new, place)
