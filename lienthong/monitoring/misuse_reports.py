"""Misuse that a person noticed and reports (NA 21.2, NT 17.3): an alert of its own, for the security officer."""

from __future__ import annotations

import re
from datetime import datetime

from lienthong.core import errors, journal, storage
from lienthong.monitoring import alerts
from lienthong.monitoring.detectors import findings

RULE = "reported"
SHORTEST, LONGEST = 10, 2000
# Of what is reported, the officer is led to the records of the day before.
_BEFORE_S = findings.DAY_S
_NUMBER = re.compile(r"(?<!\d)\d(?:\s?\d){8,11}(?!\d)")


async def report(store: storage.Storage, who: findings.Who, text: str, *, actor: str, now: datetime) -> str:
    """Open an alert for what a person saw; gives its id. The text is a note beside it, and goes nowhere else.

    Raises InvalidRequest for a text that is too short or holds a person's number, Conflict where nobody would
    see it.
    """
    told = text.strip()
    _must_be_told(told)
    at = now.timestamp()
    vi, en = "Có người báo việc dùng không đúng mục đích; xem ghi chú.", "Somebody reports misuse; see the note."
    found = findings.Finding(RULE, who, at - _BEFORE_S, at, 0.9, {"reported_by": actor}, {}, vi, en)
    alert = await alerts.open_or_update(store, found)
    if alert is None:
        raise errors.Conflict(
            "reports are switched off or silenced; tell the security officer",
            detail_vi="Quy tắc nhận báo đang tắt hoặc im lặng; hãy báo trực tiếp cán bộ an toàn thông tin.",
        )
    await alerts.note(store, alert, told, actor=actor, now=now)
    async with store.transaction() as tx:
        await journal.write_act(tx, "alerts.report", alert, actor=actor, now=now)
    return alert


def _must_be_told(text: str) -> None:
    problems = []
    if not SHORTEST <= len(text) <= LONGEST:
        vi = f"Hãy viết điều đã thấy, từ {SHORTEST} đến {LONGEST} ký tự."
        problems.append(
            errors.FieldProblem("text", vi, f"Say what you saw, in {SHORTEST} to {LONGEST} characters.")
        )
    if _NUMBER.search(text):
        vi, en = "Không ghi số định danh hay số điện thoại của ai.", "Leave out anybody's number."
        problems.append(errors.FieldProblem("text", vi, en))
    if problems:
        raise errors.InvalidRequest(problems=tuple(problems))
