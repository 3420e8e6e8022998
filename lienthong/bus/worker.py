"""The full size: the same flows inside Celery tasks. A task carries a lane (a target), never one message.

The database holds the truth; a task only says "look at this target now". One that is lost is made up for by the
next tick of the beat, so nothing depends on the broker keeping its data.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import cache
from typing import Any, ParamSpec

import uvloop
from celery import Celery
from celery.signals import worker_process_shutdown

from lienthong.bus import delivery, jobs, leases, outbox, timetable
from lienthong.bus import hub as hubs
from lienthong.core import errors, logs, settings

P = ParamSpec("P")
_log = logging.getLogger("lienthong.worker")

TICK_S = 1.0
IDLE_S = 3.0
LONGEST_S = 60.0
DRIVE, TICK, JOB = "lienthong.drive", "lienthong.tick", "lienthong.job"


def load_settings() -> settings.Settings:
    """Read the settings of this process; a worker is started with the same environment as the gateway."""
    return settings.load(os.environ)


def make_app(chosen: settings.Settings) -> Celery:
    """Make the Celery application for these settings."""
    app = Celery("lienthong", broker=chosen.redis.url or "memory://")
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=False,  # the outbox holds the work; a lost task is made up for by the next tick
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a broker that is away for a night must not end the worker
        broker_transport_options={"socket_keepalive": True, "visibility_timeout": 3600},
        worker_hijack_root_logger=False,
        timezone="Asia/Ho_Chi_Minh",
        beat_schedule={"tick": {"task": TICK, "schedule": TICK_S, "options": {"expires": TICK_S * 5}}},
        beat_scheduler="celery.beat:Scheduler",  # keeps nothing: what is due stands in the database
    )
    for name, task in ((DRIVE, _drive_task), (TICK, _tick_task), (JOB, _job_task)):
        app.task(name=name)(task)
    return app


@cache
def app() -> Celery:
    """The Celery application of this process."""
    return make_app(load_settings())


# ---------------------------------------------------------------------------------- the bridge from task to flow


class _Bridge:
    """Runs coroutines inside a Celery task: one event loop and one opened hub for the life of the process."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stack = AsyncExitStack()
        self._hub: hubs.Hub | None = None

    async def _opened(self) -> hubs.Hub:
        if self._hub is None:
            self._hub = await self._stack.enter_async_context(hubs.opened(load_settings()))
        return self._hub

    def run(self, work: Any) -> Any:
        async def go() -> Any:
            return await work(await self._opened())

        return self._runner.run(go())

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()


@cache
def _bridge() -> _Bridge:
    return _Bridge()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _close(**_: Any) -> None:
    if _bridge.cache_info().currsize:
        _bridge().close()


def _in_one_line(task: Callable[P, None]) -> Callable[P, None]:
    """Let a failure of ours, mostly a database that is away, be a line of the log and not a page of it."""

    @functools.wraps(task)
    def carried(*args: P.args, **named: P.kwargs) -> None:
        try:
            task(*args, **named)
        except errors.HubError as exc:
            told = {"work": task.__name__, "code": exc.code}
            _log.error("a task broke off; the next tick makes up for it", extra=told)

    return carried


@_in_one_line
def _drive_task(target: str) -> None:
    report: delivery.Report = _bridge().run(lambda hub: _drive(hub, target))
    if report.backlog_left:
        app().send_task(DRIVE, args=[target])


async def _drive(hub: hubs.Hub, target: str) -> delivery.Report:
    return await delivery.drive(
        hub,
        target,
        handlers=jobs.HANDLERS,
        stop=asyncio.Event(),
        wake=asyncio.Event(),
        idle_s=IDLE_S,
        longest_s=LONGEST_S,
    )


@_in_one_line
def _tick_task() -> None:
    drives, due = _bridge().run(_look)
    for target in drives:
        app().send_task(DRIVE, args=[target])
    for job in due:
        app().send_task(JOB, args=[job])


async def _look(hub: hubs.Hub) -> tuple[list[str], list[str]]:
    """Find the targets that nobody drives though something is due, and the jobs that are due."""
    now = hub.now()
    drives = []
    for target in await outbox.targets_with_work(hub.storage, now=now):
        if await leases.holder(hub.storage, f"drive:{target}", now=now) is None:
            drives.append(target)
    return drives, await timetable.take_due(hub.storage, jobs.ours(hub.settings.timetable), now=now)


@_in_one_line
def _job_task(job: str) -> None:
    _bridge().run(lambda hub: jobs.run(hub, job))


# ------------------------------------------------------------------------------------ what the gateway calls


class Waker:
    """Tells the workers that a message waits, at most a few times a second for each target.

    Publishing is done in a thread of its own: a slow broker must not hold the gateway, and a lost call costs
    one tick.
    """

    def __init__(self, chosen: settings.Settings, *, at_most_every_s: float = 0.5) -> None:
        self._app = make_app(chosen)
        self._every_s = at_most_every_s
        self._last: dict[str, float] = {}
        self._wanted: set[str] = set()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True, name="waker")
        self._thread.start()

    def __call__(self, target: str) -> None:
        """Ask for `target` to be driven."""
        now = time.monotonic()
        if now - self._last.get(target, 0.0) >= self._every_s:
            self._last[target] = now
            self._wanted.add(target)
            self._wake.set()

    def _publish(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._wanted:
                target = self._wanted.pop()
                try:
                    self._app.send_task(DRIVE, args=[target], expires=10, retry=False)
                except Exception as exc:  # the loop of the watcher: the next tick makes up for it
                    _log.warning("the broker did not take a call", extra={"why": type(exc).__name__})


def run_worker(*, concurrency: int = 3) -> None:
    """Run a Celery worker in this process until it is told to stop."""
    chosen = load_settings()
    logs.start(chosen.logs.level, chosen.logs.form)
    _need_redis(chosen)
    app().worker_main(
        [
            "worker",
            "--loglevel",
            "WARNING",
            "--concurrency",
            str(concurrency),
            "--without-mingle",
            "--without-gossip",
        ]
    )


def run_beat() -> None:
    """Run the Celery beat in this process until it is told to stop."""
    chosen = load_settings()
    logs.start(chosen.logs.level, chosen.logs.form)
    _need_redis(chosen)
    app().start(["beat", "--loglevel", "WARNING", "--pidfile", ""])


def _need_redis(chosen: settings.Settings) -> None:
    if not chosen.redis.url:
        raise errors.Misconfigured(
            "workers and beat belong to the full size: set LIENTHONG_REDIS__URL and LIENTHONG_DATABASE__URL",
            detail_vi="worker và beat thuộc cỡ đầy đủ: hãy đặt LIENTHONG_REDIS__URL và LIENTHONG_DATABASE__URL.",
        )
    if chosen.database_url.startswith("sqlite"):
        _log.warning("the full size needs PostgreSQL: several processes would queue for one SQLite file")
