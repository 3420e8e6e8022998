"""The detector for number series: what it may never do, whatever the numbers are."""

from __future__ import annotations

import math
import random
import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.core import errors
from lienthong.monitoring import series

BEGUN = datetime(2026, 3, 2, tzinfo=UTC)
ANY_NUMBER = st.floats(-series.LARGEST, series.LARGEST)


def scores(values: list[float]) -> list[float]:
    detector = series.Series()
    return [detector.update(BEGUN + timedelta(minutes=n), value) for n, value in enumerate(values)]


def office_days(days: int, *, seed: int = 4) -> list[float]:
    """Calls in each quarter of an hour: few at night, many in office hours, never quite the same."""
    chance = random.Random(seed)
    hours = [n % 96 / 4 for n in range(96 * days)]
    return [chance.gauss(200 if 7 <= hour < 17 else 12, 4) for hour in hours]


@given(
    st.lists(ANY_NUMBER, min_size=120, max_size=400)
    | st.lists(st.sampled_from([0.0, 1e-300, 1e100, -1e100, 5.0]), min_size=120, max_size=400)
)
def test_a_score_lies_between_0_and_1_whatever_the_numbers_are(values: list[float]) -> None:
    assert all(0 <= score <= 1 for score in scores(values))


@given(st.lists(st.floats(-1e6, 1e6), max_size=150), st.lists(ANY_NUMBER, max_size=150))
def test_what_follows_changes_no_score_already_given(after: list[float], other: list[float]) -> None:
    seen = office_days(2)
    assert scores(seen + after)[: len(seen)] == scores(seen + other)[: len(seen)]


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -3e99, 1e-200])
def test_a_series_that_never_moves_is_never_strange(value: float) -> None:
    assert set(scores([value] * 500)) == {0.0}


def test_the_first_move_of_a_series_that_never_moved_is_an_alarm() -> None:
    found = scores([7.0] * 300 + [7.5])
    assert max(found[:300]) == 0
    assert found[300] >= series.ALARM


def test_rounding_in_a_steady_climb_is_not_taken_for_a_change_of_pace() -> None:
    assert max(scores([0.1 * n for n in range(2_000)])[500:]) < series.ALARM


def test_a_burst_among_office_days_is_an_alarm_at_once_and_only_once() -> None:
    values = office_days(8)
    values[700:720] = [900.0] * 20
    found = scores(values)
    alarms = [n for n, score in enumerate(found) if n > 400 and score >= series.ALARM]
    assert alarms == [700]


def test_a_value_in_a_gap_between_known_values_is_strange_without_being_an_extreme() -> None:
    values = [float(10 + n % 2 * 90) for n in range(600)]
    found = scores(values + [55.0] * 5)
    assert max(found[200:600]) < series.ALARM <= max(found[600:])


def test_the_same_numbers_in_another_unit_have_the_same_scores() -> None:
    values = office_days(6)
    values[400] = 700.0
    for plain, scaled in zip(scores(values), scores([4096 * value for value in values]), strict=True):
        assert scaled == pytest.approx(plain, abs=1e-6)


def test_a_series_that_alarms_again_and_again_needs_more_each_time() -> None:
    steps = office_days(4) + [300.0 * 1.3 ** (n // 100) for n in range(1_000)]
    found = [score for score in scores(steps)[384:] if score >= series.ALARM]
    assert len(found) >= 5
    assert all(later < earlier for earlier, later in pairwise(found[1:5]))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e101, -1e300, 10**400])
def test_what_is_not_a_usable_number_is_refused_and_leaves_no_trace(value: float) -> None:
    with_it, without = series.Series(), series.Series()
    for n, usual in enumerate(office_days(2)):
        at = BEGUN + timedelta(minutes=n)
        if n == 100:
            with pytest.raises(errors.InvalidRequest) as refused:
                with_it.update(at, value)
            assert "1e100" in refused.value.detail("vi")
        assert with_it.update(at, usual) == without.update(at, usual)


def test_memory_stays_the_same_however_long_the_series_is() -> None:
    chance = random.Random(1)
    detector = series.Series()

    def feed(rows: int) -> int:
        for _ in range(rows):
            detector.update(BEGUN, chance.random())
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        full = feed(6_000)
        later = feed(6_000)
    finally:
        tracemalloc.stop()
    assert later < full * 1.05
    assert later < 1_000_000


def test_the_time_of_the_last_alarm_is_kept() -> None:
    detector = series.Series()
    for n, value in enumerate([7.0] * 300 + [9.0] * 10):
        detector.update(BEGUN + timedelta(minutes=n), value)
    assert detector.alarmed_at == BEGUN + timedelta(minutes=300)
