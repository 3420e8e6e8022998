"""Runs the hub: one event loop with the gateway, the desks and, in the embedded size, the dispatcher beside it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import signal
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import uvicorn
import uvloop

from lienthong.bus import dispatcher, jobs, outbox, timetable
from lienthong.bus import hub as hubs
from lienthong.bus.gateway import app as gateway
from lienthong.bus.gateway import book, figures, front, tls
from lienthong.console import beside
from lienthong.console.web import app as desks
from lienthong.core import clock, errors, ingest, logs, migrations, partitions, settings
from lienthong.mappings import history
from lienthong.monitoring import housekeeping, notify, seals, stamps, watcher

_log = logging.getLogger("lienthong.server")
Ready = Callable[[hubs.Hub], Awaitable[None]]
# What waits for an answer lives long, and hardly anything here is garbage that only the collector finds. With its
# usual measure it looked through a thousand waiting requests again and again: all others waited 0.1 s each time.
_COLLECTING = (5_000, 100, 20)
# Both servers: our own loop and log, no word of theirs in an answer, addresses judged by `gateway.addresses`.
_PLAIN: dict[str, Any] = {
    "loop": "none",
    "ws": "none",
    # Opened and closed here: the server ends the process by itself where that fails, and says nothing.
    "lifespan": "off",
    "access_log": False,
    "log_config": None,
    "server_header": False,
    "proxy_headers": False,
}


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: this process stops more than one thing."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(
    chosen: settings.Settings,
    *,
    gateway_only: bool = False,
    ready: Ready | None = None,
    now: clock.Clock = clock.now,
) -> None:
    """Run until SIGINT or SIGTERM; requests and calls in flight are let to end.

    `ready` is called once the gateway answers. Raises Misconfigured where the start must not go on.
    """
    logs.start(chosen.logs.level, chosen.logs.form)
    uvloop.run(_run(chosen, gateway_only=gateway_only, ready=ready, now=now))


def run_desks(chosen: settings.Settings, *, now: clock.Clock = clock.now) -> None:
    """Run the desks alone, until SIGINT or SIGTERM. Raises Misconfigured as `run` does."""
    logs.start(chosen.logs.level, chosen.logs.form)
    uvloop.run(_run_desks(chosen, now=now))


def run_watcher(chosen: settings.Settings, *, now: clock.Clock = clock.now) -> None:
    """Keep, seal and watch the record apart from the gateway, until SIGINT or SIGTERM. Raises as `run` does."""
    logs.start(chosen.logs.level, chosen.logs.form)
    uvloop.run(_run_watcher(chosen, now=now))


async def _run_watcher(chosen: settings.Settings, *, now: clock.Clock) -> None:
    stop = _stopped_by_signals()
    async with hubs.opened(chosen, now=now) as hub:
        await _prepare(hub)
        async with beside.lasting(_record_kept(hub, stop), stop, fallen=Counter()):
            await stop.wait()


async def _run_desks(chosen: settings.Settings, *, now: clock.Clock) -> None:
    stop = _stopped_by_signals()
    async with hubs.opened(chosen, now=now) as hub:
        await _prepare(hub)
        async with _desks(hub):
            await stop.wait()


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def _desks(hub: hubs.Hub) -> AsyncIterator[None]:
    """Serve the desks at their own address."""
    place = hub.settings.console
    server = _Server(
        uvicorn.Config(desks.create_app(hub), http="httptools", timeout_graceful_shutdown=5, **_PLAIN)
    )
    serving = asyncio.create_task(server.serve(sockets=[_listening(place.host, place.port)]), name="desks")
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def _run(chosen: settings.Settings, *, gateway_only: bool, ready: Ready | None, now: clock.Clock) -> None:
    stop = _stopped_by_signals()
    async with hubs.opened(chosen, now=now) as hub:
        await _prepare(hub)
        # What was loaded to start stays for ever: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        before = gc.get_threshold()
        gc.set_threshold(*_COLLECTING)
        try:
            async with AsyncExitStack() as around:
                closing, fallen = asyncio.Event(), Counter[str]()
                kept, delivery = _record_kept(hub, closing), _delivery(hub, stop, gateway_only)
                await around.enter_async_context(beside.lasting(kept, closing, fallen=fallen))
                await around.enter_async_context(beside.lasting(delivery, stop, fallen=fallen))
                if not gateway_only:
                    await around.enter_async_context(_desks(hub))
                await _serve(hub, gateway.create_app(hub, gauges=lambda: gauges(hub, fallen)), stop, ready)
        finally:
            gc.set_threshold(*before)
            gc.unfreeze()  # at the end everything is given back, as libraries in C expect


async def _prepare(hub: hubs.Hub) -> None:
    """Bring an embedded database forward; insist that a shared one has been; check the timetable."""
    if hub.storage.is_sqlite:
        await migrations.upgrade(hub.storage)
    else:
        await migrations.must_be_current(hub.storage)
        await partitions.make_ahead(hub.storage, now=hub.now())
    if changed := await history.keep(hub.storage, now=hub.now()):
        _log.info("mapping files are not as at the last start", extra={"files": ", ".join(changed)})
    known = frozenset({*jobs.JOBS, housekeeping.JOB})
    timetable.check(hub.settings.timetable, known=known, now=hub.now())
    stamps.authority(hub.settings.seals)  # whose certificates must be readable
    notify.ways(hub.settings.alerts)
    for target in hub.settings.dossiers.targets:
        if target not in hub.systems:
            # The catalogue can be served all the same; a report is refused in words until the system is enabled.
            _log.warning("no changes of status can be taken: a target is not enabled", extra={"target": target})


def _record_kept(hub: hubs.Hub, closing: asyncio.Event) -> dict[str, beside.Work]:
    """Bring the access record from the spool to the hot store, seal it, watch it, and keep it tidy.

    Lock files in HOME let one process of several do each; the timetable lets one begin the night's work.
    """
    chosen = hub.settings
    spool = chosen.home / book.FOLDER

    async def seal() -> None:
        agency = chosen.agency.code
        await seals.run(chosen.home, hub.storage, closing, chosen=chosen.seals, agency=agency, now=hub.now)

    return {
        "ingest": lambda: ingest.Ingest(spool, hub.storage).run(closing),
        "seals": seal,
        "housekeeping": lambda: housekeeping.run(hub, closing),
        "watcher": lambda: watcher.run(hub, closing),
        "notices": lambda: notify.run(hub, closing),
    }


def _delivery(hub: hubs.Hub, stop: asyncio.Event, gateway_only: bool) -> dict[str, beside.Work]:
    """Deliver from this process, or tell the workers of the full size when a message waits."""
    if hub.settings.is_full:
        from lienthong.bus import worker

        hub.on_message.append(worker.Waker(hub.settings))
    elif not gateway_only:
        return {"dispatcher": lambda: dispatcher.run(hub, stop)}
    return {}


async def _serve(hub: hubs.Hub, app: front.Front, stop: asyncio.Event, ready: Ready | None) -> None:
    place = hub.settings.gateway
    server = _Server(
        _loaded(
            uvicorn.Config(
                app,
                host=place.host,
                port=place.port,
                http=tls.TlsProtocol,
                timeout_graceful_shutdown=10,
                **_tls(place),
                **_PLAIN,
            )
        )
    )
    with _listening(place.host, place.port) as door:
        await app.open()
        try:
            await _until(stop, server, door, functools.partial(ready, hub) if ready is not None else None)
        finally:
            await app.close()


async def _until(
    stop: asyncio.Event, server: uvicorn.Server, door: socket.socket, ready: Callable[[], Awaitable[None]] | None
) -> None:
    """Serve at a door until it is time to stop, and let requests end."""
    serving = asyncio.create_task(server.serve(sockets=[door]), name="gateway")
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells it by a flag only
        await asyncio.sleep(0.01)
    if ready is not None:
        await ready()
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    waiting.cancel()


def _loaded(config: uvicorn.Config) -> uvicorn.Config:
    """Read the files that a server needs; raises Misconfigured where one of them cannot be read."""
    try:
        config.load()
    except OSError as exc:  # also what is wrong with a certificate
        raise errors.Misconfigured(
            f"LIENTHONG_GATEWAY__CERTIFICATE_FILE, __PRIVATE_KEY_FILE or __CLIENT_CA_FILE cannot be read: {exc}",
            detail_vi="Không đọc được tệp ở LIENTHONG_GATEWAY__CERTIFICATE_FILE, __PRIVATE_KEY_FILE hoặc "
            f"__CLIENT_CA_FILE: {exc}",
        ) from exc
    return config


def _tls(place: settings.Gateway) -> dict[str, Any]:
    """Say how the gateway ends TLS itself, and whom it believes about client certificates."""
    if place.certificate_file is None:
        return {}
    authority = place.client_ca_file
    return {
        "ssl_certfile": str(place.certificate_file),
        "ssl_keyfile": str(place.private_key_file),
        "ssl_ca_certs": None if authority is None else str(authority),
        "ssl_cert_reqs": ssl.CERT_NONE if authority is None else ssl.CERT_OPTIONAL,
    }


def _listening(host: str, port: int) -> socket.socket:
    """Open a door; raises Misconfigured where somebody else stands in it."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # `::` is every address of both kinds.
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=host == "::")
    except OSError as exc:
        raise errors.Misconfigured(
            f"cannot listen on {host}:{port} ({exc.strerror}); is another hub running?",
            detail_vi=f"Không mở được {host}:{port} ({exc.strerror}); có trục khác đang chạy không?",
        ) from exc


async def gauges(hub: hubs.Hub, fallen: Counter[str]) -> list[figures.Gauge]:
    """Count the outbox, if the database is there, and what had to be begun again, for /metrics."""
    counts: list[dict[str, Any]] = []
    with contextlib.suppress(errors.StorageUnavailable):
        counts = await outbox.counts(hub.storage)
    waiting = [
        figures.Gauge(
            "outbox_messages",
            "Messages of the outbox, by target and state",
            float(row["messages"]),
            {"target": row["target"], "state": row["state"]},
        )
        for row in counts
    ]
    meaning = "How often a work of this process met a defect and was begun again"
    return waiting + [
        figures.Gauge("begun_again", meaning, float(times), {"part": part}) for part, times in fallen.items()
    ]
