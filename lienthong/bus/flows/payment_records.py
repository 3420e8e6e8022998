"""Rows of payments: found, locked, opened, shown; the questions for a person; the mark on a dossier."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus import events
from lienthong.bus.flows import dossier_rows, payment_states, payment_views
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import clock, errors, money, records, storage, tables

_o, _p, _q, _d = tables.obligations, tables.payments, tables.payment_questions, tables.dossiers
_SEAL, _STARTED = "payment", "payment_started"
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Where a payment was made, as the national portal wants to hear it (contracts §3.2).
_NATIONAL = frozenset({"dvcqg_payment", "keypay"})

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt, its obligation and its dossier, all held to the end of the transaction."""

    payment: Row
    obligation: Row
    dossier: Row

    @property
    def standing(self) -> payment_states.Standing:
        """Give what the state machine wants to know."""
        row, owner = self.payment, self.obligation["paid_by"]
        return payment_states.Standing(
            state=row["state"],
            amount_vnd=row["amount_vnd"],
            received_vnd=row["received_vnd"],
            refunded_vnd=row["refunded_vnd"],
            is_reversed=row["reversed"],
            is_closed=row["closed_at"] is not None,
            is_paid_otherwise=owner is not None and owner != row["id"],
            is_free=self.obligation["state"] == "free",
            partner=row["partner"],
            paid_reference=row["paid_reference"],
        )


def new_number(prefix: str, now: datetime) -> str:
    """Make a number of 20 letters and digits that nobody can guess and no restart repeats."""
    tail = "".join(secrets.choice(_LETTERS) for _ in range(6))
    return f"{prefix:.2}{now.astimezone(clock.VIETNAM):%y%m%d%H%M%S}{tail}"


def plain(text: str, longest: int) -> str:
    """Write what somebody outside said so that any column takes it."""
    return "".join(it if it.isascii() and it.isprintable() else "?" for it in text[:longest])


def provider(hub: Hub, name: str) -> roles.PaymentProvider:
    """Give the intermediary that carries an attempt. Raises NotOffered where it is not enabled."""
    found: roles.PaymentProvider = hub.offered(name)
    if name not in hub.settings.payments.providers:
        raise errors.NotOffered(system=name)
    return found


# ------------------------------------------------------------------------------------------------ rows


# All in one question. They are held in this order, so that nobody waits crosswise.
_HELD = (_o, _p, _d)
_ALL = sa.select(
    *(table.c[name].label(f"{table.name}_{name}") for table in _HELD for name in table.columns.keys())  # noqa: SIM118
).select_from(_o.join(_p, _p.c.obligation_id == _o.c.id).join(_d, _d.c.code == _o.c.dossier_code))


# Made once: to write ninety columns anew for each callback would cost as much as asking for them.
_BY_ID = _ALL.where(_p.c.id == sa.bindparam("wanted"))
_BY_REFERENCE = _ALL.where(_p.c.reference == sa.bindparam("wanted"), _p.c.provider == sa.bindparam("by"))
_LOCKED = {one: one.with_for_update(of=_HELD) for one in (_BY_ID, _BY_REFERENCE)}
_AMONG = _ALL.where(_p.c.reference.in_(sa.bindparam("wanted", expanding=True)))
_FREE = _AMONG.with_for_update(of=_HELD, skip_locked=True)
_CHANGE, _OBLIGE, _MARK = (
    table.update().where(key == sa.bindparam("wanted"))
    for table, key in ((_p, _p.c.id), (_o, _o.c.id), (_d, _d.c.code))
)


async def hold(hub: Hub, tx: AsyncConnection, payment_id: str) -> Held | None:
    """Find an attempt and hold its obligation, itself and its dossier to the end of the transaction."""
    return await _held(hub, tx, _BY_ID, {"wanted": payment_id})


async def hold_by_reference(hub: Hub, tx: AsyncConnection, reference: str, *, provider: str) -> Held | None:
    """Find and hold as `hold` does, by the number that an intermediary knows."""
    return await _held(hub, tx, _BY_REFERENCE, {"wanted": reference, "by": provider})


