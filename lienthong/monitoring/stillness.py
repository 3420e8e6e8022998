"""When a key says less than it always does: nothing at all for minutes, or far too little for hours."""

from __future__ import annotations

from collections.abc import Mapping

from lienthong.monitoring import baselines, busy_hub, watched_keys
from lienthong.monitoring.detectors import findings, volume

HOURS = 8
_MOST_BUSY, _HUB_IS_QUIET = 1.5, 0.6
Place = tuple[int, int, int]  # group of days, day of the week, hour of the day


def silent(key: watched_keys.WatchedKey, place: Place, minute: int, at: float) -> findings.Finding | None:
    """Ask about a key that was not heard of for ten minutes to ten hours."""
    silent_minutes = (at - key.bounds.last_at) / 60
    in_hour = (minute + 420) % 60
    if silent_minutes < 10 or silent_minutes > 600 or in_hour < 5:
        return None
    group, _, hour_of_day = place
    cell = key.bounds.samples(group, hour_of_day)
    if len(cell) < busy_hub.LEAST_DAYS:
        return None
    low, longest = key.quiet_times((minute + 420) // 60, cell)
    if low < 10 or longest > 35:
        return None
    an_hour = float(low)
    if silent_minutes > in_hour:
        before = key.bounds.samples(group, hour_of_day - 1)
        low_before = sorted(sample.values[0] for sample in before)[len(before) // 8] if before else 0
        # The hour before counts with what it has in quiet times, where that is something.
        of_before = min(silent_minutes - in_hour, 60.0) if low_before >= 10 else 0.0
        silent_minutes = in_hour + of_before
        an_hour = (low * in_hour + low_before * of_before) / silent_minutes
    return volume.silence(key.who, at, silent_minutes=silent_minutes, longest_gap=longest, an_hour=an_hour)


def quieter(
    key: watched_keys.WatchedKey, days: baselines.Days, hour: int, at: float, *, hub: Mapping[int, busy_hub.Hour]
) -> findings.Finding | None:
    """Ask whether the last hours, two to eight, were far below what they ever are; `hub` says what all keys had.

    Where the others have less than usual too, it is not this key that is quiet. Where they have more, as at month
    ends, more is to be expected of it.
    """
    seen: list[volume.Volume] = []
    for one in range(hour, hour - HOURS, -1):
        known = busy_hub.hour_of(key, days, one)
        if known is None:
            break
        if known.usual < busy_hub.LEAST_AN_HOUR:
            continue  # as at noon: a few calls more or less say nothing
        others = hub[one].without(known) if one in hub else 1.0  # what was before a restart is not known
        if others is None or (one == hour and others < _HUB_IS_QUIET):
            break
        usual = known.usual * max(1.0, min(_MOST_BUSY, others))
        if known.requests >= 0.75 * usual:
            break
        seen.append(volume.Volume(known.requests, 60, 0.7 * usual, usual))
    return volume.down(key.who, at, seen)
