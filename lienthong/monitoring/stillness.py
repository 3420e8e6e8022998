"""When a key says less than it always does: nothing at all for minutes, or far too little for hours."""

from __future__ import annotations

from lienthong.monitoring import baselines, watched_keys
from lienthong.monitoring.detectors import findings, volume

Place = tuple[int, int, int]  # group of days, day of the week, hour of the day


def silent(key: watched_keys.WatchedKey, place: Place, minute: int, at: float) -> findings.Finding | None:
    """Ask about a key that was not heard of for ten minutes to ten hours."""
    silent_minutes = (at - key.bounds.last_at) / 60
    in_hour = (minute + 420) % 60
    if silent_minutes < 10 or silent_minutes > 600 or in_hour < 5:
        return None
    group, _, hour_of_day = place
    cell = key.bounds.samples(group, hour_of_day)
    if len(cell) < 8:
        return None
    low, longest = key.quiet_times((minute + 420) // 60, cell)
    if low < 10 or longest > 35:
        return None
    if silent_minutes > in_hour:
        before = key.bounds.samples(group, hour_of_day - 1)
        if not before or sorted(sample.values[0] for sample in before)[len(before) // 10] < 20:
            silent_minutes = float(in_hour)
    return volume.silence(key.who, at, silent_minutes=silent_minutes, longest_gap=longest, an_hour=low)


def quieter(key: watched_keys.WatchedKey, days: baselines.Days, hour: int, at: float) -> findings.Finding | None:
    """Ask whether the last hours, two to eight, were far below what they ever are."""
    seen: list[volume.Volume] = []
    for one in range(hour, hour - 8, -1):
        cell = key.bounds.samples(days.of(one // 24)[0], one % 24)
        if len(cell) < 8 or cell[-1].hour != one:
            break
        before = sorted(sample.values[0] for sample in list(cell)[:-1])
        middle = before[len(before) // 2]
        if cell[-1].values[0] >= 0.75 * middle:
            break
        seen.append(volume.Volume(cell[-1].values[0], 60, 0.7 * middle, middle))
    return volume.down(key.who, at, seen)
