"""What a finding says: Vietnamese sentences have Vietnamese decimals, English ones English."""

from __future__ import annotations

import re

import pytest

from lienthong.core import numerals
from lienthong.monitoring import call_order
from lienthong.monitoring.detectors import findings, people, places, probing, volume

WHO = findings.Who(key="key-1")
FOUND = {
    "wrong": probing.wrong(WHO, 0.0, seen=60, requests=90, share=0.012, top=0),
    "refused": probing.refused(WHO, 0.0, seen=60, requests=90, share=0.0125),
    "data out": volume.data_out(WHO, 0.0, volume.Volume(12_345_678, 60, 1e6, 432_100), volume.Volume(1, 60, 9, 1)),
    "order": places.order(WHO, 0.0, call_order.Strange(0.0, 20, 3.25, 0.61)),
    "hit rate": people.hit_rate(WHO, 0.0, people.Asked(60, 40, 20, 0), people.Usual(0.0151, None)),
    "evenly": people.evenly(WHO, 0.0, gap_s=12.34, questions=21),
    "no case": people.no_case(WHO, 0.0, kind="unheard", seen=9, questions=12, share=0.0123),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_vietnamese_sentence_has_a_comma_before_decimals_and_the_english_one_a_point(name: str):
    found = FOUND[name]
    assert found is not None
    assert re.search(r"\d,\d", found.vi)
    assert not re.search(r"\d\.\d", found.vi)
    assert re.search(r"\d\.\d", found.en)
    assert not re.search(r"\d,\d", found.en)


@pytest.mark.parametrize("name", ["wrong", "refused"])
def test_a_burst_gives_the_share_that_was_seen_beside_the_usual_one(name: str):
    found = FOUND[name]
    assert found is not None
    assert found.seen["share"] == pytest.approx(60 / 90, abs=1e-4)
    assert found.normal["share"] < found.seen["share"]


def test_thousands_and_decimals_are_written_as_people_here_write_them():
    assert numerals.vi(1234567.5, ",.1f") == "1.234.567,5"
    assert numerals.vi(0.01) == "0,01"
    assert numerals.vi(0.015, ".1%") == "1,5%"
