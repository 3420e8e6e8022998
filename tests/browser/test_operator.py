"""The operator's pages in Chromium: by keyboard and readers, on every size, in both languages."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "stories"))

import desk
import post_town
import serving
from post_town import CODE, FEE

from lienthong.core import clock, tables

TARGET = "dvcqg_adapter"
# What a town begins with, and a hub without anything has not; in an order that the database allows.
EMPTIED = (
    tables.status_changes,
    tables.messages,
    tables.dossiers,
    tables.sync_items,
    tables.sync_runs,
)
PLAIN = (
    "/",
    "/dossiers",
    f"/dossiers/{CODE}",
    f"/dossiers/{CODE}?story=post",
    "/messages",
    "/messages?state=dead",
    f"/messages/plan?act=retry&target={TARGET}&code=Server.Hub.UnmappedCode",
    "/targets",
    f"/targets/{TARGET}",
    f"/systems/{TARGET}",
    f"/systems/{TARGET}/check",
    "/sync",
    "/payments",
    "/payments?open=1",
    "/refunds?all=1",
    "/parcels",
    "/reconciliation",
)


async def fill(town: post_town.Town) -> dict[str, str]:
    """Give every page something to show; the addresses of single things are given back."""
    view = await town.book(cod_vnd=FEE)
    await town.happens(view, "collected", "in_transit")
    await town.happens(view, "delivered", cod_collected_vnd=FEE - 1000)
    await town.happens(view, "returned")
    hub, now = town.hub, town.hub.now()
    for number in range(2, 30):
        await town.declare(f"H38.15-260115-{number:04d}")
        await town.finish(f"H38.15-260115-{number:04d}")
    codes = ("Server.Hub.UnmappedCode", "Server.Remote.Refused", "Server.Remote.Unavailable")
    rows = await town.rows(tables.messages)
    async with hub.storage.transaction() as tx:
        for row in rows:
            await _settle(tx, row, codes[row["seq"] % 3], now)
        await _runs(tx, now)
        await _refund(tx, view.payment_id or "", now)
        await _compared(tx, now)
    stuck = next(row["id"] for row in rows if row["seq"] % 5)
    return {
        "message": f"/messages/{stuck}",
        "payment": f"/payments/{view.payment_id}",
        "parcel": f"/parcels/{view.id}",
        "run": "/sync/run-2",
        "held": "/sync/run-1",
        "compared": "/reconciliation/compared-1",
    }


async def _settle(tx: Any, row: dict[str, Any], code: str, now: Any) -> None:
    state = "dead" if row["seq"] % 5 else "delivered"
    told = "ok" if state == "delivered" else code
    at = now - timedelta(minutes=13 * row["seq"] + 20)
    values = {"state": state, "attempts": 3, "settled_at": at, "last_code": told}
    values["last_error"] = "status=hoan_thanh chưa có trong bảng ánh xạ" if state == "dead" else None
    await tx.execute(tables.messages.update().where(tables.messages.c.seq == row["seq"]).values(**values))
    for number in (1, 2, 3):
        outcome = state if number == 3 else "later"
        values = {"message_id": row["id"], "number": number, "steps_done": 0, "outcome": outcome}
        values |= {"started_at": at - timedelta(minutes=9 - number), "took_ms": 41.5 * number}
        values |= {"code": told if number == 3 else "Server.Remote.Unavailable", "detail": "HTTP 503"}
        await tx.execute(tables.attempts.insert().values(**values))


async def _runs(tx: Any, now: Any) -> None:
    counts = {"seen": 2160, "new": 3, "changed": 2, "unchanged": 2155, "withdrawn": 0, "failed": 1}
    runs = [
        {
            "id": "run-1",
            "state": "held",
            "held": "Danh sách chỉ còn 2.160 trên 6.412 thủ tục.",
            "counts": {"seen": 2160},
        },
        {"id": "run-2", "state": "done", "held": None, "counts": counts},
    ]
    for number, run in enumerate(runs):
        at = now - timedelta(hours=3 + 24 * number)
        same = {"source": TARGET, "full": False, "started_at": at, "finished_at": at + timedelta(seconds=93)}
        await tx.execute(tables.sync_runs.insert().values(**same, **run))
    changes = [
        {
            "field": "name",
            "label_vi": "Tên thủ tục",
            "old": "Đăng ký khai sinh",
            "new": "Đăng ký khai sinh lưu động",
        },
        {"field": "note", "label_vi": "Ghi chú", "old": "Lệ phí 8.000 đ", "new": "Miễn lệ phí"},
    ]
    for code in ("1.001193", "2.000635"):
        detail = {"name": "Đăng ký khai sinh lưu động", "version": 4, "changes": changes}
        row = {"run_id": "run-2", "code": code, "outcome": "changed", "detail": detail}
        await tx.execute(tables.sync_items.insert().values(**row))
    failed = {"name": "Cấp bản sao trích lục", "code": "Server.Remote.Garbled"}
    failed |= {"vi": "Thiếu trường tên thủ tục", "en": "The name is missing"}
    row = {"run_id": "run-2", "code": "2.000748", "outcome": "failed", "detail": failed}
    await tx.execute(tables.sync_items.insert().values(**row))


async def _refund(tx: Any, payment: str, now: Any) -> None:
    for number, state in enumerate(("waiting", "with_person", "done")):
        row = {"id": f"refund-{number}", "payment_id": payment, "request_number": f"R{number}", "state": state}
        row |= {"amount_vnd": 5000 * (number + 1), "reason": "Rút hồ sơ", "requested_by": "ketoan01"}
        row |= {"requested_at": now - timedelta(hours=number + 1), "requested_through": "api"}
        await tx.execute(tables.payment_refunds.insert().values(**row))


async def _compared(tx: Any, now: Any) -> None:
    run = {"id": "compared-1", "provider": "vnpay", "source": "file", "shape": "vnpay", "state": "done"}
    run |= {"day_from": now.date(), "day_until": now.date(), "digest": "d", "file_name": "vnpay-0115.xlsx"}
    run |= {"counts": {"lines": 214, "matched": 211}, "made_at": now, "made_by": "ketoan01", "reason": ""}
    await tx.execute(tables.reconciliations.insert().values(**run))
    kinds = ("missing_with_us", "amount_differs", "twice_with_them")
    for number, kind in enumerate(kinds):
        row = {"id": f"difference-{number}", "reconciliation_id": "compared-1", "provider": "vnpay", "kind": kind}
        row |= {"fact": str(number), "day": now.date(), "found_at": now, "our_reference": f"LT26011500000{number}"}
        row |= {
            "provider_reference": f"1423{number}",
            "ours_vnd": FEE if number else None,
            "theirs_vnd": FEE + 500,
        }
        await tx.execute(tables.reconciliation_differences.insert().values(**row))


@asynccontextmanager
async def much(home: Path, _address: str) -> AsyncIterator[serving.Played]:
    """Play a province where everything has happened."""
    async with post_town.opened(home) as town:
        paths = await fill(town)
        await desk.Stage(town.hub, desk.Time(clock.now()), None).add("lan", "operator")
        yield town.hub, paths


@asynccontextmanager
async def nothing(home: Path, _address: str) -> AsyncIterator[serving.Played]:
    """Play a province on its first morning."""
    async with post_town.opened(home) as town:
        async with town.hub.storage.transaction() as tx:
            for table in EMPTIED:
                await tx.execute(table.delete())
        await desk.Stage(town.hub, desk.Time(clock.now()), None).add("lan", "operator")
        yield town.hub, {}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Desks]:
    with serving.serving(tmp_path_factory.mktemp("operator"), much) as desks:
        yield desks


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Desks]:
    with serving.serving(tmp_path_factory.mktemp("bare"), nothing) as desks:
        yield desks


@pytest.fixture
def page(chromium: Any, full: serving.Desks) -> Iterator[Any]:
    """A page of an operator who is signed in, with much to do."""
    with full.visited(chromium, "lan") as page:
        page.goto("/")
        yield page


def test_no_page_has_a_serious_fault_or_runs_over_the_edge(page: Any, full: serving.Desks) -> None:
    paths = serving.named(*PLAIN, "/dossiers/no-such-dossier", "/accounts") | full.paths
    assert serving.faults(page, paths, kind="operator") == {}


def test_no_page_of_the_first_morning_has_a_serious_fault(chromium: Any, bare: serving.Desks) -> None:
    with bare.visited(chromium, "lan") as page:
        page.goto("/")
        assert serving.faults(page, serving.named(*PLAIN), kind="first-morning") == {}


def test_from_a_dossier_to_the_failing_hops_answer_in_three_steps(page: Any) -> None:
    begun = time.perf_counter()
    page.keyboard.press("/")
    page.keyboard.type("H38.15-260115-0011")
    page.keyboard.press("Enter")
    page.wait_for_url("**/found/**")
    page.locator("table.list a").first.click()
    page.locator("#panel:not([hidden]) .risks a, main .risks a").first.click()
    page.wait_for_selector("text=Từng lần gửi")
    assert "HTTP 503" in page.inner_text("body")
    print(f"dossier to answer: {time.perf_counter() - begun:.2f} s, 3 steps")


def test_a_group_is_looked_at_first_and_then_sent_again(page: Any) -> None:
    page.goto("/messages?state=dead&code=Server.Remote.Unavailable")
    page.get_by_text("Gửi lại tất cả").click()
    assert "Chưa có gì thay đổi" in page.inner_text("main")
    page.locator("details.confirm summary").click()
    page.fill("details.confirm[open] input[name=reason]", "đường truyền đã thông")
    page.locator("details.confirm[open] button").click()
    page.wait_for_selector(".toast")
    assert "Đã đưa vào hàng gửi lại" in page.inner_text(".toast")


def test_a_target_is_paused_until_a_moment_and_resumed_from_the_toast(page: Any) -> None:
    page.goto(f"/targets/{TARGET}")
    page.locator("details.confirm summary").first.click()
    page.fill("details.confirm[open] input[name=reason]", "bảo trì đường truyền")
    page.locator("details.confirm[open] button").click()
    page.wait_for_selector(".toast")
    assert "Tự chạy lại lúc" in page.inner_text("main")
    page.locator(".toast button").click()
    page.wait_for_selector("h1 + .chip.ok")
