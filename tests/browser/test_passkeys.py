"""Passkeys in Chromium, with the authenticator that it makes for tests; at localhost, where browsers allow it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import builders
import desk
import pytest
import serving

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@asynccontextmanager
async def strict(home: Path, address: str) -> AsyncIterator[serving.Played]:
    """Play a hub whose desks know their own name before they begin; administrators need a passkey."""
    console = {"public_url": address, "passkey_domain": "localhost", "passkey_roles": ["administrator"]}
    async with builders.running_hub(home, agency=serving.AGENCY, console=console) as hub:
        stage = desk.stage(hub, desk.Time())
        await stage.add("quan", "administrator")
        await stage.add("lan", "operator")
        yield hub, {}


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Desks]:
    with serving.serving(tmp_path_factory.mktemp("passkeys"), strict, host="localhost") as desks:
        yield desks


@pytest.fixture
def page(chromium: Any, desks: serving.Desks) -> Iterator[Any]:
    """A page of a browser with an authenticator in it."""
    with desks.visited(chromium) as page:
        page.device = page.context.new_cdp_session(page)
        page.device.send("WebAuthn.enable")
        added = page.device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        page.authenticator = added["authenticatorId"]
        yield page


def sign_in(page: Any, name: str) -> None:
    page.goto("/sign-in")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", desk.PASSWORD)
    page.click("button.main")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def make(page: Any, name: str, password: str = desk.PASSWORD) -> None:
    page.goto("/own/passkeys")
    form = page.locator("form[data-passkey=make]")
    form.locator("input[name=name]").fill(name)
    form.locator("input[name=password]").fill(password)
    form.locator("button").click()


def sign_out(page: Any) -> None:
    page.goto("/own")
    page.locator(".person summary").click()
    page.locator(".person button").click()
    page.wait_for_url("**/sign-in")


def verified(page: Any, is_verified: bool) -> None:
    told = {"authenticatorId": page.authenticator, "isUserVerified": is_verified}
    page.device.send("WebAuthn.setUserVerified", told)


def test_a_person_makes_a_passkey_and_signs_in_with_it(page: Any) -> None:
    sign_in(page, "lan")
    make(page, "máy cơ quan", password="not the password")
    page.locator("form[data-passkey=make] [role=alert]:not([hidden])").wait_for()
    assert "không đúng" in page.locator("form[data-passkey=make] [role=alert]").inner_text()
    make(page, "máy cơ quan")
    page.wait_for_selector("td:has-text('máy cơ quan')")
    serving.picture(page, "passkeys-vi")
    assert serving.serious(page) == []
    sign_out(page)
    assert serving.serious(page) == []
    serving.picture(page, "passkeys-sign-in-vi")
    page.get_by_role("button", name="Đăng nhập bằng passkey").click()
    page.wait_for_url("**/")
    assert "Tổng quan" in page.inner_text("h1")


def test_whoever_cannot_prove_who_they_are_is_told_so(page: Any) -> None:
    sign_in(page, "lan")
    make(page, "điện thoại")
    page.wait_for_selector("td:has-text('điện thoại')")
    sign_out(page)
    verified(page, False)
    page.get_by_role("button", name="Đăng nhập bằng passkey").click()
    page.locator("form[data-passkey] [role=alert]:not([hidden])").wait_for()
    assert page.url.endswith("/sign-in")
    verified(page, True)
    page.get_by_role("button", name="Đăng nhập bằng passkey").click()
    page.wait_for_url("**/")


def test_a_role_that_needs_a_passkey_works_once_it_has_one(page: Any) -> None:
    sign_in(page, "quan")
    assert page.url.endswith("/own/passkeys")
    make(page, "khoá bảo mật")
    page.wait_for_selector("td:has-text('khoá bảo mật')")
    page.goto("/accounts")
    assert page.url.endswith("/own/passkeys"), "the password alone is still not enough"
    serving.picture(page, "passkeys-demanded-vi")
    page.locator("main").get_by_role("button", name="Đăng xuất").click()
    page.wait_for_url("**/sign-in")
    page.get_by_role("button", name="Đăng nhập bằng passkey").click()
    page.wait_for_url("**/")
    page.goto("/accounts")
    assert "Tài khoản" in page.inner_text("h1")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/own/passkeys")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    serving.picture(page, "passkeys-390", full_page=True)
