"""Days and hours typed into a form: as people here write them, also in a browser that speaks English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import desk
import pytest
import serving

from lienthong.core import clock


async def _fill(hub: Any) -> None:
    await desk.Stage(hub, desk.Time(clock.now()), None).add("lan", "operator", "security_officer")


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Desks]:
    with serving.serving(tmp_path_factory.mktemp("dates"), serving.played(_fill)) as served:
        yield served


@pytest.fixture
def page(chromium: Any, desks: serving.Desks, tmp_path: Path) -> Iterator[Any]:
    """A page of an operator whose browser speaks English and lives elsewhere."""
    with desks.visited(chromium, "lan", locale="en-US", timezone_id="America/New_York") as page:
        page.goto("/own")
        yield page


def test_the_fields_show_the_form_of_the_country_and_not_the_browsers(page: Any) -> None:
    for language, form in (("vi", "ngày/tháng/năm giờ:phút"), ("en", "dd/mm/yyyy hh:mm")):
        serving.look(page, language=language)
        page.goto("/systems/dvcqg_adapter")
        field = page.locator("[name=begins_at]")
        assert re.fullmatch(r"\d\d/\d\d/\d{4} \d\d:00", field.input_value())
        assert field.get_attribute("placeholder") == form
    assert page.locator("input[type^=date], input[type=time]").count() == 0


def test_maintenance_is_planned_by_keyboard_and_a_wrong_day_is_said_at_once(page: Any) -> None:
    serving.look(page, language="en")
    page.goto("/systems/dvcqg_adapter")
    page.get_by_text("Plan maintenance").first.click()
    begins, ends = page.locator("[name=begins_at]"), page.locator("[name=ends_at]")
    begins.fill("12/31/2026 17:00")
    assert begins.evaluate("(it) => it.validationMessage") == "Write day and hour like 31/12/2026 17:00."
    assert not begins.evaluate("(it) => it.form.checkValidity()")
    at = clock.now().astimezone(clock.VIETNAM) + timedelta(days=1)
    assert serving.serious(page) == []
    serving.picture(page, "typed-dates")
    begins.fill(f"{at:%d%m%Y}1700")
    begins.press("Tab")
    assert begins.input_value() == f"{at:%d/%m/%Y} 17:00"
    ends.fill(f"{at:%d/%m/%Y} 19h30")
    ends.press("ArrowUp")
    after = at + timedelta(days=1)
    assert ends.input_value() == f"{after:%d/%m/%Y} 19:30"
    page.locator("form[action$='/maintenance'] [name=reason]").fill("portal upgrade")
    page.locator("form[action$='/maintenance'] button").click()
    page.wait_for_selector(".toast")
    shown = page.locator("table", has_text="portal upgrade").inner_text()
    assert f"{at:%d %b %Y} 17:00:00" in shown
    assert f"{after:%d %b %Y} 19:30:00" in shown


def test_a_review_is_asked_for_by_day(page: Any) -> None:
    page.goto("/reviews")
    first = page.locator("[name=first]")
    assert first.input_value().startswith("01/01/")
    first.press("ArrowDown")
    assert first.input_value().startswith("31/12/")
    first.fill("29/02/2025")
    assert first.evaluate("(it) => it.validationMessage") == "Viết ngày như 31/12/2026."
