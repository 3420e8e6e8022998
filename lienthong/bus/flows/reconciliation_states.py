"""What a statement's line says against our book, pure: every way in which the two may differ has a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from lienthong.core import clock

Kind = Literal[
    "missing_with_us",
    "missing_with_them",
    "amount_differs",
    "state_differs",
    "twice_with_them",
    "unknown_reference",
    "refund_differs",
    "fee_noted",
]
KINDS_VI: dict[str, str] = {
    "missing_with_us": "Trung gian đã thu, sổ của trục chưa có",
    "missing_with_them": "Sổ của trục đã thu, trung gian không có",
    "amount_differs": "Số tiền khác nhau",
    "state_differs": "Trạng thái khác nhau",
    "twice_with_them": "Trung gian thu hai lần",
    "unknown_reference": "Đã thu nhưng không rõ mã tham chiếu",
    "refund_differs": "Hoàn tiền khác nhau",
    "fee_noted": "Phí giao dịch trung gian giữ lại",
}
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the two books do not agree. `fact` tells it from any other of its kind, whatever file it came from."""

    kind: Kind
    fact: str
    day: date
    payment_id: str | None = None
    refund_id: str | None = None
    line: int | None = None
    our_reference: str = ""
    provider_reference: str = ""
    ours_vnd: int | None = None
    theirs_vnd: int | None = None
    ours: str = ""
    theirs: str = ""


def of_payment_line(line: Row, ours: Row | None) -> Difference | None:
    """Compare one line about a payment with our attempt, None where its reference is none of ours."""
    if ours is None:
        return _about(line, "unknown_reference", None) if line["state"] == "paid" else None
    if line["state"] == "paid":
        if line["amount_vnd"] != (ours["received_vnd"] or ours["amount_vnd"]):
            return _about(line, "amount_differs", ours)
        if not ours["received_vnd"]:
            return _about(line, "missing_with_us", ours)
        return _about(line, "state_differs", ours) if ours["reversed"] else None
    if line["state"] == "reversed" and ours["reversed"]:
        return None
    return _about(line, "state_differs", ours) if ours["received_vnd"] else None


def of_refund_line(line: Row, refund: Row | None, ours: Row | None) -> Difference | None:
    """Compare one line about money given back with our refund, None where we know of none."""
    if line["state"] != "refunded":
        if refund is None or refund["state"] != "done":
            return None
        return _about_refund(line, refund, ours)
    if refund is not None and refund["state"] == "done" and refund["amount_vnd"] == line["amount_vnd"]:
        return None
    return _about_refund(line, refund, ours)


def twice(lines: Sequence[Row], ours: Mapping[str, Row]) -> list[Difference]:
    """Find the payments that more than one line says were paid; `lines` are all that were ever imported of them.

    The same movement in two files is one; the same twice in one file is two.
    """
    found: list[Difference] = []
    first: dict[str, Row] = {}
    seen: set[tuple[str, str, int]] = set()
    for line in sorted(lines, key=lambda one: (one["occurred_at"], one["provider_reference"], one["number"])):
        payment = line["payment_id"]
        if payment is None or line["kind"] != "payment" or line["state"] != "paid":
            continue
        before = first.setdefault(payment, line)
        if before is line or _is_same_movement(before, line):
            continue
        key = (payment, line["provider_reference"], line["number"] if _in_one_file(before, line) else 0)
        if key not in seen:
            seen.add(key)
            found.append(_about(line, "twice_with_them", ours.get(payment)))
    return found


def _is_same_movement(one: Row, other: Row) -> bool:
    same = one["provider_reference"] == other["provider_reference"]
    return same and not _in_one_file(one, other)


def _in_one_file(one: Row, other: Row) -> bool:
    return bool(one["reconciliation_id"] == other["reconciliation_id"])


