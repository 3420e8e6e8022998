"""Comparing the book of lookups with the sealed record: a row altered, removed or added on either side is named.

The record's row of a request is sealed; the book's row of its question is not. Both say who asked, for what, about
whom (as a digest) and how it ended, so that whoever alters the book contradicts the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from lienthong.bus import operations
from lienthong.bus.flows import lookup_book
from lienthong.core import access_record, storage, tables
from lienthong.monitoring import asking, log_check, search

_l = tables.lookups
OPERATIONS = tuple(one.name for one in operations.OPERATIONS if not one.keeps_answer)
# The record tells when a request came, the book when its question was ready; a clock may be put in between.
_NEAR = timedelta(hours=1)
# So long may a request take, and its record to reach the database, before it is missed.
SETTLED = timedelta(minutes=2)
_SAME = {
    "operation": "operation",
    "key_id": "key_id",
    "organisation": "organisation",
    "official_code": "official",
    "dossier_code": "dossier_code",
    "purpose": "purpose",
    "subject": "subject",
    "rows": "rows",
}
_REFUSED_BY_FLOW = ("Client.NotGranted", "Client.ProofRejected")


@dataclass(frozen=True, slots=True)
class Period:
    """What is compared: from `since`, before `until`; questions of the last moments before `now` are left out."""

    since: datetime
    until: datetime

    @classmethod
    def settled(cls, since: datetime, until: datetime, *, now: datetime) -> Period:
        """Cut off what may still be on its way."""
        return cls(since, min(until, now - SETTLED))

    def holds(self, at: datetime) -> bool:
        """Whether a moment lies within."""
        return self.since <= at < self.until


async def compare(sources: asking.Sources, period: Period, report: log_check.Report) -> None:
    """Compare book and record over a period; every row that the other side contradicts is a finding.

    Not bound, as the record does not hold them: number, unit, procedure, how the official was named, exception,
    repetition and the digests of offered files.
    """
    book = await _book(sources.store, period)
    record = await _record(sources, period)
    report.checked["lookups.book"] = sum(period.holds(row["at"]) for rows in book.values() for row in rows)
    report.checked["lookups.record"] = sum(period.holds(row["at"]) for row in record.values())
    for request_id, rows in book.items():
        if not any(period.holds(row["at"]) for row in rows):
            continue
        for row in rows[1:]:
            report.find(
                _where(row),
                vi="Yêu cầu này có hơn một dòng trong sổ tra cứu: có dòng được thêm vào.",
                en="The book has more than one row for this request: one was added.",
            )
        _check(rows[0], record.get(request_id), report)
    for request_id, told in record.items():
        if request_id not in book and period.holds(told["at"]) and _must_be_in_book(told):
            report.find(
                f"request {request_id} ({told['operation']}, {told['at'].isoformat()})",
                vi="Sổ truy cập có lượt hỏi này, sổ tra cứu thì không: dòng của sổ tra cứu đã mất.",
                en="The access record has this question, the book of lookups has not: its row is gone.",
            )


async def _book(store: storage.Storage, period: Period) -> dict[str, list[dict[str, Any]]]:
    asked = sa.select(_l).where(_l.c.at >= period.since - _NEAR, _l.c.at < period.until + _NEAR)
    async with store.reading() as conn:
        rows = await storage.every(conn, asked.order_by(_l.c.at, _l.c.id))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["request_id"], []).append(row)
    return found


async def _record(sources: asking.Sources, period: Period) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        question = asking.Question(
            since=period.since - _NEAR, until=period.until + _NEAR, operation=operation, direction="in"
        )
        cursor = None
        while True:
            page = await search.found(sources, question, limit=search.MOST, cursor=cursor)
            found |= {row["request_id"]: row for row in page.items}
            cursor = page.next_cursor
            if cursor is None:
                break
    return found


def _check(row: Mapping[str, Any], told: Mapping[str, Any] | None, report: log_check.Report) -> None:
    if told is None:
        _check_alone(row, report)
        return
    wrong = [name for name, other in _SAME.items() if not _agree(row[name], told[other])]
    wrong += [name for name, holds in _deeper(row, told).items() if not holds]
    if wrong:
        report.find(
            _where(row),
            vi=f"Sổ tra cứu khác sổ truy cập ở: {', '.join(wrong)}.",
            en=f"The book of lookups differs from the access record in: {', '.join(wrong)}.",
        )


def _check_alone(row: Mapping[str, Any], report: log_check.Report) -> None:
    """Take a row without a record: only a process that was killed leaves one, which nobody answered."""
    if row["outcome"] == lookup_book.ASKED and row["answered_at"] is None:
        report.notes.append(f"{_where(row)}: chưa có kết cục, tiến trình bị dừng / no outcome, process stopped")
        return
    report.find(
        _where(row),
        vi="Sổ tra cứu có dòng này, sổ truy cập không có lượt gọi đó: dòng được thêm, hoặc lượt gọi đã bị xoá.",
        en="The book has this row, the access record no such call: the row was added, or the record removed.",
    )


def _deeper(row: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, bool]:
    """Compare what the two sides spell differently."""
    attempts = [access_record.Attempt(*one) for one in orjson.loads(told["upstream"] or "[]")]
    outcome, _, reason = str(row["outcome"]).partition(":")
    found = {"at": abs(row["at"] - told["at"]) <= _NEAR}
    if attempts:
        found["system"] = row["system"] == attempts[-1].system
        found["outcome"] = row["outcome"] == attempts[-1].outcome[:60]
    else:
        found["outcome"] = outcome == told["outcome"] and (not reason or reason == told["rule"])
    if told["field_groups"]:
        found["field_groups"] = list(row["field_groups"]) == told["field_groups"].split(",")
    return found


def _agree(mine: Any, other: Any) -> bool:
    return (mine or None) == (other or None)


def _must_be_in_book(told: Mapping[str, Any]) -> bool:
    """Whether the question went out, or the flow itself refused it: both are written into the book before."""
    return bool(told["upstream"]) or bool(told["purpose"] and told["outcome"] in _REFUSED_BY_FLOW)


def _where(row: Mapping[str, Any]) -> str:
    return f"lookup {row['id']} (request {row['request_id']}, {row['operation']}, {row['at'].isoformat()})"
