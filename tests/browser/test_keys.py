"""Keys, officials and catalogues in Chromium: a key from order to revocation, axe, sizes, pictures."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import desk
import pytest
import uvicorn
from test_desks import SIZES, page, serious, sign_in

from lienthong.api_keys import keys, official_acts, official_entries, uses
from lienthong.console.web import app
from lienthong.core import clock, tables

__all__ = ["page"]
PAGES = (
    "/keys",
    "/keys/{key}",
    "/keys/{key}/use",
    "/keys/{key}/grants",
    "/keys/new",
    "/operations",
    "/operations/dossiers.put",
    "/officials",
    "/officials/CB000001",
    "/officials/form",
    "/exceptions",
    "/lookup-rules",
    "/procedures",
    "/procedures/1.000001",
    "/codes",
    "/codes/file_provinces",
    "/mappings",
    "/mappings/vnpay",
    "/check/results",
)


# What is folded away is looked at as well; menus and confirmations stay shut, for they lie over the page.
_UNFOLD = "document.querySelectorAll('main details:not(.menu, .confirm)').forEach((it) => { it.open = true; })"


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the desks of a hub with keys that have a past."""
    listening = socket.create_server(("127.0.0.1", 0))
    ready, stop = threading.Event(), threading.Event()
    home = tmp_path_factory.mktemp("keys")
    thread = threading.Thread(target=lambda: asyncio.run(_serve(home, listening, ready, stop)), daemon=True)
    thread.start()
    assert ready.wait(60)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    stop.set()
    thread.join(30)


