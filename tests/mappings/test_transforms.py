"""Each transform gives back what it wrote, and reads what real systems send."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.mappings import transforms

SECONDS = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda it: it.replace(microsecond=0)
)
DAYS = st.dates(date(1980, 1, 1), date(2100, 1, 1))
AMOUNTS = st.integers(0, 10**13)
QUANTITIES = st.decimals(0, 10**6, places=2)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(alphabet="ăâđêôơư ABCxyz0189/-", min_size=1).map(str.strip).filter(bool),
    "opaque": st.text(alphabet="GHKQ0189.-", min_size=1),
    "compact_time": SECONDS,
    "day_first_time": SECONDS,
    "date": DAYS,
    "compact_date": DAYS,
    "epoch_ms": SECONDS,
    "epoch_ms_date": DAYS,
    "int_text": st.integers(-(10**9), 10**9),
    "int": st.integers(-(10**9), 10**9),
    "code_number": st.integers(0, 99_999).map(str),
    "digit_string": AMOUNTS,
    "hundredths": st.integers(0, 10**12),
    "money_text": AMOUNTS.map(Decimal),
    "money": AMOUNTS.map(Decimal),
    "decimal_text": QUANTITIES,
    "decimal": QUANTITIES,
    "flag01": st.booleans(),
    "flagTF": st.booleans(),
    "bool": st.booleans(),
}


@pytest.mark.parametrize("name", sorted(transforms.TRANSFORMS))
@given(data=st.data())
def test_what_was_written_is_read_back(name: str, data: st.DataObject) -> None:
    transform = transforms.TRANSFORMS[name]
    value = data.draw(VALUES[name])
    assert transform.read(transform.write(value)) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("name", sorted(transforms.TRANSFORMS))
@given(value=JSON.filter(lambda it: it is not None))
def test_whatever_comes_is_read_or_refused_and_never_breaks_anything(name: str, value: Any) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        transforms.TRANSFORMS[name].read(value)


NINE = datetime(2026, 1, 15, 9, 30, tzinfo=transforms.VIETNAM)


@pytest.mark.parametrize(
    "text",
    ["20260115093000", "202601150930", "15/01/2026 09:30:00", "15-01-2026 9:30", "2026-01-15 09:30:00",
     "2026-01-15T09:30:00+07:00", "2026-01-15T02:30:00Z", " 20260115093000 "],
)  # fmt: skip
def test_a_time_is_read_in_every_form_seen_as_vietnam_time(text: str) -> None:
    assert transforms.read_time(text) == NINE


@pytest.mark.parametrize("text", ["20261301093000", "2026011509300", "yesterday", "00000000000000", "31/02/2026"])
def test_what_is_no_time_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        transforms.read_time(text)


@pytest.mark.parametrize("text", ["00010101000000", "0001-01-01T00:00:00", "9999-12-31T23:59:59Z"])
def test_a_time_at_the_ends_of_the_calendar_was_read_and_could_not_be_stored(text: str) -> None:
    with pytest.raises(ValueError, match="calendar"):
        transforms.read_time(text)


def test_a_term_without_an_end_is_still_a_day() -> None:
    assert transforms.TRANSFORMS["date"].read("31/12/9999") == date(9999, 12, 31)


def test_a_day_in_milliseconds_is_a_vietnamese_day() -> None:
    midnight = datetime(2026, 1, 20, tzinfo=transforms.VIETNAM)
    in_utc = int((midnight - timedelta(0)).timestamp() * 1000)
    assert in_utc % 86_400_000 == 17 * 3_600_000
    assert transforms.TRANSFORMS["epoch_ms_date"].read(in_utc) == date(2026, 1, 20)


@pytest.mark.parametrize(
    ("sent", "read"),
    [("8000", 8000), (8000, 8000), ("8.000", 8000), ("1,234,567", 1234567), (8000.0, 8000), ("", None)],
)
def test_money_is_read_as_it_is_written_in_vietnam(sent: Any, read: int | None) -> None:
    assert transforms.TRANSFORMS["digit_string"].read(sent) == read


@pytest.mark.parametrize("sent", ["7", 7, 7.0, "7.0", "07", "7,0"])
def test_a_quantity_is_the_same_however_it_comes(sent: Any) -> None:
    assert str(transforms.TRANSFORMS["decimal_text"].read(sent)) == "7"


def test_a_share_of_a_third_is_a_quantity() -> None:
    assert round(transforms.TRANSFORMS["decimal"].read(100 / 3), 6) == Decimal("33.333333")


def test_text_is_normalised_so_that_equal_names_are_equal() -> None:
    assert transforms.plain("Hô\u0323 ti\u0323ch\xa0") == "Hộ tịch"
