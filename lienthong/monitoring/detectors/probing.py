"""Trying out what is allowed: bursts of wrong and refused calls, the edge of the limit, forged callbacks."""

from __future__ import annotations

from lienthong.core import numerals
from lienthong.monitoring.detectors import volume
from lienthong.monitoring.detectors.findings import Finding, Who

LEAST_WRONG, LEAST_REFUSED, LEAST_FORGED = 12, 6, 3


def wrong(who: Who, at: float, *, seen: int, requests: int, share: float, top: float) -> Finding | None:
    """Find many calls with mistakes in them within five minutes; `share` is the usual part of all calls."""
    power = volume.rate(seen, share * requests, least=LEAST_WRONG, power=8)
    if not power or seen <= 1.3 * top + 3:
        return None
    return Finding(
        "error_burst",
        who,
        at - 300,
        at,
        min(1.0, power / 30),
        {"wrong": seen, "requests": requests, "share": round(seen / requests, 4), "minutes": 5},
        {"share": round(share, 4)},
        f"{numerals.whole(seen)} trong {numerals.whole(requests)} lời gọi bị lỗi phía người gọi trong 5 phút; "
        f"thường {numerals.vi(share, '.1%')}.",
        f"{seen:,} of {requests:,} calls were wrong within 5 minutes; usually {share:.1%}.",
    )


def refused(who: Who, at: float, *, seen: int, requests: int, share: float) -> Finding | None:
    """Find many calls that were refused within five minutes: unknown key, no grant, wrong place."""
    power = volume.rate(seen, share * requests, least=LEAST_REFUSED, power=6)
    if not power:
        return None
    return Finding(
        "refusal_burst",
        who,
        at - 300,
        at,
        min(1.0, power / 30),
        {"refused": seen, "requests": requests, "share": round(seen / requests, 4), "minutes": 5},
        {"share": round(share, 4)},
        f"{numerals.whole(seen)} trong {numerals.whole(requests)} lời gọi bị từ chối trong 5 phút; "
        f"thường {numerals.vi(share, '.1%')}.",
        f"{seen:,} of {requests:,} calls were refused within 5 minutes; usually {share:.1%}.",
    )


def limit(who: Who, at: float, *, minutes: int, top: float, limited: int) -> Finding | None:
    """Find a key that runs into its limit again and again: in how many minutes of the last hour."""
    if minutes < max(4, 1.5 * top + 2):
        return None
    return Finding(
        "limit_probing",
        who,
        at - 3600,
        at,
        minutes / (minutes + 4),
        {"minutes_over_the_limit": minutes, "limited": limited},
        {"minutes_over_the_limit": round(top)},
        f"Giờ vừa qua có {minutes} phút chạm hạn mức ({numerals.whole(limited)} lời gọi); "
        f"thường nhiều nhất {top:.0f} phút.",
        f"Ran into its limit in {minutes} different minutes of the last hour ({limited:,} calls); "
        f"usually {top:.0f} at most.",
    )


def forged(who: Who, at: float, *, seen: int, good: int) -> Finding | None:
    """Find callbacks that are not from whom they name: refused or unreadable, several in an hour."""
    if seen < LEAST_FORGED or seen <= good * 0.2:
        return None
    return Finding(
        "forged_callback",
        who,
        at - 3600,
        at,
        seen / (seen + 2),
        {"refused": seen, "genuine": good, "minutes": 60},
        {"refused": 0},
        f"{numerals.whole(seen)} lời gọi lại không qua được kiểm tra trong một giờ từ cùng một địa chỉ.",
        f"{seen:,} callbacks failed verification within an hour from one address.",
    )
