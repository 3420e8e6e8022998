"""Verifying the record where it lies: spool, hot store and day files against the sealed logs."""

from __future__ import annotations

import array
import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from lienthong.core import access_record, clock, errors, journal, spool_reading, storage, tables
from lienthong.monitoring import checkpoints, day_files, log_check, seals, witnesses

_CHUNK = 5_000
_LATE = timedelta(hours=2)  # longer than a clock is ever put back in practice
_t = tables.exchanges


class DayRows(Protocol):
    """Where the rows of closed days are, as the exact bytes that were sealed, in any order."""

    def days(self) -> list[str]:
        """List the days, as 2026-01-31."""
        ...

    def rows(self, day: str) -> Iterator[bytes]:
        """Give every record of a day."""
        ...


class Days:
    """The day files of the hub."""

    def __init__(self, archive: day_files.Archive) -> None:
        self._archive = archive

    def days(self) -> list[str]:
        """List the days that have files."""
        return sorted({part.day.isoformat() for part in self._archive.parts()})

    def rows(self, day: str) -> Iterator[bytes]:
        """Give every record of a day; a file that cannot be read is StorageUnavailable."""
        return self._archive.rows(date.fromisoformat(day), access_record.from_row)


async def verify(
    home: Path, store: storage.Storage, *, agency_key: bytes | None = None, days: DayRows | None = None
) -> log_check.Report:
    """Check the whole record of one HOME; what was not yet sealed is compared with the spool.

    `agency_key` is the public key that seals must be of; without one that of HOME/keys/seal.key.
    """
    report = log_check.Report()
    if not any((home / "seals").glob("*/verifier")):
        if any((home / "keys").glob("seal.key")) or any(_marks(home).values()) or any(days.days() if days else ()):
            # Nothing was to compare with, though sealing had begun: that must not pass for a young hub.
            report.find("seals/", vi="Các sổ niêm phong đã mất.", en="The sealed logs are gone.")
        report.notes.append("chưa có gì được niêm phong / nothing has been sealed yet")
        return report
    public = agency_key or seals.signer(home).public
    # Read first: what a running sealer adds afterwards only makes the log longer.
    marks = await asyncio.to_thread(_marks, home)
    access = await asyncio.to_thread(log_check.read_log, home, seals.ACCESS, public, report)
    admin = await asyncio.to_thread(log_check.read_log, home, seals.ADMIN, public, report)
    for log in (access, admin):
        if log is not None:
            await asyncio.to_thread(_check_marks, log, marks, report)
    if access is not None:
        _check_order(access, report)
        spooled = await asyncio.to_thread(_check_spool, home, access, marks, report)
        await _check_rows(store, _Rows(home, access, spooled, report), days)
    if admin is not None:
        await _check_acts(store, admin, report)
    return report


# ------------------------------------------------------------------------------------ what was said to be sealed


def _marks(home: Path) -> dict[str, int]:
    """Read up to where followers were: in another folder than the seals, so that both must be put back to lie."""
    marks: dict[str, int] = {}
    for path in (home / "spool").glob("*.sealed"):
        text = path.read_text(errors="replace").strip()
        marks[f"{path.stem}."] = int(text) if text.isdigit() else 0
    for folder in spool_reading.nodes(home / "spool"):
        for name in spool_reading.REQUIRED:
            marks[f"{folder.name}/{name}"] = spool_reading.read_position(folder, name)
    return marks


def _check_marks(log: log_check.Log, marks: dict[str, int], report: log_check.Report) -> None:
    if marks.get(f"{log.name}.", 0) > log.last.number:
        report.find(
            f"seals/{log.name}: checkpoint {log.last.number + 1}",
            vi="Điểm niêm phong này và các điểm sau đã mất: sổ niêm phong bị đưa về bản cũ.",
            en="This checkpoint and those after it are gone: the log was put back to an old copy.",
        )
    for mark, number in marks.items():
        node, _, follower = mark.partition("/")
        if log.name == seals.ACCESS and follower == seals.FOLLOWER and number > log.order.last(node):
            report.find(
                f"seals/{log.name}: {node} no. {log.order.last(node) + 1}",
                vi="Từ số này đã từng được niêm phong mà nay không còn trong sổ.",
                en="From this number on, records were sealed and are not in the log now.",
            )


