"""Values as the desks write them: limits and browsers in words, commands set apart in sentences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lienthong.console.web import changes, forms
from lienthong.console.web.words import Words

VI, EN = Words("vi"), Words("en")


@pytest.mark.parametrize(
    ("stated", "vi", "en"),
    [
        ("100000/minute", "100.000 lượt/phút", "100,000 calls/minute"),
        ("8 in flight", "8 lượt cùng lúc", "8 calls at a time"),
        ("spike 50/second", "dồn dập không quá 50 lượt/giây", "bursts of at most 50 calls/second"),
        ("dossiers.put=100/day", "dossiers.put: 100 lượt/ngày", "dossiers.put: 100 calls/day"),
        ("something else", "something else", "something else"),
    ],
)
def test_a_limit_was_shown_in_its_english_rule_on_a_vietnamese_page(stated: str, vi: str, en: str) -> None:
    assert (forms.limit(stated, VI), forms.limit(stated, EN)) == (vi, en)


def test_maintenance_is_told_to_the_minute_with_its_end() -> None:
    begins = datetime(2026, 11, 20, 10, tzinfo=UTC)
    ends, later = begins + timedelta(hours=2), begins + timedelta(hours=12)
    assert forms.stretch(begins, ends, VI) == "17:00–19:00 20/11/2026"
    assert forms.stretch(begins, ends, EN) == "17:00–19:00, 20 Nov 2026"
    assert forms.stretch(begins, later, VI) == "17:00 20/11/2026 – 05:00 21/11/2026"


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36",
            "Chrome 141, Windows",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36 Edg/141.0.1.2",
            "Edge 141, Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox 143, Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari 18, iPhone",
        ),
        ("curl/8.5.0", "curl/8.5.0"),
    ],
)
def test_a_session_named_its_browser_by_a_line_that_only_browsers_read(agent: str, told: str) -> None:
    assert forms.browser(agent) == told


def test_a_command_in_a_sentence_stood_between_backticks() -> None:
    told = forms.told("Không có khoá này <b>; xem `lienthong keys list`.")
    assert told == "Không có khoá này &lt;b&gt;; xem <code>lienthong keys list</code>."


def test_the_trail_told_what_changed_in_field_names_and_lists_of_a_program() -> None:
    before = {"roles": ["operator"], "revoked_at": None, "state": "active"}
    after = {
        "id": "01a2",
        "roles": ["operator", "auditor"],
        "revoked_at": "2026-11-22T14:22:28.724010+07:00",
        "state": "active",
        "limits": ["600/minute"],
        "second_step": False,
        "addresses": [],
    }
    assert changes.told(before, after, VI) == (
        "vai trò: Vận hành → Vận hành, Kiểm tra; thu hồi lúc: – → 22/11/2026 14:22:28; "
        "hạn mức: 600 lượt/phút; bước hai: không"
    )


def test_a_moment_that_is_none_in_the_trail_stays_as_it_was_written() -> None:
    assert changes.told(None, {"until": "2026-13-40T99:99"}, EN) == "until: 2026-13-40T99:99"
