"""How payments are told on the command line: lists, one with all that belongs to it, what waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lienthong.bus.flows import payment_views
from lienthong.console.cli import output

_LIST = {
    "id": "Số",
    "reference": "Mã tham chiếu",
    "dossier_code": "Hồ sơ",
    "provider": "Trung gian",
    "state_vi": "Trạng thái",
    "amount_vnd": "Số tiền",
    "received_vnd": "Đã nhận",
    "refunded_vnd": "Đã hoàn",
    "created_at": "Tạo lúc",
    "paid_at": "Nộp lúc",
}
QUESTIONS = {
    "amount_differs": "số tiền khác",
    "amount_unknown": "không rõ số tiền",
    "currency_differs": "loại tiền khác",
    "partner_differs": "đối tác khác",
    "paid_twice": "trả hai lần",
    "paid_late": "trả sau khi hết hạn",
    "paid_though_free": "trả dù được miễn",
    "paid_after_reversed": "trả sau khi đảo",
    "ended_after_paid": "báo hỏng sau khi trả",
    "doubtful": "nghi ngờ",
    "reversed": "bị đảo giao dịch",
    "silent": "trung gian im lặng",
    "refund_unknown": "không rõ hoàn tiền đã đến chưa",
    "refund_by_hand": "phải hoàn bằng tay",
    "refunded_twice": "đã hoàn trước đó",
    "refund_silent": "hoàn tiền chưa có kết quả",
    "cod_silent": "bưu chính chưa xác nhận tiền thu hộ",
}
_QUESTIONS = {
    "id": "Số việc",
    "said": "Việc",
    "payment_id": "Lần thanh toán",
    "amount_vnd": "Số tiền",
    "asked_at": "Từ lúc",
    "facts": "Chi tiết",
}
_REFUNDS = {
    "id": "Số yêu cầu",
    "payment_id": "Lần thanh toán",
    "amount_vnd": "Số tiền",
    "state_vi": "Trạng thái",
    "asked_by": "Người đề nghị",
    "requested_at": "Lúc",
    "approved_by": "Người duyệt",
    "finished_at": "Xong lúc",
    "reason": "Lý do",
}
REFUND_STATES = {
    "waiting": "chờ người thứ hai duyệt",
    "ready": "chờ gửi",
    "sending": "đang gửi",
    "accepted": "trung gian đã nhận",
    "done": "đã hoàn",
    "refused": "bị từ chối",
    "declined": "không duyệt",
    "with_person": "chờ người xem xét",
}
_MESSAGES = {"at": "Lúc", "name": "Tên", "verdict": "Kết luận", "reason": "Lý do"}
_STATEMENTS = {
    "occurred_at": "Lúc",
    "kind": "Loại",
    "state": "Trạng thái",
    "amount_vnd": "Số tiền",
    "provider_reference": "Mã giao dịch bên trung gian",
}


def table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print attempts."""
    output.table("Thanh toán / payments", _LIST, [_line(row) for row in rows])


def questions(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what waits for a person."""
    told = [
        {**row, "said": f"{row['kind']}: {QUESTIONS.get(row['kind'], '')}", "facts": output.pairs(row["facts"])}
        for row in rows
    ]
    output.table("Chờ người quyết định / for a person to decide", _QUESTIONS, told)


def refunds(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print refunds; a name that sector software gave is said to be just that."""
    output.table("Hoàn tiền / refunds", _REFUNDS, [refund_told(row) for row in rows])


def refund_told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write one refund for people."""
    by = row["requested_by"]
    if row["requested_through"] == "api":
        by = f"{by} (theo phần mềm gửi / said by the system)"
    return {**row, "state_vi": REFUND_STATES.get(row["state"], row["state"]), "asked_by": by}


def one(found: Mapping[str, Any]) -> None:
    """Print one attempt with all that belongs to it."""
    row, owed = _line(found["payment"]), found["obligation"] or {}
    told = {heading: row[name] for name, heading in _LIST.items()}
    told |= {
        "Khoản phải nộp / obligation": owed.get("name"),
        "Trạng thái khoản / its state": owed.get("state"),
        "Nguồn xác nhận / settled by": row["settled_by"],
        "Nguồn xác nhận thứ hai / confirmed by": row["confirmed_by"],
        "Mã giao dịch bên trung gian / their number": row["paid_reference"] or row["provider_reference"],
        "Mã của trung gian / their code": row["provider_code"],
        "Hỏi lại lúc / asked again at": row["query_at"],
        "Số lần đã hỏi / times asked": row["queries"],
    }
    output.facts("Lần thanh toán / payment", told)
    refunds(found["refunds"])
    questions(found["questions"])
    output.table("Trung gian báo về / callbacks", _MESSAGES, found["messages"])
    output.table("Trong sao kê / in statements", _STATEMENTS, found["statements"])


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "state_vi": payment_views.STATE_VI.get(row["state"], row["state"])}