def _check_order(log: log_check.Log, report: log_check.Report) -> None:
    """Name the numbers of a node that were never sealed though later ones were: the record has no gaps."""
    for node in log.order.nodes:
        if node.startswith(journal.NODE):
            continue  # sealed from the database, by every HOME from the day on that it was set up
        top = 0
        for first, count in log.order.numbers(node):
            if first != top + 1:
                report.find(
                    f"{node} no. {top + 1} to {first - 1}" if first > top else f"{node} no. {first}",
                    vi="Các số này chưa từng được niêm phong: mất trước khi niêm phong, hoặc có hai bản ghi.",
                    en="Never sealed: lost before it could be; or there are two records of one number.",
                )
            top = max(top, first + count - 1)


def _place(home: Path) -> str:
    path = home / "spool" / "place"
    return path.read_text().strip() if path.exists() else ""


def _check_spool(
    home: Path, log: log_check.Log, marks: dict[str, int], report: log_check.Report
) -> dict[tuple[str, int], bytes]:
    """Check every segment; gives the digests of what is written and not sealed yet."""
    fresh: dict[tuple[str, int], bytes] = {}
    count = 0
    for folder in spool_reading.nodes(home / "spool"):
        node, top = folder.name, 0
        for first, path in spool_reading.segments(folder):
            if top and first != top + 1:
                _find_gap(node, top + 1, report)
            data, top, end = path.read_bytes(), first - 1, 0
            for number, body, stop in spool_reading.parse(data, first):
                top, end, count = number, stop, count + 1
                index = log.order.index_of(node, number)
                if index is None:
                    fresh[node, number] = hashlib.sha256(body).digest()
                elif not log.leaf_is(index, body):
                    report.find(
                        f"spool/{node} no. {number}", vi="Bản ghi đã bị sửa.", en="The record was altered."
                    )
            if end < len(data):
                _judge_end(path, data[end:], top, marks, report)
        known = max(log.order.last(node), *(marks.get(f"{node}/{name}", 0) for name in spool_reading.REQUIRED))
        if top < known:
            _find_gap(node, top + 1, report)
    _find_lost_nodes(home, log, report)
    report.checked["spool"] = count
    return fresh


def _judge_end(path: Path, rest: bytes, top: int, marks: dict[str, int], report: log_check.Report) -> None:
    node = path.parent.name
    known = max(marks.get(f"{node}/{name}", 0) for name in spool_reading.REQUIRED)
    is_torn = len(rest) < 8 or int.from_bytes(rest[:4], "little") + 8 > len(rest)
    if is_torn and top >= known:
        report.notes.append(f"{node}: bản ghi cuối đang được ghi dở / the last record is half written")
        return
    report.find(
        f"spool/{node} no. {top + 1} ({path.name})",
        vi="Từ bản ghi này không đọc được: sổ tạm đã bị sửa hoặc cắt.",
        en="From this record on it cannot be read: the spool was altered or cut.",
    )


def _find_gap(node: str, number: int, report: log_check.Report) -> None:
    report.find(
        f"spool/{node} no. {number}",
        vi="Sổ tạm thiếu bản ghi từ số này.",
        en="The spool lacks records from this number on.",
    )


def _find_lost_nodes(home: Path, log: log_check.Log, report: log_check.Report) -> None:
    present = {folder.name for folder in spool_reading.nodes(home / "spool")}
    for node in log.order.nodes:
        if node not in present and not node.startswith(journal.NODE):
            report.find(f"spool/{node}", vi="Thư mục của nút đã mất.", en="The node's folder is gone.")


# --------------------------------------------------------------------------------------------------- the records


