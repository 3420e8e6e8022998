"""The operator's pages in Chromium: by keyboard and readers, on every size, in both languages."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "stories"))

import desk
import post_town
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from post_town import CODE, FEE

from lienthong.console.web import app
from lienthong.core import clock, tables

TARGET = "dvcqg_adapter"
SIZES = {"1366": (1366, 768), "1920": (1920, 1080), "390": (390, 844)}
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
        {"field": "fees", "label_vi": "Phí, lệ phí", "old": "8.000 đ", "new": "Miễn"},
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


class Served:
    """Desks that are served from a thread; `address` and the paths of single things."""

    def __init__(self, home: Path, *, is_full: bool) -> None:
        self.is_full, self.home = is_full, home
        self.paths: dict[str, str] = {}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(90)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    async def _serve(self) -> None:
        async with post_town.opened(self.home) as town:
            if self.is_full:
                self.paths = await fill(town)
            else:
                async with town.hub.storage.transaction() as tx:
                    for table in EMPTIED:
                        await tx.execute(table.delete())
            stage = desk.Stage(town.hub, desk.Time(clock.now()), None)
            await stage.add("lan", "operator")
            server = uvicorn.Server(uvicorn.Config(app.create_app(town.hub), log_config=None, lifespan="off"))
            serving = asyncio.create_task(server.serve(sockets=[self._listening]))
            self._ready.set()
            while not self._stop.is_set():  # noqa: ASYNC110 - the flag is another thread's
                await asyncio.sleep(0.1)
            server.should_exit = True
            await serving


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("operator"), is_full=True) as served:
        yield served


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("bare"), is_full=False) as served:
        yield served


def page_of(chromium: Any, served: Served, *, language: str = "vi", theme: str = "light") -> Any:
    context = chromium.new_context(base_url=served.address, viewport={"width": 1366, "height": 768})
    cookies = [("desk_language", language), ("desk_theme", theme)]
    context.add_cookies([{"name": name, "value": it, "url": served.address} for name, it in cookies])
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto("/sign-in")
    page.fill("input[name=name]", "lan")
    page.fill("input[name=password]", desk.PASSWORD)
    page.click("button.main")
    page.wait_for_url("**/")
    return page


def serious(page: Any) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{it['id']}: {node['html'][:160]}"
        for it in found
        if it["impact"] in ("serious", "critical")
        for node in it["nodes"][:3]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readers_and_weak_eyes_find_no_serious_fault(chromium: Any, full: Served, theme: str) -> None:
    page = page_of(chromium, full, theme=theme)
    for path in (*PLAIN, *full.paths.values()):
        assert page.goto(path).status == 200, path
        assert serious(page) == [], path
    assert page.wrong == []
    page.context.close()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_runs_over_the_edge_of_the_screen(chromium: Any, full: Served, bare: Served, size: str) -> None:
    for served in (full, bare):
        page = page_of(chromium, served, language="en")
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        for path in (*PLAIN, *served.paths.values()):
            page.goto(path)
            over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert over <= 0, f"{path} at {size}"
        page.context.close()


def test_from_a_dossier_to_the_failing_hops_answer_in_three_steps(chromium: Any, full: Served) -> None:
    page = page_of(chromium, full)
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
    page.context.close()


def test_a_group_is_looked_at_first_and_then_sent_again(chromium: Any, full: Served) -> None:
    page = page_of(chromium, full)
    page.goto("/messages?state=dead&code=Server.Remote.Unavailable")
    page.get_by_text("Gửi lại tất cả").click()
    assert "Chưa có gì thay đổi" in page.inner_text("main")
    page.locator("details.confirm summary").click()
    page.fill("details.confirm[open] input[name=reason]", "đường truyền đã thông")
    page.locator("details.confirm[open] button").click()
    page.wait_for_selector(".toast")
    assert "Đã đưa vào hàng gửi lại" in page.inner_text(".toast")
    page.context.close()


def test_a_target_is_paused_until_a_moment_and_resumed_from_the_toast(chromium: Any, full: Served) -> None:
    page = page_of(chromium, full)
    page.goto(f"/targets/{TARGET}")
    page.locator("details.confirm summary").first.click()
    page.fill("details.confirm[open] input[name=reason]", "bảo trì đường truyền")
    page.locator("details.confirm[open] button").click()
    page.wait_for_selector(".toast")
    assert "Tự chạy lại lúc" in page.inner_text("main")
    page.locator(".toast button").click()
    page.wait_for_selector("h1 + .chip.ok")
    page.context.close()


def test_pictures_for_who_looks_at_them(chromium: Any, full: Served, bare: Served) -> None:
    """Write every page as a picture where LIENTHONG_PICTURES names a folder."""
    folder = os.environ.get("LIENTHONG_PICTURES")
    if not folder:
        pytest.skip("LIENTHONG_PICTURES is not set")
    for served, amount in ((full, "much"), (bare, "none")):
        for language, theme in (("vi", "light"), ("en", "dark")):
            page = page_of(chromium, served, language=language, theme=theme)
            _pictures(page, served, Path(folder), f"{amount}-{language}-{theme}")
            page.context.close()


def _pictures(page: Any, served: Served, folder: Path, kind: str) -> None:
    broken = {"nowhere": "/dossiers/no-such-dossier"}
    named = {path.strip("/").replace("/", "-").replace("?", "-")[:40] or "overview": path for path in PLAIN}
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for name, path in {**named, **served.paths, **broken}.items():
            page.goto(path)
            page.screenshot(path=folder / f"{name}-{kind}-{size}.png", full_page=size == "390")
