"""The limiter that several processes share: one script in Redis decides, on the clock of Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib import resources
from typing import Any

import redis.asyncio
import redis.exceptions

from lienthong.api_keys import limits, local_limits

_log = logging.getLogger("lienthong.limits")
_SCRIPT = resources.files("lienthong.api_keys").joinpath("limits.lua")
ANSWER_WITHIN_S = 0.25
# After a failure, this long passes before Redis is asked again: nobody else waits for what does not answer.
QUIET_S = 1.0
SHARE = 0.25
_US = 1_000_000


class RedisLimiter:
    """Exact limits for any number of processes, and a share of them in each while Redis is away.

    `share` is one part in as many as there are gateways, so that all of them together stay under the limit.
    """

    def __init__(
        self,
        url: str,
        *,
        share: float = SHARE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis: Any = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=ANSWER_WITHIN_S, socket_timeout=ANSWER_WITHIN_S, retry=None
        )
        self._script = self._redis.register_script(_SCRIPT.read_text(encoding="utf-8"))
        self._share = share
        self._monotonic = monotonic
        self._own = local_limits.LocalLimiter()
        self._quiet_until = 0.0

    async def take(
        self, key_id: str, wanted: Sequence[limits.Limit], operation: str, now: datetime
    ) -> limits.Decision:
        """Take one request from every limit, or from none."""
        if self._monotonic() >= self._quiet_until:
            answer = await self._ask(key_id, wanted)
            if answer is not None:
                return _decision(wanted, answer)
        return self._own_share(key_id, wanted, now)

    async def start(self, now: datetime) -> None:
        """Nothing to read: the counts are in Redis."""

    async def check(self) -> bool:
        """Whether Redis answers now."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return bool(await self._redis.ping())
        except (redis.exceptions.RedisError, OSError, TimeoutError):
            return False

    async def stop(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _ask(self, key_id: str, wanted: Sequence[limits.Limit]) -> list[int] | None:
        # The braces keep all counters of a key on one node of a cluster.
        places = [f"lt:limit:{{{key_id}}}:{limit.unit}" for limit in wanted]
        facts = [fact for limit in wanted for fact in (limit.unit, limit.quota, limit.window_s * _US)]
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer: list[int] = await self._script(keys=places, args=facts)
                return answer
        except (redis.exceptions.RedisError, OSError, TimeoutError) as exc:
            self._quiet_until = self._monotonic() + QUIET_S
            _log.warning("Redis does not decide limits; own share in force", extra={"why": type(exc).__name__})
            return None

    def _own_share(self, key_id: str, wanted: Sequence[limits.Limit], now: datetime) -> limits.Decision:
        parts = [limits.Limit(max(1, int(limit.quota * self._share)), limit.unit) for limit in wanted]
        return self._own.decide(key_id, parts, now)._replace(reduced=True)


def _decision(wanted: Sequence[limits.Limit], answer: list[int]) -> limits.Decision:
    policies, violated, longest_wait = [], [], 0
    for place, limit in enumerate(wanted):
        used, wait_us, resets_us = answer[3 * place + 1 : 3 * place + 4]
        left = max(0, limit.quota - used)
        policies.append(limits.Policy(limit.unit, limit.quota, limit.window_s, left, resets_us / _US))
        if wait_us:
            violated.append(limit.unit)
            longest_wait = max(longest_wait, wait_us)
    return limits.Decision(answer[0] == 1, tuple(policies), longest_wait / _US, tuple(violated))
