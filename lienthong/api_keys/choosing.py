"""Which limiter a process has, by the size of the hub: in process, or shared in Redis."""

from __future__ import annotations

from lienthong.api_keys import fair, limits, local_limits, redis_limits, rules
from lienthong.core import settings, storage


def planner(chosen: settings.Limits) -> rules.Planner:
    """Give what works out the rules of each key, with what every key gets by default."""
    defaults = limits.Defaults(chosen.in_flight, chosen.spike_share, chosen.spike_least)
    upstreams = fair.parse_all(chosen.upstreams)
    return rules.Planner(defaults, upstreams)


def limiter(chosen: settings.Settings, store: storage.Storage) -> limits.Limiter:
    """Open the limiter of this process. Whoever takes from it must give back what is no longer in flight."""
    said = chosen.limits
    if not chosen.redis.url:
        return local_limits.LocalLimiter(store, folder=chosen.home / "limits", planner=planner(said))
    terms = redis_limits.Terms(
        gateways=said.gateways,
        answer_within_s=said.answer_within_s,
        patience_s=said.patience_s,
        grace_s=said.grace_s,
    )
    seat = redis_limits.Seat(chosen.home)
    return redis_limits.RedisLimiter(
        chosen.redis.url, name=seat.name, terms=terms, planner=planner(said), seat=seat
    )
