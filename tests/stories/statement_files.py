"""Statements as intermediaries and a bank hand them over, made of lines that a test writes."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from payment_town import FEE, NOW, Town

from lienthong.bus.flows import payment_views, reconciliation
from lienthong.mappings import statement_shapes

TODAY = NOW.date()
HEAD = ("our_reference", "provider_reference", "amount_vnd", "occurred_at", "kind", "state", "fee_vnd")
BANK_HEAD = ("Ngày giao dịch", "Số bút toán", "Số tài khoản", "Ghi nợ", "Ghi có", "Nội dung")
Line = Sequence[Any]


def line(reference: str, number: str, amount: int = FEE, **changed: Any) -> Line:
    told = {"at": NOW, "kind": "payment", "state": "paid", "fee": 0, **changed}
    return (reference, number, amount, told["at"].isoformat(), told["kind"], told["state"], told["fee"])


def transfer(memo: str, number: str, amount: int = FEE, *, at: datetime = NOW, debit: int = 0) -> Line:
    return (f"{at:%d/%m/%Y %H:%M:%S}", number, "0011223344", debit, 0 if debit else amount, memo)


def as_csv(lines: Sequence[Line], head: Sequence[str] = HEAD) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([head, *lines])
    return out.getvalue().encode()


def as_xlsx(lines: Sequence[Line], head: Sequence[str] = HEAD) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in [head, *lines]:
        sheet.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def bomb() -> bytes:
    """A workbook of a few kilobytes that is 130 megabytes when unpacked."""
    out = io.BytesIO()
    packed = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(out, "w", packed) as parcel, parcel.open("xl/sheet1.xml", "w", force_zip64=True) as part:
        for _ in range(130):
            part.write(b" " * 1_000_000)
    return out.getvalue()


async def take(
    town: Town,
    raw: bytes,
    *,
    provider: str = "vnpay",
    shape: str = "neutral",
    by: str = "ketoan01",
    since: date | None = TODAY,
    until: date | None = TODAY,
    **changed: Any,
) -> reconciliation.Outcome:
    given = reconciliation.Statement(
        provider, raw, "sao-ke.csv", statement_shapes.named(shape), since=since, until=until, **changed
    )
    return await reconciliation.take(town.hub, given, by=by, reason="sao kê ngày")


async def found(town: Town, **asked: Any) -> list[tuple[str, int | None, int | None]]:
    rows = await reconciliation.differences(town.hub, **asked)
    told = [(row["kind"], row["ours_vnd"], row["theirs_vnd"]) for row in rows]
    return sorted(told, key=lambda one: (one[0], one[1] or 0, one[2] or 0))


async def paid(town: Town, name: str = "fees", **changed: Any) -> payment_views.PaymentView:
    """An obligation of this name, paid through the intermediary's callback at noon."""
    view = await town.start(obligation=name, amount_vnd=FEE, **changed)
    await town.hear(view, paid_at=NOW + timedelta(minutes=5))
    return view


def number_of(view: payment_views.PaymentView) -> str:
    """The intermediary's own number of a payment, as `payment_town` gives it."""
    return f"N{view.reference[-6:]}"
