"""The report "who looked at this person", one page to print, in Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lienthong.bus import operations
from lienthong.console import printed
from lienthong.console.web import words
from lienthong.core import clock
from lienthong.monitoring import search

_LOOKERS = {
    "official": "Cán bộ",
    "organisation": "Đơn vị",
    "looks": "Số lượt",
    "refused": "Không thành",
    "first_at": "Lần đầu",
    "last_at": "Lần cuối",
}
_LOOKS = {
    "at": "Lúc",
    "official": "Cán bộ",
    "organisation": "Đơn vị",
    "operation": "Thao tác",
    "purpose": "Mục đích",
    "dossier_code": "Hồ sơ",
    "outcome": "Kết quả",
    "request_id": "Mã yêu cầu",
}
_SUMMARIES = {it.name: it.summary_vi for it in operations.OPERATIONS}


def page(looks: search.Looks, *, reader: search.Reader, agency: str) -> str:
    """Lay the report out. The person's number is not in it: whoever files the report writes it by hand."""
    since, until = (f"{moment.astimezone(clock.VIETNAM):%d/%m/%Y}" for moment in (looks.since, looks.until))
    facts = [
        "Người được tra (ghi tay số định danh): ………………………………",
        f"Khoảng thời gian: {since} – {until}",
        f"Người lập: {reader.name}. Lý do: {reader.reason}",
        f"Số lượt: {len(looks.rows)}{' (chỉ các lượt mới nhất)' if looks.is_cut else ''}",
        *(f"Năm {year}: khoá băm đã bị huỷ, không tra được" for year in looks.blind_years),
    ]
    rows = [_told(row) for row in looks.rows]
    parts = [printed.Part("Tổng hợp", _LOOKERS, looks.lookers), printed.Part("Từng lượt", _LOOKS, rows)]
    return printed.page(printed.Report(agency, "Báo cáo các lượt xem dữ liệu của một người", facts, parts))


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a look for somebody who knows none of our codes; to the second, for it is held against the record."""
    at = f"{row['at'].astimezone(clock.VIETNAM):%d/%m/%Y %H:%M:%S}"
    operation = _SUMMARIES.get(row["operation"], row["operation"])
    return {**row, "at": at, "operation": operation, "outcome": words.Words("vi").of("states", row["outcome"])}
