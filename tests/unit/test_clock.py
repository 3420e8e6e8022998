"""Identifiers that sort by time, and the zone that everybody here reads."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

from lienthong.core import clock


def test_an_identifier_is_a_uuid_of_version_7_in_lower_case() -> None:
    for _ in range(200):
        text = clock.new_id()
        read = uuid.UUID(text)
        assert (read.version, read.variant, str(read)) == (7, uuid.RFC_4122, text)
        assert re.fullmatch(r"[0-9a-f-]{36}", text)


def test_later_identifiers_sort_after_earlier_ones() -> None:
    moments = [0, 1, 255, 256, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1]
    made = [clock.new_id(moment) for moment in moments]
    assert made == sorted(made)
    assert [int(text.replace("-", "")[:12], 16) for text in made] == moments


def test_identifiers_of_one_moment_differ() -> None:
    assert len({clock.new_id(1_700_000_000_000) for _ in range(5_000)}) == 5_000


def test_the_clock_knows_its_zone_and_vietnam_is_seven_hours_ahead() -> None:
    assert clock.now().utcoffset() == timedelta(hours=7)
    noon = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    assert noon.astimezone(clock.VIETNAM).utcoffset() == timedelta(hours=7)
