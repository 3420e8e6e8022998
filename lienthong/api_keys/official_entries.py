"""What a registration of an official says, read from what people type, and everything that is wrong with it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time, timedelta
from typing import Any

from lienthong.api_keys import officials
from lienthong.core import clock, errors

# Two years, then the unit has to confirm the registration: people move, and nobody tells the hub.
LONGEST_DAYS = 731
MOST_PROCEDURES = 200
_CODE = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._/-]{0,18}[0-9A-Za-z])?")
_UNIT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,34}")
_PROCEDURE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,58}[0-9A-Za-z]|[0-9A-Za-z][0-9A-Za-z._-]{1,57}\*")
_PHONE = re.compile(r"0[0-9]{8,10}")
_EMAIL = re.compile(r"[^\s@<>\"',;]{1,64}@[^\s@<>\"',;]{1,180}\.[^\s@<>\"',;.]{2,20}")
_CITIZEN_ID = re.compile(r"[0-9]{12}")
_BETWEEN_PROCEDURES = re.compile(r"[,;\s]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One registration as a form says it; times are moments, `valid_until` is the first one that is too late."""

    code: str
    account: str
    unit_code: str
    unit_name: str
    procedures: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    full_name: str = field(repr=False)
    phone: str = field(repr=False)
    email: str = field(default="", repr=False)
    position: str = field(default="", repr=False)

    def values(self) -> dict[str, Any]:
        """Give all parts by name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


def entry(told: Mapping[str, Any]) -> Entry:
    """Take texts as people type them: blanks put right, letters composed, a telephone number in plain digits."""
    plain = {name: line(str(value)) for name, value in told.items() if isinstance(value, str)}
    return Entry(**{**told, **plain, "phone": phone(plain.get("phone", ""))})


def of(official: officials.Official) -> Entry:
    """Give the registration as it stands now."""
    return Entry(**{part.name: getattr(official, part.name) for part in fields(Entry)})


def problems(wanted: Entry, *, now: datetime) -> list[errors.FieldProblem]:
    """Name everything that is wrong with a registration. A sentence never repeats what was typed."""
    return [*_wrong_texts(wanted), *_wrong_procedures(wanted.procedures), *_wrong_times(wanted, now=now)]


def line(text: str) -> str:
    """Put a text into one line: composed letters (NFC), single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def phone(text: str) -> str:
    """Write a telephone number in plain digits: `+84 900 000 009` and `0900.000.009` are the same."""
    digits = re.sub(r"[\s().-]", "", text)
    return re.sub(r"^(?:\+84|0084)", "0", digits)


def procedures(text: str) -> tuple[str, ...]:
    """Take procedure codes apart: commas, semicolons or blanks between them."""
    return tuple(dict.fromkeys(part for part in _BETWEEN_PROCEDURES.split(text.strip()) if part))


