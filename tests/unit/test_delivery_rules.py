"""What becomes of a message after one attempt."""

from __future__ import annotations

import pytest

from lienthong.bus import verdicts
from lienthong.core import errors, settings

RULES = settings.Outbox()


def verdict(
    failure: errors.HubError | None, *, attempt: int = 1, waited_s: float = 0.0, garbled: int = 0
) -> verdicts.Verdict:
    return verdicts.decide(
        failure, attempt=attempt, waited_s=waited_s, rules=RULES, garbled=garbled, chance=lambda: 1.0
    )


def test_a_message_that_was_taken_is_delivered() -> None:
    assert verdict(None).state == "delivered"


def test_a_refusal_is_final_because_asking_again_would_not_change_the_answer() -> None:
    assert verdict(errors.RemoteRefused(system="x")).state == "dead"


def test_a_gap_in_our_dictionary_is_final() -> None:
    assert verdict(errors.UnmappedCode()).state == "dead"


def test_trouble_that_may_pass_is_tried_later_at_growing_intervals() -> None:
    waits = [verdict(errors.RemoteUnavailable(), attempt=n).after_s for n in range(1, 15)]
    assert waits == sorted(waits)
    assert waits[0] == RULES.retry_first_s
    assert waits[-1] == RULES.retry_longest_s


def test_the_interval_is_spread_so_that_messages_do_not_come_back_together() -> None:
    low = verdicts.decide(errors.RemoteUnavailable(), attempt=4, waited_s=0, rules=RULES, chance=lambda: 0.0)
    assert low.after_s == verdict(errors.RemoteUnavailable(), attempt=4).after_s / 2


def test_trouble_that_lasts_for_days_ends_on_the_list_of_dead_messages() -> None:
    assert verdict(errors.RemoteUnavailable(), waited_s=RULES.give_up_after_s).state == "dead"


def test_a_lost_answer_is_looked_up_before_the_next_try() -> None:
    assert verdict(errors.OutcomeUnknown()).look_first


def test_a_busy_target_is_left_alone_for_as_long_as_it_asks() -> None:
    said = verdict(errors.RemoteBusy(retry_after_s=17))
    assert (said.after_s, said.pause_target_s) == (17, 17)


def test_an_answer_that_cannot_be_read_is_tried_a_few_times_and_then_shown_to_a_person() -> None:
    states = [verdict(errors.RemoteGarbled(), attempt=50, garbled=n).state for n in range(verdicts.GARBLED_TRIES)]
    assert states == ["pending"] * (verdicts.GARBLED_TRIES - 1) + ["dead"]


@pytest.mark.parametrize("failure", [errors.RemoteForbids(), errors.Misconfigured()])
def test_what_only_a_person_can_mend_pauses_the_target_and_keeps_the_message(failure: errors.HubError) -> None:
    said = verdict(failure)
    assert said.state == "pending"
    assert said.pause_target_s == RULES.probe_longest_s


@pytest.mark.parametrize("failure", [errors.RemoteUnavailable(), errors.OutcomeUnknown()])
def test_only_trouble_of_the_target_counts_against_it(failure: errors.HubError) -> None:
    assert verdict(failure).blames_target
    assert not verdict(errors.StorageUnavailable()).blames_target
