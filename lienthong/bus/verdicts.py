"""What becomes of a message after one attempt: the rules of retry, pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from lienthong.core import errors, settings

GARBLED_TRIES = 6


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message after one attempt."""

    state: str
    after_s: float = 0.0
    look_first: bool = False
    blames_target: bool = False
    pause_target_s: float | None = None


def decide(
    failure: errors.HubError | None,
    *,
    attempt: int,
    waited_s: float,
    rules: settings.Outbox,
    garbled: int = 0,
    chance: Callable[[], float] = random.random,
) -> Verdict:
    """Say what becomes of a message after one attempt: delivered, later, or dead.

    Pure. Trouble that may pass is tried again at growing intervals with full jitter; a refusal is final,
    because asking again would not change the answer. An answer that cannot be read is tried a few times (the
    effect is unknown) and is then dead, for a person to look at; `garbled` such tries came before this one.
    """
    if failure is None:
        return Verdict("delivered")
    ceiling = min(rules.retry_longest_s, rules.retry_first_s * 2 ** min(attempt - 1, 20))
    after_s = ceiling * (0.5 + 0.5 * chance())
    if isinstance(failure, errors.RemoteGarbled):
        if garbled + 1 >= GARBLED_TRIES:
            return Verdict("dead", look_first=True)
        return Verdict("pending", after_s, look_first=True)
    if isinstance(failure, (errors.RemoteForbids, errors.Misconfigured)):
        # A person must act on the account or the settings; the message is not at fault.
        return Verdict("pending", after_s, pause_target_s=rules.probe_longest_s)
    if not failure.retry or waited_s >= rules.give_up_after_s:
        return Verdict("dead", look_first=isinstance(failure, errors.OutcomeUnknown))
    if isinstance(failure, errors.RemoteBusy):
        wait_s = failure.retry_after_s or after_s
        return Verdict("pending", wait_s, pause_target_s=wait_s)
    uncertain = isinstance(failure, errors.OutcomeUnknown) or bool(failure.facts.get("outcome_uncertain"))
    return Verdict("pending", after_s, look_first=uncertain, blames_target=isinstance(failure, errors.RemoteError))