def day(text: str) -> date | None:
    """Read a day as people write it, `15/01/2026` or `2026-01-15`; nothing where it is none."""
    for form in ("%d/%m/%Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    return None


def begins(said: date) -> datetime:
    """Give the first moment of a day in Vietnam."""
    return datetime.combine(said, time(), clock.VIETNAM)


def ends(said: date) -> datetime:
    """Give the first moment after a day in Vietnam: the last day still counts."""
    return begins(said + timedelta(days=1))


def begins_on(valid_from: datetime) -> date:
    """Give the day in Vietnam on which a registration begins."""
    return valid_from.astimezone(clock.VIETNAM).date()


def last_day(valid_until: datetime) -> date:
    """Give the last day on which a registration holds."""
    return (valid_until.astimezone(clock.VIETNAM) - timedelta(microseconds=1)).date()


def _wrong_texts(wanted: Entry) -> Iterator[errors.FieldProblem]:
    for name, (pattern, vi, en) in _SHAPES.items():
        value = getattr(wanted, name)
        if not pattern.fullmatch(value) and (value or name not in _MAY_BE_EMPTY):
            yield errors.FieldProblem(name, vi, en)
    for name in ("code", "account"):
        if _CITIZEN_ID.fullmatch(getattr(wanted, name)):
            yield errors.FieldProblem(
                name,
                "Không dùng số định danh công dân làm mã hay tài khoản: mục này nằm trong sổ ở dạng đọc được.",
                "Do not use a citizen number here: this part is kept in the book for people to read.",
            )


def _wrong_procedures(said: tuple[str, ...]) -> Iterator[errors.FieldProblem]:
    if not said:
        yield _procedure_problem(
            "Cần ít nhất một thủ tục; mọi thủ tục thì ghi rõ dấu *.",
            "At least one procedure is needed; for every procedure say * explicitly.",
        )
    elif len(said) > MOST_PROCEDURES:
        yield _procedure_problem(
            f"Nhiều hơn {MOST_PROCEDURES} thủ tục; hãy dùng phần đầu chung, ví dụ G15-*.",
            f"There are more than {MOST_PROCEDURES} procedures; use a common beginning such as G15-*.",
        )
    elif officials.EVERY_PROCEDURE in said and len(said) > 1:
        yield _procedure_problem("Dấu * phải đứng một mình.", "The * must stand alone.")
    elif said != (officials.EVERY_PROCEDURE,) and not all(_PROCEDURE.fullmatch(one) for one in said):
        yield _procedure_problem(
            "Mỗi thủ tục là một mã (1.000001), hoặc phần đầu ít nhất hai ký tự rồi dấu * (G15-*).",
            "Each is a code (1.000001), or a beginning of at least two characters and then * (G15-*).",
        )


def _wrong_times(wanted: Entry, *, now: datetime) -> Iterator[errors.FieldProblem]:
    if wanted.valid_until <= wanted.valid_from:
        yield errors.FieldProblem(
            "valid_until", "Ngày hết hiệu lực phải sau ngày có hiệu lực.", "It must end after it begins."
        )
    elif wanted.valid_until - wanted.valid_from > timedelta(days=LONGEST_DAYS):
        yield errors.FieldProblem(
            "valid_until",
            "Hiệu lực tối đa 24 tháng; sau đó đơn vị xác nhận lại.",
            "A registration holds for 24 months at most; then the unit confirms it.",
        )
    elif wanted.valid_until <= now:
        yield errors.FieldProblem("valid_until", "Ngày hết hiệu lực đã qua.", "This day has passed.")


def _procedure_problem(vi: str, en: str) -> errors.FieldProblem:
    return errors.FieldProblem("procedures", vi, en)


def _printable(most: int) -> re.Pattern[str]:
    # Control characters and halves of surrogate pairs are no letters; what else stands in a name is people's own.
    return re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{most}}}")


_MAY_BE_EMPTY = ("unit_name", "email", "position")
_SHAPES: dict[str, tuple[re.Pattern[str], str, str]] = {
    "code": (
        _CODE,
        "Mã cán bộ có 1 đến 20 ký tự: chữ không dấu, số, dấu . _ / -, như bên quản lý CSDL dân cư đã cấp.",
        "The code has 1 to 20 characters: letters without diacritics, digits, . _ / -, as it was issued.",
    ),
    "account": (
        re.compile(r"[!-~]{1,100}"),
        "Tài khoản có 1 đến 100 ký tự không dấu, không có khoảng trắng.",
        "The account has 1 to 100 characters without diacritics and blanks.",
    ),
    "unit_code": (
        _UNIT,
        "Mã đơn vị là mã định danh cơ quan, ví dụ 000.00.15.H38, tối đa 35 ký tự.",
        "The unit's code is the agency identifier, 000.00.15.H38 for example, of at most 35 characters.",
    ),
    "unit_name": (_printable(200), "Tên đơn vị tối đa 200 ký tự.", "The unit's name has at most 200 characters."),
    "full_name": (
        _printable(100),
        "Cần họ và tên, tối đa 100 ký tự.",
        "The full name is needed, of at most 100 characters.",
    ),
    "phone": (
        _PHONE,
        "Số điện thoại có 9 đến 11 chữ số, bắt đầu bằng 0 (ô trong bảng tính phải ở dạng văn bản).",
        "The telephone number has 9 to 11 digits and begins with 0 (in a spreadsheet, the cell must be text).",
    ),
    "email": (
        _EMAIL,
        "Thư điện tử chưa đúng dạng ten@co-quan.vn.",
        "This is no email address; it looks like name@agency.vn.",
    ),
    "position": (_printable(100), "Chức vụ tối đa 100 ký tự.", "The position has at most 100 characters."),
}


def refused(found: Iterable[errors.FieldProblem]) -> errors.InvalidRequest:
    """Give the error that names every problem."""
    return errors.InvalidRequest(problems=tuple(found))
