"""API keys (khoá API): issued, approved, rotated, limited, suspended, resumed, confirmed, revoked.

The key itself is in the answer to whoever issues or rotates it and nowhere else. Every act is written down.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import acts, bounds, key_records, key_store, key_text, limits, orders, regranting
from lienthong.core import clock, crypto, errors, storage, tables

DIGEST_PURPOSE = "api_key"
# The names under which the rest of the house knows what is kept and how it is read.
Caller = key_records.Caller
Generation = key_records.Generation
Issued = key_records.Issued
KeyRecord = key_records.KeyRecord
Order = key_records.Order
find = key_store.find
generations = key_store.generations
list_keys = key_store.list_keys
read_lifetime = orders.read_lifetime
read_overlap = orders.read_overlap
show = key_store.show

_DEAD = ("revoked", "expired")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What `limit` changes of a key; what is None stays as it is."""

    limits: Sequence[str] | None = None
    addresses: Sequence[str] | None = None
    hours: Sequence[str] | None = None


async def issue(
    store: storage.Storage,
    vault: crypto.Vault,
    order: key_records.Order,
    *,
    known_operations: Collection[str],
    environment: str,
    longest_days: int,
    actor: str,
    now: datetime,
    two_people: bool = False,
    confirm_every_days: int = 365,
) -> key_records.Issued:
    """Make a key and keep its digest. With `two_people` it is worth nothing until another person approves it.

    Raises InvalidRequest naming everything wrong with the order; the refused act is written down as well.
    """
    act = acts.Act("keys.issue", actor, now, order.purpose)
    async with acts.recorded(store, act, order.system):
        found = orders.problems(order, known=known_operations, longest_days=longest_days, now=now)
        if found:
            raise errors.InvalidRequest(
                "The key was not issued; see each field.",
                detail_vi="Chưa cấp khoá; xem từng trường sai.",
                problems=tuple(found),
            )
    text = key_text.new(environment)
    record = _new_record(order, text, act, environment=environment)
    record = dataclasses.replace(
        record,
        confirm_by=now + timedelta(days=confirm_every_days),
        approved_at=None if two_people else now,
        approved_by=None if two_people else actor,
    )
    async with store.transaction() as tx:
        await key_store.add(tx, record)
        await key_store.add_generation(tx, _generation(vault, record.id, 1, text, act))
        await acts.note(tx, act, record.id, after=record.as_act())
    return key_records.Issued(text, record)


async def approve(
    store: storage.Storage, name: str, *, actor: str, now: datetime, reason: str = ""
) -> key_records.KeyRecord:
    """Let a key that waits for a second person be used, or grants that one asked for be in force.

    Raises NotGranted for the person who issued it, or asked.
    """

    async def decide(tx: AsyncConnection, before: key_records.KeyRecord) -> acts.Change:
        if before.state(now) in ("active", "suspended", "lapsed"):
            asked = await regranting.approved(tx, before, actor=actor)
            if asked is not None:
                return asked
        _must_be(before, ("pending",), now)
        _must_be_another(before, actor)
        return acts.Change({"approved_at": now, "approved_by": actor[:100]})

    return await acts.carry_out(store, acts.Act("keys.approve", actor, now, reason), name, decide)


async def rotate(
    store: storage.Storage,
    vault: crypto.Vault,
    name: str,
    *,
    overlap: timedelta,
    reason: str,
    actor: str,
    now: datetime,
) -> key_records.Issued:
    """Make the next generation of a key; the ones before go on for `overlap` and no longer. The id stays."""
    text, number = "", 0
    act = acts.Act("keys.rotate", actor, now, reason)

    async def decide(tx: AsyncConnection, before: key_records.KeyRecord) -> acts.Change:
        nonlocal text, number
        orders.need_reason(reason, "đổi khoá", "rotated")
        _must_be(before, ("active", "suspended", "lapsed"), now)
        text = key_text.new(before.environment)
        number = await _end_older(tx, before.id, now + overlap) + 1
        await key_store.add_generation(tx, _generation(vault, before.id, number, text, act))
        told = {"generation": number, "older_end_at": (now + overlap).isoformat()}
        return acts.Change({"prefix": key_text.prefix(text)}, told)

    record = await acts.carry_out(store, act, name, decide)
    return key_records.Issued(text, record, number)


