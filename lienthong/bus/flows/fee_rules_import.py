"""A resolution about fees taken in from a file: every bad row named, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events
from lienthong.bus.flows import fee_rules, folding, table_files
from lienthong.bus.hub import Hub
from lienthong.core import errors, journal, records, storage, tables

LIMITS = table_files.Limits("bảng quy định mức thu", "The table of fee rules")
_ACT = "fees.import"
_MOST_VND = 10**12
TITLES = {
    "procedure_code": "Mã thủ tục",
    "amount_vnd": "Mức thu",
    "channel": "Kênh",
    "obligation": "Khoản",
    "legal_basis": "Căn cứ",
    "valid_from": "Từ ngày",
    "valid_until": "Đến ngày",
    "scope": "Phạm vi",
    "confidence": "Độ tin cậy",
    "note": "Ghi chú",
}
_ALSO = {
    "procedure_code": ("code", "ma tthc", "ma thu tuc hanh chinh"),
    "amount_vnd": ("online fee vnd", "muc thu vnd", "muc thu truc tuyen", "so tien", "phi le phi"),
    "channel": ("kenh nop", "hinh thuc nop"),
    "legal_basis": ("basis", "can cu phap ly"),
    "valid_from": ("hieu luc tu", "ngay hieu luc"),
    "valid_until": ("hieu luc den", "ngay het hieu luc"),
    "confidence": ("confidence of the source",),
}
_NAMES = {
    folded: name
    for name, title in TITLES.items()
    for folded in (folding.fold(title), folding.fold(name), *_ALSO.get(name, ()))
}
_CHANNELS = {
    **{one.value: one.value for one in records.Channel},
    "truc tuyen": "online",
    "truc tiep": "in_person",
    "buu chinh": "postal",
}
# Rows that only say that the rule does not hold for them.
_NOT_IN_SCOPE = ("not in scope", "ngoai pham vi", "khong thuoc pham vi")
_SURE = ("", "high", "cao")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for the whole file where it has no column of its own."""

    channel: str = "online"
    legal_basis: str = ""
    valid_from: date | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """What is wrong where, never what is in the cell."""

    row: int
    column: str
    vi: str
    en: str


