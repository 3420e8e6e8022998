"""What detection works out when a day is over: usual shares, days made comparable, bounds for young keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lienthong.monitoring import baselines, watched_keys
from lienthong.monitoring import questions as rates

_LEAST_DAYS, _LEAST_REQUESTS, _LEAST_KEYS = 8, 20, 5
# More than comes by chance on one day in a thousand is not learned at once (decimal logarithm).
_BY_CHANCE = 3.0


def learn_shares(key: watched_keys.WatchedKey) -> None:
    """Learn the usual shares of questions that hit unknown numbers or name no dossier.

    Of a day that is out of bounds only what chance may bring: a day of guessing must not hide the next one. Where
    it lasts, the share goes up day by day until it is what is usual.
    """
    questions, unknown, caseless = key.asked_today
    known, usual = key.bounds.asked, rates.usual(key.bounds.asked)
    learned = {
        "questions": questions,
        "unknown": _by_chance(unknown, usual.unknown * questions),
        "caseless": caseless if usual.caseless is None else _by_chance(caseless, usual.caseless * questions),
    }
    key.bounds.asked = {name: known.get(name, 0.0) * 0.97 + number for name, number in learned.items()}
    key.asked_today = [0, 0, 0]


def _by_chance(seen: int, expected: float) -> int:
    """Give how many of so many may have come by chance where so many were expected."""
    least, most = min(seen, int(expected)), seen
    while least < most:
        middle = (least + most + 1) // 2
        if baselines.tail(middle, expected) < _BY_CHANCE:
            least = middle
        else:
            most = middle - 1
    return least


def busyness(keys: Iterable[watched_keys.WatchedKey]) -> dict[int, float]:
    """Say of each working day how busy the hub was: the median of keys, each against its own usual day.

    Not the sum of all calls: one flood would make the day of every other key look quiet.
    """
    shares: dict[int, list[float]] = {}
    for key in keys:
        worked = _worked(key)
        usual = sorted(requests for _, requests in worked)[len(worked) // 2] if worked else 0
        if len(worked) >= _LEAST_DAYS and usual >= _LEAST_REQUESTS:
            for day, requests in worked:
                shares.setdefault(day, []).append(requests / usual)
    return {day: sorted(of)[len(of) // 2] for day, of in shares.items() if len(of) >= _LEAST_KEYS}


def even_days(key: watched_keys.WatchedKey, busy: Mapping[int, float]) -> list[float]:
    """Give the working days of a key, each divided by how busy the whole hub was on it."""
    return [requests / max(0.5, busy.get(day, 1.0)) for day, requests in _worked(key)]


def _worked(key: watched_keys.WatchedKey) -> list[tuple[int, int]]:
    return [(day, requests) for day, group, requests in key.bounds.days if group == baselines.WORKED]


def peers(keys: Iterable[watched_keys.WatchedKey]) -> dict[str, dict[str, float]]:
    """Work out what young keys are held against: for each kind of key, by metric."""
    pools: dict[str, dict[str, list[float]]] = {}
    for key in keys:
        counts = {name: following.get("", 0) for name, following in key.bounds.orders.items()}
        if counts:
            key.kind = max(counts, key=lambda name: counts[name]).partition(".")[0]
        if len(key.bounds.days) >= 5:
            pool, tops = pools.setdefault(key.kind, {}), key.bounds.tops()
            for metric in ("requests", "bytes_out", "rows", "subjects"):
                pool.setdefault(metric, []).append(1.25 * tops.get(metric, 0))
    found: dict[str, dict[str, float]] = {}
    for kind, pool in pools.items():
        bounds = {metric: baselines.pooled(tops) for metric, tops in pool.items()}
        found[kind] = {metric: bound for metric, bound in bounds.items() if bound is not None}
    return found
