"""The desks as people use them: by keyboard, with readers, in both languages, on small and large screens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import desk
import pytest
import serving

PAGES = serving.named(
    "/", "/own", "/own/second-step", "/accounts", "/settings", "/trail", "/trail?actor=nobody", "/nowhere"
)


@pytest.fixture
def page(chromium: Any, desks: serving.Desks) -> Iterator[Any]:
    """A page of an administrator and operator who is signed in."""
    with desks.visited(chromium, "quan") as page:
        yield page


@pytest.fixture
def stranger(chromium: Any, desks: serving.Desks) -> Iterator[Any]:
    """A page of somebody who is not signed in."""
    with desks.visited(chromium) as page:
        yield page


def test_somebody_signs_in_works_and_signs_out_by_keyboard_alone(stranger: Any) -> None:
    page = stranger
    serving.sign_in(page, "quan")
    page.wait_for_selector("h1")
    page.keyboard.press("j")
    assert page.locator("tr.at").count() == 1
    page.keyboard.press("/")
    page.keyboard.type("khong co gi")
    page.keyboard.press("Enter")
    page.wait_for_url("**/found/**")
    page.locator(".person summary").focus()
    page.keyboard.press("Enter")
    page.locator(".person button").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in")


def test_a_row_opens_beside_the_list_and_closes_again(page: Any) -> None:
    page.goto("/accounts")
    page.get_by_role("link", name="moi", exact=True).click()
    page.wait_for_selector("#panel:not([hidden]) h1")
    assert page.url.endswith("/accounts")
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()


def test_a_form_keeps_what_was_typed_when_something_is_wrong(page: Any) -> None:
    page.goto("/accounts")
    page.get_by_text("Thêm tài khoản").first.click()
    form = page.locator("form[action='/accounts']")
    form.locator("input[name=name]").fill("quan")
    form.locator("input[name=full_name]").fill("Người Khác")
    form.locator("input[name=roles]").first.check()
    form.locator("input[name=password]").fill(desk.PASSWORD)
    form.locator("input[name=reason]").fill("người mới")
    form.locator("button").click()
    form.locator(".failed").wait_for()
    assert "đã có người dùng" in form.locator(".failed").inner_text()
    assert form.locator("input[name=full_name]").input_value() == "Người Khác"
    form.locator("input[name=name]").fill("khac")
    form.locator("button").click()
    page.wait_for_selector(".toast")
    assert "Người Khác" in page.locator("h1").inner_text()


def test_everything_works_without_our_script(chromium: Any, desks: serving.Desks) -> None:
    with desks.visited(chromium, java_script_enabled=False) as page:
        page.goto("/sign-in")
        page.fill("input[name=name]", "quan")
        page.fill("input[name=password]", desk.PASSWORD)
        page.click("button.main")
        assert "Tổng quan" in page.inner_text("h1")
        page.goto("/accounts")
        page.get_by_role("link", name="moi", exact=True).click()
        assert "Người moi" in page.inner_text("h1")


def test_no_page_has_a_serious_fault_or_runs_over_the_edge(page: Any) -> None:
    page.goto("/")
    assert serving.faults(page, PAGES, kind="desks") == {}


def test_the_sign_in_has_no_serious_fault_also_when_it_refuses(stranger: Any) -> None:
    page = stranger
    page.goto("/sign-in")
    assert serving.faults(page, {"sign-in": "/sign-in"}, kind="desks") == {}
    page.fill("input[name=name]", "khong-co-ai")
    page.fill("input[name=password]", "sai")
    page.click("button.main")
    page.get_by_role("alert").first.wait_for()
    assert serving.serious(page) == []
    serving.picture(page, "desks-sign-in-refused")
