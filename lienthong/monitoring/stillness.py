"""When a key says less than it always does: nothing at all for minutes, or far too little for hours."""

from __future__ import annotations

from lienthong.monitoring import baselines, watched_keys
from lienthong.monitoring.detectors import findings, volume

_LEAST_DAYS = 5
_LEAST_AN_HOUR = 6
Place = tuple[int, int, int]  # group of days, day of the week, hour of the day


def silent(key: watched_keys.WatchedKey, place: Place, minute: int, at: float) -> findings.Finding | None:
    """Ask about a key that was not heard of for ten minutes to ten hours."""
    silent_minutes = (at - key.bounds.last_at) / 60
    in_hour = (minute + 420) % 60
    if silent_minutes < 10 or silent_minutes > 600 or in_hour < 5:
        return None
    group, _, hour_of_day = place
    cell = key.bounds.samples(group, hour_of_day)
    if len(cell) < _LEAST_DAYS:
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


def quieter(key: watched_keys.WatchedKey, days: baselines.Days, hour: int, at: float) -> findings.Finding | None:
    """Ask whether the last hours, two to eight, were far below what they ever are."""
    seen: list[volume.Volume] = []
    for one in range(hour, hour - 8, -1):
        cell = key.bounds.samples(days.of(one // 24)[0], one % 24)
        if len(cell) <= _LEAST_DAYS or cell[-1].hour != one:
            break
        before = sorted(sample.values[0] for sample in list(cell)[:-1])
        middle = before[len(before) // 2]
        if middle < _LEAST_AN_HOUR:
            continue  # as at noon: a few calls more or less say nothing
        if cell[-1].values[0] >= 0.75 * middle:
            break
        seen.append(volume.Volume(cell[-1].values[0], 60, 0.7 * middle, middle))
    return volume.down(key.who, at, seen)
