"""The Vietnamese working calendar: Tết, observed days, swapped days, office hours.

The days are data: our own file, or the operator's, which can be changed without a release.
"""

from __future__ import annotations

import bisect
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import overload

import lienthong
from lienthong.core import clock, errors

OWN_FILE = Path(lienthong.__file__).parent / "mappings" / "codes" / "holidays.csv"
DAYS_OFF = frozenset({"holiday", "observed", "substituted_day_off"})
MAKEUP = "makeup_working_day"
OFFICE_HOURS = "office_hours"
USUAL_HOURS = ((time(7, 30), time(11, 30)), (time(13, 30), time(17, 0)))
# Nothing in administrative law counts further; a mistyped number must not walk the calendar for minutes.
MOST_DAYS = 20_000
_ONE_DAY = timedelta(days=1)
_SPAN = re.compile(r"^(\d{1,2}:\d{2})-(\d{1,2}:\d{2})$")

Hours = tuple[tuple[time, time], ...]


@dataclass(frozen=True, slots=True)
class Deadline:
    """When something must be done: the day, and the moment at which the offices close on it.

    `certain` is false where the days counted reach into a year whose holidays the calendar does not know.
    """

    on: date
    at: datetime
    certain: bool


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days are worked, and at which hours.

    A term in days begins on the day after the event (Civil Code 2015, article 147), so that whatever happens on
    a day, at any hour, has the whole of the next working day.
    """

    days_off: frozenset[date]
    makeup_days: frozenset[date]
    known_from: int
    known_through: int
    office_hours: tuple[tuple[date, Hours], ...] = ()

    def is_working_day(self, day: date) -> bool:
        """Whether offices work on this day. Outside the known years only the weekend is known to be off."""
        if day in self.makeup_days:
            return True
        return day.weekday() < 5 and day not in self.days_off

    def is_known(self, day: date) -> bool:
        """Whether the calendar holds the holidays of this day's year."""
        return self.known_from <= day.year <= self.known_through

    @overload
    def add_working_days(self, start: datetime, count: int) -> datetime: ...
    @overload
    def add_working_days(self, start: date, count: int) -> date: ...
    def add_working_days(self, start: date | datetime, count: int) -> date | datetime:
        """Give the `count`-th working day after `start` (before it where negative).

        With 0, `start` itself, or the next working day where it is none. A moment keeps its time of day in
        Vietnam; it must know its zone.
        """
        if isinstance(start, datetime):
            local = _in_vietnam(start)
            day = self.add_working_days(local.date(), count)
            return datetime.combine(day, local.timetz())
        if abs(count) > MOST_DAYS:
            raise ValueError(f"{count} working days are more than any term has")
        if count == 0:
            return start if self.is_working_day(start) else self.add_working_days(start, 1)
        step = _ONE_DAY if count > 0 else -_ONE_DAY
        day, left = start, abs(count)
        while left:
            day += step
            left -= self.is_working_day(day)
        return day

    def working_days_between(self, start: date, end: date) -> int:
        """Count the working days after `start`, up to and with `end`; negative where `end` is earlier."""
        first, last = _day_of(start), _day_of(end)
        if last < first:
            return -self.working_days_between(last, first)
        return sum(self.is_working_day(first + timedelta(days=n)) for n in range(1, (last - first).days + 1))

    def working_hours_between(self, start: datetime, end: datetime) -> timedelta:
        """Give the office time between two moments; nothing where `end` is not after `start`."""
        begin, finish = _in_vietnam(start), _in_vietnam(end)
        total = timedelta()
        day = begin.date()
        while day <= finish.date():
            for opens, closes in self._spans(day):
                total += max(min(closes, finish) - max(opens, begin), timedelta())
            day += _ONE_DAY
        return total

    def deadline(self, start: date | datetime, days: int) -> datetime:
        """Say by when something is due that may take so many working days from `start`: when offices close."""
        return self.term(start, days).at

    def term(self, start: date | datetime, days: int) -> Deadline:
        """Say the same with its day, and whether the calendar knew every year on the way."""
        first = _day_of(start)
        day = self.add_working_days(first, days)
        closes = self.hours_on(day)[-1][1]
        return Deadline(
            on=day,
            at=datetime.combine(day, closes, tzinfo=clock.VIETNAM),
            certain=self.is_known(first) and self.is_known(day),
        )

    def hours_on(self, day: date) -> Hours:
        """Give the office hours in force on a day, whether it is worked or not."""
        position = bisect.bisect_right(self.office_hours, day, key=lambda item: item[0])
        return self.office_hours[position - 1][1] if position else USUAL_HOURS

    def _spans(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        if not self.is_working_day(day):
            return
        for opens, closes in self.hours_on(day):
            yield (
                datetime.combine(day, opens, tzinfo=clock.VIETNAM),
                datetime.combine(day, closes, tzinfo=clock.VIETNAM),
            )


def load(path: Path | None = None) -> Calendar:
    """Read the calendar from our own file, or from the operator's.

    Columns `date` (YYYY-MM-DD) and `kind` (holiday, observed, substituted_day_off, makeup_working_day, or
    office_hours with the hours in `name`, in force from that date); others are for people. Raises Misconfigured
    naming the first bad line.
    """
    chosen = path or OWN_FILE
    days: dict[date, str] = {}
    hours: list[tuple[date, Hours]] = []
    for line, row in _rows(chosen):
        day, kind = _date(chosen, line, row), (row.get("kind") or "").strip()
        if kind == OFFICE_HOURS:
            hours.append((day, _hours(chosen, line, row)))
        elif kind not in DAYS_OFF and kind != MAKEUP:
            raise _bad(chosen, line, en=f"the kind {kind!r} is not known", vi=f"không có loại ngày {kind!r}")
        elif (days.setdefault(day, kind) == MAKEUP) != (kind == MAKEUP):
            raise _bad(
                chosen, line, en=f"{day} is both off and worked", vi=f"ngày {day} vừa là ngày nghỉ vừa là ngày làm"
            )
        elif kind == MAKEUP and day.weekday() < 5:
            raise _bad(
                chosen,
                line,
                en=f"{day} is no Saturday or Sunday, so it cannot be a make-up day",
                vi=f"ngày {day} không phải thứ Bảy, Chủ nhật nên không thể là ngày làm bù",
            )
    years = [day.year for day, kind in days.items() if kind == "holiday"]
    if not years:
        raise _bad(chosen, 1, en="there is no holiday in the file", vi="tệp không có ngày lễ nào")
    return Calendar(
        days_off=frozenset(day for day, kind in days.items() if kind != MAKEUP),
        makeup_days=frozenset(day for day, kind in days.items() if kind == MAKEUP),
        known_from=min(years),
        known_through=max(years),
        office_hours=tuple(sorted(hours)),
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise errors.Misconfigured(
            f"the holiday file cannot be read: {path}", detail_vi=f"Không đọc được tệp ngày nghỉ: {path}"
        ) from exc
    reader = csv.DictReader(text.splitlines(), restkey="rest")
    if not {"date", "kind"} <= set(reader.fieldnames or ()):
        raise _bad(path, 1, en="the columns date and kind are missing", vi="thiếu cột date hoặc kind")
    for row in reader:
        if any(row.values()):
            yield reader.line_num, row


def _date(path: Path, line: int, row: dict[str, str]) -> date:
    text = (row.get("date") or "").strip()
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise _bad(
            path,
            line,
            en=f"{text!r} is not a date of the form 2026-02-17",
            vi=f"{text!r} không phải ngày dạng 2026-02-17",
        ) from exc


def _hours(path: Path, line: int, row: dict[str, str]) -> Hours:
    found = [_SPAN.match(part) for part in (row.get("name") or row.get("name_vi") or "").split()]
    try:
        spans = tuple(
            (time.fromisoformat(part[1].zfill(5)), time.fromisoformat(part[2].zfill(5))) for part in found if part
        )
    except ValueError:
        spans = ()
    edges = [edge for span in spans for edge in span]
    if not spans or None in found or edges != sorted(set(edges)):
        raise _bad(
            path,
            line,
            en="office hours look like 07:30-11:30 13:30-17:00",
            vi="giờ làm việc phải có dạng 07:30-11:30 13:30-17:00",
        )
    return spans


def _bad(path: Path, line: int, *, en: str, vi: str) -> errors.Misconfigured:
    return errors.Misconfigured(f"{path}, line {line}: {en}", detail_vi=f"{path}, dòng {line}: {vi}", line=line)


def _in_vietnam(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be counted from")
    return moment.astimezone(clock.VIETNAM)


def _day_of(start: date | datetime) -> date:
    return _in_vietnam(start).date() if isinstance(start, datetime) else start
