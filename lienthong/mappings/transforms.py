"""The closed list of reversible pairs: one value of ours, one value on the wire, and back.

A `read` raises ValueError where the value cannot be understood, without repeating it. Empty is None in a record
and "" on the wire, unless the pair says otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_THOUSANDS = re.compile(r"^\d{1,3}([.,]\d{3})+$")
_NUMBER = re.compile(r"^-?\d{1,18}([.,]\d{1,20})?$")
_HUNDREDTHS = re.compile(r"[1-9][0-9]{0,12}00|0")
_DAY_FIRST = re.compile(r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?$")


@dataclass(frozen=True, slots=True)
class Transform:
    """A named pair. `clear` is what an empty value is on the wire."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    clear: Any = ""


def plain(value: Any) -> str:
    """Give text from the wire in NFC without outer blanks; a number is given as its digits."""
    if isinstance(value, str):
        return (value if value.isascii() else unicodedata.normalize("NFC", value)).strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("text expected")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _write_text(value: str) -> str:
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def _write_compact_time(value: datetime) -> str:
    local = value.astimezone(VIETNAM)
    return f"{local.year:04d}{local.month:02d}{local.day:02d}{local.hour:02d}{local.minute:02d}{local.second:02d}"


def read_time(value: Any) -> datetime | None:
    """Read a time in any of the forms seen: 14, 12 or 8 digits, day first, or ISO 8601; Vietnam time.

    Raises ValueError for what is no time, and for one so near the ends of the calendar that it is none elsewhere.
    """
    text = plain(value)
    if not text:
        return None
    read = _read_time(text)
    try:
        read.astimezone(UTC)
        read.astimezone(VIETNAM)
    except OverflowError as error:
        raise ValueError("a time at the end of the calendar") from error
    return read


def _read_time(text: str) -> datetime:
    if text.isdigit():
        if len(text) not in (8, 12, 14):
            raise ValueError("a time has 14 digits")
        return datetime.strptime(text.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=VIETNAM)
    found = _DAY_FIRST.match(text)
    if found:
        day, month, year, hour, minute, second = (int(part or 0) for part in found.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=VIETNAM)
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=VIETNAM)


def _write_day_first_time(value: datetime) -> str:
    local = value.astimezone(VIETNAM)
    return f"{_write_date(local)} {local.hour:02d}:{local.minute:02d}:{local.second:02d}"


def _write_date(value: date) -> str:
    return f"{value.day:02d}/{value.month:02d}/{value.year:04d}"


def _write_compact_date(value: date) -> str:
    return f"{value.year:04d}{value.month:02d}{value.day:02d}"


def _read_date(value: Any) -> date | None:
    found = read_time(value)
    return found.astimezone(VIETNAM).date() if found else None


def _write_epoch_ms(value: datetime) -> int:
    return (value - _EPOCH) // timedelta(milliseconds=1)


def _read_epoch_ms(value: Any) -> datetime | None:
    number = _read_int(value)
    if number is None:
        return None
    try:
        return (_EPOCH + timedelta(milliseconds=number)).astimezone(VIETNAM)
    except OverflowError as error:
        raise ValueError("not a time in milliseconds") from error


def _write_epoch_ms_date(value: date) -> int:
    return _write_epoch_ms(datetime(value.year, value.month, value.day, tzinfo=VIETNAM))


def _read_epoch_ms_date(value: Any) -> date | None:
    # A Vietnamese midnight is 17:00 the day before in UTC, so the day is read in Vietnam time.
    found = _read_epoch_ms(value)
    return found.date() if found else None


def _read_int(value: Any) -> int | None:
    if type(value) is int:
        return value
    text = plain(value)
    if not text:
        return None
    number = read_decimal(text)
    if number is None or number != number.to_integral_value():
        raise ValueError("a whole number expected")
    return int(number)


def read_decimal(value: Any) -> Decimal | None:
    """Read a quantity: `7`, `7.0`, "7,5" and "07" alike; whole numbers lose their empty decimals."""
    if type(value) is int:
        return Decimal(value)
    text = plain(value)
    if not text:
        return None
    if not _NUMBER.match(text):
        raise ValueError("a number expected")
    return _tidy(Decimal(text.replace(",", ".")))


def _read_money(value: Any) -> Decimal | None:
    if isinstance(value, str) and _THOUSANDS.match(value.strip()):
        return Decimal(re.sub(r"[.,]", "", value))
    return read_decimal(value)


def _read_digit_string(value: Any) -> int | None:
    amount = _read_money(value)
    if amount is not None and amount != amount.to_integral_value():
        raise ValueError("a whole amount expected")
    return None if amount is None else int(amount)


def _write_hundredths(value: int) -> str:
    return str(value * 100)


def _read_hundredths(value: Any) -> int | None:
    # One canonical form only: an amount that could be read in two ways is not one to settle.
    text = plain(value)
    if not text:
        return None
    if not _HUNDREDTHS.fullmatch(text):
        raise ValueError("whole đồng, in hundredths, expected")
    return int(text) // 100


def _tidy(number: Decimal) -> Decimal:
    return Decimal(int(number)) if number == number.to_integral_value() else number.normalize()


def _write_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def read_flag(value: Any) -> bool:
    """Read a yes or no in any of the spellings seen: true, 1, "1", "True"; and their opposites."""
    if isinstance(value, bool):
        return value
    text = plain(value).casefold()
    if text in ("1", "true"):
        return True
    if text in ("0", "false", ""):
        return False
    raise ValueError("yes or no expected")


def _read_bool(value: Any) -> bool | None:
    return None if value == "" else read_flag(value)


def _same(value: Any) -> Any:
    return value


TRANSFORMS: dict[str, Transform] = {
    "text": Transform(_write_text, plain),
    "opaque": Transform(_same, plain),
    "compact_time": Transform(_write_compact_time, read_time),
    "day_first_time": Transform(_write_day_first_time, read_time),
    "compact_date": Transform(_write_compact_date, _read_date),
    "date": Transform(_write_date, _read_date),
    "epoch_ms": Transform(_write_epoch_ms, _read_epoch_ms, clear=None),
    "epoch_ms_date": Transform(_write_epoch_ms_date, _read_epoch_ms_date, clear=None),
    "int_text": Transform(str, _read_int),
    "int": Transform(_same, _read_int, clear=None),
    "code_number": Transform(int, plain),
    "digit_string": Transform(str, _read_digit_string),
    "hundredths": Transform(_write_hundredths, _read_hundredths),
    "money_text": Transform(lambda value: format(_tidy(value), "f"), _read_money),
    "money": Transform(_write_number, _read_money, clear=None),
    "decimal_text": Transform(lambda value: format(_tidy(value), "f"), read_decimal),
    "decimal": Transform(_write_number, read_decimal, clear=None),
    "flag01": Transform(lambda value: "1" if value else "0", read_flag),
    "flagTF": Transform(lambda value: "True" if value else "False", read_flag),
    "bool": Transform(bool, _read_bool, clear=None),
}
"""Every transform that a mapping file may name."""