async def limit(
    store: storage.Storage,
    name: str,
    wanted: Bounds,
    *,
    known_operations: Collection[str],
    reason: str,
    actor: str,
    now: datetime,
) -> key_records.KeyRecord:
    """Change the limits of a key, or from where and when it may be used. Holds everywhere within a second."""

    async def decide(_tx: AsyncConnection, before: key_records.KeyRecord) -> acts.Change:
        orders.need_reason(reason, "đổi hạn mức", "limited anew")
        if before.state(now) in _DEAD:
            raise _wrong_state(before, now)
        values = _bounds(wanted, known_operations)
        return acts.Change({key: value for key, value in values.items() if value != getattr(before, key)})

    return await acts.carry_out(store, acts.Act("keys.limit", actor, now, reason), name, decide)


async def suspend(
    store: storage.Storage, name: str, *, reason: str, actor: str, now: datetime
) -> key_records.KeyRecord:
    """Put a key out of use until somebody resumes it. Suspending twice changes nothing."""

    async def decide(_tx: AsyncConnection, before: key_records.KeyRecord) -> acts.Change:
        orders.need_reason(reason, "tạm ngưng", "suspended")
        if before.state(now) in _DEAD:
            raise _wrong_state(before, now)
        if before.suspended_at is not None:
            return acts.Change()
        return acts.Change({"suspended_at": now, "suspended_reason": key_text.hide(reason.strip())[:500]})

    return await acts.carry_out(store, acts.Act("keys.suspend", actor, now, reason), name, decide)


async def resume(
    store: storage.Storage, name: str, *, reason: str, actor: str, now: datetime
) -> key_records.KeyRecord:
    """Bring a suspended key back into use. A key that is not suspended stays as it is."""

    async def decide(_tx: AsyncConnection, before: key_records.KeyRecord) -> acts.Change:
        orders.need_reason(reason, "cho dùng lại", "resumed")
        if before.suspended_at is None and before.state(now) == "active":
            return acts.Change()
        if before.suspended_at is None or before.state(now) in _DEAD:
            raise _wrong_state(before, now)
        return acts.Change({"suspended_at": None, "suspended_reason": None})

    return await acts.carry_out(store, acts.Act("keys.resume", actor, now, reason), name, decide)


async def revoke(
    store: storage.Storage, name: str, *, reason: str, actor: str, now: datetime
) -> key_records.KeyRecord:
    """Take a key out of use for good, all its generations. Revoking twice changes nothing.

    Holds for every process within a second; in this one at once after `lookup.Lookup.forget`.
    Raises NotFound, or InvalidRequest where no reason is given.
    """

    async def decide(_tx: AsyncConnection, before: key_records.KeyRecord) -> acts.Change:
        orders.need_reason(reason, "thu hồi", "revoked")
        if before.revoked_at is not None:
            return acts.Change()
        return acts.Change({"revoked_at": now, "revoked_reason": key_text.hide(reason.strip())[:500]})

    return await acts.carry_out(store, acts.Act("keys.revoke", actor, now, reason), name, decide)


async def confirm(
    store: storage.Storage,
    name: str,
    *,
    every_days: int,
    two_people: bool,
    actor: str,
    now: datetime,
    reason: str = "",
) -> key_records.KeyRecord:
    """Say that a key is still needed, for `every_days` more; brings back one that lapsed.

    With `two_people` it is another person than the one who issued it.
    """

    async def decide(_tx: AsyncConnection, before: key_records.KeyRecord) -> acts.Change:
        _must_be(before, ("active", "suspended", "lapsed"), now)
        if two_people:
            _must_be_another(before, actor)
        return acts.Change(
            {
                "confirm_by": now + timedelta(days=every_days),
                "confirmed_at": now,
                "confirmed_by": actor[:100],
                "confirm_told": None,
            }
        )

    return await acts.carry_out(store, acts.Act("keys.confirm", actor, now, reason), name, decide)


