"""A report for paper, in Vietnamese: the same parts as a page to read or print, and as a workbook."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from lienthong.bus.flows import table_files
from lienthong.core import clock

_STYLE = """
@page { size: A4 landscape; margin: 12mm }
body { font: 12pt "Times New Roman", serif; margin: 0 auto; max-width: 270mm; padding: 0 4mm }
h1 { font-size: 15pt; text-align: center; text-transform: uppercase }
h2 { font-size: 12.5pt; margin: 14pt 0 4pt }
table { border-collapse: collapse; width: 100%; font-size: 9.5pt }
th, td { border: 0.5pt solid #444; padding: 2.5pt 4pt; text-align: left; vertical-align: baseline }
td { overflow-wrap: anywhere }
th.number, td.number { text-align: right }
td.number, td.moment { white-space: nowrap }
td.wide { min-width: 26mm }
th { background: #eee }
tr.total td { font-weight: bold; border-top: 1.2pt solid #000 }
tr { break-inside: avoid }
.signed { display: flex; justify-content: space-between; margin: 24pt 20mm 0; text-align: center }
.signed p:only-child { margin-left: auto }
@media (max-width: 700px) { body { font-size: 11pt } table { display: block; overflow-x: auto } }
"""
_NARROWEST, _WIDEST = 14, 40  # columns of a sheet, in characters


@dataclass(frozen=True, slots=True)
class Part:
    """One table: `columns` gives the heading of each name; with `has_total` the last row sums the others up."""

    title: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    sheet: str = ""
    wide: frozenset[str] = frozenset()
    has_total: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A report as it lies on the desk: who makes it, of what, and who signs at the left and at the right."""

    agency: str
    title: str
    facts: Sequence[str]
    parts: Sequence[Part]
    signed: Sequence[str] = ("Người lập báo cáo",)


def page(report: Report) -> str:
    """Lay the report out as one page of HTML that asks nothing of any host."""
    facts = "".join(f"<p>{html.escape(fact)}</p>" for fact in report.facts)
    *others, last = report.signed
    signed = "".join(f"<p>{html.escape(who)}<br><br><br></p>" for who in others)
    signed += f"<p>Ngày … tháng … năm …<br>{html.escape(last)}<br><br><br></p>"
    return (
        f'<!doctype html><html lang="vi"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(report.title)}</title>'
        f"<style>{_STYLE}</style><p>{html.escape(report.agency)}</p><h1>{html.escape(report.title)}</h1>{facts}"
        + "".join(map(_table, report.parts))
        + f'<div class="signed">{signed}</div></html>\n'
    )


def workbook(report: Report) -> bytes:
    """Write the report as a workbook (XLSX), one sheet a part; amounts are numbers, texts are never formulas."""
    import openpyxl
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for line in (report.agency, report.title, *report.facts):
        sheet.append([table_files.safe(line)])
    sheet.append([])
    for place, part in enumerate(report.parts):
        title = (part.sheet or part.title).replace("/", " ")[:31]  # what a sheet's name may be
        if place:
            sheet = book.create_sheet(title)
        sheet.title = title
        sheet.append(list(part.columns.values()))
        for cell in sheet[sheet.max_row]:
            cell.font = Font(bold=True)
        for row in part.rows:
            sheet.append([table_files.safe(_plain(row.get(name))) for name in part.columns])
            for name, cell in zip(part.columns, sheet[sheet.max_row], strict=True):
                if name.endswith("_vnd"):
                    cell.number_format = "#,##0"
        for number, heading in enumerate(part.columns.values(), 1):
            width = max(_NARROWEST, min(_WIDEST, len(heading) + 4))
            sheet.column_dimensions[get_column_letter(number)].width = width
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def words(value: Any) -> str:
    """Write a value as people here do: 1.234.567, 21/11/2026 10:05."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", ".")
    said = _plain(value)
    return "–" if said in (None, "") else str(said)


def _table(part: Part) -> str:
    numbers = {name for name in part.columns if any(_is_number(row.get(name)) for row in part.rows)}
    head = "".join(
        f"<th{_kind('number' if name in numbers else '')}>{html.escape(said)}</th>"
        for name, said in part.columns.items()
    )
    body = ""
    for place, row in enumerate(part.rows, 1):
        cells = "".join(_cell(row.get(name), is_wide=name in part.wide) for name in part.columns)
        body += f"<tr{_kind('total' if part.has_total and place == len(part.rows) else '')}>{cells}</tr>"
    empty = f'<tr><td colspan="{len(part.columns)}">Không có</td></tr>'
    title = html.escape(part.title)
    return f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>{body or empty}</tbody></table>"


def _cell(value: Any, *, is_wide: bool) -> str:
    kind = "wide" if is_wide else ""
    if _is_number(value):
        kind = "number"
    elif isinstance(value, date):
        kind = "moment"
    return f"<td{_kind(kind)}>{html.escape(words(value))}</td>"


def _kind(name: str) -> str:
    return f' class="{name}"' if name else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Give a value as a sheet takes it: moments in Vietnam's time, without a zone."""
    if isinstance(value, datetime):
        return f"{value.astimezone(clock.VIETNAM):%d/%m/%Y %H:%M}"
    if isinstance(value, date):
        return f"{value:%d/%m/%Y}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value
