"""Disks that are full, for real: the kernel refuses to write, in one of two ways."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

NO_MOUNT = 77


class Disk(Protocol):
    """What a test can fill and free."""

    def fill(self) -> None:
        """Leave no room."""
        ...

    def free(self) -> None:
        """Make room again."""
        ...


class NoWrites:
    """No room for a process on any disk: it may write to no file (RLIMIT_FSIZE, set from outside; EFBIG)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = resource.prlimit(pid, resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (0, self._before[1]))

    def free(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._before)


class SmallDisk:
    """A mounted disk of some megabytes; a file takes all the room that is left (ENOSPC)."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self) -> None:
        with (self.place / "ballast").open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass
        assert os.statvfs(self.place).f_bavail == 0

    def free(self) -> None:
        (self.place / "ballast").unlink()


def on_a_small_disk(story: str, place: Path, *, size_mb: int) -> str:
    """Run `module.function` of the tests with a small disk (tmpfs) mounted at `place`; gives what it printed.

    It runs as a process with mounts of its own, of which nothing is left afterwards. Skips the test where this
    machine allows no such thing.
    """
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not here: no small disk can be mounted")
    module, _, function = story.rpartition(".")
    script = f'mount -t tmpfs -o size={size_mb}m tmpfs "$0" || exit {NO_MOUNT}; exec "$@"'
    program = f"import sys, {module}; from pathlib import Path; {module}.{function}(Path(sys.argv[1]))"
    as_whom = ["-m"] if os.geteuid() == 0 else ["-m", "-U", "-r"]
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        ["unshare", *as_whom, "sh", "-c", script, str(place), sys.executable, "-c", program, str(place)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode == NO_MOUNT or done.stderr.startswith("unshare"):
        pytest.skip(f"this user may not mount a small disk: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout
