"""What an intermediary would send at the end of a day: its book as CSV, its sums, and a bank's own statement."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

from lienthong.sandbox import payment_book, vietqr
from lienthong.sandbox.payment_book import Book, Payment

VIETNAM = timezone(timedelta(hours=7))
COLUMNS = ("our_reference", "provider_reference", "amount_vnd", "occurred_at", "kind", "state")
BANK_COLUMNS = ("Ngày giao dịch", "Số bút toán", "Số tài khoản", "Ghi nợ", "Ghi có", "Nội dung")
Row = tuple[object, ...]


def statement(book: Book, *, system: str, day: str = "") -> str:
    """Write what the book of an intermediary says of a day (`2026-01-15`, Vietnam); of every day without one.

    Attempts stand on the day on which they ended, refunds on their own; what still waits stands nowhere.
    """
    return _written(COLUMNS, (row for row in _rows(book, system) if not day or str(row[3])[:10] == day))


def bank_statement(book: Book, *, day: str = "") -> str:
    """Write the statement of the account: the memo as a bank passes it on, in capitals and with its own words."""
    rows = (_bank_row(one) for one in book.items() if one.system == vietqr.SYSTEM)
    return _written(BANK_COLUMNS, (row for row in rows if not day or _iso_day(str(row[0])) == day))


def _rows(book: Book, system: str) -> Iterator[Row]:
    for one in book.items():
        if one.system != system:
            continue
        known = one.asked.get("memo", "") if system == vietqr.SYSTEM else one.reference
        number = one.reference if system == vietqr.SYSTEM else one.told_number or one.number
        if one.state != payment_book.WAITING:
            yield known, number, one.amount_vnd, _moment(one.settled_at), "payment", one.state
        for refund in one.refunds:
            yield known, refund.number, refund.amount_vnd, _moment(refund.at), "refund", "refunded"


def _bank_row(one: Payment) -> Row:
    at = datetime.fromtimestamp(one.settled_at, VIETNAM).strftime("%d/%m/%Y %H:%M:%S")
    said = f"MBVCB {one.reference} {one.asked['memo'].upper()} CHUYEN KHOAN NHANH".replace("  ", " ")
    return at, one.reference, one.asked["account"], 0, one.amount_vnd, said


def _written(columns: tuple[str, ...], rows: Iterable[Row]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return sink.getvalue()


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, VIETNAM).isoformat(timespec="seconds")


def _iso_day(text: str) -> str:
    day, month, year = text[:10].split("/")
    return f"{year}-{month}-{day}"