class _Rows:
    """Compares records, wherever they are kept, with what was sealed."""

    def __init__(
        self, home: Path, log: log_check.Log, spooled: dict[tuple[str, int], bytes], report: log_check.Report
    ) -> None:
        self.log, self.report = log, report
        self._home, self._place, self._spooled = home, _place(home), spooled
        # In which source each was seen last; as numbers, for there may be many millions.
        self._seen = array.array("H", bytes(2 * log.last.size))
        self._source = 1
        self.begun = checkpoints.parse(checkpoints.parts(log.notes[0])[0]).at
        self._late: list[tuple[str, str, int, bytes]] = []

    def begin(self) -> None:
        """Begin another source: the same record may stand in two, never twice in one."""
        self._source += 1

    def take(self, data: bytes, *, where: str, row: int, day: str | None = None) -> None:
        """Look at one record; `day` where the source is said to hold that day only."""
        try:
            node, number, at_us = access_record.place_of(data)
            index = self.log.order.index_of(node, number)
        except (errors.StorageUnavailable, TypeError):
            self.report.find(f"{where} row {row}", vi="Không đọc được bản ghi.", en="The record cannot be read.")
            return
        if node is None:
            self._take_unnumbered(at_us, f"{where} row {row}")
            return
        if index is None:
            self._take_fresh(node, number, data, where=where)
            return
        name = f"{where}: {self.log.order.name(index)}"
        if self._seen[index] == self._source:
            self.report.find(name, vi="Bản ghi đứng hai lần.", en="The record stands twice.")
        self._seen[index] = self._source
        if self.log.retired.has(index) and not self.log.has_leaf(index):
            self.report.find(
                name, vi="Đã hết hạn lưu, không còn chứng cứ.", en="Dropped by retention: nothing proves it."
            )
        elif day not in (None, access_record.day_of(at_us)):
            self.report.find(name, vi="Bản ghi nằm ở tệp của ngày khác.", en="It stands in another day's file.")
        elif not self.log.leaf_is(index, data):
            self.report.find(name, vi="Bản ghi đã bị sửa.", en="The record was altered.")
        elif self.log.order.place_of(index).day != access_record.day_of(at_us):
            self.report.find(f"seals/{self.log.name}/order.jsonl: {name}", vi="Sai ngày.", en="The day is wrong.")

    def _take_unnumbered(self, at_us: int, where: str) -> None:
        """Find a call without a number; those before the first seal may have none."""
        if at_us > access_record.micros(self.begun):
            self.report.find(where, vi="Lượt gọi không có số: bị chèn thêm.", en="A call without a number.")

    def _take_fresh(self, node: str, number: int, data: bytes, *, where: str) -> None:
        if node.startswith(journal.NODE):
            # Outgoing calls are sealed from the database, within a minute: one of long ago was put there later.
            is_late = access_record.place_of(data)[2] >= access_record.micros(self.log.last.at - _LATE)
            if is_late and number > self.log.order.last(node):
                return
        elif self._place and not node.endswith(f".{self._place}") and node not in self.log.order.nodes:
            return  # of another machine, which seals its own
        if self._spooled.get((node, number)) != hashlib.sha256(data).digest():
            self._late.append((where, node, number, data))

    def judge_late(self) -> None:
        """Look once more for what was not in the spool: it may have been written while we were reading."""
        for where, node, number, data in self._late:
            folder = self._home / "spool" / node
            is_later = number > self.log.order.last(node)
            if is_later and spool_reading.read_position(folder, seals.FOLLOWER) >= number:
                continue
            if is_later and spool_reading.Reader(folder, after=number - 1).read(1) == [(number, data)]:
                continue
            self.report.find(
                f"{where}: {node} no. {number}",
                vi="Bản ghi không có trong sổ niêm phong, cũng không có trong sổ tạm: bị chèn thêm hoặc bị sửa.",
                en="The record is neither sealed nor in the spool: it was inserted or altered.",
            )

    def judge_missing(self) -> None:
        """Name what was sealed and stands nowhere any more."""
        for index, source in enumerate(self._seen):
            if not source and not self.log.retired.has(index):
                name = self.log.order.name(index)
                self.report.find(name, vi="Bản ghi đã bị xoá.", en="The record was removed.")


async def _check_rows(store: storage.Storage, rows: _Rows, days: DayRows | None) -> None:
    count = 0
    # The days first: a row that moves into a day file meanwhile is then seen there, or still in the hot store.
    before = await asyncio.to_thread(days.days) if days else []
    async for row in hot_rows(store):
        rows.take(_bytes_of(row), where="exchanges", row=row["number"])
        count += 1
    after = await asyncio.to_thread(days.days) if days else []
    for day in sorted({*before, *after}):
        rows.begin()
        count += await asyncio.to_thread(_take_day, rows, days, day)
    await asyncio.to_thread(rows.judge_late)
    await asyncio.to_thread(rows.judge_missing)
    rows.report.checked["records"] = count
    await _check_unnumbered(store, rows.begun, rows.report)


def _take_day(rows: _Rows, days: Any, day: str) -> int:
    count = 0
    try:
        for data in days.rows(day):
            rows.take(data, where=f"day {day}", row=count + 1, day=day)
            count += 1
    except errors.StorageUnavailable as exc:
        rows.report.find(f"day {day}: {exc.detail('en')}", vi=exc.detail("vi"), en="The day cannot be read.")
    return count


def _bytes_of(row: Any) -> bytes:
    try:
        return access_record.from_row(row)
    except (TypeError, ValueError, AttributeError):
        return b""  # a column holds what no record can hold


