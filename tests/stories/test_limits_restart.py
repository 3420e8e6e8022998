"""A process that keeps its limits alone is killed with `kill -9` and started again: nothing is forgiven."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = textwrap.dedent("""
    import asyncio, os, sys
    from datetime import datetime, UTC
    from pathlib import Path
    from lienthong.api_keys import limits, local_limits

    async def main():
        limiter = local_limits.LocalLimiter(folder=Path(sys.argv[1]))
        now = datetime.now(UTC)
        await limiter.start(now)
        wanted = limits.parse_all(sys.argv[3].split(","))
        for _ in range(int(sys.argv[2])):
            if (await limiter.take("key", wanted, "x", now)).allowed:
                os.write(1, b"+")
        os.kill(os.getpid(), 9)

    asyncio.run(main())
""")


def admitted(folder: Path, requests: int, limit: str) -> int:
    """Run a process that asks so many times and is then killed; count what it let through."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(requests), limit], capture_output=True, timeout=300
    )
    assert done.returncode == -9, done.stderr.decode()
    return done.stdout.count(b"+")


@pytest.mark.parametrize("limit", ["100/minute", "100/hour", "100/day", "500/minute,100/month"])
def test_kill_nine_forgives_nothing(tmp_path: Path, limit: str):
    counts = [admitted(tmp_path, requests, limit) for requests in (7, 40, 3, 80, 20)]
    assert counts == [7, 40, 3, 50, 0]


def test_a_second_process_on_the_same_folder_keeps_its_own_counts_apart(tmp_path: Path):
    assert admitted(tmp_path, 5, "100/hour") == 5
    assert admitted(tmp_path / "other", 200, "100/hour") == 100
