"""The yearly review (NA 18.2) as a page to print and as a workbook, in Vietnamese."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

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
            "suspended_at": "Tạm dừng",
            "revoked_at": "Thu hồi",
            "addresses": "Địa chỉ được phép",
        },
    ),
    "acts": ("Thao tác quản trị", {"act": "Thao tác", "times": "Số lần", "last_at": "Lần cuối"}),
}
_STYLE = """
@page { size: A4 landscape; margin: 12mm }
body { font: 12pt "Times New Roman", serif; margin: 0 auto; max-width: 270mm; padding: 0 4mm }
h1 { font-size: 15pt; text-align: center; text-transform: uppercase }
h2 { font-size: 12.5pt; margin: 14pt 0 4pt }
table { border-collapse: collapse; width: 100%; font-size: 9.5pt }
th, td { border: 0.5pt solid #444; padding: 2.5pt 4pt; text-align: left; vertical-align: top }
td { overflow-wrap: anywhere }
td.number { text-align: right; white-space: nowrap }
th { background: #eee }
tr { break-inside: avoid }
.sign { margin-top: 24pt; text-align: right }
@media (max-width: 700px) { body { font-size: 11pt } table { display: block; overflow-x: auto } }
"""


def page(found: reviews.Review, *, agency: str, made_at: datetime) -> str:
    """Lay the review out as one page of HTML, to read or to print."""
    parts = [_table("Tổng hợp", {"name": "Chỉ tiêu", "value": "Số"}, _totals(found))]
    parts += [_table(title, columns, getattr(found, name)) for name, (title, columns) in _PARTS.items()]
    return (
        f'<!doctype html><html lang="vi"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{_TITLE}</title><style>{_STYLE}</style>'
        f"<p>{html.escape(agency)}</p><h1>{_TITLE}</h1><p>{html.escape(_period(found, made_at))}</p>"
        + "".join(parts)
        + '<p class="sign">Ngày … tháng … năm …<br>Người lập báo cáo</p></html>\n'
    )


def workbook(found: reviews.Review, *, agency: str, made_at: datetime) -> bytes:
    """Write the review as a workbook (XLSX), one sheet a part."""
    import openpyxl
    from openpyxl.styles import Font

    book = openpyxl.Workbook()
    first = book.active
    if first is None:  # a new workbook has a sheet
        first = book.create_sheet()
    first.title = "Tổng hợp"
    for line in (agency, _TITLE, _period(found, made_at)):
        first.append([_safe(line)])
    first.append([])
    sheets = [("Tổng hợp", {"name": "Chỉ tiêu", "value": "Số"}, _totals(found))]
    sheets += [(title, columns, getattr(found, name)) for name, (title, columns) in _PARTS.items()]
    for title, columns, rows in sheets:
        sheet = first if title == "Tổng hợp" else book.create_sheet(title[:31].replace("/", " "))
        sheet.append(list(columns.values()))
        for cell in sheet[sheet.max_row]:
            cell.font = Font(bold=True)
        for row in rows:
            sheet.append([_safe(_value(row.get(name))) for name in columns])
        for column, heading in zip(sheet.columns, columns.values(), strict=False):
            sheet.column_dimensions[column[0].column_letter].width = max(14, min(40, len(heading) + 4))
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def _period(found: reviews.Review, made_at: datetime) -> str:
    first, last = found.since, found.until - timedelta(seconds=1)
    days = " – ".join(f"{day.astimezone(clock.VIETNAM):%d/%m/%Y}" for day in (first, last))
    return f"Kỳ báo cáo: {days}. Lập lúc {_words(made_at)}."


def _totals(found: reviews.Review) -> list[dict[str, Any]]:
    return [{"name": said, "value": found.totals.get(name, 0)} for name, said in TOTALS.items()]


def _table(title: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{html.escape(said)}</th>" for said in columns.values())
    body = "".join("<tr>" + "".join(_cell(row.get(name)) for name in columns) + "</tr>" for row in rows)
    empty = f'<tr><td colspan="{len(columns)}">Không có</td></tr>'
    return f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>{body or empty}</tbody></table>"


def _cell(value: Any) -> str:
    kind = ' class="number"' if isinstance(value, int) and not isinstance(value, bool) else ""
    return f"<td{kind}>{html.escape(_words(value))}</td>"


def _words(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", ".")
    said = _value(value)
    return "–" if said in (None, "") else str(said)


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.astimezone(clock.VIETNAM):%d/%m/%Y %H:%M}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value


def _safe(value: Any) -> Any:
    """Keep a text that begins like a formula a text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