def missing_with_them(ours: Iterable[Row], *, listed: set[str]) -> list[Difference]:
    """Find the payments of ours that no line of any statement tells of."""
    return [
        Difference(
            kind="missing_with_them",
            fact=f"payment/{row['id']}",
            day=_day(row["paid_at"]),
            payment_id=row["id"],
            our_reference=row["reference"],
            provider_reference=row["paid_reference"],
            ours_vnd=row["received_vnd"],
            ours=row["state"],
        )
        for row in ours
        if row["id"] not in listed
    ]


def refunds_missing(refunds: Iterable[Row], *, listed: set[str]) -> list[Difference]:
    """Find the refunds of ours that no line of any statement tells of."""
    return [
        Difference(
            kind="refund_differs",
            fact=f"refund/{row['id']}",
            day=_day(row["finished_at"]),
            payment_id=row["payment_id"],
            refund_id=row["id"],
            our_reference=row["request_number"],
            provider_reference=row["provider_reference"],
            ours_vnd=row["amount_vnd"],
            ours=row["state"],
        )
        for row in refunds
        if row["id"] not in listed
    ]


def of_word(ours: Row, *, state: str, amount_vnd: int | None, number: str, now: datetime) -> Difference | None:
    """Compare what a query said of a payment that counts with our attempt."""
    is_amount_same = amount_vnd in (None, ours["received_vnd"])
    if state == "paid" and is_amount_same:
        return None
    kind: Kind = "state_differs" if state != "paid" else "amount_differs"
    return Difference(
        kind=kind,
        fact=f"query/{ours['id']}/{state}/{amount_vnd}",
        day=_day(ours["paid_at"] or now),
        payment_id=ours["id"],
        our_reference=ours["reference"],
        provider_reference=number,
        ours_vnd=ours["received_vnd"],
        theirs_vnd=amount_vnd,
        ours=ours["state"],
        theirs=state,
    )


def fee_noted(lines: Sequence[Row], *, reconciliation: str) -> Difference | None:
    """Note what the other side kept for itself, as one sum a statement."""
    total = sum(line["fee_vnd"] for line in lines)
    if not total:
        return None
    last = max(line["occurred_at"] for line in lines)
    return Difference("fee_noted", f"fees/{reconciliation}", _day(last), theirs_vnd=total)


def _about(line: Row, kind: Kind, ours: Row | None) -> Difference:
    who = ours["id"] if ours else f"{line['our_reference']}/{_moment(line)}/{line['amount_vnd']}"
    fact = f"{who}/{line['provider_reference']}/{line['state']}/{line['amount_vnd']}"
    if kind == "twice_with_them":
        fact = f"{fact}/{_moment(line)}"
    held = ours["received_vnd"] if ours else None
    if ours is not None and kind == "amount_differs":
        held = held or ours["amount_vnd"]
    return Difference(
        kind=kind,
        fact=fact[:250],
        day=_day(line["occurred_at"]),
        payment_id=ours["id"] if ours else None,
        line=line["number"],
        our_reference=line["our_reference"] or (ours["reference"] if ours else ""),
        provider_reference=line["provider_reference"],
        ours_vnd=held,
        theirs_vnd=line["amount_vnd"],
        ours=ours["state"] if ours else "",
        theirs=line["state"],
    )


def _about_refund(line: Row, refund: Row | None, ours: Row | None) -> Difference:
    who = refund["id"] if refund else f"{line['our_reference']}/{_moment(line)}"
    fact = f"refund/{who}/{line['provider_reference']}/{line['state']}/{line['amount_vnd']}"
    return Difference(
        kind="refund_differs",
        fact=fact[:250],
        day=_day(line["occurred_at"]),
        payment_id=ours["id"] if ours else None,
        refund_id=refund["id"] if refund else None,
        line=line["number"],
        our_reference=line["our_reference"],
        provider_reference=line["provider_reference"],
        ours_vnd=refund["amount_vnd"] if refund else None,
        theirs_vnd=line["amount_vnd"],
        ours=refund["state"] if refund else "",
        theirs=line["state"],
    )


def _moment(line: Row) -> str:
    return f"{line['occurred_at'].astimezone(clock.VIETNAM):%Y%m%d%H%M%S}"


def _day(at: datetime) -> date:
    return at.astimezone(clock.VIETNAM).date()
