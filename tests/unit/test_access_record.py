"""The bytes of a record: always the same, and back again through the hot store."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.core import access_record, errors

AT = datetime(2026, 3, 2, 1, 2, 3, 456789, tzinfo=UTC)
CALL = access_record.Record(
    AT, "r-1", "residents.look_up", "/v1/residents/look-up", "ok", 12.345, status=200, organisation="Sở Tư pháp"
)


def test_the_bytes_are_these_and_no_others() -> None:
    numbered = CALL._replace(node="gateway-1.a1b2c3", number=7)
    assert access_record.to_bytes(numbered).decode() == (
        '[1,"gateway-1.a1b2c3",7,1772413323456789,"r-1","in","rest","gateway","residents.look_up","GET",'
        '"/v1/residents/look-up",null,null,"Sở Tư pháp",null,null,"ok",null,200,12345,0,0,null,[],null,null,null,'
        "null,null,[]]"
    )


texts = st.none() | st.text(max_size=400)


@given(
    took=st.integers(0, 10**9),
    official=texts,
    purpose=texts,
    groups=st.lists(st.sampled_from(["identity", "address", "family"]), max_size=3),
    attempts=st.lists(st.builds(access_record.Attempt, st.just("vnpay"), st.just("ok"), st.integers(0, 99))),
    number=st.integers(1, 2**53),
)
def test_a_record_comes_back_from_its_bytes_and_from_its_row(
    took: int,
    official: str | None,
    purpose: str | None,
    groups: list[str],
    attempts: list[access_record.Attempt],
    number: int,
) -> None:
    record = CALL._replace(
        took_ms=took / 1000,
        official=official,
        purpose=purpose,
        field_groups=tuple(groups),
        upstream=tuple(attempts),
    )
    data = access_record.encode(record, node="gateway-1.a1b2c3", number=number)
    assert access_record.to_bytes(access_record.from_bytes(data)) == data
    assert access_record.from_row(access_record.to_row(data)) == data
    assert access_record.place_of(data) == ("gateway-1.a1b2c3", number, access_record.micros(AT))


def test_what_no_column_can_hold_is_cut() -> None:
    kept = access_record.from_bytes(access_record.to_bytes(CALL._replace(official="a\x00b\ud800" + "x" * 500)))
    assert kept.official == "ab" + "x" * 98


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"[2" + b",0" * 29 + b"]", b"\xff"])
def test_bytes_of_another_kind_are_a_named_error(data: bytes) -> None:
    with pytest.raises(errors.StorageUnavailable):
        access_record.from_bytes(data)


def test_the_day_is_that_of_vietnam() -> None:
    assert access_record.day_of(access_record.micros(datetime(2026, 3, 1, 16, 59, 59, tzinfo=UTC))) == "2026-03-01"
    assert access_record.day_of(access_record.micros(datetime(2026, 3, 1, 17, tzinfo=UTC))) == "2026-03-02"
