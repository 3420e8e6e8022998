"""Two processes without a shared limiter add up their day's counts in the database, on both databases."""

from __future__ import annotations

from pathlib import Path

import builders

from lienthong.api_keys import limits, local_limits

KEYS = 600  # more than are saved in one go


async def test_the_counts_of_many_keys_add_up(database_url: str, tmp_path: Path) -> None:
    async with builders.running_hub(tmp_path, database_url=database_url) as opened:
        now, wanted = opened.now(), limits.parse_all(["10/day"])
        both = [local_limits.LocalLimiter(opened.storage) for _ in range(2)]
        for limiter in both:
            await limiter.start(now)
            for number in range(KEYS):
                for _ in range(3):
                    assert (await limiter.take(f"key-{number}", wanted, "x", now)).allowed
        for limiter in both:
            await limiter.stop()
        third = local_limits.LocalLimiter(opened.storage)
        await third.start(now)
        for number in (0, KEYS - 1):
            got = [(await third.take(f"key-{number}", wanted, "x", now)).allowed for _ in range(5)]
            assert got == [True] * 4 + [False]
        await third.stop()
