"""A clock put back over midnight and forward again gives no day's quota a second time."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from lienthong.api_keys import limits, local_limits
from lienthong.core import clock

EARLY = datetime(2026, 1, 15, 0, 20, tzinfo=clock.VIETNAM)
WANTED = limits.parse_all(["1000/minute", "10/day"])


async def admitted(limiter: local_limits.LocalLimiter, now: datetime) -> int:
    return sum([(await limiter.take("key", WANTED, "x", now)).allowed for _ in range(25)])


async def test_a_day_that_comes_again_has_been_used_up() -> None:
    limiter = local_limits.LocalLimiter()
    moments = [EARLY, EARLY - timedelta(hours=1), EARLY, EARLY - timedelta(hours=1), EARLY + timedelta(days=1)]
    assert [await admitted(limiter, now) for now in moments] == [10, 10, 0, 0, 10]


async def test_nor_does_a_kill_in_between(tmp_path: Path) -> None:
    moments = [EARLY, EARLY - timedelta(hours=1), EARLY, EARLY - timedelta(hours=1)]
    counts = []
    for now in moments:
        limiter = local_limits.LocalLimiter(folder=tmp_path / "limits")
        await limiter.start(now)
        counts.append(await admitted(limiter, now))
        # As a killed process leaves it: nothing is told to anybody, the lock goes with the process.
        shutil.copytree(tmp_path / "limits", tmp_path / "left")
        await limiter.stop()
        shutil.rmtree(tmp_path / "limits")
        (tmp_path / "left").rename(tmp_path / "limits")
    assert counts == [10, 10, 0, 0]
