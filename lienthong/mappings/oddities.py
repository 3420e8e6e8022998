"""What may be odd in a published procedure: a closed set of kinds, each with its sentence, and the finder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from lienthong.core import records

_CODE = re.compile(r"^[0-9]\.[0-9]{6}(\.\S+)?$")
_DECISION = re.compile(r"^\d+[a-zA-Z]?(/\d{4})?/QĐ-[A-ZĐ]+(-[A-ZĐ0-9]+)*$")
SEEN_MAX = 120


class Kind(StrEnum):
    """The kinds of oddity; `vi` and `en` say what each means."""

    vi: str
    en: str

    def __new__(cls, value: str, vi: str, en: str) -> Kind:
        """Make a member with its two sentences."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.vi = vi
        member.en = en
        return member

    CODE_PATTERN = "code_pattern", "Mã thủ tục không đúng dạng d.dddddd.", "The code is not of the form d.dddddd."
    CODE_DIFFERS = (
        "code_differs",
        "Mã trong bản chi tiết khác mã trong danh sách.",
        "The detail carries another code than the list.",
    )
    BLANKS_TRIMMED = "blanks_trimmed", "Có khoảng trắng thừa ở đầu hoặc cuối, đã bỏ.", "Outer blanks were cut off."
    LINE_BREAK = "line_break", "Tên có ngắt dòng hoặc ký tự tab.", "The name holds a line break or a tab."
    HARD_BLANK = "hard_blank", "Tên có khoảng trắng không ngắt.", "The name holds a non-breaking blank."
    DECISION_MISSING = "decision_missing", "Không có số quyết định công bố.", "The decision number is missing."
    DECISION_FORM = (
        "decision_form",
        "Số quyết định công bố viết không theo dạng thường gặp.",
        "The decision number is not written in the usual form.",
    )
    TIME_UNIT_UNKNOWN = (
        "time_unit_unknown",
        "Đơn vị tính thời hạn chưa biết; giữ nguyên chữ của nguồn.",
        "The unit of time is not known; the source's text was kept.",
    )
    TIME_UNIT_MEANINGLESS = (
        "time_unit_meaningless",
        "Có số lượng nhưng đơn vị tính không đếm được.",
        "A quantity stands with a unit that cannot be counted.",
    )
    NUMBER_UNREADABLE = (
        "number_unreadable",
        "Không đọc được thành số; giữ nguyên chữ của nguồn.",
        "It cannot be read as a number; the source's text was kept.",
    )
    ZERO_FEE_WITH_NOTE = (
        "zero_fee_with_note",
        "Mức phí ghi 0 nhưng phần ghi chú nói khác.",
        "The fee is 0 but a note speaks of it.",
    )
    NO_EXECUTING_AGENCY = (
        "no_executing_agency",
        "Không có cơ quan thực hiện.",
        "No executing agency is named.",
    )
    NOT_PUBLIC = (
        "not_public",
        "Có trong danh sách nhưng nguồn ghi là không công khai.",
        "It is in the list, but the source says that it is not public.",
    )
    NO_FIELD = "no_field", "Không có lĩnh vực.", "No field of administration is named."
    AGENCY_NAME_UNKNOWN = (
        "agency_name_unknown",
        "Mã cơ quan công bố không có trong danh mục cơ quan.",
        "The publishing agency's code is not in the list of agencies.",
    )
    UNKNOWN_FIELD = (
        "unknown_field",
        "Nguồn gửi một trường chưa khai trong bảng ánh xạ.",
        "The source sent a field that the mapping file does not know.",
    )
    UNMAPPED_CODE = (
        "unmapped_code",
        "Mã chưa khai trong bảng ánh xạ; trường được để trống.",
        "A code that the mapping file does not know; the field was left empty.",
    )
    UNEXPECTED_SHAPE = (
        "unexpected_shape",
        "Kiểu dữ liệu khác với quy định.",
        "The value has another type than agreed.",
    )
    UNREADABLE = "unreadable", "Giá trị không đọc được; trường được để trống.", "The value cannot be read."


def oddity(kind: Kind, field: str, seen: object = "") -> records.Oddity:
    """Make the record of one oddity; what was seen is kept short."""
    return records.Oddity(kind=kind.value, field=field, seen=str(seen)[:SEEN_MAX])


def inspect(procedure: records.Procedure) -> Iterator[records.Oddity]:
    """Find what is odd in a procedure as it stands, wherever it came from."""
    if not _CODE.match(procedure.code):
        yield oddity(Kind.CODE_PATTERN, "code", procedure.code)
    if not procedure.published:
        yield oddity(Kind.NOT_PUBLIC, "published")
    yield from _in_names(procedure)
    yield from _in_decision(procedure.decision.number)
    if not procedure.fields:
        yield oddity(Kind.NO_FIELD, "fields")
    if not procedure.executing_agencies and not procedure.executing_text:
        yield oddity(Kind.NO_EXECUTING_AGENCY, "executing_agencies")
    yield from _in_times(procedure)


def _in_names(procedure: records.Procedure) -> Iterator[records.Oddity]:
    names = [("name", procedure.name)]
    names += [(f"executing_agencies.{n}", it.name) for n, it in enumerate(procedure.executing_agencies)]
    for field, name in names:
        if any(mark in name for mark in "\n\r\t"):
            yield oddity(Kind.LINE_BREAK, field, name)
        if "\xa0" in name:
            yield oddity(Kind.HARD_BLANK, field, name)


def _in_decision(number: str) -> Iterator[records.Oddity]:
    if not number:
        yield oddity(Kind.DECISION_MISSING, "decision.number")
    elif not _DECISION.match(number):
        yield oddity(Kind.DECISION_FORM, "decision.number", number)


def _in_times(procedure: records.Procedure) -> Iterator[records.Oddity]:
    for number, method in enumerate(procedure.methods):
        for place, time in enumerate(method.times):
            field = f"methods.{number}.times.{place}"
            if time.unit is records.TimeUnit.OTHER and time.quantity is not None:
                yield oddity(Kind.TIME_UNIT_MEANINGLESS, field, f"{time.quantity} {time.unit_text}")
            for at, fee in enumerate(time.fees):
                if fee.amount == 0 and fee.note:
                    yield oddity(Kind.ZERO_FEE_WITH_NOTE, f"{field}.fees.{at}", fee.note)
