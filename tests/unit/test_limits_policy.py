"""What a key's limits say: spelling, what is added to them, caps in flight, fair shares of an upstream."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import fair, limits, local_limits, rules, shares
from lienthong.core import errors

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
SPELLED = ["600/minute", "50000/day", "spike 100/second", "curb 5/minute", "8 in flight", "dossiers.put=20/hour"]


def limiter(**defaults: float) -> local_limits.LocalLimiter:
    planner = rules.Planner(limits.Defaults(**defaults))
    return local_limits.LocalLimiter(planner=planner, monotonic_ns=lambda: 10**12)


@pytest.mark.parametrize("text", [*SPELLED, "dossiers.*=4 in flight"])
def test_a_limit_is_printed_as_it_is_read(text: str):
    assert str(limits.parse(text)) == text
    assert limits.parse(str(limits.parse(text.upper().replace("/", " / ")))) == limits.parse(text)


@pytest.mark.parametrize("text", ["spike 10/day", "spike 8 in flight", "8 inflight", "put=3/minute"])
def test_a_limit_that_means_nothing_is_refused(text: str):
    with pytest.raises(errors.InvalidRequest):
        limits.parse(text)


def test_a_key_needs_a_maximum_on_everything_it_calls():
    assert limits.problems(["8 in flight", "dossiers.put=20/hour"])
    assert not limits.problems(SPELLED)
    assert limits.problems(["600/minute", "6/minute"])
    assert limits.problems(["600/minute", "dossier.put=6/minute"], operations=["dossiers.put"])


@given(
    st.lists(st.sampled_from(["9/second", "600/minute", "5/hour", "5/day", "70/month"]), min_size=1, unique=True)
)
def test_no_key_is_without_any_of_the_four(texts: list[str]):
    whole = limits.complete(limits.parse_all(texts), limits.Defaults(in_flight=256))
    assert any(limit.is_sliding and limit.kind == "rate" for limit in whole)
    assert any(limit.unit in limits.CALENDAR for limit in whole)
    assert {"spike", "flight"} <= {limit.kind for limit in whole}


def test_a_spike_guard_stops_a_minutes_allowance_from_going_at_once():
    bench, wanted = limiter(), limits.parse_all(["600/minute", "spike 10/second"])
    answers = [bench.decide("key", wanted, NOW) for _ in range(11)]
    assert [answer.allowed for answer in answers] == [True] * 10 + [False]
    assert answers[-1].violated == ("spike-second",)
    assert answers[-1].problem == "quota-exceeded"


def test_a_curb_says_that_the_use_looks_abnormal():
    bench, wanted = limiter(), limits.parse_all(["600/minute", "curb 1/minute"])
    bench.decide("key", wanted, NOW)
    assert bench.decide("key", wanted, NOW).problem == "abnormal-usage-detected"


def test_requests_in_flight_are_capped_until_they_are_given_back():
    bench, wanted = limiter(), limits.parse_all(["600/minute", "2 in flight"])
    first, _ = bench.decide("key", wanted, NOW), bench.decide("key", wanted, NOW)
    refused = bench.decide("key", wanted, NOW)
    assert (refused.allowed, refused.violated) == (False, ("in-flight",))
    bench.give_back("key", first.ticket)
    assert bench.decide("key", wanted, NOW).allowed


def test_a_limit_on_an_operation_counts_only_that_operation():
    bench, wanted = limiter(), limits.parse_all(["10/minute", "dossiers.*=1/minute"])
    assert bench.decide("key", wanted, NOW, "dossiers.put").allowed
    refused = bench.decide("key", wanted, NOW, "dossiers.get")
    assert refused.violated == ("dossiers.*:minute",)
    assert bench.decide("key", wanted, NOW, "procedures.list").policies[0].remaining == 8


def test_a_cap_that_nobody_stated_is_in_no_header_until_it_refuses():
    bench, wanted = limiter(in_flight=1), limits.parse_all(["10/minute"])
    assert [policy.name for policy in bench.decide("key", wanted, NOW).policies] == ["minute"]
    assert [policy.name for policy in bench.decide("key", wanted, NOW).policies] == ["minute", "in-flight"]


@given(st.integers(0, 10_000), st.lists(st.integers(0, 5000), min_size=1, max_size=12))
def test_a_division_is_max_min_fair(total: int, needs: list[int]):
    parts = fair.divide(total, needs)
    assert sum(parts) == min(total, sum(needs))
    assert all(part <= need for part, need in zip(parts, needs, strict=True))
    least_wanting = min((part for part, need in zip(parts, needs, strict=True) if part < need), default=None)
    assert least_wanting is None or max(parts) <= least_wanting + 1


def test_what_others_do_not_need_is_open_to_whoever_asks():
    asked = {"big": 900, "small": 10}
    assert fair.allotment(1000, asked, "big", elapsed=0.5) == 980
    assert fair.allotment(1000, asked, "small", elapsed=0.5) == 500


def test_an_upstreams_reserve_is_kept_for_the_named_keys():
    upstreams = fair.parse_all("population_c06=10/day for residents.* reserve 4 of police; other=9/month for a.b")
    bench = local_limits.LocalLimiter(planner=rules.Planner(upstreams=upstreams), monotonic_ns=lambda: 10**12)
    wanted = limits.parse_all(["100/minute"])
    anybody = [bench.decide("anybody", wanted, NOW, "residents.verify") for _ in range(8)]
    assert [answer.allowed for answer in anybody].count(True) == 6
    assert anybody[-1].violated[0] == "upstream-population_c06"
    bench.decide("police", wanted, NOW + timedelta(seconds=6), "residents.verify")
    assert bench.decide("police", wanted, NOW + timedelta(seconds=12), "residents.verify").allowed
    assert bench.decide("anybody", wanted, NOW, "procedures.list").allowed


@given(st.integers(0, 10**6), st.integers(1, 64))
def test_the_shares_of_all_gateways_are_the_maximum(quota: int, gateways: int):
    assert sum(shares.share_of(slot, quota, gateways) for slot in range(gateways)) == quota
