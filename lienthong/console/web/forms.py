"""Values as people here write them: numbers with points, dates day first, money in đồng, times from now."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from lienthong.api_keys import limits
from lienthong.console.web.words import Words
from lienthong.core import clock, errors, numerals

NOTHING = "–"
# The first that fits: others call themselves Chrome and Safari too.
_BROWSERS = (
    ("Edge", r"Edg\w*"),
    ("Opera", "OPR"),
    ("Cốc Cốc", "coc_coc_browser"),
    ("Firefox", "Firefox"),
    ("Chrome", r"\w*Chrome"),
    ("Safari", r"Version(?=/.*Safari)"),
)
_MACHINES = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
_RATE = re.compile(r"([1-9]\d*)/(second|minute|hour|day|month)")
_DAY_NAME = re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)\b")
# From so long on nobody asks for the minutes.
_ROUGH_S = 6 * 3600
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


def minute(value: datetime, words: Words) -> str:
    """Write a moment to the minute, in Vietnam time: 17:00 15/01/2026, or 17:00, 15 Jan 2026."""
    apart = " " if words.language == "vi" else ", "
    return f"{value.astimezone(clock.VIETNAM):%H:%M}{apart}{day(value, words)}"


def stretch(begins: datetime, ends: datetime, words: Words) -> str:
    """Write from when to when: 17:00–19:00 15/01/2026, with both days where it ends on another."""
    if day(begins, words) == day(ends, words):
        return f"{begins.astimezone(clock.VIETNAM):%H:%M}–{minute(ends, words)}"
    return f"{minute(begins, words)} – {minute(ends, words)}"


def hour(value: datetime, words: Words) -> str:
    """Write an hour of the year for the axis of a chart: 15/01 10:00, or 15 Jan 10:00."""
    return f"{value.astimezone(clock.VIETNAM):{'%d/%m' if words.language == 'vi' else '%d %b'} %H:%M}"


def span(value: timedelta | float | None, words: Words) -> str:
    """Write how long: `40 giây`, `3 giờ 10`, `12 ngày`."""
    if value is None:
        return NOTHING
    seconds = int(value.total_seconds() if isinstance(value, timedelta) else value)
    for unit, size in _SPAN_S:
        if seconds >= size:
            rest = seconds % size // 60
            if unit == "hour" and rest and seconds < _ROUGH_S:
                return words("frame.hour_minutes", count=seconds // size, minutes=rest)
            name = "one_day" if unit == "day" and seconds < 2 * size else f"{unit}s"
            return words(f"frame.{name}", count=number(seconds // size, words))
    return words("frame.seconds", count=max(seconds, 0))


def office_hours(value: timedelta, words: Words) -> str:
    """Write office time in hours: a day of it is not a day of the calendar."""
    told = value.total_seconds() / 3600
    return number(round(told) if told >= 10 else round(told, 1), words)


def hours_left(value: timedelta | None, words: Words) -> str:
    """Write the office time that is left, or by how much it is over."""
    if value is None:
        return NOTHING
    word = "frame.hours" if value >= timedelta(0) else "frame.hours_over"
    return words(word, count=office_hours(abs(value), words))


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


def limit(stated: str, words: Words) -> str:
    """Write how often a key may call: `600 lượt/phút`; what is no limit stays as it is."""
    try:
        it = limits.parse(stated)
    except errors.InvalidRequest:
        return stated
    unit = words(f"keys.unit_{it.unit}") if it.kind != "flight" else ""
    said = words(f"keys.limit_{it.kind}", count=number(it.quota, words), unit=unit)
    return f"{it.operation}: {said}" if it.operation else said


def limits_in_short(stated: Iterable[str], words: Words) -> str:
    """Write several limits for a column whose head says what is counted: `600/phút; 20.000/giờ`."""
    parts = []
    for text in stated:
        plain = _RATE.fullmatch(text)
        unit = words(f"keys.unit_{plain[2]}") if plain else ""
        parts.append(f"{number(int(plain[1]), words)}/{unit}" if plain else limit(text, words))
    return "; ".join(parts)


def hours(stated: Iterable[str], words: Words) -> str:
    """Write when a key may call: `T2-T6 07:00-18:00`, in English Mon-Fri."""
    return "; ".join(_DAY_NAME.sub(lambda found: words(f"keys.day_{found[0]}"), text) for text in stated)


def day_of_year(value: date, words: Words) -> str:
    """Write a day where the year is plain: 15/01 in Vietnamese, 15 Jan in English."""
    return value.strftime("%d/%m" if words.language == "vi" else "%d %b")


def browser(agent: str) -> str:
    """Name a browser and its machine as people know them; one that is not known stays as it named itself."""
    found = ((name, re.search(rf"\b{sign}/(\d+)", agent)) for name, sign in _BROWSERS)
    named = next((f"{name} {match[1]}" for name, match in found if match), "")
    machine = next((it for it in _MACHINES if it in agent), "")
    return f"{named}, {machine}" if named and machine else named or agent


def setting(name: str) -> Markup:
    """Write the name of a setting, which may go on in the next line after each of its parts."""
    return Markup("<code>{}</code>").format(Markup("__<wbr>").join(name.split("__")))


def told(sentence: str) -> Markup:
    """Write a sentence with the commands in it set apart: they stand between backticks."""
    parts = sentence.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 and place < len(parts) - 1 else part
        for place, part in enumerate(parts)
    )


def plain(value: Any, words: Words) -> str:
    """Write any value for a file: what a page would show, without its markup."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return words("frame.yes" if value else "frame.no")
    if isinstance(value, datetime):
        return value.astimezone(clock.VIETNAM).isoformat(sep=" ", timespec="seconds")
    if isinstance(value, timedelta):
        return f"{value.total_seconds() / 3600:.1f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def text(value: Any, words: Words) -> Markup:
    """Write any value in a cell."""
    if isinstance(value, datetime):
        return escape(moment(value, words))
    return escape(plain(value, words) or NOTHING)
