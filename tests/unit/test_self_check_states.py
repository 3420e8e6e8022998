"""How a line of the self-check stands: more than good or broken."""

from __future__ import annotations

import pytest

from lienthong.console.web.pages import self_check
from lienthong.core import records


@pytest.mark.parametrize(
    ("is_ok", "facts", "state"),
    [
        (True, {}, "ok"),
        (True, {"risk": True}, "risk"),
        (True, {"state": "unused"}, "unused"),
        (True, {"state": "not_yet"}, "not_yet"),
        (True, {"state": "anything a connector says"}, "ok"),
        (False, {}, "failed"),
        (False, {"code": "Server.Remote.Unavailable"}, "dead"),
        (False, {"code": "Server.Remote.Forbids"}, "failed"),
    ],
)
def test_what_is_not_used_is_not_good_and_what_is_not_reached_is_not_broken(is_ok, facts, state) -> None:
    line = records.CheckResult(name="redis", ok=is_ok, vi="–", en="–", facts=facts)
    assert self_check._state(line) == state
