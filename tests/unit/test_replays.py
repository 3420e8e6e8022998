"""What may be used once: in process, across a restart, and when the clock is put back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import replays
from lienthong.core import errors

START = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
LATER = START + timedelta(minutes=10)


def _at(moment: datetime) -> int:
    return int(moment.timestamp())


async def _spend(seen: replays.LocalReplays, name: str, now: datetime, *, made: datetime | None = None) -> None:
    created = made or now
    await seen.spend(name, created=_at(created), until=_at(created) + 65, now=now)


async def test_a_nonce_is_good_once():
    seen = replays.LocalReplays(START, skew_s=5)
    await _spend(seen, "a", LATER)
    await _spend(seen, "b", LATER)
    with pytest.raises(errors.ProofRejected) as refused:
        await _spend(seen, "a", LATER + timedelta(seconds=60), made=LATER)
    assert refused.value.status == 401
    assert refused.value.facts["reason"] == "replayed"


async def test_what_may_have_been_used_before_a_restart_is_not_let_in():
    seen = replays.LocalReplays(START, skew_s=5)
    ahead = START + timedelta(seconds=5)  # signed just before the restart by a caller whose clock runs ahead
    for made in (START - timedelta(seconds=30), START, ahead):
        with pytest.raises(errors.CapacityReduced) as refused:
            await _spend(seen, "a", START + timedelta(seconds=1), made=made)
        assert refused.value.status == 503
        assert 1 <= refused.value.retry_after_s <= 6
    await _spend(seen, "a", START + timedelta(seconds=7))


async def test_a_clock_that_is_put_back_brings_nothing_back():
    seen = replays.LocalReplays(START, skew_s=5)
    await _spend(seen, "a", LATER)
    await _spend(seen, "b", LATER + timedelta(hours=1))  # by now "a" has been forgotten
    with pytest.raises(errors.ProofRejected):
        await _spend(seen, "a", LATER, made=LATER)


async def test_a_flood_closes_the_door_and_never_forgets():
    seen = replays.LocalReplays(START, skew_s=5, most=3)
    for name in ("a", "b", "c"):
        await _spend(seen, name, LATER)
    with pytest.raises(errors.CapacityReduced):
        await _spend(seen, "d", LATER)
    with pytest.raises(errors.ProofRejected):
        await _spend(seen, "a", LATER)
    await _spend(seen, "d", LATER + timedelta(seconds=66))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-90, 200), st.integers(0, 60)), max_size=40))
async def test_nothing_is_let_in_twice_whatever_the_clock_does(moves):
    seen, let_in = replays.LocalReplays(START, skew_s=5), set()
    for name, shift, age in moves:
        now = LATER + timedelta(seconds=shift)
        use = (name, _at(now) - age)
        try:
            await seen.spend(f"{use}", created=use[1], until=use[1] + 65, now=now)
        except errors.HubError:
            continue
        assert use not in let_in
        let_in.add(use)
