"""What may be used once only: nonces of signatures and numbers of tokens, in process or shared in Redis."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import logging
from datetime import datetime
from typing import Any, Protocol

from lienthong.core import errors

_log = logging.getLogger("lienthong.proof")
MOST_REMEMBERED = 500_000
ANSWER_WITHIN_S = 0.25
_MARGIN_S = 60
# Redis came back empty: then nothing is known of what was used before, and the first key says since when.
_SPEND = """
local now = tonumber(redis.call('TIME')[1])
local since = redis.call('GET', KEYS[1])
if not since then
  redis.call('SET', KEYS[1], now)
  since = now
end
if tonumber(ARGV[1]) <= tonumber(since) + tonumber(ARGV[2]) then return -1 end
if redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[3]) then return 1 end
return 0
"""


class Replays(Protocol):
    """Remembers what was used, for as long as it could be used again."""

    async def spend(self, name: str, *, created: int, until: int, now: datetime) -> None:
        """Use a name for the first and last time.

        `created` and `until` are the Unix seconds between which it is accepted. Raises ProofRejected where it was
        used before, CapacityReduced where that cannot be known.
        """

    async def stop(self) -> None:
        """Give back what is held."""


class LocalReplays:
    """Remembers in this process alone.

    A restart forgets, so whatever may have been accepted before it is refused: all that was created up to the
    start and `skew_s` after it, because a caller's clock may run ahead by that much. A clock that is put back
    changes nothing: what has once been too old stays so.
    """

    def __init__(self, started_at: datetime, *, skew_s: float, most: int = MOST_REMEMBERED) -> None:
        self._since_s = started_at.timestamp() + skew_s
        self._skew_s = skew_s
        self._most = most
        self._latest_s = 0.0
        self._used: set[bytes] = set()
        self._ends: list[tuple[int, bytes]] = []

    async def spend(self, name: str, *, created: int, until: int, now: datetime) -> None:
        """See Replays."""
        self._latest_s = max(self._latest_s, now.timestamp())
        while self._ends and self._ends[0][0] < self._latest_s:
            self._used.discard(heapq.heappop(self._ends)[1])
        if created <= self._since_s:
            raise _just_started(self._since_s + 1 - now.timestamp())
        digest = _digest(name)
        if digest in self._used or until < self._latest_s:
            raise _used_before()
        if len(self._used) >= self._most:
            raise _cannot_know("too_many")
        self._used.add(digest)
        heapq.heappush(self._ends, (until, digest))

    async def stop(self) -> None:
        """Nothing is held."""


class RedisReplays:
    """Remembers for all processes; where Redis does not answer, or has forgotten, nothing is let through."""

    def __init__(self, url: str, *, skew_s: float) -> None:
        # Loaded where there is a Redis: in the embedded size, every command would wait for it in vain.
        import redis.asyncio

        self._refusals = (redis.exceptions.RedisError, OSError, TimeoutError)
        self._redis: Any = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=ANSWER_WITHIN_S, socket_timeout=ANSWER_WITHIN_S, retry=None
        )
        self._script = self._redis.register_script(_SPEND)
        self._skew_s = skew_s

    async def spend(self, name: str, *, created: int, until: int, now: datetime) -> None:
        """See Replays."""
        # The caller's clock and this gateway's may each be off the clock of Redis.
        skew_s = 2 * self._skew_s
        keep_s = max(1, int(until - now.timestamp())) + _MARGIN_S
        names = ["lt:{replay}:since", f"lt:{{replay}}:{_digest(name).hex()}"]
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = await self._script(keys=names, args=[created, skew_s, keep_s])
        except self._refusals as exc:
            _log.warning("Redis does not say what was used before", extra={"why": type(exc).__name__})
            raise _cannot_know(type(exc).__name__) from None
        if answer == -1:
            raise _just_started(skew_s + 1)
        if answer == 0:
            raise _used_before()

    async def stop(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def _used_before() -> errors.ProofRejected:
    return errors.ProofRejected(
        "This proof was used before. Make a new signature with a new nonce, or get a new token, for every "
        "request.",
        detail_vi="Bằng chứng này đã được dùng. Mỗi yêu cầu cần một chữ ký mới với nonce mới, hoặc một token mới.",
        reason="replayed",
    )


def _just_started(wait_s: float) -> errors.CapacityReduced:
    return errors.CapacityReduced(
        "The hub has just started and cannot know whether this proof was used before. Wait for the time in "
        "Retry-After, then sign again (or get a new token).",
        detail_vi="Trục vừa khởi động nên chưa thể biết bằng chứng này đã dùng hay chưa. Hãy chờ hết thời "
        "gian ghi trong Retry-After rồi ký lại (hoặc lấy token mới).",
        retry_after_s=max(1.0, wait_s),
        reason="proof_after_start",
    )


def _cannot_know(why: str) -> errors.CapacityReduced:
    return errors.CapacityReduced(
        "The hub cannot find out at the moment whether this proof was used before, so this operation is "
        "closed. Call again later with a new signature.",
        detail_vi="Trục tạm thời không kiểm tra được bằng chứng này đã dùng hay chưa nên thao tác này tạm "
        "đóng. Hãy gọi lại sau với chữ ký mới.",
        reason=f"proof_replays_{why}",
    )