def _new_record(order: key_records.Order, text: str, act: acts.Act, *, environment: str) -> key_records.KeyRecord:
    return key_records.KeyRecord(
        id=clock.new_id(),
        prefix=key_text.prefix(text),
        environment=environment,
        organisation=order.organisation.strip(),
        system=order.system.strip(),
        custodian=order.custodian.strip(),
        contact=order.contact.strip(),
        purpose=order.purpose.strip(),
        decision_number=order.decision_number.strip(),
        grants=tuple(sorted(set(order.grants))),
        limits=tuple(str(limit) for limit in limits.parse_all(order.limits)),
        addresses=bounds.tidy_addresses(order.addresses),
        hours=bounds.tidy_hours(order.hours),
        issued_at=act.now,
        issued_by=act.actor[:100],
        expires_at=order.expires_at,
        confirm_by=order.expires_at,
    )


def _generation(vault: crypto.Vault, key_id: str, number: int, text: str, act: acts.Act) -> key_records.Generation:
    digest = vault.digest(text.encode(), purpose=DIGEST_PURPOSE)
    return key_records.Generation(key_id, number, key_text.prefix(text), digest, act.now, act.actor[:100])


async def _end_older(tx: AsyncConnection, key_id: str, ends_at: datetime) -> int:
    """Let every generation end then, where it does not end sooner; gives the number of the newest."""
    table = tables.key_generations
    ours = table.c.key_id == key_id
    later = sa.or_(table.c.ends_at.is_(None), table.c.ends_at > ends_at)
    await tx.execute(table.update().where(ours, later).values(ends_at=ends_at))
    newest: int = (await tx.execute(sa.select(sa.func.max(table.c.number)).where(ours))).scalar_one()
    return newest


def _bounds(wanted: Bounds, known: Collection[str]) -> dict[str, tuple[str, ...]]:
    found = [
        *(limits.problems(wanted.limits, operations=known) if wanted.limits is not None else ()),
        *bounds.problems(wanted.addresses or (), wanted.hours or ()),
    ]
    if wanted == Bounds():
        vi, en = (
            "Chưa nêu cần đổi gì: hạn mức, địa chỉ hay giờ.",
            "Say what to change: limits, addresses or hours.",
        )
        found = [errors.FieldProblem("limit", vi, en)]
    if found:
        raise errors.InvalidRequest(
            "The key was not changed; see each field.",
            detail_vi="Khoá chưa thay đổi; xem từng trường sai.",
            problems=tuple(found),
        )
    values = {}
    if wanted.limits is not None:
        values["limits"] = tuple(str(limit) for limit in limits.parse_all(wanted.limits))
    if wanted.addresses is not None:
        values["addresses"] = bounds.tidy_addresses(wanted.addresses)
    if wanted.hours is not None:
        values["hours"] = bounds.tidy_hours(wanted.hours)
    return values


def _must_be(record: key_records.KeyRecord, states: Sequence[str], now: datetime) -> None:
    if record.state(now) not in states:
        raise _wrong_state(record, now)


def _must_be_another(record: key_records.KeyRecord, actor: str) -> None:
    if record.issued_by == actor[:100]:
        raise errors.NotGranted(
            f"{actor} issued this key, so another person must approve it.",
            detail_vi=f"Khoá này do {actor} cấp, nên phải do người khác duyệt.",
            reason="same_person",
        )


_STATES: dict[str, tuple[str, str]] = {
    "pending": ("đang chờ người khác duyệt: `lienthong keys approve`", "waits for a second person to approve it"),
    "active": ("đang dùng bình thường", "is in use"),
    "suspended": ("đang tạm ngưng: `lienthong keys resume`", "is suspended"),
    "lapsed": ("đã bị tắt vì không ai xác nhận lại: `lienthong keys confirm`", "lapsed, for nobody confirmed it"),
    "expired": ("đã hết hạn; hãy cấp khoá mới: `lienthong keys issue`", "has expired; issue a new one"),
    "revoked": ("đã bị thu hồi, không dùng lại được; hãy cấp khoá mới: `lienthong keys issue`",
                "was revoked for good; issue a new one"),
}  # fmt: skip


def _wrong_state(record: key_records.KeyRecord, now: datetime) -> errors.Conflict:
    vi, en = _STATES[record.state(now)]
    return errors.Conflict(
        f"Nothing was changed: the key {record.prefix}… {en}.",
        detail_vi=f"Không thay đổi gì: khoá {record.prefix}… {vi}.",
        reason=record.state(now),
    )
