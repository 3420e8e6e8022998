"""Work without a caller: which handler delivers which message, which job the timetable may start."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping

from lienthong.bus import delivery, timetable
from lienthong.bus.flows import (
    dossier_push,
    key_review,
    maintenance,
    payment_watch,
    postal_watch,
    procedure_sync,
    reconciliation_daily,
)
from lienthong.bus.hub import Hub
from lienthong.core import errors

_log = logging.getLogger("lienthong.jobs")
Work = Callable[[Hub], Awaitable[str]]

HANDLERS: delivery.Handlers = {dossier_push.OPERATION: dossier_push.deliver}


async def _sync_procedures(hub: Hub) -> str:
    report = await procedure_sync.run(hub)
    return " ".join(f"{name}={value}" for name, value in report.as_json().items())


async def _review_keys(hub: Hub) -> str:
    report = await key_review.review(hub)
    return f"seen={report.seen} reminded={report.reminded} expired={report.expired} lapsed={report.lapsed}"


async def _watch_payments(hub: Hub) -> str:
    report = dataclasses.asdict(await payment_watch.run(hub))
    return " ".join(f"{name}={value}" for name, value in report.items())


async def _watch_parcels(hub: Hub) -> str:
    report = dataclasses.asdict(await postal_watch.run(hub))
    return " ".join(f"{name}={value}" for name, value in report.items())


async def _reconcile_payments(hub: Hub) -> str:
    report = dataclasses.asdict(await reconciliation_daily.run(hub))
    return " ".join(f"{name}={value}" for name, value in report.items())


async def _begin_maintenance(hub: Hub) -> str:
    return f"begun={await maintenance.begin_due(hub)}"


JOBS: Mapping[str, Work] = {
    "procedure_sync": _sync_procedures,
    "keys_review": _review_keys,
    "payments_watch": _watch_payments,
    "reconcile_payments": _reconcile_payments,
    "parcels_watch": _watch_parcels,
    "maintenance": _begin_maintenance,
}


def ours(timetable: Mapping[str, str]) -> dict[str, str]:
    """Give the part of a timetable that is work of the bus; the record has a job of its own, above it."""
    return {job: expression for job, expression in timetable.items() if job in JOBS}


async def run(hub: Hub, job: str) -> None:
    """Run one job of the timetable as `carry_out` does."""
    await carry_out(hub, job, JOBS[job])


async def carry_out(hub: Hub, job: str, work: Work) -> None:
    """Do the work of a job to its end and note how it ended; a failure is logged, never raised."""
    try:
        outcome = await work(hub)
    except errors.HubError as exc:
        outcome = f"{exc.code}: {exc}"
        _log.error("a job of the timetable failed", extra={"job": job, "code": exc.code})
    except Exception as exc:  # the run of a task: the timetable must go on
        outcome = f"Server.Hub.Internal: {type(exc).__name__}"
        _log.exception("a job of the timetable met a defect", extra={"job": job})
    try:
        await timetable.note(hub.storage, job, outcome)
    except errors.StorageUnavailable:
        _log.error("how a job of the timetable ended cannot be noted", extra={"job": job, "outcome": outcome})
