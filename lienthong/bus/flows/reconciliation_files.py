"""A statement's file read by its shape, strictly: every bad row named, all of it or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from lienthong.bus.flows import folding, payment_records, table_files
from lienthong.core import clock, errors
from lienthong.mappings import statement_shapes

LIMITS = table_files.Limits(
    "sao kê",
    "The statement",
    # Whoever hands in a month with a sheet for each day must not find one day taken and the rest passed over.
    one_sheet=True,
    bytes=20_000_000,
    # A workbook is taken apart whole before it is believed: larger ones come as CSV, which is read line by line.
    unpacked=64_000_000,
    tags=2_000_000,
    rows=100_000,
    lines=200_000,
)
_MOST_BAD = 50
_MOST_VND = 10**13
Kind = Literal["payment", "refund", "other"]


@dataclass(frozen=True, slots=True)
class Line:
    """One movement of money as the other side has it; nothing of who paid."""

    number: int
    kind: Kind
    state: str
    our_reference: str
    provider_reference: str
    amount_vnd: int
    fee_vnd: int
    occurred_at: datetime


def read(raw: bytes, shape: statement_shapes.Shape, *, encoding: str = "utf-8") -> list[Line]:
    """Read a statement. Raises InvalidRequest where the file is none, naming every bad row."""
    names = {folding.fold(title): column for column, titles in shape.columns.items() for title in titles}
    titles: dict[str, str] = {column: told[0] for column, told in shape.columns.items()}
    plain = {folding.fold(title) for title in shape.hundredths}
    hundredths = [False]

    def heading(folded: str) -> str:
        column = names.get(folded, "")
        hundredths[0] |= column == "amount" and folded in plain
        return column

    first: str = titles[shape.needed[0]]
    cells = table_files.cells(raw, LIMITS, encoding=encoding, heading=first)
    rows = table_files.rows(cells, LIMITS, named=heading, titles=titles, needed=shape.needed)
    problems: list[errors.FieldProblem] = []
    lines = []
    for row in rows:
        line = _line(row, shape, problems, divisor=100 if hundredths[0] else 1)
        if line is not None:
            lines.append(line)
    if problems:
        raise errors.InvalidRequest(
            f"The statement cannot be taken: {len(problems)} cells are wrong.",
            detail_vi=f"Không nhận được sao kê: {len(problems)} ô sai.",
            problems=tuple(problems[:_MOST_BAD]),
        )
    return lines


def _line(
    row: table_files.Row,
    shape: statement_shapes.Shape,
    problems: list[errors.FieldProblem],
    *,
    divisor: int,
) -> Line | None:
    def bad(column: str, vi: str, en: str) -> None:
        problems.append(errors.FieldProblem(f"{row.number}:{column}", vi, en))

    cells = row.cells
    if table_files.FORMULA_CELL in cells.values():
        bad("*", "Ô có công thức; hãy dán giá trị.", "A cell holds a formula; paste its value.")
        return None
    before = len(problems)
    at = _moment(cells.get("occurred_at", ""), shape.times)
    if at is None:
        bad("occurred_at", "Không đọc được thời điểm.", "The time cannot be read.")
    fee = _amount(cells.get("fee", ""))
    if fee is None:
        bad("fee", "Không đọc được phí.", "The fee cannot be read.")
    reference = _word(cells.get("provider_reference", ""))
    told = _by_memo(cells, shape, bad) if "memo" in shape.columns else _by_state(cells, shape, bad, divisor)
    if at is None or fee is None or told is None or len(problems) > before:
        return None
    kind, state, ours, amount = told
    return Line(row.number, kind, state, ours[:40], reference[:100], amount, fee, at)


def _by_state(
    cells: Mapping[str, Any], shape: statement_shapes.Shape, bad: Any, divisor: int
) -> tuple[Kind, str, str, int] | None:
    amount = _amount(cells.get("amount", ""))
    state = shape.states.get(_code(cells.get("state", ""), shape.states))
    said = _code(cells.get("kind", ""), shape.kinds)
    kind: Kind | None = shape.kinds.get(said) if said else "payment"
    if amount is None or amount % divisor or cells.get("amount", "") == "":
        bad("amount", "Không đọc được số tiền.", "The amount cannot be read.")
    if state is None:
        bad("state", "Trạng thái không có trong mẫu.", "The state is not in the shape.")
    if kind is None:
        bad("kind", "Loại giao dịch không có trong mẫu.", "The kind is not in the shape.")
    if amount is None or state is None or kind is None:
        return None
    if kind == "payment" and state == "refunded":
        # Some reports have no column of the kind: what was given back is known by its state alone.
        kind = "refund"
    elif kind == "refund" and state == "paid":
        state = "refunded"
    return kind, state, _word(cells.get("our_reference", "")), amount // divisor


def _by_memo(
    cells: Mapping[str, Any], shape: statement_shapes.Shape, bad: Any
) -> tuple[Kind, str, str, int] | None:
    credit, debit = _amount(cells.get("credit", "")), _amount(cells.get("debit", ""))
    if credit is None or debit is None or (credit and debit):
        bad("credit", "Không đọc được số tiền ghi có, ghi nợ.", "Credit and debit cannot be read.")
        return None
    if not credit and not debit:
        bad("credit", "Dòng không có số tiền (ô gộp?).", "The row has no amount (merged cells?).")
    if not _word(cells.get("provider_reference", "")):
        bad("provider_reference", "Thiếu số bút toán.", "The number of the entry is missing.")
    if not credit:
        return "other", "paid", "", debit
    return "payment", "paid", reference_in(str(cells.get("memo", "")), shape.memo_pattern), credit


def reference_in(memo: str, pattern: str) -> str:
    """Find our reference in what a bank passed on; empty where there is none, or more than one."""
    text = memo.upper()
    found = set(re.findall(rf"(?<![0-9A-Z])(?:{pattern})(?![0-9A-Z])", text))
    if not found:
        # A bank that breaks lines puts blanks into it.
        found = set(re.findall(pattern, "".join(text.split())))
    return found.pop() if len(found) == 1 else ""


def _code(cell: Any, known: Mapping[str, Any]) -> str:
    """Read a code as the shape spells it: letter for letter, or folded; a spreadsheet drops the zeros in front."""
    text = str(cell)
    choices = [text, folding.fold(text), *([text.zfill(2)] if text.isdigit() else [])]
    return next((one for one in choices if one in known), text)


def _amount(cell: Any) -> int | None:
    found = 0 if cell in ("", "-") else table_files.whole_number(cell)
    if found is None and isinstance(cell, str):
        found = table_files.whole_number(re.sub(r"(?:[.,]00)?\s*(?:VN[DĐ]|đ|₫)?$", "", cell.strip()))
    return found if found is not None and 0 <= found <= _MOST_VND else None


def _word(cell: Any) -> str:
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    return payment_records.plain(text.strip(), 100)


def _moment(cell: Any, forms: Sequence[str]) -> datetime | None:
    if isinstance(cell, datetime):
        found = cell
    elif isinstance(cell, date):
        found = datetime(cell.year, cell.month, cell.day, tzinfo=clock.VIETNAM)
    else:
        found = next((at for form in forms if (at := _parsed(str(cell), form)) is not None), None)  # type: ignore[assignment]
    if found is None or not 2000 <= found.year <= 2200:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=clock.VIETNAM)


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None
