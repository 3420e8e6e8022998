"""Is the hub well: database, Redis, the upkeep of the record, outside systems; each with a sentence that helps."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import sqlalchemy as sa

from lienthong.api_keys import assertions
from lienthong.bus import timetable
from lienthong.bus.gateway import compat
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, migrations, records, settings, storage, tables

CHECK_TIMEOUT_S = 20.0
LATE = timedelta(days=1)  # a night's work that is so long overdue is no matter of minutes any more


async def check_everything(hub: Hub) -> list[records.CheckResult]:
    """Run every self-check at once; none changes anything, and a failing one never hides another."""
    checks = [check_database(hub), check_redis(hub), check_upkeep(hub)]
    found = [*await asyncio.gather(*checks), *risks(hub.settings)]
    remote = await asyncio.gather(*(check_system(hub, name) for name in hub.systems))
    return [*found, *missing_targets(hub), *(line for lines in remote for line in lines)]


async def check_database(hub: Hub) -> records.CheckResult:
    """Say whether the database answers and has the shape this program needs."""
    try:
        async with hub.storage.reading() as conn:
            await conn.execute(sa.text("select 1"))
        await migrations.must_be_current(hub.storage)
    except errors.HubError as exc:
        return records.CheckResult(name="database", ok=False, vi=exc.detail("vi"), en=exc.detail("en"))
    kind = "SQLite" if hub.storage.is_sqlite else "PostgreSQL"
    return records.CheckResult(name="database", ok=True, vi=f"{kind} trả lời tốt.", en=f"{kind} answers.")


async def check_redis(hub: Hub) -> records.CheckResult:
    """Say whether Redis answers, where one is set."""
    url = hub.settings.redis.url
    if not url:
        return records.CheckResult(
            name="redis",
            ok=True,
            vi="Không dùng (cỡ nhúng): hạn mức và việc gửi nằm trong tiến trình.",
            en="Not used (embedded size): limits and delivery are in the process.",
            facts={"state": "unused"},
        )
    # Loaded where there is a Redis: in the embedded size, every start would wait for it in vain.
    from redis import asyncio as redis_asyncio
    from redis.exceptions import RedisError

    client = redis_asyncio.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as exc:
        why = type(exc).__name__
        return records.CheckResult(
            name="redis", ok=False, vi=f"Redis không trả lời ({why}).", en=f"Redis does not answer ({why})."
        )
    finally:
        await client.aclose()
    return records.CheckResult(name="redis", ok=True, vi="Redis trả lời tốt.", en="Redis answers.")


async def check_upkeep(hub: Hub) -> records.CheckResult:
    """Say when the record was last tidied, how that ended, and whether it is overdue."""
    name, runs = timetable.RECORD_UPKEEP, tables.timetable_runs
    asked = sa.select(runs.c.last_due_at, runs.c.last_outcome).where(runs.c.job == timetable.RECORD_UPKEEP)
    try:
        async with hub.storage.reading() as conn:
            run = await storage.first(conn, asked)
    except errors.HubError as exc:
        return records.CheckResult(name=name, ok=False, vi=exc.detail("vi"), en=exc.detail("en"))
    if not (expression := hub.settings.timetable[timetable.RECORD_UPKEEP]):
        return records.CheckResult(
            name=name,
            ok=True,
            vi="Không có lịch: `lienthong journal roll` do người vận hành chạy.",
            en="Not in the timetable: somebody runs `lienthong journal roll`.",
        )
    if run is None or not run["last_outcome"]:
        vi, en = (
            "Sổ truy cập chưa được dọn lần nào; việc này chạy hằng đêm.",
            "The record has not been tidied yet; this runs at night.",
        )
    else:
        at = run["last_due_at"].astimezone(clock.VIETNAM).strftime("%d/%m/%Y %H:%M")
        vi = f"Dọn sổ truy cập lần cuối lúc {at}: {run['last_outcome']}"
        en = f"The record was last tidied at {at}: {run['last_outcome']}"
    has_failed = run is not None and run["last_outcome"].startswith(("Client.", "Server."))
    is_late = run is not None and _is_overdue(expression, run["last_due_at"], hub.now())
    if is_late:
        vi += " (quá hạn: trục có chạy ban đêm không?)"
        en += " (overdue: does the hub run at night?)"
    facts = {} if run is not None and run["last_outcome"] else {"state": "not_yet"}
    return records.CheckResult(name=name, ok=not has_failed and not is_late, vi=vi, en=en, facts=facts)


def _is_overdue(expression: str, last: datetime, now: datetime) -> bool:
    return now - timetable.next_after(expression, last, job=timetable.RECORD_UPKEEP) > LATE


def missing_targets(hub: Hub) -> list[records.CheckResult]:
    """Name the systems that are to hear of dossiers and are not connected: until then no change is taken."""
    return [
        records.CheckResult(
            name="dossier_targets",
            ok=False,
            vi=f"Nơi nhận {name} chưa được bật: trục chưa nhận được cập nhật trạng thái nào.",
            en=f"The target {name} is not enabled: no change of status can be taken.",
        )
        for name in hub.settings.dossiers.targets
        if name not in hub.systems
    ]


def risks(chosen: settings.Settings) -> list[records.CheckResult]:
    """Name what is switched on and should be known as a risk; none of it is a fault."""
    found = assertions.risks(chosen)
    if chosen.proof.lgsp_door:
        vi, en = compat.RISK_VI, compat.RISK_EN
        found.insert(0, records.CheckResult(name="lgsp_door", ok=True, vi=vi, en=en, facts={"risk": True}))
    return found


async def check_system(hub: Hub, name: str) -> list[records.CheckResult]:
    """Ask one enabled system whether it is reachable and takes our credentials."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            lines = await hub.systems[name].check()
            return [line.model_copy(update={"name": f"{name}: {line.name}"}) for line in lines]
    except errors.HubError as exc:
        code = {"code": exc.code}
        return [records.CheckResult(name=name, ok=False, vi=exc.detail("vi"), en=exc.detail("en"), facts=code)]
    except TimeoutError:
        return [
            records.CheckResult(
                name=name,
                ok=False,
                vi=f"{name} không trả lời trong {CHECK_TIMEOUT_S:.0f} giây.",
                en=f"{name} did not answer within {CHECK_TIMEOUT_S:.0f} s.",
                facts={"code": errors.RemoteUnavailable.code},
            )
        ]
