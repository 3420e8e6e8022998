"""What every benchmark shares: servers on free ports, medians, the table for people and the line for machines."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[1]
SHARED_DATA = Path(os.environ.get("LIENTHONG_SHARED_DATA") or ROOT.parent / "shared" / "data")
# A benchmark is run from its file; the house need not be installed for it.
sys.path.insert(0, str(ROOT))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """Find a port on the loopback that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def sandbox(*arguments: str, wait_s: float = 60) -> Iterator[str]:
    """Run the imitation national systems as a process of their own; gives their address."""
    port = free_port()
    command = [sys.executable, "-m", "lienthong.sandbox", "--port", str(port), "--quiet", *arguments]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/_sandbox/counts", process, until=time.monotonic() + wait_s)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes], *, until: float) -> None:
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"the sandbox ended at once with status {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.1)
    raise SystemExit("the sandbox did not start in time")


def put(url: str, body: Any) -> None:
    """Change something at a control route of the sandbox."""
    request = urllib.request.Request(url, orjson.dumps(body), {"Content-Type": "application/json"}, method="PUT")
    with urllib.request.urlopen(request, timeout=60):
        pass


def child(program: str, *arguments: str) -> dict[str, Any]:
    """Run a part of a benchmark in a fresh process; it prints one line of JSON."""
    done = subprocess.run(
        [sys.executable, program, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise SystemExit(f"{Path(program).name} {' '.join(arguments)} failed")
    answer: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return answer


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their heads, numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[n]) for line in [list(head), *cells]) for n in range(len(head))]
    print(f"\n{title}")
    for line in (list(head), ["-" * width for width in widths], *cells):
        print(
            "  "
            + "  ".join(
                text.ljust(width) if n == 0 else text.rjust(width) for n, (text, width) in _placed(line, widths)
            )
        )


def _placed(line: Sequence[str], widths: Sequence[int]) -> Iterator[tuple[int, tuple[str, int]]]:
    return enumerate(zip(line, widths, strict=True))


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def finish(
    name: str,
    *,
    figures: Mapping[str, float],
    goals: Mapping[str, float],
    skipped: Mapping[str, str] | None = None,
) -> None:
    """Print the verdict, and last the line of JSON; ends the process with 1 where a goal is missed.

    A goal whose name begins with `least_` wants its figure at or above the bound, every other at or below.
    """
    missed = [goal for goal, bound in goals.items() if not _holds(figures, goal, bound)]
    print(f"\n{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print("every goal holds" if not missed else f"missed: {', '.join(missed)}")
    line = {
        "bench": name,
        "figures": {figure: round(value, 4) for figure, value in figures.items()},
        "goals": goals,
        "holds": not missed,
        "skipped": skipped or {},
    }
    print(orjson.dumps(line).decode())
    raise SystemExit(1 if missed else 0)


def _holds(figures: Mapping[str, float], goal: str, bound: float) -> bool:
    value = figures.get(goal)
    if value is None:
        return False
    return value >= bound if goal.startswith("least_") else value <= bound
