"""The report "who looked at this person", one page to print, in Vietnamese."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from lienthong.core import clock
from lienthong.monitoring import search

_STYLE = """
@page { size: A4 landscape; margin: 15mm }
body { font: 12pt "Times New Roman", serif; margin: 0 auto; max-width: 270mm }
h1 { font-size: 15pt; text-align: center; text-transform: uppercase }
table { border-collapse: collapse; width: 100%; font-size: 10pt; margin: 6pt 0 14pt }
th, td { border: 0.5pt solid #444; padding: 3pt 5pt; text-align: left; vertical-align: top }
th { background: #eee }
tr { break-inside: avoid }
.sign { margin-top: 24pt; text-align: right }
"""


def page(looks: search.Looks, *, reader: search.Reader, agency: str) -> str:
    """Lay the report out. The person's number is not in it: whoever files the report writes it by hand."""
    facts = [
        "Người được tra (ghi tay số định danh): ………………………………",
        f"Khoảng thời gian: {_day(looks.since)} – {_day(looks.until)}",
        f"Người lập: {reader.name}. Lý do: {reader.reason}",
        f"Số lượt: {len(looks.rows)}{' (chỉ các lượt mới nhất)' if looks.is_cut else ''}",
        *(f"Năm {year}: khoá băm đã bị huỷ, không tra được" for year in looks.blind_years),
    ]
    sums = [
        (one["official"], one["organisation"], one["looks"], one["refused"], one["first_at"], one["last_at"])
        for one in looks.lookers
    ]
    rows = [tuple(row[name] for name in _COLUMNS) for row in looks.rows]
    return (
        f'<!doctype html><html lang="vi"><meta charset="utf-8"><title>Ai đã xem</title><style>{_STYLE}</style>'
        f"<p>{html.escape(agency)}</p><h1>Báo cáo các lượt xem dữ liệu của một người</h1>"
        + "".join(f"<p>{html.escape(fact)}</p>" for fact in facts)
        + "<h2>Tổng hợp</h2>"
        + _table(("Cán bộ", "Đơn vị", "Số lượt", "Không thành", "Lần đầu", "Lần cuối"), sums)
        + "<h2>Từng lượt</h2>"
        + _table(_HEADS, rows)
        + '<p class="sign">Ngày … tháng … năm …<br>Người lập báo cáo</p></html>\n'
    )


_COLUMNS = ("at", "official", "organisation", "operation", "purpose", "dossier_code", "outcome", "request_id")
_HEADS = ("Lúc", "Cán bộ", "Đơn vị", "Thao tác", "Mục đích", "Hồ sơ", "Kết quả", "Mã yêu cầu")


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body or '<tr><td>Không có</td></tr>'}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(clock.VIETNAM):%d/%m/%Y %H:%M:%S}"
    return "–" if value is None else html.escape(str(value))


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(clock.VIETNAM):%d/%m/%Y}"
