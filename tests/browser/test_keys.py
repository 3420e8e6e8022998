"""Keys, officials and catalogues in Chromium: a key from order to revocation, axe, sizes, pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import desk
import pytest
import serving

from lienthong.api_keys import keys, official_acts, official_entries, uses
from lienthong.core import clock, tables

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


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Desks]:
    """Serve the desks of a hub with keys that have a past."""
    with serving.serving(tmp_path_factory.mktemp("keys"), serving.played(_fill)) as desks:
        yield desks


@pytest.fixture
def page(chromium: Any, desks: serving.Desks) -> Iterator[Any]:
    """A page of somebody who keeps keys, operates and watches."""
    with desks.visited(chromium, "quan") as page:
        yield page


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


def key_of(page: Any) -> str:
    page.goto("/keys?q=tu+phap")
    return str(page.locator("table.list tbody a").first.get_attribute("href")).rsplit("/", 1)[-1]


def paths(page: Any) -> dict[str, str]:
    key = key_of(page)
    return {name: path.replace("{key}", key) for name, path in serving.named(*PAGES).items()}


def test_a_key_is_ordered_shown_once_suspended_undone_and_revoked(page: Any) -> None:
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


def test_the_last_form_of_a_row_ran_over_the_edge_of_an_old_screen(page: Any) -> None:
    page.goto(f"/keys/{key_of(page)}")
    page.locator("main .acts summary").last.click()
    page.locator("main .acts details[open] button").wait_for()
    assert page.evaluate(serving.BEYOND) == 0


def test_use_comes_by_itself_also_beside_the_list(page: Any) -> None:
    page.goto(f"/keys/{key_of(page)}")
    page.wait_for_selector("#use svg.heat")
    page.goto("/keys?q=tu+phap")
    page.locator("table.list tbody a").first.click()
    page.wait_for_selector("#panel #use svg.gauge")


def test_the_self_check_fills_itself(page: Any) -> None:
    page.goto("/check")
    page.wait_for_selector("#results table", timeout=30_000)


def test_no_page_of_keys_and_catalogues_has_a_serious_fault_or_runs_over_the_edge(page: Any) -> None:
    assert serving.faults(page, paths(page), kind="keys") == {}
