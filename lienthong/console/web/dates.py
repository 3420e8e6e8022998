"""Days and moments as people here type them: `31/12/2026`, `31/12/2026 17:00`; whatever their browser's form."""

from __future__ import annotations

import re
from datetime import date, datetime, time

from lienthong.core import clock

# `31/12/2026`, `1-2-2026`, `31122026`; and as addresses and programs write it, `2026-12-31`.
_FORMS = (
    re.compile(r"(?P<day>\d{1,2})([/.-])(?P<month>\d{1,2})\2(?P<year>\d{4})", re.ASCII),
    re.compile(r"(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d{4})", re.ASCII),
    re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", re.ASCII),
)
_COMPACT = re.compile(r"\d{12}", re.ASCII)  # what the keys of a telephone can type
_HOUR = re.compile(r"(?P<hour>\d{1,2})(?:[:hg](?P<minute>\d\d)?)?", re.ASCII)
# Beyond these nothing of ours happens, and calendars and databases stop counting.
_FIRST, _LAST = 1900, 2199


def read_day(text: str) -> date | None:
    """Read a day; nothing where it is none."""
    found = next(filter(None, (form.fullmatch(text.strip()) for form in _FORMS)), None)
    if found is None or not _FIRST <= int(found["year"]) <= _LAST:
        return None
    try:
        return date(int(found["year"]), int(found["month"]), int(found["day"]))
    except ValueError:
        return None


def read_moment(text: str) -> datetime | None:
    """Read a day with its hour, in Vietnam time where no other is said; nothing where it is none."""
    if _COMPACT.fullmatch(text.strip()):
        text = f"{text.strip()[:8]} {text.strip()[8:10]}:{text.strip()[10:]}"
    day, _, hour = text.strip().partition(" ")
    if "T" in text or hour.count(":") > 1:
        return _read_iso(text.strip())
    found, clocked = read_day(day), _HOUR.fullmatch(hour.strip().lower())
    if found is None or clocked is None:
        return None
    try:
        at = time(int(clocked["hour"]), int(clocked["minute"] or 0))
    except ValueError:
        return None
    return datetime.combine(found, at, clock.VIETNAM)


def _read_iso(text: str) -> datetime | None:
    """Read a moment as addresses hold it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not _FIRST <= found.year <= _LAST:
        return None
    return found.replace(tzinfo=clock.VIETNAM) if found.tzinfo is None else found.astimezone(clock.VIETNAM)


def day(value: date) -> str:
    """Write a day as it is typed."""
    return f"{value:%d/%m/%Y}"


def moment(value: datetime) -> str:
    """Write a moment as it is typed."""
    return f"{value.astimezone(clock.VIETNAM):%d/%m/%Y %H:%M}"
