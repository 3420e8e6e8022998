"""Days and moments that people type at the desks: as written here, in whatever language the browser speaks."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from lienthong.console.web import dates
from lienthong.core import clock

NEW_YEARS_EVE = date(2026, 12, 31)
FIVE = datetime(2026, 12, 31, 17, 0, tzinfo=clock.VIETNAM)


@pytest.mark.parametrize("typed", ["31/12/2026", " 31-12-2026 ", "31.12.2026", "31122026", "2026-12-31"])
def test_a_day_is_read_as_people_here_write_it(typed: str):
    assert dates.read_day(typed) == NEW_YEARS_EVE


def test_the_day_comes_before_the_month():
    assert dates.read_day("3/4/2026") == date(2026, 4, 3)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "12/31/2026",
        "31/12/26",
        "31/12-2026",
        "29/02/2026",
        "1122026",
        "31/12/0001",
        "2026-12-31T00:00",
        "٣١/١٢/٢٠٢٦",
    ],
)
def test_what_is_no_day_is_none(typed: str):
    assert dates.read_day(typed) is None


@pytest.mark.parametrize(
    "typed",
    [
        "31/12/2026 17:00", "31/12/2026  17h", "31/12/2026 17h00", "31/12/2026 17g00", "31122026 17:00",
        "311220261700", "2026-12-31T17:00", "2026-12-31T17:00:00+07:00", "2026-12-31T10:00:00+00:00",
    ],
)  # fmt: skip
def test_a_moment_is_read_in_vietnams_time(typed: str):
    assert dates.read_moment(typed) == FIVE


@pytest.mark.parametrize(
    "typed",
    [
        "31/12/2026",
        "31/12/2026 25:00",
        "31/12/2026 17:60",
        "17:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59",
        "T",
    ],
)
def test_what_is_no_moment_is_none(typed: str):
    assert dates.read_moment(typed) is None


def test_what_is_written_is_read_again():
    abroad = FIVE.astimezone(timezone(timedelta(hours=-9)))
    assert dates.read_moment(dates.moment(abroad)) == FIVE
    assert dates.read_day(dates.day(NEW_YEARS_EVE)) == NEW_YEARS_EVE
