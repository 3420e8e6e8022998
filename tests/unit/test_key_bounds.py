"""From where, when and to what a key reaches: networks, hours, services and fields; a key found in a text."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import bounds, grants, key_text
from lienthong.core import clock

MONDAY = 16  # of November 2026


def vietnam(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=clock.VIETNAM)


@pytest.mark.parametrize(
    ("allowed", "address", "inside"),
    [
        ([], "203.0.113.7", True),
        (["203.0.113.7"], "203.0.113.7", True),
        (["203.0.113.7"], "203.0.113.8", False),
        (["203.0.113.0/24"], "203.0.113.255", True),
        (["203.0.113.0/24"], "203.0.114.0", False),
        (["2001:db8::/32"], "2001:db8:1::5", True),
        (["2001:db8::/32"], "203.0.113.7", False),
        (["203.0.113.0/24"], "::ffff:203.0.113.9", True),
        (["::ffff:203.0.113.0/120"], "203.0.113.9", True),
        (["2001:db8::/32"], "2001:db8::1%eth0", True),
        (["203.0.113.0/24"], "", False),
        (["203.0.113.0/24"], "không phải địa chỉ", False),
        (["198.51.100.1", "203.0.113.0/24"], "203.0.113.9", True),
    ],
)
def test_a_key_is_used_from_its_addresses_only(allowed, address, inside):
    assert bounds.problems(allowed, []) == []
    assert bounds.is_inside(address, bounds.networks(bounds.tidy_addresses(allowed))) is inside


@pytest.mark.parametrize(
    ("hours", "moment", "within"),
    [
        ([], vietnam(MONDAY, 3), True),
        (["mon-fri 07:00-18:00"], vietnam(MONDAY, 7), True),
        (["mon-fri 07:00-18:00"], vietnam(MONDAY, 6, 59), False),
        (["mon-fri 07:00-18:00"], vietnam(MONDAY, 18), False),
        (["mon-fri 07:00-18:00"], vietnam(MONDAY + 5, 9), False),
        (["t2-t6 7:00-18:00", "t7 08:00-12:00"], vietnam(MONDAY + 5, 9), True),
        (["22:00-06:00"], vietnam(MONDAY, 23), True),
        (["22:00-06:00"], vietnam(MONDAY, 5, 59), True),
        (["22:00-06:00"], vietnam(MONDAY, 6), False),
        (["cn 22:00-06:00"], vietnam(MONDAY, 3), True),
        (["cn 22:00-06:00"], vietnam(MONDAY + 1, 3), False),
        (["fri-mon 00:00-24:00"], vietnam(MONDAY - 1, 12), True),
        (["fri-mon 00:00-24:00"], vietnam(MONDAY + 1, 12), False),
        (["daily 07:00-18:00"], vietnam(MONDAY + 6, 17, 59), True),
    ],
)
def test_a_key_is_used_in_its_hours_only(hours, moment, within):
    assert bounds.problems([], hours) == []
    assert bounds.is_within(moment, bounds.spans(bounds.tidy_hours(hours))) is within


def test_hours_follow_vietnam_wherever_the_machine_stands():
    from datetime import UTC

    assert bounds.is_within(vietnam(MONDAY, 7).astimezone(UTC), bounds.spans(["mon 07:00-08:00"]))


@pytest.mark.parametrize(
    "text", ["", "mon", "7-18", "mon-fri 07:00-25:00", "mon 07:60-08:00", "t8 07:00-08:00", "mon 07:00-07:00"]
)
def test_hours_that_cannot_be_read_are_refused(text):
    [problem] = bounds.problems([], [text])
    assert problem.field == "hours"


@given(st.text(max_size=40))
def test_no_text_breaks_the_readers(text):
    bounds.problems([text], [text])
    grants.problems([text], known=["dossiers.put"])
    assert bounds.is_inside(text, bounds.networks(["203.0.113.7"])) is (text == "203.0.113.7")


@pytest.mark.parametrize(
    ("granted", "path", "may"),
    [
        ("service:dat-dai", "/bat/ky", True),
        ("service:dat-dai:/so", "/so/1", True),
        ("service:dat-dai:/so", "/so", True),
        ("service:dat-dai:/so", "/so-khac/1", False),
        ("service:dat-dai:/so", "/", False),
        ("service:dat-dai:/so/", "/so/1", True),
        ("service:khac:/so", "/so/1", False),
        ("all", "/so/1", True),
        ("dossiers.*", "/so/1", False),
        ("service:dat-dai:/so", "/so/../quan-tri", False),
        ("service:dat-dai:/so", "/so/%2e%2e/quan-tri", False),
        ("service:dat-dai:/so", "/so/..;x=1/quan-tri", False),
        ("service:dat-dai:/so", "/so%2f..%2fquan-tri", False),
        ("service:dat-dai:/so", "/so/%252e%252e/quan-tri", False),
        ("service:dat-dai:/so", "/so\\..\\quan-tri", False),
        ("service:dat-dai:/so", "//so/1", False),
        ("service:dat-dai:/so", "so/1", False),
        ("service:dat-dai:/so", "/so/b%E1%BA%A3n", True),
    ],
)
def test_a_service_is_reached_only_along_granted_paths(granted, path, may):
    assert grants.may_reach({granted}, "dat-dai", path) is may


def test_fields_of_people_are_closed_unless_named():
    assert grants.field_groups({"residents.*", "residents.look_up"}) == frozenset()
    assert grants.field_groups({"fields:residents.basic"}) == {"residents.basic"}
    assert grants.field_groups({"fields:enterprises.*"}) == {"enterprises.basic", "enterprises.people"}
    assert grants.field_groups({"all"}) == frozenset(grants.FIELD_GROUPS)


def test_a_found_key_is_recognised_without_asking_anybody():
    real, other = key_text.new("live"), key_text.new("test")
    wrong = other[:-1] + ("0" if other[-1] != "0" else "1")
    text = f"curl -H 'X-API-Key: {real}' … {wrong}, {other[:30]} và {other}thêm"
    found = key_text.recognise(text)
    assert [(each.environment, each.verdict) for each in found] == [
        ("live", "key"),
        ("test", "checksum"),
        ("test", "short"),
        ("test", "long"),
    ]
    assert real not in repr(found)
    assert real[:20] not in str([each.as_json() for each in found])


def test_a_key_in_a_text_is_cut_short_before_it_is_written():
    key = key_text.new("test")
    assert key_text.hide(f"lộ {key} ở kho mã") == f"lộ {key[:14]}… ở kho mã"
    assert key_text.recognise("không có gì ở đây") == []
