"""What a dossier owes (nghĩa vụ tài chính): its fees or as given; less, or nothing, by a rule of the province."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus import events
from lienthong.bus.flows import fee_rules, payment_records, payment_views
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, money, records, storage, tables

_o = tables.obligations
Row = Mapping[str, Any]


async def find(
    hub: Hub,
    tx: AsyncConnection,
    request: payment_views.PaymentRequest,
    dossier: tuple[Row, records.Dossier],
    *,
    caller: keys.Caller,
) -> tuple[dict[str, Any], Row | None]:
    """Find or write what is owed, and hold it; gives the rule that made it less or nothing beside it.

    The amount may change as long as nothing is paid: the dossier may be declared anew, a rule come or go.
    """
    row, record = dossier
    rule = await _rule(tx, request.obligation, dossier)
    is_made_free = rule is not None and not rule["amount_vnd"]
    declared, now = _declared(request, record, must_be_something=not is_made_free), hub.now()
    wanted: dict[str, Any] = {
        "amount_vnd": fee_rules.owed(declared, rule["amount_vnd"] if rule else None),
        "declared_vnd": declared,
        "fee_rule_id": rule["id"] if rule else None,
        "agency": record.agency[:200],
    }
    wanted["state"] = "owed" if wanted["amount_vnd"] else "free"
    values = {
        **wanted,
        "id": clock.new_id(),
        "dossier_code": record.code,
        "name": request.obligation,
        "organisation": caller.organisation,
        "procedure_code": row["procedure_code"],
        "state": "owed",
        "created_at": now,
        "updated_at": now,
    }
    await tx.execute(hub.storage.insert(_o).values(**values).on_conflict_do_nothing())
    asked = sa.select(_o).where(_o.c.dossier_code == record.code, _o.c.name == request.obligation)
    found = await storage.first(tx, payment_records.held(hub, asked))
    if found is None:
        raise errors.InternalFault(reason="an obligation that was written is not there")
    _must_be_open(found)
    if any(found[name] != value for name, value in wanted.items()):
        await payment_records.oblige(tx, found["id"], now=now, **wanted)
    if wanted["state"] == "free" and found["state"] != "free":
        facts = {"dossier_code": record.code, "rule": wanted["fee_rule_id"], "declared_vnd": declared}
        await events.put(tx, "obligations.free", found["id"], facts, now=now)
    return {**found, **wanted}, rule


async def _rule(tx: AsyncConnection, obligation: str, dossier: tuple[Row, records.Dossier]) -> Row | None:
    """Find the rule of the day on which the dossier was submitted, by the way it was submitted."""
    row, record = dossier
    return await fee_rules.in_force(
        tx,
        procedure_code=row["procedure_code"],
        channel=record.channel.value,
        obligation=obligation,
        day=record.submitted_at.astimezone(clock.VIETNAM).date(),
    )


def _declared(request: payment_views.PaymentRequest, dossier: records.Dossier, *, must_be_something: bool) -> int:
    """Work out what would be owed: as given, or what the dossier declares. Raises where that is nothing."""
    if request.amount_vnd is not None:
        amount = request.amount_vnd
    else:
        amount = sum(line.amount_vnd for line in request.lines) or sum(fee.amount_vnd for fee in dossier.fees)
    if request.lines and sum(line.amount_vnd for line in request.lines) != amount:
        problem = errors.FieldProblem(
            "lines", "Tổng các khoản không bằng số tiền.", "The lines do not add up to the amount."
        )
        raise errors.InvalidRequest(problems=(problem,))
    if not amount and must_be_something:
        raise errors.Conflict(
            "the dossier owes nothing: it declares no fee, and the request names no amount",
            detail_vi="Hồ sơ không phải nộp khoản nào: hồ sơ không khai phí, lệ phí và yêu cầu không nêu số tiền.",
        )
    return amount


def _must_be_open(obligation: Row) -> None:
    said = {
        "paid": ("this is paid already", "Khoản này đã được nộp."),
        "doubtful": (
            "a payment of this is being looked at by a person",
            "Một lần thanh toán của khoản này đang chờ người có thẩm quyền xem xét.",
        ),
        "refunded": (
            "this was paid and given back; name another obligation to have it paid anew",
            "Khoản này đã nộp và đã hoàn; muốn thu lại hãy đặt tên khoản khác.",
        ),
    }
    if obligation["state"] in said:
        en, vi = said[obligation["state"]]
        raise errors.Conflict(en, detail_vi=vi, reason=f"obligation_{obligation['state']}")


def nothing_to_pay(rule: Row | None) -> errors.Conflict:
    """Say by which rule nothing is to be paid."""
    if rule is None:
        return errors.Conflict("nothing is owed", detail_vi="Không phải nộp khoản nào.")
    basis = rule["legal_basis"]
    return errors.Conflict(
        f"nothing is to be paid, by {basis}",
        detail_vi=f"Không phải nộp theo {basis}.",
        reason="obligation_free",
        rule=rule["id"],
    )


def fitting(lines: tuple[money.OwedLine, ...], obligation: Row) -> tuple[money.OwedLine, ...]:
    """Give the lines that an intermediary is told: where a rule made the sum less, one line of that sum."""
    amount = obligation["amount_vnd"]
    if sum(line.amount_vnd for line in lines) in (0, amount):
        return lines
    kinds = {line.kind for line in lines}
    kind = kinds.pop() if len(kinds) == 1 else "fee"
    return (money.OwedLine(kind=kind, name="Phí, lệ phí sau khi giảm theo quy định của tỉnh", amount_vnd=amount),)
