"""How much: calls up and down, slow drift, silence, and data out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from lienthong.core import numerals
from lienthong.monitoring import baselines, climbing
from lienthong.monitoring.detectors.findings import Finding, Who

# A piece of work is some calls: so many of them count as one where few are to be told from none.
CLUMP = 3
LEAST_MISSING = 7
# By how many standard errors the last five days must exceed what is usual.
DRIFT_POWER = 3.7


class Volume(NamedTuple):
    """What was seen of one measure in the newest minutes, and what bounds it."""

    amount: float
    minutes: int
    bound: float
    normal: float


def up(who: Who, at: float, hour: Volume, strain: Volume) -> Finding | None:
    """Find more calls than this hour of the week has: in an hour, or, sooner, by how fast they pile up."""
    over_hour, over_strain = hour.amount > hour.bound, strain.amount > strain.bound
    if not (over_hour or over_strain):
        return None
    seen, bound = max(
        ((one.amount, one.bound) for one in (hour, strain) if one.bound > 0), key=lambda pair: pair[0] / pair[1]
    )
    minutes = hour.minutes if over_hour else strain.minutes
    return Finding(
        "volume_up",
        who,
        at - 60 * minutes,
        at,
        seen / (seen + bound),
        {"requests": int(hour.amount), "minutes": 60, "burst": round(strain.amount)},
        {
            "requests_an_hour": round(hour.normal, 1),
            "at_most": math.ceil(hour.bound),
            "burst": _whole(strain.bound),
        },
        f"{numerals.whole(hour.amount)} lời gọi trong 60 phút; giờ này thường có {numerals.whole(hour.normal)}, "
        f"nhiều nhất {numerals.whole(hour.bound)}.",
        f"{hour.amount:,.0f} calls in 60 minutes; usual at this hour: {hour.normal:,.0f}, "
        f"at most {hour.bound:,.0f}.",
    )


def _whole(bound: float) -> int | None:
    return round(bound) if math.isfinite(bound) else None


def data_out(who: Who, at: float, sent: Volume, rows: Volume) -> Finding | None:
    """Find more bytes or rows going out in an hour than this hour of the week has."""
    if sent.amount <= sent.bound and rows.amount <= rows.bound:
        return None
    ratio = max(sent.amount / max(sent.bound, 1), rows.amount / max(rows.bound, 1))
    return Finding(
        "data_out",
        who,
        at - 3600,
        at,
        ratio / (1 + ratio),
        {"bytes": int(sent.amount), "rows": int(rows.amount), "minutes": 60},
        {"bytes": round(sent.normal), "rows": round(rows.normal), "bytes_at_most": _whole(sent.bound)},
        f"{numerals.vi(sent.amount / 1e6, ',.1f')} MB và {numerals.whole(rows.amount)} bản ghi ra ngoài "
        f"trong 60 phút; thường {numerals.vi(sent.normal / 1e6, ',.1f')} MB "
        f"và {numerals.whole(rows.normal)} bản ghi.",
        f"{sent.amount / 1e6:,.1f} MB and {rows.amount:,.0f} rows went out in 60 minutes; "
        f"usually {sent.normal / 1e6:,.1f} MB and {rows.normal:,.0f} rows.",
    )


def down(who: Who, at: float, hours: Sequence[Volume]) -> Finding | None:
    """Find two hours in a row with far fewer calls than the quietest usual ones; `bound` is that low."""
    amount, normal = sum(hour.amount for hour in hours), sum(hour.normal for hour in hours)
    low = sum(hour.bound for hour in hours)
    if len(hours) < 2 or amount >= 0.6 * low or baselines.scarce(int(amount / CLUMP), low / CLUMP) < 5:
        return None
    return Finding(
        "volume_down",
        who,
        at - 3600 * len(hours),
        at,
        1 - amount / max(normal, 1),
        {"requests": int(amount), "minutes": 60 * len(hours)},
        {"requests": round(normal)},
        f"Chỉ {numerals.whole(amount)} lời gọi trong {len(hours)} giờ; thường có {numerals.whole(normal)}.",
        f"Only {amount:,.0f} calls in {len(hours)} hours; usually {normal:,.0f}.",
    )


def silence(who: Who, at: float, *, silent_minutes: float, longest_gap: int, an_hour: float) -> Finding | None:
    """Find a key that says nothing when it always speaks."""
    missing = an_hour * silent_minutes / 60
    if missing < LEAST_MISSING * CLUMP or silent_minutes < max(10, 2 * longest_gap + 6):
        return None
    return Finding(
        "silence",
        who,
        at - 60 * silent_minutes,
        at,
        missing / (missing + LEAST_MISSING * CLUMP),
        {"silent_minutes": round(silent_minutes)},
        {"requests_an_hour": round(an_hour, 1), "longest_gap_minutes": longest_gap},
        f"Không có lời gọi nào trong {numerals.whole(silent_minutes)} phút; "
        f"giờ này thường có {numerals.whole(an_hour)} lời gọi mỗi giờ.",
        f"No call for {silent_minutes:,.0f} minutes; usually {an_hour:,.0f} an hour at this time.",
    )


def drift(who: Who, at: float, days: Sequence[float]) -> Finding | None:
    """Find calls that grow day by day: working days, oldest first, each divided by what the whole hub had.

    The last five days are held against those at least ten days back, so that what grows slowly is not its own
    measure; a step is the business of `up`, so the five days before must lie on the way. Else a line along which
    all days climb is enough.
    """
    if len(days) < 20:
        return None
    logs = [math.log(max(day, 1.0)) for day in days]
    back = logs[-40:-10]
    early = sorted(back[: max(8, len(back) * 2 // 3)])
    usual = early[len(early) // 2]
    off = sorted(abs(day - usual) for day in early)[len(early) // 2]
    spread = max(1.4826 * off, 0.1, 1.5 * math.exp(-usual / 2))
    lately, before = sum(logs[-5:]) / 5, sum(logs[-10:-5]) / 5
    power = (lately - usual) / (spread * math.sqrt(1 / 5 + 1.57 / len(early)))
    growth = lately - usual
    if math.exp(usual) < 20 or growth < math.log(1.25):
        return None
    is_far = power >= DRIFT_POWER and lately - before >= 0.04 and before - usual >= 0.2 * growth
    if not is_far and not climbing.climbs(logs):
        return None
    ratio, middle, mean = math.exp(growth), math.exp(usual), math.exp(lately)
    return Finding(
        "slow_drift",
        who,
        at - 86_400 * 14,
        at,
        1 - 1 / ratio,
        {"requests_a_day": round(mean), "growth": round(ratio, 2)},
        {"requests_a_day": round(middle)},
        f"Năm ngày làm việc gần đây trung bình {numerals.whole(mean)} lời gọi mỗi ngày "
        f"và còn tăng; trước đó thường {numerals.whole(middle)}.",
        f"The last five working days had {mean:,.0f} calls a day on average, growing; "
        f"{middle:,.0f} were usual before.",
    )


def rate(seen: int, expected: float, *, least: int, power: float) -> float:
    """Give how improbable a count is (minus the decimal logarithm) where it is improbable enough, else 0."""
    if seen < least:
        return 0.0
    found = baselines.tail(seen, expected)
    return found if found >= power else 0.0
