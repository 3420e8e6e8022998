"""Waybill numbers that a carrier gave out beforehand: imported by a person, each used once, one for a dossier."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events
from lienthong.bus.hub import Hub
from lienthong.core import errors, journal, storage, tables

_w, _c = tables.waybills, tables.tracking_cursors
EMPTY = "no_waybill"
MOST_NUMBERS = 200_000
_AT_ONCE = 2_000
_NUMBER = re.compile(r"[0-9A-Z]{6,20}")
# Two letters, nine digits, two letters (UPU S10); the ninth digit is a check of the eight before.
_S10 = re.compile(r"([A-Z]{2})([0-9]{8})([0-9])([A-Z]{2})")
_PLAIN = re.compile(r"([A-Z]*)([0-9]{1,15})([A-Z]*)")
_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: new numbers, those that were there already, and all that are free now."""

    new: int
    known: int
    free: int


# -------------------------------------------------------------------------------------------------- importing


def read_file(path: Path) -> Sequence[str]:
    """Read numbers from a text or CSV file, one a line or in a column `number`. Raises InvalidRequest by line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _checked(_cells(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _wrong("file", "không đọc được tệp", "the file cannot be read") from error


def _cells(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    rows = csv.reader(lines)
    column = 0
    for line, row in enumerate(rows, start=1):
        words = [cell.strip() for cell in row]
        if line == 1 and "number" in [word.lower() for word in words]:
            column = [word.lower() for word in words].index("number")
        elif any(words):
            yield f"line {line}", words[column] if column < len(words) else ""


def expand(first: str, last: str, *, check_digits: bool) -> Sequence[str]:
    """Write out a range. With `check_digits` the ninth digit is worked out (UPU S10), not counted.

    Raises InvalidRequest where the ends do not belong together, or the range is too long.
    """
    shape = _S10 if check_digits else _PLAIN
    from_first, from_last = shape.fullmatch(first), shape.fullmatch(last)
    if from_first is None or from_last is None:
        raise _wrong("range", "không phải là dải mã vận đơn", "this is no range of waybill numbers")
    prefix, low, tail = from_first[1], from_first[2], from_first[shape.groups]
    last_prefix, high, last_tail = from_last[1], from_last[2], from_last[shape.groups]
    if (prefix, tail, len(low)) != (last_prefix, last_tail, len(high)) or int(high) < int(low):
        raise _wrong("range", "hai đầu dải không khớp nhau", "the ends of the range do not belong together")
    if int(high) - int(low) >= MOST_NUMBERS:
        raise _wrong(
            "range", f"dải dài hơn {MOST_NUMBERS} mã", f"the range holds more than {MOST_NUMBERS} numbers"
        )
    serials = (f"{serial:0{len(low)}d}" for serial in range(int(low), int(high) + 1))
    if check_digits and any(_check_digit(it[2]) != it[3] for it in (from_first, from_last)):
        raise _wrong("range", "chữ số kiểm tra không đúng", "the check digit is wrong")
    made = (f"{prefix}{serial}{_check_digit(serial) if check_digits else ''}{tail}" for serial in serials)
    return _checked((number, number) for number in made)


def _check_digit(serial: str) -> str:
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(serial, _WEIGHTS, strict=True)) % 11
    return {10: "0", 11: "5"}.get(rest, str(rest))


def _checked(cells: Iterator[tuple[str, str]]) -> Sequence[str]:
    found: dict[str, None] = {}
    problems: list[errors.FieldProblem] = []
    for place, text in cells:
        if not _NUMBER.fullmatch(text):
            vi, en = "không phải là mã vận đơn (6–20 chữ hoa, số)", "is no waybill number (6-20 capitals, digits)"
            problems.append(errors.FieldProblem(place, vi, en))
        elif text in found:
            problems.append(errors.FieldProblem(place, "mã lặp lại trong tệp", "the number stands there twice"))
        found[text] = None
        if len(found) > MOST_NUMBERS:
            raise _wrong("file", f"nhiều hơn {MOST_NUMBERS} mã", f"more than {MOST_NUMBERS} numbers")
    if problems or not found:
        nothing = errors.FieldProblem("file", "không có mã nào", "there is no number in it")
        raise errors.InvalidRequest(problems=tuple(problems[:50]) or (nothing,))
    return tuple(found)


def _wrong(field: str, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(problems=(errors.FieldProblem(field, vi, en),))


async def put(hub: Hub, carrier: str, numbers: Sequence[str], *, by: str, reason: str) -> Imported:
    """Add numbers to a carrier's pool; those that are there already stay as they are, used or not."""
    if carrier not in hub.settings.post.carriers:
        names = ", ".join(hub.settings.post.carriers)
        raise _wrong("carrier", f"các đơn vị bưu chính: {names}", f"the carriers are: {names}")
    now, new = hub.now(), 0
    async with hub.storage.transaction() as tx:
        for start in range(0, len(numbers), _AT_ONCE):
            rows = [
                {
                    "carrier": carrier,
                    "number": number,
                    "state": "free",
                    "imported_at": now,
                    "imported_by": by,
                    "changed_at": now,
                }
                for number in numbers[start : start + _AT_ONCE]
            ]
            made = await tx.execute(
                hub.storage.insert(_w).values(rows).on_conflict_do_nothing().returning(_w.c.number)
            )
            new += len(made.all())
        free = await _free(tx, carrier)
        after = {"new": new, "known": len(numbers) - new, "free": free}
        await journal.write_act(tx, "waybills.import", carrier, actor=by, now=now, reason=reason, after=after)
    return Imported(new, len(numbers) - new, free)


