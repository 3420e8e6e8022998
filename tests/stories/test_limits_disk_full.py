"""A full disk takes nothing from the limits but their memory across a restart."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lienthong.api_keys import limits, local_limits

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


async def test_limits_go_on_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    limiter = local_limits.LocalLimiter(folder=tmp_path)
    await limiter.start(NOW)
    monkeypatch.setattr(os, "posix_fallocate", full)
    wanted = limits.parse_all(["30/minute", "40/day"])
    allowed = [(await limiter.take("key", wanted, "x", NOW)).allowed for _ in range(50)]
    assert allowed.count(True) == 30
    await limiter.stop()
