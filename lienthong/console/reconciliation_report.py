"""The reconciliation of a period as a page to print and as a workbook, in Vietnamese."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from lienthong.bus.flows import reconciliation_states, reconciliation_sums, table_files
from lienthong.core import clock

_TITLE = "Báo cáo đối soát thanh toán trực tuyến phí, lệ phí"
_SUMS = {
    "agency": "Cơ quan",
    "provider": "Trung gian thanh toán",
    "payments": "Số lượt thu",
    "received_vnd": "Đã thu (đồng)",
    "refunds": "Số lượt hoàn",
    "refunded_vnd": "Đã hoàn (đồng)",
    "net_vnd": "Còn lại (đồng)",
    "waiting_vnd": "Trong đó chờ quyết định (đồng)",
    "confirmed": "Có nguồn thứ hai xác nhận",
    "open_differences": "Chênh lệch chưa khép",
}
_NOBODY = "Không rõ cơ quan"
_FEES = {"provider": "Trung gian thanh toán", "fee_vnd": "Phí giữ lại theo sao kê (đồng)"}
_OPEN = {
    "day": "Ngày",
    "provider": "Trung gian",
    "agency": "Cơ quan",
    "said": "Loại chênh lệch",
    "our_reference": "Mã tham chiếu",
    "provider_reference": "Số giao dịch của họ",
    "ours_vnd": "Sổ của tỉnh (đồng)",
    "theirs_vnd": "Bên họ (đồng)",
    "states": "Trạng thái (ta / họ)",
    "found_at": "Phát hiện lúc",
}
_CLOSED = {**_OPEN, "closed_at": "Khép lúc", "closed_by": "Người khép", "reason": "Lý do khép"}
# The words of both books: our states of a payment and a refund, and what a statement says.
_STATES = {
    "created": "đang khởi tạo",
    "pending": "chờ thanh toán",
    "paid": "đã thu",
    "failed": "không thành công",
    "expired": "hết hạn",
    "needs_person": "chờ quyết định",
    "refund_requested": "đang hoàn",
    "refunded": "đã hoàn",
    "reversed": "đảo giao dịch",
    "suspect": "nghi ngờ",
    "waiting": "chờ duyệt",
    "ready": "chờ gửi",
    "sending": "đang gửi",
    "accepted": "đã nhận hoàn",
    "done": "đã hoàn",
    "refused": "bị từ chối",
    "declined": "không duyệt",
    "with_person": "chờ xem xét",
}
_STYLE = """
@page { size: A4 landscape; margin: 12mm }
body { font: 12pt "Times New Roman", serif; margin: 0 auto; max-width: 270mm; padding: 0 4mm }
h1 { font-size: 15pt; text-align: center; text-transform: uppercase }
h2 { font-size: 12.5pt; margin: 14pt 0 4pt }
table { border-collapse: collapse; width: 100%; font-size: 9.5pt }
th, td { border: 0.5pt solid #444; padding: 2.5pt 4pt; text-align: left; vertical-align: top }
td { overflow-wrap: anywhere }
td.number, th.number { text-align: right }
td.number, td.day { white-space: nowrap }
td.text { min-width: 26mm }
th { background: #eee }
tr.total td { font-weight: bold; border-top: 1.2pt solid #000 }
tr { break-inside: avoid }
.sign { display: flex; justify-content: space-between; margin: 24pt 20mm 0; text-align: center }
@media (max-width: 700px) { body { font-size: 11pt } table { display: block; overflow-x: auto } }
"""


def page(found: reconciliation_sums.Sums, *, agency: str, made_at: datetime) -> str:
    """Lay the report out as one page of HTML, to read or to print."""
    parts = [
        _table("1. Tổng hợp theo cơ quan và trung gian", _SUMS, _sums(found), has_total=True),
        _table("2. Phí do trung gian giữ lại", _FEES, _fees(found)),
        _table("3. Chênh lệch chưa khép", _OPEN, _differences(found, is_open=True)),
        _table("4. Chênh lệch đã khép", _CLOSED, _differences(found, is_open=False)),
    ]
    return (
        f'<!doctype html><html lang="vi"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{_TITLE}</title><style>{_STYLE}</style>'
        f"<p>{html.escape(agency)}</p><h1>{_TITLE}</h1><p>{html.escape(_period(found, made_at))}</p>"
        + "".join(parts)
        + '<div class="sign"><p>Người lập báo cáo<br><br><br></p>'
        "<p>Ngày … tháng … năm …<br>Kế toán trưởng<br><br><br></p></div></html>\n"
    )


def workbook(found: reconciliation_sums.Sums, *, agency: str, made_at: datetime) -> bytes:
    """Write the report as a workbook (XLSX), one sheet a part; amounts are numbers, texts are never formulas."""
    import openpyxl
    from openpyxl.styles import Font

    book = openpyxl.Workbook()
    first = book.worksheets[0]
    first.title = "Tổng hợp"
    for line in (agency, _TITLE, _period(found, made_at)):
        first.append([table_files.safe(line)])
    first.append([])
    parts = [
        ("Tổng hợp", _SUMS, _sums(found)),
        ("Phí giữ lại", _FEES, _fees(found)),
        ("Chênh lệch chưa khép", _OPEN, _differences(found, is_open=True)),
        ("Chênh lệch đã khép", _CLOSED, _differences(found, is_open=False)),
    ]
    for title, columns, rows in parts:
        sheet = first if title == first.title else book.create_sheet(title)
        sheet.append(list(columns.values()))
        for cell in sheet[sheet.max_row]:
            cell.font = Font(bold=True)
        for row in rows:
            sheet.append([table_files.safe(_value(row.get(name))) for name in columns])
            for name, cell in zip(columns, sheet[sheet.max_row], strict=True):
                if name.endswith("_vnd"):
                    cell.number_format = "#,##0"
        for column, heading in zip(sheet.columns, columns.values(), strict=False):
            sheet.column_dimensions[column[0].column_letter].width = max(14, min(34, len(heading) + 4))
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a difference for people."""
    said = reconciliation_states.KINDS_VI.get(row["kind"], row["kind"])
    states = " / ".join(_STATES.get(row[side], row[side]) or "–" for side in ("ours", "theirs"))
    return {**row, "said": said, "states": states}


def _sums(found: reconciliation_sums.Sums) -> list[dict[str, Any]]:
    rows = [{**line.as_json(), "agency": line.agency or _NOBODY} for line in found.lines]
    return [*rows, {**found.total.as_json(), "agency": "Tổng cộng"}] if rows else []


def _fees(found: reconciliation_sums.Sums) -> list[dict[str, Any]]:
    return [{"provider": name, "fee_vnd": found.fees_vnd[name]} for name in sorted(found.fees_vnd)]


def _differences(found: reconciliation_sums.Sums, *, is_open: bool) -> list[dict[str, Any]]:
    return [told(row) for row in found.differences if (row["closed_at"] is None) is is_open]


def _period(found: reconciliation_sums.Sums, made_at: datetime) -> str:
    return f"Kỳ đối soát: {_words(found.since)} – {_words(found.until)}. Lập lúc {_words(made_at)}."


def _table(
    title: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], *, has_total: bool = False
) -> str:
    head = "".join(f"<th{_kind(name)}>{html.escape(said)}</th>" for name, said in columns.items())
    body = ""
    for place, row in enumerate(rows, 1):
        kind = ' class="total"' if has_total and place == len(rows) else ""
        body += f"<tr{kind}>" + "".join(_cell(name, row.get(name)) for name in columns) + "</tr>"
    empty = f'<tr><td colspan="{len(columns)}">Không có</td></tr>'
    return f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>{body or empty}</tbody></table>"


def _kind(name: str) -> str:
    if name.endswith("_vnd") or name in ("payments", "refunds", "confirmed", "open_differences"):
        return ' class="number"'
    if name == "day":
        return ' class="day"'
    return ' class="text"' if name in ("agency", "said", "reason") else ""


def _cell(name: str, value: Any) -> str:
    return f"<td{_kind(name)}>{html.escape(_words(value))}</td>"


def _words(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", ".")
    said = _value(value)
    return "–" if said in (None, "") else str(said)


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.astimezone(clock.VIETNAM):%d/%m/%Y %H:%M}"
    if isinstance(value, date):
        return f"{value:%d/%m/%Y}"
    return value
