"""From where and when a key may be used: networks (IPv4, IPv6), and hours of the week in Vietnam time.

Empty means everywhere and always; whoever shows a key says so in words.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from lienthong.core import clock, errors

MOST = 100
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# As people here write the days of the week: t2 is Monday, cn is Sunday.
_OTHER_NAMES = {**{f"t{number}": day for number, day in enumerate(_DAYS[:6], 2)}, "cn": "sun"}
_SPAN = re.compile(r"(?:(\w+)(?:\s*-\s*(\w+))?\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DAY_MINUTES = 1440
_WEEK_MINUTES = 7 * _DAY_MINUTES

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Span = tuple[int, int]


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read addresses and networks that were saved with a key."""
    return tuple(_network(text) for text in texts)


def is_inside(address: str, allowed: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; where there are none, every address does."""
    if not allowed:
        return True
    found = _address(address)
    return found is not None and any(found.version == network.version and found in network for network in allowed)


def spans(texts: Iterable[str]) -> tuple[Span, ...]:
    """Read hours of the week as pairs of minutes since Monday 00:00, the second one excluded."""
    found: list[Span] = []
    for text in texts:
        found += _spans_of(text)
    return tuple(sorted(found))


def is_within(moment: datetime, allowed: Sequence[Span]) -> bool:
    """Whether a moment lies in the hours; where there are none, every moment does."""
    if not allowed:
        return True
    local = moment.astimezone(clock.VIETNAM)
    minute = local.weekday() * _DAY_MINUTES + local.hour * 60 + local.minute
    return any(start <= minute < end for start, end in allowed)


def tidy_addresses(texts: Iterable[str]) -> tuple[str, ...]:
    """Write addresses and networks in one form each, once each."""
    return tuple(dict.fromkeys(str(_network(text)) for text in texts))


def tidy_hours(texts: Iterable[str]) -> tuple[str, ...]:
    """Write hours in one form each: `mon-fri 07:00-18:00`."""
    return tuple(dict.fromkeys(_tidy_span(text) for text in texts))


def problems(addresses: Sequence[str], hours: Sequence[str]) -> list[errors.FieldProblem]:
    """Name every address and every span of hours that cannot be read, with what would be right."""
    found = [problem for text in addresses if (problem := _address_problem(text)) is not None]
    found += [_hours_problem(text) for text in hours if not _is_span(text)]
    for name, count in (("addresses", len(addresses)), ("hours", len(hours))):
        if count > MOST:
            found.append(
                errors.FieldProblem(name, f"Nhiều hơn {MOST} mục.", f"There are more than {MOST} entries.")
            )
    return found


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that listens on IPv6 shows callers of IPv4 as ::ffff:192.0.2.1; they are the same machine.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _network(text: str) -> Network:
    network = ipaddress.ip_network(text.strip())
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network


def _address_problem(text: str) -> errors.FieldProblem | None:
    shown = text.strip()[:60]
    try:
        network = _network(text)
    except ValueError:
        return _unreadable_address(shown)
    if network.prefixlen == 0:
        return errors.FieldProblem(
            "addresses",
            f"“{shown}” là mọi địa chỉ; nếu không giới hạn địa chỉ thì đừng nêu mục này.",
            f"“{shown}” is every address; leave the list out where addresses are not limited.",
        )
    return None


def _unreadable_address(shown: str) -> errors.FieldProblem:
    try:
        meant = str(ipaddress.ip_network(shown, strict=False))
    except ValueError:
        meant = ""
    if meant:
        return errors.FieldProblem(
            "addresses",
            f"“{shown}” không phải là đầu của một mạng; có phải là “{meant}”?",
            f"“{shown}” is not the beginning of a network; is “{meant}” meant?",
        )
    return errors.FieldProblem(
        "addresses",
        f"Không hiểu địa chỉ “{shown}”; viết 203.0.113.7, 203.0.113.0/24 hoặc 2001:db8::/32.",
        f"The address “{shown}” cannot be read; write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32.",
    )


def _hours_problem(text: str) -> errors.FieldProblem:
    shown = text.strip()[:60]
    return errors.FieldProblem(
        "hours",
        f"Không hiểu giờ “{shown}”; viết ngày rồi giờ, ví dụ “mon-fri 07:00-18:00”, “t7 08:00-12:00”, "
        "“22:00-06:00” (mọi ngày, qua đêm).",
        f"The hours “{shown}” cannot be read; write days and times, for example “mon-fri 07:00-18:00”, "
        "“sat 08:00-12:00”, “22:00-06:00” (every day, over night).",
    )


def _is_span(text: str) -> bool:
    try:
        return bool(_spans_of(text))
    except ValueError:
        return False


def _read(text: str) -> tuple[int, int, int, int]:
    """Give first day, last day, start and end (minutes of the day). Raises ValueError."""
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(text)
    first, last = _day(match[1] or "daily", first=True), _day(match[2] or match[1] or "daily", first=False)
    start, end = int(match[3]) * 60 + int(match[4]), int(match[5]) * 60 + int(match[6])
    if int(match[4]) > 59 or int(match[6]) > 59 or start >= _DAY_MINUTES or end > _DAY_MINUTES or start == end:
        raise ValueError(text)
    return first, last, start, end


def _day(word: str, *, first: bool) -> int:
    if word == "daily":
        return 0 if first else 6
    return _DAYS.index(_OTHER_NAMES.get(word, word))


def _spans_of(text: str) -> list[Span]:
    first, last, start, end = _read(text)
    length = end - start if end > start else end - start + _DAY_MINUTES
    found: list[Span] = []
    # fri-mon goes over the end of the week.
    for number in range((last - first) % 7 + 1):
        begins = ((first + number) % 7) * _DAY_MINUTES + start
        ends = begins + length
        found.append((begins, min(ends, _WEEK_MINUTES)))
        if ends > _WEEK_MINUTES:
            found.append((0, ends - _WEEK_MINUTES))
    return found


def _tidy_span(text: str) -> str:
    first, last, start, end = _read(text)
    if (first, last) == (0, 6):
        days = "daily"
    else:
        days = _DAYS[first] if first == last else f"{_DAYS[first]}-{_DAYS[last]}"
    return f"{days} {_clock(start)}-{_clock(end)}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
