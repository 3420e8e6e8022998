"""Is the hub well: the database, Redis, and each system it talks to, each with the sentence that helps."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from redis import asyncio as redis_asyncio
from redis.exceptions import RedisError

from lienthong.api_keys import assertions
from lienthong.bus.hub import Hub
from lienthong.core import errors, migrations, records

CHECK_TIMEOUT_S = 20.0


async def check_everything(hub: Hub) -> list[records.CheckResult]:
    """Run every self-check at once; none changes anything, and a failing one never hides another."""
    checks = [check_database(hub), check_redis(hub)]
    found = list(await asyncio.gather(*checks))
    remote = await asyncio.gather(*(_check_system(hub, name) for name in hub.systems))
    return [*found, *(line for lines in remote for line in lines), *assertions.risks(hub.settings)]


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
        )
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


async def _check_system(hub: Hub, name: str) -> list[records.CheckResult]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            lines = await hub.systems[name].check()
            return [line.model_copy(update={"name": f"{name}: {line.name}"}) for line in lines]
    except errors.HubError as exc:
        return [records.CheckResult(name=name, ok=False, vi=exc.detail("vi"), en=exc.detail("en"))]
    except TimeoutError:
        return [
            records.CheckResult(
                name=name,
                ok=False,
                vi=f"{name} không trả lời trong {CHECK_TIMEOUT_S:.0f} giây.",
                en=f"{name} did not answer within {CHECK_TIMEOUT_S:.0f} s.",
            )
        ]
