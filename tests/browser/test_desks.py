"""The desks as people use them: by keyboard, with readers, in both languages, on small and large screens."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import desk
import pytest
from axe_playwright_python.sync_playwright import Axe

PAGES = ("/", "/own", "/own/second-step", "/accounts", "/settings", "/trail")
SIZES = {"1366": (1366, 768), "1920": (1920, 1080), "390": (390, 844)}


@pytest.fixture
def page(chromium: Any, desks: str) -> Iterator[Any]:
    """A page of a browser of its own that says what went wrong in it and what it asked for."""
    context = chromium.new_context(base_url=desks, viewport={"width": 1366, "height": 768})
    opened = context.new_page()
    opened.asked, opened.wrong = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("console", lambda said: opened.wrong.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: opened.wrong.append(str(error)))
    yield opened
    hosts = {urllib.parse.urlsplit(url).netloc for url in opened.asked}
    assert hosts <= {urllib.parse.urlsplit(desks).netloc}, "a page asked another host"
    wrong = [said for said in opened.wrong if "status of 4" not in said]
    assert wrong == []
    context.close()


def sign_in(page: Any, name: str = "quan") -> None:
    page.goto("/sign-in")
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(desk.PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/")


def serious(page: Any) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{it['id']}: {node['html'][:160]}"
        for it in found
        if it["impact"] in ("serious", "critical")
        for node in it["nodes"][:3]
    ]


def test_somebody_signs_in_works_and_signs_out_by_keyboard_alone(page: Any) -> None:
    sign_in(page)
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
    sign_in(page)
    page.goto("/accounts")
    page.get_by_role("link", name="moi", exact=True).click()
    page.wait_for_selector("#panel:not([hidden]) h1")
    assert page.url.endswith("/accounts")
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()


def test_a_form_keeps_what_was_typed_when_something_is_wrong(page: Any) -> None:
    sign_in(page)
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


def test_everything_works_without_our_script(chromium: Any, desks: str) -> None:
    context = chromium.new_context(base_url=desks, java_script_enabled=False)
    page = context.new_page()
    page.goto("/sign-in")
    page.fill("input[name=name]", "quan")
    page.fill("input[name=password]", desk.PASSWORD)
    page.click("button.main")
    assert "Tổng quan" in page.inner_text("h1")
    page.goto("/accounts")
    page.get_by_role("link", name="moi", exact=True).click()
    assert "Người moi" in page.inner_text("h1")
    page.get_by_text("Kết thúc", exact=False).count()
    context.close()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readers_and_weak_eyes_find_no_serious_fault(page: Any, path: str, theme: str) -> None:
    sign_in(page)
    cookie = {"name": "desk_theme", "value": theme, "url": page.url}
    page.context.add_cookies([cookie])
    page.goto(path)
    assert serious(page) == []


def test_the_sign_in_has_no_serious_fault(page: Any) -> None:
    page.goto("/sign-in")
    assert serious(page) == []


@pytest.mark.parametrize("size", SIZES)
def test_nothing_runs_over_the_edge_of_the_screen(page: Any, size: str) -> None:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    sign_in(page)
    for path in PAGES:
        page.goto(path)
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{path} at {size}"


def test_pictures_for_who_looks_at_them(page: Any) -> None:
    """Write every page as a picture where LIENTHONG_PICTURES names a folder."""
    folder = os.environ.get("LIENTHONG_PICTURES")
    if not folder:
        pytest.skip("LIENTHONG_PICTURES is not set")
    for language, theme in (("vi", "light"), ("en", "dark")):
        cookies = [("desk_language", language), ("desk_theme", theme)]
        page.context.clear_cookies()
        page.goto("/sign-in")
        page.context.add_cookies([{"name": name, "value": it, "url": page.url} for name, it in cookies])
        _pictures(page, Path(folder), f"{language}-{theme}", ("/sign-in",))
        sign_in(page)
        _pictures(page, Path(folder), f"{language}-{theme}", PAGES)


def _pictures(page: Any, folder: Path, kind: str, paths: tuple[str, ...]) -> None:
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for path in paths:
            page.goto(path)
            name = path.strip("/").replace("/", "-") or "overview"
            page.screenshot(path=folder / f"{name}-{kind}-{size}.png", full_page=size == "390")
