"""The rows of an invented hub behind its desks: keys, officials, dossiers, money, post, alerts, runs.

All names, numbers and codes are invented. What a page opens is sealed as the hub seals it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import callbacks
import orjson
from desk_record import MOMENT, Told

from lienthong.api_keys import acts, keys, officials
from lienthong.bus import operations, outbox
from lienthong.bus.flows import dossier_rows, payment, payment_views, postal_records, procedure_sync
from lienthong.connectors import roles
from lienthong.console.accounts import register
from lienthong.core import bulk, clock, money, records, tables
from lienthong.monitoring import alerts
from lienthong.monitoring.detectors import findings, probing

NAME, PASSWORD = "quan", "mot-mat-khau-du-dai"
TARGET = "dvcqg_adapter"
PROCEDURES = 500
# Who does not answer: the pages are measured, not the systems.
NOBODY = {
    "dvcqg_adapter": {
        "enabled": True,
        "base_url": "http://127.0.0.1:9",
        "username": "nobody",
        "password": "nothing",
        "agency_code": "000.00.00.H38",
        "dstcode": "VN:GOV:000.00.00.G22:sandbox",
    },
    "vnpay": {
        "enabled": True,
        "base_url": "http://127.0.0.1:9",
        "tmn_code": callbacks.TERMINAL,
        "hash_secret": callbacks.SECRET,
    },
}
STATES = ("delivered",) * 82 + ("pending",) * 8 + ("dead",) * 7 + ("in_flight", "dropped", "dropped")
_CAUSES = (
    ("Server.Hub.UnmappedCode", "mã lĩnh vực H99 chưa có trong bảng mã"),
    ("Server.Remote.Refused", "hệ thống nhận trả lời: thiếu ngày hẹn trả"),
    ("Server.Remote.Unavailable", "hệ thống nhận không trả lời"),
)


def _id(at: Any) -> str:
    return clock.new_id(int(at.timestamp() * 1000))


async def _put(hub: Any, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), 5_000):
        async with hub.storage.transaction() as tx:
            await bulk.insert(hub.storage, tx, table, rows[start : start + 5_000])


# ---- people, keys, officials


async def people(hub: Any) -> None:
    """Add one person who may go everywhere, so that one session sees every page."""
    act = acts.Act("accounts.add", "bench", MOMENT, "bench")
    every = [str(role) for role in register.Role]
    made = await register.add(
        hub.storage, name=NAME, full_name="Người Đo", roles=every, password=PASSWORD, act=act
    )
    await register.set_password(hub.storage, made.id, PASSWORD, by_owner=True, act=act)


async def key_register(hub: Any, count: int) -> list[tuple[str, str]]:
    """Issue keys as the desk does; some are old, some suspended, most used from a few addresses."""
    dice, made = random.Random("keys"), []
    for number in range(count):
        organisation = f"Sở Ví Dụ {number // 4}"
        order = keys.Order(
            organisation,
            f"Phần mềm {number}",
            "Trần Thị Ví Dụ",
            ("dossiers.*", "procedures.*", "residents.look_up"),
            ("600/minute", "20000/hour", "200000/day"),
            MOMENT + timedelta(days=20 + 3 * number),
            addresses=() if number % 3 == 0 else (f"10.{number}.3.0/24",),
        )
        issued = await keys.issue(
            hub.storage,
            hub.vault,
            order,
            known_operations=operations.NAMES,
            environment="test",
            longest_days=500,
            actor="bench",
            now=MOMENT,
        )
        made.append((issued.record.id, organisation))
    uses = [
        {
            "key_id": key,
            "generation": 1,
            "address": f"10.{number}.3.{place}",
            "first_at": MOMENT - timedelta(days=200),
            "last_at": MOMENT - timedelta(hours=dice.randrange(1, 900)),
            "used": dice.randrange(100, 100_000),
            "refused": dice.randrange(100),
        }
        for number, (key, _) in enumerate(made)
        for place in range(4 + 40 * (number % 10 == 0))
    ]
    await _put(hub, tables.key_uses, uses)
    table = tables.api_keys
    async with hub.storage.transaction() as tx:
        for number, (key, _) in enumerate(made):
            issued_at = MOMENT - timedelta(days=5 * number)
            await tx.execute(table.update().where(table.c.id == key).values(issued_at=issued_at))
    return made


async def official_register(hub: Any, count: int) -> list[str]:
    """Register officials of many units."""
    rows = []
    for number in range(count):
        parts = {
            "full_name": f"Nguyễn Thử {number}",
            "phone": "0900000000",
            "email": "",
            "position": "Chuyên viên",
        }
        rows.append(
            {
                "id": _id(MOMENT - timedelta(days=100)),
                "code": f"CB{number:05d}",
                "account": f"canbo{number}",
                "unit_code": f"000.{number % 20:02d}.{number % 11:02d}.H38",
                "unit_name": f"Phòng Thử {number % 220}",
                "procedures": ["*"],
                "valid_from": MOMENT - timedelta(days=100),
                "valid_until": MOMENT + timedelta(days=300),
                "record": officials.sealed(hub.vault, parts),
                "registered_at": MOMENT - timedelta(days=100),
                "registered_by": "bench",
                "changed_at": MOMENT - timedelta(days=100),
                "last_used_at": MOMENT - timedelta(hours=number % 300),
            }
        )
    await _put(hub, tables.officials, rows)
    exceptions = [
        {
            "id": _id(MOMENT),
            "official_id": row["id"],
            "unit_code": "000.05.05.H38",
            "reason": "phối hợp",
            "granted_at": MOMENT,
            "granted_by": "bench",
            "ends_at": MOMENT + timedelta(days=9),
        }
        for row in rows[:20]
    ]
    await _put(hub, tables.lookup_exceptions, exceptions)
    return [row["code"] for row in rows]


# ---- catalogue


class _Catalogue:
    """An outside catalogue with invented procedures; `turn` changes some of them."""

    name = TARGET

    def __init__(self, turn: int) -> None:
        self.turn = turn

    async def list_procedures(self) -> list[records.ListedProcedure]:
        return [
            records.ListedProcedure(
                code=f"1.{number:06d}",
                name=f"Thủ tục thử số {number}",
                key=str(number),
                fingerprint=str(self.turn if number % 5 == 0 else 0),
            )
            for number in range(1, PROCEDURES + 1)
        ]

    async def get_procedure(self, listed: records.ListedProcedure) -> roles.FetchedProcedure:
        name = f"{listed.name}, lần {listed.fingerprint}"
        field = records.Coded(code="HT", name="Hộ tịch")
        return roles.FetchedProcedure(procedure=records.Procedure(code=listed.code, name=name, fields=(field,)))

    async def list_agencies(self) -> list[records.AgencyRow]:
        return []

    async def list_fields(self) -> list[records.FieldRow]:
        return []


async def catalogue(hub: Any, runs: int) -> None:
    """Sync the catalogue several times, each with changes; before those lie a year of runs."""
    for turn in range(runs):
        await procedure_sync.run(dataclasses.replace(hub, systems={TARGET: _Catalogue(turn)}), source=TARGET)
    old = [
        {
            "id": _id(MOMENT - timedelta(days=day)),
            "source": TARGET,
            "full": day % 7 == 0,
            "state": "done",
            "started_at": MOMENT - timedelta(days=day),
            "finished_at": MOMENT - timedelta(days=day) + timedelta(minutes=4),
            "counts": {"seen": PROCEDURES, "new": 0, "changed": day % 9, "withdrawn": 0, "failed": 0},
        }
        for day in range(1, 365)
    ]
    await _put(hub, tables.sync_runs, old)


# ---- dossiers and messages


async def dossiers(hub: Any, organisation: tuple[str, str], count: int, *, told: Told) -> list[str]:
    """Declare dossiers over a month, each with its changes and messages in every state."""
    codes: list[str] = []
    for start in range(0, count, 2_000):
        rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in _TABLES}
        for number in range(start, min(start + 2_000, count)):
            codes.append(_dossier(hub, rows, number, count, organisation))
        for table in _TABLES:
            await _put(hub, table, rows[table])
        told("dossiers", len(codes), count)
    async with hub.storage.transaction() as tx:
        paused = {"name": TARGET, "state": "paused", "reason": "bảo trì", "changed_at": MOMENT}
        await tx.execute(tables.targets.insert().values(**paused, last_success_at=MOMENT))
    return codes


_TABLES = (tables.dossiers, tables.status_changes, tables.messages, tables.attempts)


def _dossier(
    hub: Any, rows: dict[Any, list[dict[str, Any]]], number: int, count: int, owner: tuple[str, str]
) -> str:
    begun = MOMENT - timedelta(minutes=(count - number) * 43_200 / count)
    record = records.Dossier(
        code=f"H38.15-261020-{number:06d}",
        procedure_code=f"1.{1 + number % PROCEDURES:06d}",
        applicant=records.Applicant(
            kind="citizen", name="Nguyễn Văn Thử", citizen_id="000000000001", phone="0900000000"
        ),
        summary="Hồ sơ thử",
        channel=records.Channel.ONLINE,
        submitted_at=begun,
        received_at=begun + timedelta(hours=1),
        due_at=begun + timedelta(days=12),
        agency="UBND xã Thử Nghiệm",
        fees=(records.DossierFee(name="Lệ phí", amount_vnd=callbacks.FEE, code="1"),),
    )
    steps = [("received", 1), ("in_process", 20), ("returned", 200)][: 1 + number % 3]
    last_at = begun + timedelta(hours=steps[-1][1])
    rows[tables.dossiers].append(
        {
            "code": record.code,
            "owner_key_id": owner[0],
            "organisation": owner[1],
            "procedure_code": record.procedure_code,
            "procedure_version": 1,
            "status": steps[-1][0],
            "status_at": last_at,
            "changes": len(steps),
            "received_at": record.received_at,
            "due_at": record.due_at,
            "finished_at": last_at if len(steps) == 3 else None,
            "returned_at": last_at if len(steps) == 3 else None,
            "created_at": begun,
            "updated_at": last_at,
            **dossier_rows.sealed(hub, record),
        }
    )
    for step, (status, hours) in enumerate(steps, 1):
        at = begun + timedelta(hours=hours)
        message = _message(hub, rows, record.code, at, STATES[(number * 3 + step) % len(STATES)])
        rows[tables.status_changes].append(
            {
                "dossier_code": record.code,
                "number": step,
                "change_key": f"{status}-{step}",
                "digest": "0" * 64,
                "status": status,
                "occurred_at": at,
                "accepted_at": at,
                "message_id": message,
                "record": hub.vault.seal(b"{}", purpose="status_change"),
            }
        )
    return record.code


def _message(hub: Any, rows: dict[Any, list[dict[str, Any]]], lane: str, at: Any, state: str) -> str:
    made, is_dead = _id(at), state in ("dead", "dropped")
    code, said = _CAUSES[at.minute % len(_CAUSES)]
    tries = 3 if is_dead else 1 if state == "delivered" else 0
    rows[tables.messages].append(
        {
            "id": made,
            "target": TARGET,
            "lane": lane,
            "operation": "dossier",
            "request_id": _id(at),
            "payload": hub.vault.seal(orjson.dumps({"lane": lane}), purpose=outbox.SEAL),
            "state": state,
            "look_first": False,
            "first_of_lane": False,
            "attempts": tries,
            "due_at": at,
            "created_at": at,
            "waiting_since": at,
            "leased_until": MOMENT + timedelta(days=1) if state == "in_flight" else None,
            "settled_at": None if state in ("pending", "in_flight") else at + timedelta(seconds=3),
            "last_code": code if is_dead else None,
            "last_error": said if is_dead else None,
        }
    )
    rows[tables.attempts] += [
        {
            "message_id": made,
            "number": number,
            "started_at": at + timedelta(seconds=number),
            "took_ms": 180.0,
            "outcome": "refused" if is_dead else "delivered",
            "code": code if is_dead else "ok",
            "detail": said if is_dead else "",
            "steps_done": 0,
        }
        for number in range(1, tries + 1)
    ]
    return made


# ---- money and post


async def payments(hub: Any, owner: tuple[str, str], codes: Sequence[str], *, told: Told) -> None:
    """Begin to pay for these dossiers, and let four in five be paid, as the flows do it."""
    caller = keys.Caller(owner[0], "lt_test_x", owner[1], "bench", frozenset({"*"}), environment="test")
    numbers = iter(enumerate(codes))

    async def some() -> None:
        for number, code in numbers:
            wanted = {"dossier_code": code, "payer": {"name": "Nguyễn Văn Thử"}, "provider": "vnpay"}
            request = payment_views.PaymentRequest.model_validate(wanted)
            view = await payment.start(hub, request, caller=caller, request_id="bench")
            if number % 5:
                await payment.callback(hub, "vnpay", callbacks.signed(str(view.reference)))
            if number % 100 == 0:
                told("payments", number + 1, len(codes))

    await asyncio.gather(*(some() for _ in range(8)))


async def parcels(hub: Any, key: str, codes: Sequence[str]) -> None:
    """Send results by post: each parcel with its way so far."""
    address = money.PostalAddress(
        name="Nguyễn Văn Mẫu", phone="0900000001", address="1 Lê Lợi", province_code="38"
    )
    made, events = [], []
    for number, code in enumerate(codes):
        at = MOMENT - timedelta(minutes=20 * (len(codes) - number))
        order = money.ParcelOrder(
            number=f"LT{number:08d}",
            dossier_code=code,
            direction="deliver_result",
            sender=address,
            receiver=address,
        )
        made.append(
            {
                "id": _id(at),
                "number": order.number,
                "dossier_code": code,
                "direction": order.direction,
                "carrier": "ems",
                "state": ("accepted", "collected", "delivered")[number % 3],
                "state_at": at,
                "key_id": key,
                "request_id": _id(at),
                "record": postal_records.seal(hub, order),
                "digest": "0" * 64,
                "created_at": at,
                "closed_at": at if number % 3 == 2 else None,
            }
        )
        for step, state in enumerate(("accepted", "collected", "delivered")[: 1 + number % 3]):
            event = money.ParcelEvent(
                number=order.number,
                event_id=f"{number}-{step}",
                occurred_at=at,
                state=state,  # type: ignore[arg-type]
                carrier_code=str(step),
                carrier_message="Đã nhận",
            )
            events.append(
                {
                    "id": _id(at),
                    "carrier": "ems",
                    "event_id": event.event_id,
                    "parcel_id": made[-1]["id"],
                    "number": order.number,
                    "waybill": "",
                    "occurred_at": at,
                    "taken_at": at,
                    "how": "feed",
                    "state": state,
                    "carrier_code": str(step),
                    "record": postal_records.seal_event(hub, event),
                }
            )
    await _put(hub, tables.parcels, made)
    await _put(hub, tables.parcel_events, events)


async def reconciliations(hub: Any, count: int) -> None:
    """Compare with statements on many days; some differences are open."""
    runs, differences = [], []
    for number in range(count):
        at = MOMENT - timedelta(days=number)
        runs.append(
            {
                "id": _id(at),
                "provider": "vnpay",
                "source": "file",
                "shape": "vnpay",
                "state": "done",
                "day_from": at.date(),
                "day_until": at.date(),
                "digest": f"{number:064d}",
                "file_name": f"vnpay-{number}.csv",
                "counts": {},
                "made_at": at,
                "made_by": "bench",
                "reason": "hằng ngày",
            }
        )
        differences += [
            {
                "id": _id(at),
                "reconciliation_id": runs[-1]["id"],
                "provider": "vnpay",
                "kind": "only_theirs",
                "fact": f"{number}-{place}",
                "ours_vnd": None,
                "theirs_vnd": callbacks.FEE,
                "day": at.date(),
                "found_at": at,
                "closed_at": None if number < 3 else at,
            }
            for place in range(5)
        ]
    await _put(hub, tables.reconciliations, runs)
    await _put(hub, tables.reconciliation_differences, differences)


# ---- alerts and the trail


async def alert_book(hub: Any, made: Sequence[tuple[str, str]], count: int) -> None:
    """Open alerts about many keys over a month; most are closed, as officers do."""
    for number in range(count):
        at = (MOMENT - timedelta(minutes=(count - number) * 43_200 / count)).timestamp()
        found = probing.refused(
            findings.Who(key=made[number % len(made)][0]), at, seen=40 + number % 50, requests=90, share=0.003
        )
        assert found
        opened = await alerts.open_or_update(hub.storage, found)
        if opened and number % 10 and number < count - 20:
            when = MOMENT - timedelta(days=1)
            await alerts.close(hub.storage, opened, "normal", reason="đợt nhập bù", actor="bench", now=when)


async def trail(hub: Any, made: Sequence[tuple[str, str]], count: int) -> None:
    """Write a year of administrative acts: mostly searches of the record."""
    kinds = ("journal.search", "journal.read", "keys.suspend", "keys.resume", "messages.retry", "journal.who")
    rows = [
        {
            "at": MOMENT - timedelta(minutes=10 * (count - number)),
            "actor": f"nguoi{number % 30}",
            "act": kinds[number % len(kinds)],
            "object": made[number % len(made)][0] if number % 20 == 2 else "since, until",
            "reason": "công việc hằng ngày",
            "before": None,
            "after": {"since": "2026-11-01T00:00:00+07:00", "until": "2026-11-20T00:00:00+07:00"},
            "outcome": "done",
        }
        for number in range(count)
    ]
    await _put(hub, tables.admin_acts, rows)
