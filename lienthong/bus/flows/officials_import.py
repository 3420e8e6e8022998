"""A whole registration form taken into the register of officials: every bad row named, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import official_acts, official_entries, officials
from lienthong.bus.flows import official_forms
from lienthong.bus.hub import Hub
from lienthong.core import errors, journal, storage, tables

_o = tables.officials
_ACT = "officials.import"


@dataclass(frozen=True, slots=True)
class Report:
    """What a form would do or did: counts, and every bad cell with its row; nothing of what stands in a cell."""

    rows: int
    registered: int
    changed: int
    unchanged: int
    bad: tuple[official_forms.BadCell, ...]
    written: bool

    def as_json(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return {**asdict(self), "bad": [asdict(cell) for cell in self.bad]}

    @property
    def bad_rows(self) -> int:
        """Say how many rows cannot be taken."""
        return len({cell.row for cell in self.bad})


@dataclass(frozen=True, slots=True)
class _Good:
    row: int
    entry: official_entries.Entry
    held: officials.Official | None = None


@dataclass(slots=True)
class _Sorted:
    new: list[_Good] = field(default_factory=list)
    changed: list[_Good] = field(default_factory=list)
    unchanged: int = 0
    bad: list[official_forms.BadCell] = field(default_factory=list)


async def run(
    hub: Hub,
    raw: bytes,
    *,
    reason: str,
    actor: str,
    encoding: str = "utf-8",
    good_rows: bool = False,
    dry_run: bool = False,
) -> Report:
    """Take a form into the register, in one transaction. Raises InvalidRequest where the file is no form.

    With a bad row nothing is written, unless `good_rows` takes the others. The same form again changes nothing. A
    row never hands a code over to another person, and never brings back who was revoked: both are said by name.
    """
    act = official_acts.Act(actor, hub.now(), reason)
    name = hashlib.sha256(raw).hexdigest()
    async with official_acts.recorded(hub.storage, _ACT, act) as refusal:
        refusal.subject = name
        rows = official_forms.read(raw, encoding=encoding)
        if not rows:
            raise official_forms.unreadable("không có dòng nào dưới tiêu đề", "there is no row below the headings")
        if not reason.strip() and not dry_run:
            raise errors.InvalidRequest("Say why.", detail_vi="Cần ghi lý do, ví dụ số công văn gửi biểu mẫu.")
        entries, bad = _entries(rows, now=act.now)
        async with official_acts.changing(hub.storage) as tx:
            sorted_rows = await _sort(hub, tx, entries)
            sorted_rows.bad += bad
            is_written = not dry_run and (good_rows or not sorted_rows.bad)
            report = _report(len(rows), sorted_rows, written=is_written)
            if is_written:
                await _write(hub, tx, sorted_rows, act)
            if not dry_run:
                await _note(tx, name, act, report)
    return report


def _entries(
    rows: Sequence[official_forms.Row], *, now: datetime
) -> tuple[list[_Good], list[official_forms.BadCell]]:
    """Read every row; one that has anything wrong is named with all that is wrong with it."""
    good: list[_Good] = []
    bad: list[official_forms.BadCell] = []
    seen: dict[str, int] = {}
    for row in rows:
        found = _entry(row, now=now)
        if not isinstance(found, official_entries.Entry):
            bad += found
            continue
        twice = [
            name
            for name in ("code", "account")
            if seen.get(getattr(found, name).lower(), row.number) != row.number
        ]
        bad += [_said_before(row.number, name, seen[getattr(found, name).lower()]) for name in twice]
        for name in ("code", "account"):
            seen.setdefault(getattr(found, name).lower(), row.number)
        if not twice:
            good.append(_Good(row.number, found))
    return good, bad


def _entry(row: official_forms.Row, *, now: datetime) -> official_entries.Entry | list[official_forms.BadCell]:
    bad = list(row.bad)
    days = {name: _day(row.cells[name]) for name in official_forms.DAYS}
    unread = {cell.column for cell in bad}
    for name in (name for name, said in days.items() if said is None):
        if official_forms.COLUMNS[name] not in unread:
            bad.append(
                _bad(row.number, name, "Cần ngày, ví dụ 15/01/2026.", "A day is needed, for example 15/01/2026.")
            )
    known = {
        "valid_from": official_entries.begins(days["valid_from"] or date(2000, 1, 1)),
        "valid_until": official_entries.ends(days["valid_until"] or date(2000, 1, 1)),
        "procedures": official_entries.procedures(str(row.cells["procedures"])),
    }
    entry = official_entries.entry({**row.cells, **known})
    unread = {cell.column for cell in bad}
    skipped = official_forms.DAYS if None in days.values() else ()
    for problem in official_entries.problems(entry, now=now):
        column = official_forms.COLUMNS[problem.field]
        if column not in unread and problem.field not in skipped:
            bad.append(official_forms.BadCell(row.number, column, problem.vi, problem.en))
    return bad or entry


def _day(said: str | date) -> date | None:
    return said if isinstance(said, date) else official_entries.day(said)


async def _sort(hub: Hub, tx: AsyncConnection, entries: Sequence[_Good]) -> _Sorted:
    """Hold the rows against the register as it is now."""
    found = _Sorted()
    rows = await storage.every(tx, sa.select(_o).where(_o.c.ended_at.is_(None)))
    held = {row["code"]: officials.opened(row, hub.vault) for row in rows}
    holders = {row[name].lower(): row["id"] for row in rows for name in ("code", "account")}
    ended = set((await tx.execute(sa.select(_o.c.code).where(_o.c.ended_at.is_not(None)))).scalars())
    for good in entries:
        official = held.get(good.entry.code)
        number = official.id if official else None
        bad = [
            _taken(good.row, name)
            for name in ("code", "account")
            if holders.get(getattr(good.entry, name).lower(), number) != number
        ]
        if official is not None and not official_acts.is_same_name(official.full_name, good.entry.full_name):
            bad.append(_another(good.row))
        if official is None and good.entry.code in ended:
            bad.append(_ended(good.row))
        if bad:
            found.bad += bad
        elif official is None:
            found.new.append(good)
        elif official_entries.of(official) == good.entry:
            found.unchanged += 1
        else:
            found.changed.append(_Good(good.row, good.entry, official))
    return found


async def _write(hub: Hub, tx: AsyncConnection, rows: _Sorted, act: official_acts.Act) -> None:
    for good in rows.changed:
        if good.held is not None:
            await official_acts.write_change(tx, hub.vault, good.held, good.entry, act=act)
    for good in rows.new:
        await official_acts.write_new(tx, hub.vault, good.entry, act=act)


async def _note(tx: AsyncConnection, name: str, act: official_acts.Act, report: Report) -> None:
    counts = {part: value for part, value in report.as_json().items() if part != "bad"}
    did_something = report.written and bool(report.registered or report.changed)
    outcome = "done" if did_something else "unchanged" if report.written else errors.InvalidRequest.code
    await journal.write_act(
        tx,
        _ACT,
        name,
        actor=act.actor,
        now=act.now,
        reason=act.reason.strip(),
        after={**counts, "bad_rows": report.bad_rows},
        outcome=outcome,
    )


def _report(rows: int, found: _Sorted, *, written: bool) -> Report:
    bad = tuple(sorted(found.bad, key=lambda cell: cell.row))
    return Report(rows, len(found.new), len(found.changed), found.unchanged, bad, written)


def _bad(row: int, name: str, vi: str, en: str) -> official_forms.BadCell:
    return official_forms.BadCell(row, official_forms.COLUMNS[name], vi, en)


def _said_before(row: int, name: str, before: int) -> official_forms.BadCell:
    return _bad(row, name, f"Trùng với dòng {before} của biểu mẫu.", f"The same as in row {before} of the form.")


def _taken(row: int, name: str) -> official_forms.BadCell:
    return _bad(
        row,
        name,
        "Đang thuộc một cán bộ khác trong sổ; bàn giao bằng lienthong officials replace.",
        "Another official in the register has it; hand it over by lienthong officials replace.",
    )


def _another(row: int) -> official_forms.BadCell:
    return _bad(
        row,
        "full_name",
        "Mã này đang thuộc người có tên khác; đổi người bằng lienthong officials replace.",
        "Somebody of another name has this code; hand it over by lienthong officials replace.",
    )


def _ended(row: int) -> official_forms.BadCell:
    return _bad(
        row,
        "code",
        "Đăng ký của mã này đã bị thu hồi hoặc bàn giao; muốn cấp lại thì dùng lienthong officials register.",
        "The registration of this code was revoked or handed over; to renew it use lienthong officials register.",
    )