async def counts(hub: Hub) -> Sequence[dict[str, Any]]:
    """Count numbers by carrier and state."""
    wanted = (
        sa.select(_w.c.carrier, _w.c.state, sa.func.count().label("numbers"))
        .group_by(_w.c.carrier, _w.c.state)
        .order_by(_w.c.carrier, _w.c.state)
    )
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


async def listed(hub: Hub, carrier: str, *, state: str = "", limit: int = 100) -> Sequence[dict[str, Any]]:
    """List numbers of a carrier, the last changed first."""
    wanted = (
        sa.select(_w).where(_w.c.carrier == carrier).order_by(_w.c.changed_at.desc(), _w.c.number).limit(limit)
    )
    if state:
        wanted = wanted.where(_w.c.state == state)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


async def _free(tx: AsyncConnection, carrier: str) -> int:
    wanted = sa.select(sa.func.count()).where(_w.c.carrier == carrier, _w.c.state == "free")
    return int((await tx.execute(wanted)).scalar_one())


# ------------------------------------------------------------------------------------------------------ using


async def take(hub: Hub, tx: AsyncConnection, carrier: str, *, dossier: str, direction: str, parcel: str) -> str:
    """Take a number for a dossier: its own, where it has one, else the next free one, which nobody else gets.

    Raises Conflict where the pool is empty.
    """
    owned = (_w.c.carrier == carrier, _w.c.dossier_code == dossier, _w.c.direction == direction)
    if not hub.storage.is_sqlite:  # who else asks for this dossier waits, and then finds what this one took
        name = sa.func.hashtextextended(f"waybill {carrier} {dossier} {direction}", 0)
        await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(name)))
    values = {"parcel_id": parcel, "changed_at": hub.now()}
    again = await tx.execute(_w.update().where(*owned).values(**values).returning(_w.c.number))
    if (row := again.first()) is not None:
        return str(row.number)
    # Two processes at once look past the row that the other one holds; SQLite has one writer in any case.
    free = (
        sa.select(_w.c.number).where(_w.c.carrier == carrier, _w.c.state == "free").order_by(_w.c.number).limit(1)
    )
    if not hub.storage.is_sqlite:
        free = free.with_for_update(skip_locked=True)
    found = await storage.first(tx, free)
    if found is None:
        raise _empty(carrier)
    await tx.execute(
        _w.update()
        .where(_w.c.carrier == carrier, _w.c.number == found["number"])
        .values(state="held", dossier_code=dossier, direction=direction, **values)
    )
    return str(found["number"])


def _empty(carrier: str) -> errors.Conflict:
    return errors.Conflict(
        f"there is no free waybill number of {carrier}; import a new range with `lienthong waybills import`",
        detail_vi=f"Kho mã vận đơn của {carrier} đã hết; hãy nạp dải mã mới bằng `lienthong waybills import`.",
        reason=EMPTY,
    )


async def warn(hub: Hub, carrier: str) -> None:
    """Write an alert once when a pool runs low; after new numbers have come it may be written again."""
    low = hub.settings.post.low_numbers
    async with hub.storage.transaction() as tx:
        await tx.execute(hub.storage.insert(_c).values(carrier=carrier).on_conflict_do_nothing())
        left = await _free(tx, carrier)
        is_low = left <= low
        known = _c.c.low_at.is_(None) if is_low else _c.c.low_at.is_not(None)
        values = {"low_at": hub.now() if is_low else None}
        moved = await tx.execute(_c.update().where(_c.c.carrier == carrier, known).values(**values))
        if is_low and moved.rowcount:
            await events.put(tx, "waybills.low", carrier, {"free": left, "low": low}, now=hub.now())


async def use(tx: AsyncConnection, carrier: str, number: str, *, hub: Hub) -> None:
    """Mark a number as bound at the carrier, or perhaps bound: from now on it is nobody else's."""
    await tx.execute(
        _w.update()
        .where(_w.c.carrier == carrier, _w.c.number == number, _w.c.state != "used")
        .values(state="used", changed_at=hub.now())
    )


async def give_back(tx: AsyncConnection, carrier: str, number: str, *, parcel: str, hub: Hub) -> None:
    """Put a number back that the carrier has certainly not bound: only the answer to a first try says so."""
    await tx.execute(
        _w.update()
        .where(
            _w.c.carrier == carrier,
            _w.c.number == number,
            _w.c.parcel_id == parcel,
            _w.c.state == "held",
        )
        .values(state="free", dossier_code=None, direction=None, parcel_id=None, changed_at=hub.now())
    )