async def _held(hub: Hub, tx: AsyncConnection, wanted: sa.Select[Any], values: Mapping[str, str]) -> Held | None:
    found = (await tx.execute(wanted if hub.storage.is_sqlite else _LOCKED[wanted], values)).first()
    return None if found is None else _as_held(found)


async def hold_free(tx: AsyncConnection, references: Collection[str]) -> dict[str, Held]:
    """Find and hold those of many that nobody else holds at this moment, by their references."""
    rows = map(_as_held, await tx.execute(_FREE, {"wanted": list(references)}))
    return {one.payment["reference"]: one for one in rows}


def _as_held(found: sa.Row[Any]) -> Held:
    told = iter(found)
    obligation, payment, dossier = ({name: next(told) for name in table.columns.keys()} for table in _HELD)  # noqa: SIM118
    return Held(payment, obligation, dossier)


def held(hub: Hub, wanted: sa.Select[Any]) -> sa.Select[Any]:
    """Let a question hold the rows it finds; SQLite has one writer in any case."""
    return wanted if hub.storage.is_sqlite else wanted.with_for_update()


async def owned(hub: Hub, payment_id: str, *, caller: keys.Caller) -> tuple[Row, Row]:
    """Read an attempt and its obligation for a caller. Raises NotFound, also for somebody else's."""
    async with hub.storage.reading() as conn:
        row = await storage.first(conn, sa.select(_p).where(_p.c.id == payment_id))
        dossier = await dossier_rows.row(conn, row["dossier_code"]) if row else None
        if row is None or dossier is None or not dossier_rows.owns(dossier, caller):
            raise errors.NotFound(
                "no payment with this number for a dossier of your organisation",
                detail_vi="Không có lần thanh toán với số này cho hồ sơ của đơn vị bạn.",
            )
        obligation = await storage.first(conn, sa.select(_o).where(_o.c.id == row["obligation_id"]))
    if obligation is None:
        raise errors.InternalFault(reason="a payment without its obligation")
    return row, obligation


def seal_order(hub: Hub, order: money.PaymentOrder) -> bytes:
    """Seal an order: it holds the payer."""
    return hub.vault.seal(order.model_dump_json().encode(), purpose=_SEAL)


def order(hub: Hub, row: Row) -> money.PaymentOrder:
    """Open the order of an attempt, with what is known by now."""
    plain = money.PaymentOrder.model_validate_json(hub.vault.open(row["record"], purpose=_SEAL))
    known = row["paid_reference"] or row["provider_reference"]
    return plain.model_copy(update={"provider_reference": known, "paid_at": row["paid_at"]})


def seal_started(hub: Hub, started: money.PaymentStarted) -> bytes:
    """Seal what an intermediary gave: its page may tell of the payer."""
    return hub.vault.seal(started.model_dump_json().encode(), purpose=_STARTED)


def started(hub: Hub, row: Row) -> money.PaymentStarted:
    """Open what an intermediary gave for an attempt; empty where it gave nothing yet."""
    if row["started"] is None:
        return money.PaymentStarted()
    return money.PaymentStarted.model_validate_json(hub.vault.open(row["started"], purpose=_STARTED))


async def view(hub: Hub, row: Row, obligation: Row, *, repeated: bool = False) -> payment_views.PaymentView:
    """Show an attempt; where to pay is told only while it can be paid."""
    is_open = row["state"] in ("created", "pending") and row["expires_at"] > hub.now()
    given = started(hub, row) if is_open else money.PaymentStarted()
    wanted = sa.select(tables.payment_receipts.c.payment_id).where(
        tables.payment_receipts.c.payment_id == row["id"]
    )
    async with hub.storage.reading() as conn:
        has_receipt = await storage.first(conn, wanted) is not None
    same = ("id", "reference", "dossier_code", "provider", "state", "amount_vnd", "refunded_vnd")
    times = ("created_at", "expires_at", "paid_at", "settled_by")
    return payment_views.PaymentView(
        **{name: row[name] for name in (*same, *times)},
        obligation=obligation["name"],
        state_vi=payment_views.STATE_VI[row["state"]],
        pay_url=given.pay_url,
        qr_text=given.qr_text,
        provider_reference=row["paid_reference"] or row["provider_reference"],
        has_receipt=has_receipt,
        repeated=repeated,
    )


