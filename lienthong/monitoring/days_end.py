"""What detection works out when a day is over: usual shares, days made comparable, bounds for young keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lienthong.monitoring import baselines, watched_keys


def learn_shares(key: watched_keys.WatchedKey) -> None:
    """Learn the usual shares of questions that hit unknown numbers or name no dossier."""
    shares = key.bounds.asked
    for place, name in enumerate(("questions", "unknown", "caseless")):
        shares[name] = shares.get(name, 0.0) * 0.97 + key.asked_today[place]
    key.asked_today = [0, 0, 0]


def even_days(key: watched_keys.WatchedKey, hub: Mapping[int, int]) -> list[float]:
    """Give the working days of a key, each divided by how busy the whole hub was on it."""
    worked = [(day, requests) for day, group, requests in key.bounds.days if group == baselines.WORKED]
    ranked = sorted(hub.get(day, 0) for day, _ in worked)
    middle = ranked[len(ranked) // 2] if ranked else 0
    return [
        requests * middle / hub[day] if hub.get(day, 0) > 0.5 * middle > 0 else requests
        for day, requests in worked
    ]  # fmt: skip


def peers(keys: Iterable[watched_keys.WatchedKey]) -> dict[str, dict[str, float]]:
    """Work out what young keys are held against: for each kind of key, by metric."""
    pools: dict[str, dict[str, list[float]]] = {}
    for key in keys:
        counts = {name: following.get("", 0) for name, following in key.bounds.orders.items()}
        if counts:
            key.kind = max(counts, key=lambda name: counts[name]).partition(".")[0]
        if len(key.bounds.days) >= 5:
            pool = pools.setdefault(key.kind, {})
            for metric in ("requests", "bytes_out", "rows", "subjects"):
                pool.setdefault(metric, []).append(1.25 * key.bounds.tops(metric))
    found: dict[str, dict[str, float]] = {}
    for kind, pool in pools.items():
        bounds = {metric: baselines.pooled(tops) for metric, tops in pool.items()}
        found[kind] = {metric: bound for metric, bound in bounds.items() if bound is not None}
    return found
