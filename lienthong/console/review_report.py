"""The yearly review (NA 18.2) as a page to print and as a workbook, in Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from lienthong.console import printed
from lienthong.console.web import words
from lienthong.core import clock
from lienthong.monitoring import reviews

_TITLE = "Báo cáo rà soát an toàn kết nối, tra cứu Cơ sở dữ liệu quốc gia về dân cư"
_FIGURES = {
    "asked": "Số lượt hỏi",
    "found": "Có kết quả",
    "not_found": "Không tìm thấy, không khớp",
    "refused": "Bị từ chối",
    "failed": "Lỗi hệ thống ngoài",
    "people": "Số người được hỏi",
    "dossiers": "Số hồ sơ",
}
TOTALS = {
    **_FIGURES,
    "named_plainly": "Nêu tên cán bộ không kèm xác nhận",
    "by_exception": "Theo ngoại lệ đích danh",
    "repeated": "Hỏi lặp lại",
    "without_outcome": "Không rõ kết cục",
}
_PARTS: dict[str, tuple[str, dict[str, str]]] = {
    "by_unit": ("Theo đơn vị", {"unit_code": "Đơn vị", **_FIGURES}),
    "by_official": ("Theo cán bộ", {"official_code": "Cán bộ", "unit_code": "Đơn vị", **_FIGURES}),
    "by_procedure": ("Theo thủ tục", {"procedure_code": "Thủ tục", **_FIGURES}),
    "by_key": ("Theo khoá API", {"organisation": "Tổ chức", "key_id": "Khoá", **_FIGURES}),
    "refusals": (
        "Bị từ chối và lỗi",
        {"outcome": "Lý do", "organisation": "Tổ chức", "official_code": "Cán bộ", "times": "Số lần"},
    ),
    "officials": (
        "Cán bộ đăng ký",
        {
            "unit_code": "Đơn vị",
            "unit_name": "Tên đơn vị",
            "registered": "Đã đăng ký",
            "in_force": "Đang hiệu lực",
            "ended": "Đã thu hồi, thay thế",
            "expired": "Hết hạn",
        },
    ),
    "unused_officials": (
        "Cán bộ không tra cứu lần nào trong kỳ (xem xét thu hồi)",
        {
            "code": "Cán bộ",
            "unit_code": "Đơn vị",
            "registered_at": "Đăng ký lúc",
            "last_used_at": "Dùng lần cuối",
            "valid_until": "Hiệu lực đến",
        },
    ),
    "exceptions": (
        "Ngoại lệ đã cấp",
        {
            "official_code": "Cán bộ",
            "dossier_code": "Hồ sơ",
            "unit_code": "Đơn vị",
            "granted_at": "Cấp lúc",
            "granted_by": "Người cấp",
            "ends_at": "Hết hạn",
            "ended_at": "Kết thúc sớm",
            "reason": "Lý do",
            "used": "Số lượt dùng",
        },
    ),
    "keys": (
        "Khoá API được tra cứu dữ liệu cá nhân",
        {
            "prefix": "Khoá",
            "organisation": "Tổ chức",
            "system": "Hệ thống",
            "grants": "Quyền",
            "issued_at": "Cấp lúc",
            "expires_at": "Hết hạn",
            "confirmed_at": "Xác nhận lại",
            "suspended_at": "Tạm ngưng",
            "revoked_at": "Thu hồi",
            "addresses": "Địa chỉ được phép",
        },
    ),
    "acts": ("Thao tác quản trị", {"act": "Thao tác", "times": "Số lần", "last_at": "Lần cuối"}),
}

# Codes that have words of their own, by the part that holds them.
_WORDS = {"acts": ("act", "acts"), "refusals": ("outcome", "states")}
_WIDE = {"keys": frozenset({"prefix"})}


def page(found: reviews.Review, *, agency: str, made_at: datetime) -> str:
    """Lay the review out as one page of HTML, to read or to print."""
    return printed.page(_report(found, agency, made_at))


def workbook(found: reviews.Review, *, agency: str, made_at: datetime) -> bytes:
    """Write the review as a workbook (XLSX), one sheet a part."""
    return printed.workbook(_report(found, agency, made_at))


def _report(found: reviews.Review, agency: str, made_at: datetime) -> printed.Report:
    first, last = found.since, found.until - timedelta(seconds=1)
    days = " – ".join(f"{day.astimezone(clock.VIETNAM):%d/%m/%Y}" for day in (first, last))
    totals = [{"name": said, "value": found.totals.get(name, 0)} for name, said in TOTALS.items()]
    return printed.Report(
        agency,
        _TITLE,
        [f"Kỳ báo cáo: {days}. Lập lúc {printed.words(made_at)}."],
        [
            printed.Part("Tổng hợp", {"name": "Chỉ tiêu", "value": "Số"}, totals),
            *(
                printed.Part(title, columns, _told(found, name), wide=_WIDE.get(name, frozenset()))
                for name, (title, columns) in _PARTS.items()
            ),
        ],
    )


def _told(found: reviews.Review, name: str) -> Sequence[Mapping[str, Any]]:
    """Give the rows of a part, with words where it would hold our codes."""
    rows: Sequence[Mapping[str, Any]] = getattr(found, name)
    if name not in _WORDS:
        return rows
    column, area = _WORDS[name]
    said = words.Words("vi")
    return [{**row, column: said.of(area, row[column])} for row in rows]