@dataclass(slots=True)
class Report:
    """What a file would do or did."""

    rows: int = 0
    new: int = 0
    unchanged: int = 0
    replaced: int = 0
    passed_over: int = 0
    unsure: list[str] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    written: bool = False

    def as_json(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return asdict(self)


async def run(
    hub: Hub,
    raw: bytes,
    defaults: Defaults,
    *,
    by: str,
    reason: str,
    encoding: str = "utf-8",
    replace: bool = False,
    ahead: bool = False,
    dry_run: bool = False,
) -> Report:
    """Take rules from a file, in one transaction. Raises InvalidRequest where the file is no such table.

    With one bad row nothing is written. A row that overlaps a rule of other content is bad, unless `replace`; one
    for a procedure that the hub does not hold is bad, unless `ahead`. The same file again changes nothing.
    """
    rows = read(raw, encoding=encoding)
    if not reason.strip() and not dry_run:
        raise errors.InvalidRequest("Say why.", detail_vi="Cần ghi lý do, ví dụ số nghị quyết.")
    report = Report(rows=len(rows))
    rules = _rules(rows, defaults, report)
    now = hub.now()
    async with fee_rules.changing(hub) as tx:
        if not ahead:
            await _must_be_known(tx, rules, report)
        placed = await _sorted(tx, rules, report, replace=replace)
        report.written = not dry_run and not report.bad
        if report.written:
            for rule in placed:
                await fee_rules.place(tx, rule, by=by, reason=reason, now=now)
            counts = {"new": report.new, "replaced": report.replaced, "unchanged": report.unchanged}
            digest = hashlib.sha256(raw).hexdigest()
            if report.new or report.replaced:
                await events.put(tx, "fees.changed", digest, counts, now=now)
            await journal.write_act(tx, _ACT, digest, actor=by, now=now, reason=reason, after=counts)
    return report


def read(raw: bytes, *, encoding: str = "utf-8") -> list[table_files.Row]:
    """Read the table. Raises InvalidRequest."""
    cells = table_files.cells(raw, LIMITS, encoding=encoding, heading="code")
    rows = table_files.rows(cells, LIMITS, named=_named, titles=TITLES, needed=("procedure_code", "amount_vnd"))
    if not rows:
        raise table_files.unreadable(
            LIMITS, "không có dòng nào dưới tiêu đề", "there is no row below the headings"
        )
    return rows


def _named(heading: str) -> str:
    # The table that a province publishes names its resolution in the heading.
    if heading.startswith(("basis in ", "can cu ")):
        return "legal_basis"
    return _NAMES.get(heading, "")


def _rules(
    rows: Sequence[table_files.Row], defaults: Defaults, report: Report
) -> list[tuple[int, fee_rules.Rule]]:
    found: list[tuple[int, fee_rules.Rule]] = []
    for row in rows:
        cells = dict.fromkeys(TITLES, "") | row.cells
        scope = folding.fold(str(cells["scope"]))
        if scope in _NOT_IN_SCOPE and cells["amount_vnd"] == "":
            report.passed_over += 1
            continue
        bad = _bad_cells(cells, defaults)
        report.bad += [BadRow(row.number, TITLES[name], vi, en) for name, vi, en in bad]
        if bad:
            continue
        rule = _rule(cells, defaults)
        before = next((number for number, other in found if rule.overlaps(other)), None)
        if before is not None:
            vi, en = f"Trùng kỳ với dòng {before}.", f"It shares days with row {before}."
            report.bad.append(BadRow(row.number, TITLES["procedure_code"], vi, en))
            continue
        if folding.fold(str(cells["confidence"])) not in _SURE:
            report.unsure.append(rule.procedure_code)
        found.append((row.number, rule))
    return found


def _bad_cells(cells: dict[str, Any], defaults: Defaults) -> list[tuple[str, str, str]]:
    """Name what cannot be read of a row: column, and why in both languages."""
    bad: list[tuple[str, str, str]] = []
    if any(cell is table_files.FORMULA_CELL for cell in cells.values()):
        names = [name for name, cell in cells.items() if cell is table_files.FORMULA_CELL]
        return [(name, "Ô có công thức; hãy dán giá trị.", "The cell holds a formula.") for name in names]
    code = cells["procedure_code"]
    if not isinstance(code, str) or not code or len(code) > 60 or not code.isprintable() or " " in code:
        bad.append(("procedure_code", "Cần mã thủ tục, dạng văn bản.", "A procedure's code is needed, as text."))
    amount = table_files.whole_number(cells["amount_vnd"])
    if amount is None or not 0 <= amount <= _MOST_VND:
        bad.append(("amount_vnd", "Cần số đồng, 0 là miễn.", "A whole amount in đồng is needed, 0 is free."))
    if _channel(cells, defaults) is None:
        said = "Kênh phải là online, in_person hoặc postal."
        bad.append(("channel", said, "The channel must be online, in_person or postal."))
    if not 3 <= len(_basis(cells, defaults)) <= 500:
        bad.append(("legal_basis", "Cần căn cứ pháp lý.", "The legal basis is needed."))
    if len(str(cells["obligation"])) > 60:
        bad.append(("obligation", "Tên khoản quá dài.", "The name of the obligation is too long."))
    return bad + _bad_days(cells, defaults)


def _bad_days(cells: dict[str, Any], defaults: Defaults) -> list[tuple[str, str, str]]:
    bad = []
    days = {name: _day(cells, defaults, name) for name in ("valid_from", "valid_until")}
    for name in days:
        if cells[name] != "" and days[name] is None:
            bad.append((name, "Cần ngày, ví dụ 15/01/2026.", "A day is needed, 15/01/2026 for example."))
    since, until = days["valid_from"], days["valid_until"]
    if not bad and since is None:
        bad.append(("valid_from", "Cần ngày bắt đầu (cột hoặc --from).", "The first day is needed (or --from)."))
    if since is not None and until is not None and until < since:
        bad.append(("valid_until", "Ngày cuối trước ngày đầu.", "The last day is before the first."))
    return bad


def _rule(cells: dict[str, Any], defaults: Defaults) -> fee_rules.Rule:
    since, amount = _day(cells, defaults, "valid_from"), table_files.whole_number(cells["amount_vnd"])
    channel = _channel(cells, defaults)
    if since is None or amount is None or channel is None:
        raise errors.InternalFault(reason="a bad row was taken for a rule")
    notes = [str(cells[name]) for name in ("scope", "confidence", "note") if cells[name] != ""]
    return fee_rules.Rule(
        procedure_code=cells["procedure_code"],
        channel=channel,
        obligation=str(cells["obligation"]) or fee_rules.FEES,
        amount_vnd=amount,
        legal_basis=_basis(cells, defaults),
        valid_from=since,
        valid_until=_day(cells, defaults, "valid_until"),
        note="; ".join(notes)[:300],
    )


def _channel(cells: dict[str, Any], defaults: Defaults) -> str | None:
    said = str(cells["channel"]) or defaults.channel
    return _CHANNELS.get(said) or _CHANNELS.get(folding.fold(said))


def _basis(cells: dict[str, Any], defaults: Defaults) -> str:
    return "; ".join(filter(None, (defaults.legal_basis.strip(), str(cells["legal_basis"]).strip())))


def _day(cells: dict[str, Any], defaults: Defaults, name: str) -> date | None:
    given: date | None = getattr(defaults, name)
    return given if cells[name] == "" else table_files.day(cells[name])


async def _must_be_known(tx: AsyncConnection, rules: Sequence[tuple[int, fee_rules.Rule]], report: Report) -> None:
    codes = sorted({rule.procedure_code for _, rule in rules})
    known: set[str] = set()
    for first in range(0, len(codes), 500):
        wanted = sa.select(tables.procedures.c.code).where(
            tables.procedures.c.code.in_(codes[first : first + 500])
        )
        known |= {row["code"] for row in await storage.every(tx, wanted)}
    vi, en = "Trục không có thủ tục này (--ahead để vẫn ghi).", "The hub does not hold this procedure (--ahead)."
    report.bad += [
        BadRow(number, TITLES["procedure_code"], vi, en)
        for number, rule in rules
        if rule.procedure_code not in known
    ]


async def _sorted(
    tx: AsyncConnection, rules: Sequence[tuple[int, fee_rules.Rule]], report: Report, *, replace: bool
) -> list[fee_rules.Rule]:
    """Tell new rules from those that stand already and those that would take the place of others."""
    standing: dict[tuple[str, str, str], list[fee_rules.Held]] = {}
    for held in await fee_rules.in_places(tx, (rule for _, rule in rules)):
        standing.setdefault(held.rule.place, []).append(held)
    placed = []
    for number, rule in rules:
        overlapping = [held for held in standing.get(rule.place, []) if held.rule.overlaps(rule)]
        if [held.rule for held in overlapping] == [rule]:
            report.unchanged += 1
            continue
        if overlapping and not replace:
            vi = f"Đã có quy định khác trong kỳ này (số {overlapping[0].id}); --replace để thay."
            en = (
                f"Another rule holds on these days (number {overlapping[0].id}); --replace to put it in its place."
            )
            report.bad.append(BadRow(number, TITLES["valid_from"], vi, en))
            continue
        report.new, report.replaced = report.new + 1, report.replaced + len(overlapping)
        placed.append(rule)
    return placed
