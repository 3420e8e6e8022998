"""A small province as real processes: the sandbox, the hub in either size, and a hand that kills them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import builders
import clear_text

from lienthong.bus import hub as hubs
from lienthong.bus.flows import procedure_sync
from lienthong.console import services, trial
from lienthong.core import migrations, settings

T = TypeVar("T")
EMBEDDED, FULL = "embedded", "full"
# Everything quicker than in a province, so that a test sees in seconds what otherwise takes hours.
QUICK = {
    "LIENTHONG_OUTBOX__LEASE_S": "3",
    "LIENTHONG_OUTBOX__POLL_S": "0.1",
    "LIENTHONG_OUTBOX__RETRY_FIRST_S": "0.1",
    "LIENTHONG_OUTBOX__RETRY_LONGEST_S": "1.5",
    "LIENTHONG_OUTBOX__PROBE_FIRST_S": "0.2",
    "LIENTHONG_OUTBOX__PROBE_LONGEST_S": "1.5",
    "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__TOTAL_TIMEOUT_S": "3",
    "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__READ_TIMEOUT_S": "2",
    "LIENTHONG_LOGS__LEVEL": "warning",
}


class Town:
    """The processes of one test; see `opened`."""

    def __init__(self, size: str, home: Path, stack: ExitStack, extra: dict[str, str]) -> None:
        self.size, self.home = size, home
        self._stack = stack
        self.sandbox_port, self.gateway_port = services.free_port(), services.free_port()
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.gateway_url = f"http://127.0.0.1:{self.gateway_port}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.program = [sys.executable, "-m", "lienthong.console.cli.main"]
        # How the hub is run: a test may put a program of its own in this place.
        self.serving = [*self.program, "serve"]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")},
            **trial.environment(self.sandbox_port, home),
            "LIENTHONG_GATEWAY__PORT": str(self.gateway_port),
            "LIENTHONG_CONSOLE__PORT": str(services.free_port()),
            "LIENTHONG_SANDBOX__PORT": str(self.sandbox_port),
            "LIENTHONG_TIMETABLE__PROCEDURE_SYNC": "",
            **QUICK,
            **extra,
        }
        if size == FULL:
            self.environment["LIENTHONG_DATABASE__URL"] = stack.enter_context(services.postgres(home / "pg"))
            self.environment["LIENTHONG_REDIS__URL"] = stack.enter_context(services.valkey(home / "vk"))

    @property
    def roles(self) -> tuple[str, ...]:
        """The processes that the hub is made of in this size."""
        return ("gateway", "worker", "beat") if self.size == FULL else ("hub",)

    def start_sandbox(self, catalogue: Path | None = None) -> None:
        command = trial.sandbox_command(
            port=self.sandbox_port, catalogue=catalogue, store=self.home / "sandbox.db"
        )
        self._start("sandbox", command, wait=f"{self.sandbox_url}/_sandbox/mood")

    def start(self, role: str) -> None:
        """Start one process of the hub, waiting for the gateway to answer."""
        command = self.serving if role == "hub" else [*self.serving, "--role", role]
        wait = f"{self.gateway_url}/health/live" if role in ("hub", "gateway") else ""
        self._start(role, command, wait=wait)

    def _start(self, name: str, command: Sequence[str], *, wait: str) -> None:
        log = (self.home / f"{name}.log").open("ab")
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=self.environment, cwd=self.home, start_new_session=True
        )
        self._processes[name] = process
        if wait:
            trial.wait_for(wait, process, self.home / f"{name}.log")

    def pid(self, name: str) -> int:
        """Give the number of a process."""
        return self._processes[name].pid

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a process and everything that it started, at once by default."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait(60)

    def stop(self) -> None:
        for name in list(self._processes):
            self.kill(name, signal.SIGTERM if name != "worker" else signal.SIGKILL)

    def command(self, *words: str, code: int = 0) -> str:
        """Run `lienthong …` as an operator would; gives what it printed."""
        done = subprocess.run(
            [*self.program, *words],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def answer(self, *words: str) -> Any:
        """Run a command with --json and read what it printed."""
        return json.loads(self.command(*words, "--json"))

    def issue_key(self, grants: str = "all", limit: str = "100000/minute") -> str:
        """Issue a key as `lienthong keys issue` does, without one more program to start."""
        return _in_thread(lambda: _issued(self, grants.split(","), [limit]))

    def sandbox(self, path: str, *, method: str = "GET", body: Any = None) -> Any:
        """Ask the sandbox itself."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.sandbox_url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def moods(self, *moods: dict[str, Any]) -> None:
        """Put the sandbox in these moods, and in no others."""
        self.sandbox("/_sandbox/mood", method="PUT", body={"moods": list(moods)})

    def logs(self) -> str:
        """Everything that the processes printed."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.home.glob("*.log")))


@contextmanager
def opened(size: str, extra: dict[str, str] | None = None, catalogue: Path | None = None) -> Iterator[Town]:
    """Open a town with its database made and the catalogue synced; everything is ended with the block."""
    with ExitStack() as stack:
        # Not pytest's folder: as root PostgreSQL runs as another user, who may not enter there.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="town-", ignore_cleanup_errors=True)))
        home.chmod(0o755)
        stack.callback(clear_text.look_into_home, home)
        town = Town(size, home, stack, extra or {})
        stack.callback(town.stop)
        town.start_sandbox(catalogue)
        prepare(town)
        for role in town.roles:
            town.start(role)
        yield town


def prepare(town: Town) -> None:
    """Do what `lienthong init` and `lienthong sync procedures` do, without two more programs to start."""
    _in_thread(lambda: _prepared(town))


def _in_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run something asynchronous in a thread of its own: a browser, or a test, may keep a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


async def _prepared(town: Town) -> None:
    async with hubs.opened(settings.load(town.environment)) as hub:
        await migrations.upgrade(hub.storage)
        await procedure_sync.run(hub)


async def _issued(town: Town, grants: Sequence[str], limits: Sequence[str]) -> str:
    async with hubs.opened(settings.load(town.environment)) as hub:
        return (await builders.issue_key(hub, grants=grants, limits=limits)).key


def wait_until(happened: Any, *, timeout_s: float, every_s: float = 0.2) -> None:
    """Wait until something is true; fails in words where it does not come true."""
    end = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < end, f"did not happen within {timeout_s:.0f} s"
        time.sleep(every_s)
