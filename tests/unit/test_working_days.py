"""The working calendar: Tết, swapped days, office hours, and what happens beyond the known years."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.core import clock, errors, working_days

CALENDAR = working_days.load()
DAYS = st.dates(date(2024, 1, 1), date(2027, 12, 31))
COUNTS = st.integers(0, 60)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=clock.VIETNAM)


def file_with(tmp_path, *lines: str):
    path = tmp_path / "holidays.csv"
    path.write_text("date,kind,name,source\n" + "\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (date(2026, 2, 17), False),  # first day of Tết
        (date(2026, 4, 27), False),  # the Monday observed for a Sunday holiday
        (date(2026, 1, 2), False),  # a Friday given for a Saturday
        (date(2026, 1, 10), True),  # that Saturday
        (date(2026, 8, 22), True),
        (date(2026, 8, 31), False),
        (date(2026, 7, 18), False),  # an ordinary Saturday
        (date(2026, 7, 20), True),
    ],
)
def test_holidays_and_swapped_days_are_known(day, worked):
    assert CALENDAR.is_working_day(day) is worked


def test_three_working_days_step_over_the_whole_of_tet():
    assert CALENDAR.add_working_days(date(2026, 2, 13), 3) == date(2026, 2, 25)


def test_the_day_of_the_event_is_not_counted_whatever_the_hour():
    early, late = at("2026-07-20T07:30"), at("2026-07-20T23:59")
    assert CALENDAR.deadline(early, 1) == CALENDAR.deadline(late, 1)
    assert CALENDAR.deadline(late, 1) == at("2026-07-21T17:00")


def test_the_day_is_the_one_in_vietnam():
    evening_in_utc = datetime(2026, 7, 20, 18, 0, tzinfo=UTC)
    assert CALENDAR.term(evening_in_utc, 1).on == date(2026, 7, 22)


def test_a_moment_keeps_its_hour():
    assert CALENDAR.add_working_days(at("2026-07-17T09:15"), 1) == at("2026-07-20T09:15")


def test_a_weekend_counts_from_the_next_working_day():
    assert CALENDAR.add_working_days(date(2026, 7, 18), 0) == date(2026, 7, 20)
    assert CALENDAR.add_working_days(date(2026, 7, 18), 1) == date(2026, 7, 20)


def test_only_office_time_is_counted():
    friday_to_monday = CALENDAR.working_hours_between(at("2026-07-17T16:00"), at("2026-07-20T08:30"))
    over_lunch = CALENDAR.working_hours_between(at("2026-07-20T11:00"), at("2026-07-20T14:00"))
    assert (friday_to_monday, over_lunch) == (timedelta(hours=2), timedelta(hours=1))


def test_a_whole_day_has_seven_hours_and_a_half():
    assert CALENDAR.working_hours_between(at("2026-07-20T00:00"), at("2026-07-21T00:00")) == timedelta(hours=7.5)


def test_beyond_the_known_years_only_weekends_count_and_the_answer_says_so():
    inside, beyond = CALENDAR.term(date(2026, 7, 1), 3), CALENDAR.term(date(2031, 1, 1), 3)
    assert inside.certain
    assert not beyond.certain
    assert beyond.on == date(2031, 1, 6)


def test_a_term_that_reaches_into_an_unknown_year_is_not_certain():
    assert not CALENDAR.term(date(CALENDAR.known_through, 12, 30), 5).certain


def test_office_hours_may_be_changed_in_the_file(tmp_path):
    calendar = working_days.load(
        file_with(tmp_path, "2026-01-01,holiday,Tết,x", "2026-07-01,office_hours,7:00-11:00 13:00-16:00,decision")
    )
    assert calendar.deadline(date(2026, 6, 29), 1) == at("2026-06-30T17:00")
    assert calendar.deadline(date(2026, 7, 1), 1) == at("2026-07-02T16:00")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("17/02/2026,holiday,Tết,x", "not a date"),
        ("2026-02-17,feast,Tết,x", "is not known"),
        ("2026-02-17,makeup_working_day,Tết,x", "make-up"),
        ("2026-01-03,substituted_day_off,a,x\n2026-01-03,makeup_working_day,b,x", "both off and worked"),
        ("2026-02-17,office_hours,13:00-11:00,x", "office hours"),
        ("2026-02-17,office_hours,25:00-26:00,x", "office hours"),
        (",holiday,Tết,x", "not a date"),
    ],
)
def test_a_bad_line_stops_the_start_and_is_named(tmp_path, line, words):
    path = file_with(tmp_path, "2026-01-01,holiday,Tết,x", line)
    with pytest.raises(errors.Misconfigured) as caught:
        working_days.load(path)
    assert words in caught.value.detail("en")
    assert f"line {2 + line.count(chr(10)) + 1}" in caught.value.detail("en")
    assert "dòng" in caught.value.detail("vi")


@pytest.mark.parametrize("text", ["", "date;kind\n", "date,kind\n2026-02-30,holiday", "date,kind\n"])
def test_a_file_without_holidays_stops_the_start(tmp_path, text):
    path = tmp_path / "holidays.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(errors.Misconfigured):
        working_days.load(path)


def test_a_missing_file_stops_the_start(tmp_path):
    with pytest.raises(errors.Misconfigured, match="cannot be read"):
        working_days.load(tmp_path / "nothing.csv")


def test_a_moment_without_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        CALENDAR.add_working_days(datetime(2026, 7, 20), 1)


@given(DAYS, COUNTS)
def test_adding_and_taking_away_agree(day, count):
    worked = CALENDAR.add_working_days(day, 0)
    assert CALENDAR.add_working_days(CALENDAR.add_working_days(worked, count), -count) == worked


@given(DAYS, COUNTS)
def test_adding_and_counting_agree(day, count):
    worked = CALENDAR.add_working_days(day, 0)
    assert CALENDAR.working_days_between(worked, CALENDAR.add_working_days(worked, count)) == count


@given(DAYS, DAYS, COUNTS)
def test_a_later_start_is_never_due_earlier(one, other, count):
    first, second = sorted((one, other))
    assert CALENDAR.add_working_days(first, count) <= CALENDAR.add_working_days(second, count)


@given(DAYS, COUNTS, COUNTS)
def test_terms_add_up(day, one, other):
    worked = CALENDAR.add_working_days(day, 0)
    in_two = CALENDAR.add_working_days(CALENDAR.add_working_days(worked, one), other)
    assert in_two == CALENDAR.add_working_days(worked, one + other)


@given(DAYS, st.integers(1, 60))
def test_a_term_always_ends_on_a_working_day(day, count):
    assert CALENDAR.is_working_day(CALENDAR.term(day, count).on)


@given(DAYS, DAYS)
def test_counting_backwards_is_the_same_count_negated(one, other):
    assert CALENDAR.working_days_between(one, other) == -CALENDAR.working_days_between(other, one)
