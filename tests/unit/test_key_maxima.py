"""The maximum that is suggested for a key."""

from __future__ import annotations

from datetime import UTC, datetime

from lienthong.monitoring import key_maxima


def test_a_maximum_has_half_as_much_room_and_is_round():
    assert key_maxima.suggested(550, "hour", limited=0) == 830
    assert key_maxima.suggested(1_234, "day", limited=0) == 1_900


def test_a_key_that_hardly_calls_still_gets_a_maximum_to_live_with():
    assert key_maxima.suggested(1, "hour", limited=0) == 60
    assert key_maxima.suggested(1, "minute", limited=0) == 10


def test_nothing_is_suggested_without_use_or_where_limits_refused_calls():
    assert key_maxima.suggested(0, "hour", limited=0) is None
    assert key_maxima.suggested(550, "hour", limited=1) is None


def test_thirty_days_begin_at_midnight_here():
    assert key_maxima.since(datetime(2026, 3, 31, 18, tzinfo=UTC)) == datetime(2026, 3, 2, 17, tzinfo=UTC)
