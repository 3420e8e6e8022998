"""Values as people here write them: numbers with points, dates day first, money in đồng, times from now."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from lienthong.console.web.words import Words
from lienthong.core import clock, numerals

NOTHING = "–"
_SPAN_S = (("day", 86400), ("hour", 3600), ("minute", 60))


def number(value: float | None, words: Words) -> str:
    """Write a number: 1.234.567 and 0,5 in Vietnamese, 1,234,567 and 0.5 in English."""
    if value is None:
        return NOTHING
    form = "," if isinstance(value, int) else ",.1f"
    return format(value, form) if words.language == "en" else numerals.vi(value, form)


def money(value: int | None, words: Words) -> str:
    """Write an amount of đồng."""
    return NOTHING if value is None else f"{number(value, words)} đ"


def day(value: date | datetime | None, words: Words) -> str:
    """Write a day: 15/01/2026 in Vietnamese, 15 Jan 2026 in English."""
    if not value:
        return NOTHING
    local = value.astimezone(clock.VIETNAM) if isinstance(value, datetime) else value
    return local.strftime("%d/%m/%Y" if words.language == "vi" else "%d %b %Y")


def moment(value: datetime | None, words: Words) -> str:
    """Write a moment to the second, in Vietnam time: 15/01/2026 10:05:00, or 15 Jan 2026 10:05:00."""
    if value is None:
        return NOTHING
    return f"{day(value, words)} {value.astimezone(clock.VIETNAM):%H:%M:%S}"


def span(value: timedelta | float | None, words: Words) -> str:
    """Write how long: `40 giây`, `3 giờ 10`, `12 ngày`."""
    if value is None:
        return NOTHING
    seconds = int(value.total_seconds() if isinstance(value, timedelta) else value)
    for unit, size in _SPAN_S:
        if seconds >= size:
            rest = seconds % size // 60
            if unit == "hour" and rest:
                return words("frame.hour_minutes", count=seconds // size, minutes=rest)
            name = "one_day" if unit == "day" and seconds < 2 * size else f"{unit}s"
            return words(f"frame.{name}", count=number(seconds // size, words))
    return words("frame.seconds", count=max(seconds, 0))


def ago(value: datetime | None, words: Words, *, now: datetime) -> Markup:
    """Write a moment as seen from now, with the exact one on hover, for readers of the page and in print."""
    if value is None:
        return Markup('<span class="muted">{}</span>').format(NOTHING)
    apart = now - value
    if timedelta(0) <= apart < timedelta(seconds=5):
        told = words("frame.just_now")
    elif apart >= timedelta(0):
        told = words("frame.ago", span=span(apart, words))
    else:
        told = words("frame.in", span=span(-apart, words))
    exact = moment(value, words)
    iso = value.astimezone(clock.VIETNAM).isoformat(timespec="seconds")
    return Markup(
        '<time datetime="{}" title="{}"><span class="rel">{}</span><span class="exact">{}</span></time>'
    ).format(iso, exact, told, exact)


def masked(value: str) -> str:
    """Hide all but the last two characters of what only some may read."""
    return "•" * max(len(value) - 2, 4) + value[-2:] if len(value) > 4 else "•" * 6


def plain(value: Any, words: Words) -> str:
    """Write any value for a file: what a page would show, without its markup."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return words("frame.yes" if value else "frame.no")
    if isinstance(value, datetime):
        return value.astimezone(clock.VIETNAM).isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def text(value: Any, words: Words) -> Markup:
    """Write any value in a cell."""
    if isinstance(value, datetime):
        return escape(moment(value, words))
    return escape(plain(value, words) or NOTHING)
