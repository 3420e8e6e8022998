"""How officials are told on the command line: lists, one with its history, and what became of a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from lienthong.api_keys import official_entries
from lienthong.bus.flows import officials_import
from lienthong.console.cli import output
from lienthong.core import clock

STATES = {
    "in_force": "đang hiệu lực",
    "not_yet": "chưa đến ngày",
    "expired": "hết hạn",
    "revoked": "đã thu hồi",
    "replaced": "đã bàn giao",
}
_LIST = {
    "code": "Mã cán bộ",
    "full_name": "Họ và tên",
    "state_vi": "Trạng thái",
    "unit_code": "Mã đơn vị",
    "account": "Tài khoản",
    "phone": "Điện thoại",
    "email": "Thư điện tử",
    "procedures": "Thủ tục",
    "until": "Đến hết ngày",
}
_ACTS = {
    "at": "Lúc",
    "act": "Thao tác",
    "outcome": "Kết cục",
    "actor": "Ai",
    "reason": "Lý do",
}
_BAD = {"row": "Dòng", "column": "Cột", "vi": "Lý do", "en": "Reason"}
_MOST_SHOWN = 500


def table(rows: Sequence[Mapping[str, Any]], title: str = "Cán bộ / officials") -> None:
    """Print officials as a table."""
    output.table(title, _LIST, [_line(row) for row in rows])


def facts(title: str, told: Mapping[str, Any]) -> None:
    """Print one official."""
    since = official_entries.begins_on(datetime.fromisoformat(told["valid_from"]))
    line = _line(told)
    output.facts(
        title,
        {
            "Mã cán bộ / code": told["code"],
            "Họ và tên / name": told["full_name"],
            "Trạng thái / state": f"{line['state_vi']} / {told['state']}",
            "Tài khoản / account": told["account"],
            "Chức vụ / position": told["position"],
            "Đơn vị / unit": f"{told['unit_code']} {told['unit_name']}".strip(),
            "Điện thoại / telephone": told["phone"],
            "Thư điện tử / mail": told["email"],
            "Thủ tục / procedures": "mọi thủ tục / every one"
            if told["procedures"] == ["*"]
            else told["procedures"],
            "Hiệu lực / valid": f"{since:%d/%m/%Y} – {line['until']:%d/%m/%Y}",
            "Đăng ký / registered": f"{_moment(told['registered_at'])}, {told['registered_by']}",
            "Kết thúc / ended": _ended(told),
            "Dùng lần cuối / last used": _moment(told["last_used_at"]) or "chưa / never",
        },
    )


def one(told: Mapping[str, Any]) -> None:
    """Print one official, who held code or account before, and every act."""
    facts("Cán bộ / official", told)
    if told["history"]:
        table(told["history"], "Những người khác từng giữ mã hay tài khoản này / other holders")
    output.table("Thao tác / acts", _ACTS, told["acts"])


def report(found: officials_import.Report, *, dry_run: bool) -> None:
    """Print what became of a form, and every bad cell."""
    told = {
        "Số dòng / rows": found.rows,
        "Đăng ký mới / new": found.registered,
        "Sửa / changed": found.changed,
        "Không đổi / unchanged": found.unchanged,
        "Dòng sai / bad rows": found.bad_rows,
    }
    output.facts("Biểu mẫu đăng ký / the form", told)
    if found.bad:
        output.table("Cần sửa / to put right", _BAD, [asdict(cell) for cell in found.bad[:_MOST_SHOWN]])
    if len(found.bad) > _MOST_SHOWN:
        output.console.print(f"… và {len(found.bad) - _MOST_SHOWN} lỗi nữa; --json cho đủ / more with --json")
    if dry_run:
        output.console.print("Chỉ kiểm tra, chưa ghi gì / only checked, nothing is written")
    elif not found.written:
        output.console.print(
            "CHƯA GHI GÌ; sửa các dòng trên rồi nhập lại, hoặc --good-rows để ghi các dòng đúng / NOTHING WRITTEN"
        )
    elif found.registered or found.changed:
        output.console.print("Đã ghi / written")
    else:
        output.console.print("Không có gì phải ghi / nothing to write")


def _line(told: Mapping[str, Any]) -> dict[str, Any]:
    until = official_entries.last_day(datetime.fromisoformat(told["valid_until"]))
    return {**told, "state_vi": STATES[told["state"]], "until": until}


def _ended(told: Mapping[str, Any]) -> str:
    if not told["ended_at"]:
        return ""
    return f"{_moment(told['ended_at'])}, {told['ended_by']}: {told['ended_reason']}"


def _moment(text: str | None) -> str:
    return f"{datetime.fromisoformat(text).astimezone(clock.VIETNAM):%d/%m/%Y %H:%M}" if text else ""