async def hot_rows(store: storage.Storage, *, since: date | None = None) -> AsyncIterator[Any]:
    """Give every numbered row of the hot store, of all days or from one on, in the order of the table."""
    after = 0
    begun = datetime.combine(since, time(), clock.VIETNAM) if since else None
    columns = [column for column in _t.c if column.name != "detail"]
    while True:
        wanted = sa.select(*columns).where(_t.c.number > after, _t.c.node.is_not(None))
        wanted = wanted.where(_t.c.at >= begun) if begun else wanted
        async with store.reading() as conn:
            found = (await conn.execute(wanted.order_by(_t.c.number).limit(_CHUNK))).mappings().all()
        for row in found:
            yield row
        if len(found) < _CHUNK:
            return
        after = found[-1]["number"]


async def _check_unnumbered(store: storage.Storage, begun: datetime, report: log_check.Report) -> None:
    """Find calls that stand in the hot store without a number, though the record had begun to be sealed."""
    async with store.reading() as conn:
        first = (await conn.execute(sa.select(sa.func.min(_t.c.number)).where(_t.c.node.is_not(None)))).scalar()
        is_stray = (_t.c.node.is_(None), sa.or_(_t.c.number > (first or 0), _t.c.at > begun))
        for (number,) in await conn.execute(
            sa.select(_t.c.number).where(*is_stray).limit(log_check.MOST_FINDINGS)
        ):
            report.find(
                f"exchanges row {number}",
                vi="Lượt gọi không có số: bị chèn thêm.",
                en="A call without a number: it was inserted.",
            )


async def _check_acts(store: storage.Storage, log: log_check.Log, report: log_check.Report) -> None:
    async with store.reading() as conn:
        rows = await storage.every(conn, sa.select(tables.admin_acts).order_by(tables.admin_acts.c.number))
    seen = bytearray(log.last.size)
    for row in rows:
        index = log.order.index_of(seals.ADMIN, row["number"])
        where = f"admin_acts no. {row['number']}"
        if index is None:
            # A sealer looks every few seconds: an act of long ago that it never saw was put there afterwards.
            if row["at"] < log.last.at - _LATE:
                report.find(where, vi="Việc quản trị bị chèn thêm.", en="The act was inserted.")
            continue
        seen[index] = 1
        if not log.leaf_is(index, seals.act_bytes(row)):
            report.find(where, vi="Việc quản trị đã bị sửa.", en="The act was altered.")
        elif log.order.place_of(index).day != access_record.day_of(access_record.micros(row["at"])):
            report.find(f"seals/admin/order.jsonl: {where}", vi="Sai ngày.", en="The day is wrong.")
    report.checked["acts"] = len(rows)
    index = seen.find(0)
    while index != -1:
        report.find(
            f"admin_acts: {log.order.name(index)}", vi="Việc quản trị đã bị xoá.", en="The act was removed."
        )
        index = seen.find(0, index + 1)


# ---------------------------------------------------------------------------------------------------- the witness


def compare(home: Path, witness: Path, report: log_check.Report) -> None:
    """Compare the logs with what a witness keeps in its folder: one put back as a whole shows only there."""
    public = seals.signer(home).public
    for name in (seals.ACCESS, seals.ADMIN):
        log = log_check.read_log(home, name, public, log_check.Report())
        path = home / "seals" / name / "verifier"
        if log is None and not path.exists():
            continue  # named already: there is no log
        origin = checkpoints.verifier(path.read_text(encoding="utf-8")).name
        # What the witness was shown was in the list before: it is there to the letter, or the list was changed.
        known = {checkpoints.parts(note)[0] for note in (log.notes if log else ())}
        place = witnesses.place_of(witness, origin)
        kept = list(witnesses.kept_by(place))
        for path, body in kept:
            if body is None:
                report.find(f"{place.name}/{path.name}", vi="Không đọc được.", en="It cannot be read.")
            elif body not in known:
                report.find(
                    f"seals/{name}: checkpoint {path.stem} of the witness",
                    vi="Bên chứng giám giữ điểm này, sổ của trục thì không: sổ đã bị đưa về bản cũ hoặc thay.",
                    en="The witness keeps it and the hub's log does not continue it: put back, or replaced.",
                )
                break
        if known and not kept:
            report.find(
                f"{witness.name}/{place.name}",
                vi="Bên chứng giám không giữ điểm nào của sổ này: thư mục có đúng và đã gắn chưa?",
                en="The witness keeps nothing of this log: is it the right folder, and mounted?",
            )