# ------------------------------------------------------------------------------------------- what changes


async def ask(
    hub: Hub,
    tx: AsyncConnection,
    payment: Row,
    kind: payment_states.Kind,
    *,
    fact: str,
    facts: Mapping[str, Any],
    amount_vnd: int | None = None,
) -> bool:
    """Put a question on the list for a person; False where the very same stands there already."""
    now = hub.now()
    made = await tx.execute(
        hub.storage.insert(_q)
        .values(
            id=clock.new_id(),
            payment_id=payment["id"],
            kind=kind,
            fact=fact[:200],
            amount_vnd=amount_vnd,
            facts=dict(facts),
            asked_at=now,
        )
        .on_conflict_do_nothing()
        .returning(_q.c.id)
    )
    if made.first() is None:
        return False
    await announce(tx, "payments.needs_person", payment, {"kind": kind, **facts}, now=now)
    return True


async def announce(
    tx: AsyncConnection, kind: str, payment: Row, facts: Mapping[str, Any], *, now: datetime
) -> None:
    """Write an event about an attempt in the caller's transaction."""
    same = ("dossier_code", "provider", "reference", "amount_vnd")
    await events.put(tx, kind, payment["id"], {**{name: payment[name] for name in same}, **facts}, now=now)


async def change(tx: AsyncConnection, payment_id: str, **values: Any) -> None:
    """Write columns of an attempt."""
    await tx.execute(_CHANGE, {"wanted": payment_id, **values})


async def oblige(tx: AsyncConnection, obligation_id: str, *, now: datetime, **values: Any) -> None:
    """Write columns of an obligation."""
    await tx.execute(_OBLIGE, {"wanted": obligation_id, "updated_at": now, **values})


async def questions(hub: Hub, *, is_open: bool = True) -> Sequence[Row]:
    """List what waits for a person, the oldest first."""
    wanted = sa.select(_q).order_by(_q.c.asked_at, _q.c.id).limit(1000)
    if is_open:
        wanted = wanted.where(_q.c.closed_at.is_(None))
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


# ---------------------------------------------------------------------------------- the mark on a dossier


async def mark_paid(hub: Hub, tx: AsyncConnection, held: Held) -> None:
    """Mark a dossier as paid online; its next status push tells so. Cash at the door is not paid online."""
    provider_name = held.payment["provider"]
    if isinstance(hub.systems.get(provider_name), roles.PostalCarrier):
        return
    mark = "national_platform" if provider_name in _NATIONAL else "other_gateway"
    marked = dossier_rows.record(hub, held.dossier).model_copy(update={"online_payment": mark})
    values = dossier_rows.sealed(hub, marked)
    await tx.execute(_MARK, {"wanted": held.dossier["code"], "updated_at": hub.now(), **values})


async def keep_mark(tx: AsyncConnection, dossier: records.Dossier) -> records.Dossier:
    """Keep the mark where a dossier is declared anew by software that does not know of the payment."""
    if dossier.online_payment != "none":
        return dossier
    wanted = (
        sa.select(_p.c.provider)
        .join(_o, _o.c.paid_by == _p.c.id)
        .where(_o.c.dossier_code == dossier.code, _o.c.state == "paid", _p.c.settled_by != "carrier")
        .order_by(_p.c.id)
        .limit(1)
    )
    found = await storage.first(tx, wanted)
    if found is None:
        return dossier
    mark = "national_platform" if found["provider"] in _NATIONAL else "other_gateway"
    return dossier.model_copy(update={"online_payment": mark})
