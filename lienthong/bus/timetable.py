"""The timetable: what is started when, by cron expressions in Vietnam time; one runner in all the processes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from cronsim import CronSim, CronSimError

from lienthong.core import clock, errors, storage, tables

_t = tables.timetable_runs
# The one job that is no work of the bus: the processes that hold the record start it (monitoring/housekeeping).
RECORD_UPKEEP = "record_upkeep"
# A job that was due while nobody was running is started once when the hub comes back, if it is not older.
LATEST_CATCH_UP = timedelta(hours=12)
# Farther ahead of us than the clocks of two machines may be: the clock was put back since.
_AHEAD = timedelta(minutes=5)


def check(timetable: Mapping[str, str], *, known: frozenset[str], now: datetime) -> None:
    """Stop the start where a job is unknown or an expression cannot be read."""
    for job, expression in timetable.items():
        if job not in known:
            raise errors.Misconfigured(
                f"LIENTHONG_TIMETABLE__{job.upper()} is not a job; known: {', '.join(sorted(known))}",
                detail_vi=f"LIENTHONG_TIMETABLE__{job.upper()} không phải là một công việc của trục; "
                f"các công việc: {', '.join(sorted(known))}",
            )
        if expression:
            next_after(expression, now, job=job)


def next_after(expression: str, moment: datetime, *, job: str = "") -> datetime:
    """Give the next moment after `moment` at which a cron expression is due, in Vietnam time."""
    try:
        return next(CronSim(expression, moment.astimezone(clock.VIETNAM)))
    except (CronSimError, StopIteration) as exc:
        raise errors.Misconfigured(
            f"LIENTHONG_TIMETABLE__{job.upper()} is not a cron expression: {expression!r}",
            detail_vi=f"LIENTHONG_TIMETABLE__{job.upper()} không phải là biểu thức cron: {expression!r}",
        ) from exc


async def take_due(store: storage.Storage, timetable: Mapping[str, str], *, now: datetime) -> list[str]:
    """Name the jobs that are due now and mark them as started; each due moment is given to one caller only."""
    due: list[str] = []
    for job, expression in timetable.items():
        if expression and await _take(store, job, expression, now=now):
            due.append(job)
    return due


async def _take(store: storage.Storage, job: str, expression: str, *, now: datetime) -> bool:
    async with store.reading() as conn:
        last = (await conn.execute(sa.select(_t.c.last_due_at).where(_t.c.job == job))).scalar()
    if last is None:
        # Never started: from now on.
        async with store.transaction() as tx:
            await tx.execute(store.insert(_t).values(job=job, last_due_at=now).on_conflict_do_nothing())
        return False
    if last > now + _AHEAD:
        # From now on, or the job would wait until the clock is that late again.
        async with store.transaction() as tx:
            await tx.execute(_t.update().where(_t.c.job == job, _t.c.last_due_at == last).values(last_due_at=now))
        return False
    due_at = next_after(expression, max(last, now - LATEST_CATCH_UP), job=job)
    if due_at > now:
        return False
    async with store.transaction() as tx:
        moved = await tx.execute(
            _t.update().where(_t.c.job == job, _t.c.last_due_at == last).values(last_due_at=now)
        )
        return bool(moved.rowcount)


async def note(store: storage.Storage, job: str, outcome: str) -> None:
    """Write down how the last run of a job ended, for the console."""
    async with store.transaction() as tx:
        await tx.execute(_t.update().where(_t.c.job == job).values(last_outcome=outcome[:200]))
