"""An invented week for the officer's pages: six keys with their habits, one that goes wrong, alerts and seals."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import builders
import desk

from lienthong.core import access_record, clock, ingest, spool, subjects, tables
from lienthong.monitoring import alert_rules, alerts, baselines, responding, seals
from lienthong.monitoring.detectors import findings, people, places, probing

CITIZEN = "001099000001"  # invented
HOURS = 24 * 7
ORGANISATIONS = ("Sở Tư pháp", "Sở Y tế", "Sở Xây dựng", "Sở Nội vụ", "Công an xã Thử", "UBND phường Thử Nghiệm")
ASKED = (
    ("residents.look_up", "POST", "/v1/residents/look-up"),
    ("dossiers.put", "PUT", "/v1/dossiers/{code}"),
    ("procedures.list", "GET", "/v1/procedures"),
)


async def fill(hub: Any) -> None:
    """Fill a hub with the week that ends now."""
    stage, now, store = desk.Stage(hub, desk.Time(clock.now()), None), clock.now(), hub.storage
    await stage.add("lan", "security_officer")
    await stage.add("hung", "security_officer", "key_manager")
    keys = []
    for number, name in enumerate(ORGANISATIONS):
        limits, addresses = ("600/minute",), () if number % 3 == 0 else (f"10.0.{number}.0/24",)
        issued = await builders.issue_key(
            hub, organisation=name, limits=limits, addresses=addresses, days=12 + 60 * number
        )
        keys.append(issued.record.id)
    _calls(hub, keys, now)
    await ingest.Ingest(hub.settings.home / "spool", store).step()
    await _habit(store, keys[0], now)
    async with seals.opened(hub.settings.home, store) as sealer:
        await sealer.step(now)
    await _alerts(store, keys, now)
    silent = {"until": now + timedelta(days=2), "reason": "bảo trì", "actor": "lan", "now": now}
    await alert_rules.silence(store, rule="off_hours", entity=None, **silent)


def _calls(hub: Any, keys: list[str], now: datetime) -> None:
    """Write what the keys did: busy in office hours, and one that asks for everybody in the last quarter hour."""
    node = spool.Spool(hub.settings.home / "spool", "gateway")
    digests = subjects.Subjects(hub.settings.home)
    moments = []
    for back in range(HOURS, 0, -1):
        begun = now - timedelta(hours=back)
        local = begun.astimezone(clock.VIETNAM)
        count = 6 + back * 7 % 6 if local.weekday() < 5 and 7 <= local.hour < 18 else 1 + back % 2
        moments += [(begun + timedelta(minutes=place * 60 / count), place) for place in range(count)]
    moments += [(now - timedelta(seconds=900 - 14 * place), 6 * place) for place in range(60)]
    for number, (at, place) in enumerate(moments):
        node.append(_call(digests, keys, at, number=number, key=place % len(keys)))
    node.close()


def _call(
    digests: subjects.Subjects, keys: list[str], at: datetime, *, number: int, key: int
) -> access_record.Record:
    operation, method, route = ASKED[number % 3]
    told: dict[str, Any] = {}
    if operation == "residents.look_up":
        person = CITIZEN if number % 30 == 0 else f"0010990{number % 97:05d}"
        told = {"official": f"CB00000{number % 4}", "subject": digests.digest(person, at=at)}
        told |= {"purpose": "Đăng ký khai sinh", "dossier_code": f"H38.12-261120-{number:06d}"}
        told |= {"field_groups": ("identity",), "rows": 1}
    is_refused = number % 11 == 5
    return access_record.Record(
        at=at,
        request_id=clock.new_id(int(at.timestamp() * 1000)),
        operation=operation,
        method=method,
        route=route,
        outcome="Client.NotGranted" if is_refused else "ok",
        took_ms=(number * 7919 % 10_000) / 100,
        status=403 if is_refused else 200,
        key_id=keys[key],
        organisation=ORGANISATIONS[key],
        address=f"10.0.{key}.7",
        bytes_in=412,
        bytes_out=1_874 + number,
        **told,
    )


async def _habit(store: Any, key_id: str, now: datetime) -> None:
    """Write down what is normal for a key: four weeks of office hours."""
    known, days = baselines.Baseline(), baselines.Days()
    today = int(now.timestamp() + 7 * 3600) // 86400
    for day in range(today - 28, today):
        group, weekday, _ = days.of(day)
        for hour in range(24):
            requests = 1 + (day + hour) % 3 if days.is_office_hour(day, hour) else (day + hour) % 2
            values = (requests, 0, requests * 1900, requests, requests // 3, 0, 0, requests)
            known.learn(group, hour, baselines.Sample(day * 24 + hour, weekday, values, 30))
    known.first_at, known.last_at, known.calls = now.timestamp() - 28 * 86400, now.timestamp(), 700
    row = {"entity": f"key={key_id}", "version": baselines.VERSION, "revision": 1, "learned_until": now}
    async with store.transaction() as tx:
        await tx.execute(tables.baselines.insert().values(**row, body=known.to_json()))


async def _alerts(store: Any, keys: list[str], now: datetime) -> None:
    """Open alerts of several kinds: one taken up and answered, one closed, others waiting."""
    at, who = now.timestamp(), findings.Who
    past = probing.refused(who(key=keys[0]), at - 90_000, seen=30, requests=40, share=0.003)
    many = people.many_subjects(who(key=keys[0]), at - 300, seen=412, bound=9, normal=4, minutes=10)
    others = [
        people.coming_back(who(official="CB000002"), at - 7200, times=9, on_days=5, usual=2),
        places.new_network(who(key=keys[3]), at - 4000, network="203.0.113.0/24", known=1, newly=0),
        probing.refused(who(key=keys[0]), at - 2000, seen=40, requests=50, share=0.003),
    ]
    others += [
        probing.refused(who(key=keys[number]), at - number * 9500, seen=20 + number, requests=60, share=0.015)
        for number in range(1, 5)
    ]
    closed, taken = [await alerts.open_or_update(store, each) for each in (past, many) if each]
    for each in others:
        if each:
            await alerts.open_or_update(store, each)
    assert closed
    assert taken
    await alerts.close(store, closed, "normal", reason="đợt nhập bù hồ sơ giấy", actor="hung", now=now)
    await alerts.acknowledge(store, taken, actor="lan", now=now)
    await alerts.note(store, taken, "Đã gọi Sở Tư pháp, đang chờ trả lời.", actor="lan", now=now)
    until = now + timedelta(hours=1)
    await responding.respond(store, taken, "throttle", reason="nghi lộ khoá", until=until, actor="lan", now=now)
