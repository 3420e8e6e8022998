"""From where, when and what for the first time: networks, several places at once, off hours, new operations."""

from __future__ import annotations

from collections.abc import Sequence

from lienthong.core import numerals
from lienthong.monitoring import call_order
from lienthong.monitoring.detectors.findings import DAY_S, Finding, Who

LEARNING_S, LEARNING_CALLS = 7 * DAY_S, 60
AT_ONCE_S = 60.0  # calls from two networks this close together: no one moves so fast
DORMANT_S = 30 * DAY_S


def has_learned(first_at: float, at: float, calls: int) -> bool:
    """Whether enough is known of somebody to call a thing new."""
    return at - first_at >= LEARNING_S and calls >= LEARNING_CALLS


def fresh(seen_first: Sequence[float], first_at: float, at: float) -> int:
    """Count on how many of the last 21 days something was met for the first time, those of learning left out.

    Fifty networks within an hour are one event, after which another one is still rare.
    """
    since = max(first_at + LEARNING_S / 2, at - 21 * DAY_S)
    return len({int((at - moment) // DAY_S) for moment in seen_first if moment >= since})


def new_network(who: Who, at: float, *, network: str, known: int, newly: int) -> Finding | None:
    """Find a network that a key never called from, where new ones are rare."""
    if newly > 1:
        return None
    return Finding(
        "new_network",
        who,
        at,
        at,
        0.8 if newly == 0 else 0.6,
        {"network": network},
        {"known_networks": known, "new_in_three_weeks": newly},
        f"Lần đầu gọi từ mạng {network}; khoá này trước nay chỉ dùng từ {known} mạng.",
        f"First call from the network {network}; known networks of this key so far: {known}.",
    )


def at_once(
    who: Who,
    at: float,
    *,
    places: int,
    usual: int,
    returns: int,
    learned: bool,
    is_official: bool,
    stranger: bool = False,
    gap_s: float = 300.0,
) -> Finding | None:
    """Find one key or official active from several addresses at once, by turns: A, B, A again.

    `stranger`: one of them lies in a network never used before today. With few places any turn then counts, or no
    more than `gap_s` seconds between the two.
    """
    if learned and stranger and usual <= 3:
        allowed, wanted = 1, int(gap_s > AT_ONCE_S)
    elif learned:
        allowed = usual if usual <= 2 else usual + 1 + usual // 4
        wanted = 1 if usual <= 1 else 3
    else:
        allowed, wanted = (2, 3) if is_official else (12, 3)
    if places <= max(1, allowed) or returns < wanted:
        return None
    rule = "official_shared" if is_official else "key_shared"
    return Finding(
        rule,
        who,
        at - 300,
        at,
        places / (places + max(1, usual)),
        {"addresses": places, "turns": returns, "minutes": 5},
        {"addresses": usual},
        f"Dùng xen kẽ từ {places} địa chỉ trong 5 phút; thường nhiều nhất {max(1, usual)}.",
        f"Used by turns from {places} addresses within 5 minutes; usually {max(1, usual)} at most.",
    )


def too_fast(who: Who, at: float, *, seen: int, usual: int) -> Finding | None:
    """Find an official who asks faster than a person can."""
    bound = max(15, 2 * usual + 4)
    if seen < bound:
        return None
    return Finding(
        "official_shared",
        who,
        at - 60,
        at,
        seen / (seen + bound),
        {"requests_a_minute": seen},
        {"requests_a_minute": usual},
        f"{numerals.whole(seen)} lời gọi trong một phút dưới tên một cán bộ; thường nhiều nhất {usual}.",
        f"{seen:,} calls within a minute in one official's name; usually {usual} at most.",
    )


def off_hours(who: Who, at: float, *, seen: int, usual: float, active: int, nights: int) -> Finding | None:
    """Find use outside office hours by somebody who never works then; `nights` of `active` days had some."""
    bound = max(4 if who.official else 15, 3 * usual + 4)
    if seen < bound or active < 8 or nights > 0.05 * active + 1:
        return None
    return Finding(
        "off_hours",
        who,
        at - 3600,
        at,
        seen / (seen + bound),
        {"requests": seen, "minutes": 60},
        {"requests": round(usual), "days_with_off_hours": nights, "days": active},
        f"{numerals.whole(seen)} lời gọi ngoài giờ hành chính; trong {active} ngày gần đây "
        f"{f'chỉ {nights} ngày' if nights else 'không ngày nào'} có dùng ngoài giờ.",
        f"{seen:,} calls outside office hours; {nights or 'none'} of the last {active} days had any.",
    )


def new_use(who: Who, at: float, *, name: str, kind: str, known: int, newly: int, peers: int) -> Finding | None:
    """Find the first use of an operation or field group, where new ones are rare; `peers` of its kind use it."""
    if newly > 1 + known // 5:
        return None
    what = ("thao tác", "operation") if kind == "operation" else ("nhóm dữ liệu", "field group")
    return Finding(
        "new_operation",
        who,
        at,
        at,
        0.8 if peers <= 1 else 0.5,
        {kind: name},
        {"known": known, "peers_using_it": peers},
        f"Lần đầu dùng {what[0]} {name}; trước nay khoá này chỉ dùng {known} {what[0]}.",
        f"First use of the {what[1]} {name}; different ones that this key used so far: {known}.",
    )


def dormant(who: Who, at: float, *, last_at: float) -> Finding | None:
    """Find a key that comes back after a month without a call."""
    days = (at - last_at) / DAY_S
    if at - last_at < DORMANT_S:
        return None
    return Finding(
        "dormant_revived",
        who,
        at,
        at,
        days / (days + 30),
        {"days_unused": round(days)},
        {"days_unused": 0},
        f"Khoá được dùng lại sau {days:.0f} ngày không có lời gọi nào.",
        f"The key is used again after {days:.0f} days without a call.",
    )


def order(who: Who, at: float, strange: call_order.Strange) -> Finding:
    """Say that calls follow each other as they hardly ever do; how surprising a call is, is measured in nats."""
    seen, usual, calls = strange.surprise, strange.usual, strange.calls
    return Finding(
        "unusual_order",
        who,
        strange.since,
        at,
        seen / (seen + usual + call_order.ALLOWED),
        {"surprise": round(seen, 2), "calls": calls},
        {"surprise": round(usual, 2)},
        f"{calls} lời gọi gần nhất đi theo trình tự hiếm gặp (độ lạ {numerals.vi(seen, '.1f')}, "
        f"thường {numerals.vi(usual, '.1f')}).",
        f"The last {calls} calls follow each other in a rare order (surprise {seen:.1f}, usual {usual:.1f}).",
    )