async def _serve(home: Path, listening: socket.socket, ready: threading.Event, stop: threading.Event) -> None:
    agency = {"code": "000.00.00.H38", "name": "Tỉnh Thử Nghiệm"}
    async with builders.running_hub(home, agency=agency, systems=builders.NOBODY) as hub:
        await _fill(hub)
        server = uvicorn.Server(uvicorn.Config(app.create_app(hub), log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        ready.set()
        while not stop.is_set():  # noqa: ASYNC110 - the flag is another thread's
            await asyncio.sleep(0.1)
        server.should_exit = True
        await serving


async def _fill(hub: Any) -> None:
    stage, now = desk.Stage(hub, desk.Time(clock.now()), None), clock.now()
    await stage.add("quan", "key_manager", "operator", "security_officer")
    await builders.seed_procedure(hub)
    issued = await builders.issue_key(
        hub,
        grants=("dossiers.*", "procedures.list", "residents.look_up", "fields:residents.basic", "service:ban-do"),
        limits=("600/minute", "20000/day", "8 in flight"),
        addresses=("203.0.113.0/24",),
        days=300,
    )
    key_id = issued.record.id
    await keys.rotate(
        hub.storage, hub.vault, key_id, overlap=timedelta(days=7), reason="định kỳ", actor="quan", now=now
    )
    for number, name in enumerate(("Sở Xây dựng", "Sở Y tế", "UBND phường Thử Nghiệm")):
        other = await builders.issue_key(hub, organisation=name, system="Một cửa", days=10 + 100 * number)
        if number == 1:
            await keys.suspend(hub.storage, other.record.id, reason="nghi bị lộ", actor="quan", now=now)
    counted = uses.Uses(hub.storage)
    for number in range(6):
        counted.note(
            key_id, 1, address=f"203.0.113.{number}", now=now - timedelta(days=number), served=number != 2
        )
    await counted.save()
    call = {"direction": "in", "system": "hub", "operation": "dossiers.put", "method": "PUT", "route": "/v1"}
    call |= {"outcome": "ok", "took_ms": 1.0, "bytes_in": 1, "bytes_out": 1, "key_id": key_id}
    async with hub.storage.transaction() as tx:
        for hours in range(24 * 28):
            at = now - timedelta(hours=hours)
            busy = 7 <= at.hour <= 17 and at.weekday() < 5
            rows = [{**call, "request_id": clock.new_id(), "at": at} for _ in range(hours % 7 + 4 if busy else 0)]
            if rows:
                await tx.execute(tables.exchanges.insert(), rows)
    await _officials(hub, now)


async def _officials(hub: Any, now: Any) -> None:
    act = official_acts.Act("quan", now, "CV 761")
    for number in range(1, 8):
        told = {"code": f"CB{number:06}", "account": f"cb{number}", "full_name": f"Nguyễn Thị Mẫu {number}"}
        told |= {"unit_code": "000.00.15.H38", "unit_name": "Sở Tư pháp", "phone": f"090000000{number}"}
        told |= {"email": f"mau{number}@example.vn", "position": "Công chức"}
        days = {"valid_from": now - timedelta(days=30), "valid_until": now + timedelta(days=300)}
        entry = official_entries.entry({**told, **days, "procedures": ("1.000001", "G15-*")})
        await official_acts.register(hub.storage, hub.vault, entry, act=act)


def look(page: Any, **chosen: str) -> None:
    # For the whole desk: with the address of a page the cookie would hold below that page only.
    whole = page.evaluate("location.origin")
    page.context.add_cookies(
        [{"name": f"desk_{it}", "value": value, "url": whole} for it, value in chosen.items()]
    )


def key_of(page: Any) -> str:
    page.goto("/keys?q=tu+phap")
    return str(page.locator("table.list tbody a").first.get_attribute("href")).rsplit("/", 1)[-1]


def paths(page: Any) -> list[str]:
    return [path.format(key=key_of(page)) for path in PAGES]


def test_a_key_is_ordered_shown_once_suspended_undone_and_revoked(page: Any) -> None:
    sign_in(page)
    page.goto("/keys")
    page.get_by_role("link", name="Cấp khoá mới").click()
    for name, text in (("organisation", "Sở Nội vụ"), ("system", "Một cửa"), ("custodian", "Lê Thị Ví Dụ")):
        page.fill(f"input[name={name}]", text)
    page.check("input[value='procedures.*']")
    page.get_by_role("button", name="Cấp khoá").click()
    secret = page.inner_text("#secret")
    assert re.fullmatch(r"lt_test_\w+", secret)
    assert page.get_by_role("button", name="Chép khoá").is_visible()
    with page.expect_download() as started:
        page.get_by_role("button", name="Tải phiếu giao").click()
    assert secret in Path(started.value.path()).read_text(encoding="utf-8")
    page.get_by_role("link", name="Đã giao").click()
    _is(page, "đang dùng")
    assert secret not in page.content()
    _confirm(page, "Tạm ngưng", "nghi bị lộ")
    _is(page, "tạm ngưng")
    page.get_by_role("button", name="Hoàn tác").click()
    _is(page, "đang dùng")
    _confirm(page, "Thu hồi", "thôi dùng")
    _is(page, "đã thu hồi")


def _is(page: Any, state: str) -> None:
    """Wait for the page of a key that says this of its state; what stood there before may take a moment to go."""
    page.locator(".title", has_text=state).wait_for()


def _confirm(page: Any, label: str, reason: str) -> None:
    folded = page.locator("details.confirm", has=page.locator("summary", has_text=re.compile(f"^{label}$"))).first
    folded.locator("summary").click()
    folded.locator("input[name=reason]").fill(reason)
    folded.locator("button").click()
    page.wait_for_selector(".toast")


def test_use_comes_by_itself_also_beside_the_list(page: Any) -> None:
    sign_in(page)
    page.goto(f"/keys/{key_of(page)}")
    page.wait_for_selector("#use svg.heat")
    page.goto("/keys?q=tu+phap")
    page.locator("table.list tbody a").first.click()
    page.wait_for_selector("#panel #use svg.gauge")


def test_the_self_check_fills_itself(page: Any) -> None:
    sign_in(page)
    page.goto("/check")
    page.wait_for_selector("#results table", timeout=30_000)


def test_readers_and_weak_eyes_find_no_serious_fault_in_keys_and_catalogues(page: Any) -> None:
    sign_in(page)
    found = {}
    for theme in ("light", "dark"):
        look(page, theme=theme)
        for path in paths(page):
            page.goto(path)
            page.evaluate(_UNFOLD)
            if faults := serious(page):
                found[f"{path} {theme}"] = faults
    assert found == {}


@pytest.mark.parametrize("size", SIZES)
def test_no_page_of_keys_and_catalogues_runs_over_the_edge(page: Any, size: str) -> None:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    sign_in(page)
    over = {}
    for path in paths(page):
        page.goto(path)
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if beyond > 0:
            over[path] = beyond
    assert over == {}


def test_pictures_of_keys_and_catalogues(page: Any) -> None:
    """Write every page as a picture where LIENTHONG_PICTURES names a folder."""
    folder = os.environ.get("LIENTHONG_PICTURES")
    if not folder:
        pytest.skip("LIENTHONG_PICTURES is not set")
    sign_in(page)
    for language, theme in (("vi", "light"), ("en", "dark")):
        look(page, language=language, theme=theme)
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            for path in paths(page):
                page.goto(path, wait_until="networkidle")
                name = re.sub(r"[0-9a-f]{8}-[0-9a-f-]+", "key", path).strip("/").replace("/", "-")
                file = Path(folder) / f"{name}-{language}-{theme}-{size}.png"
                page.screenshot(path=file, full_page=size != "1366")
