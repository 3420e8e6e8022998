"""The whole story in Chromium: pay on the intermediary's page, see the dossier move, have its result posted."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

# The stories' province is played here too; with import-mode=importlib a folder of tests is no package.
sys.path.insert(0, str(Path(__file__).parents[1] / "stories"))

import builders
import till
import town as towns

from lienthong.bus import hub as hubs
from lienthong.bus.flows import postal_watch
from lienthong.core import clock, settings

pytestmark = [pytest.mark.browser, pytest.mark.long]
CODE = "H38.15-260803-0001"
SIDE = {"address": "1 Phố Thử", "province_code": "01", "old_province_code": "01", "old_district_code": "001"}


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The browser that other tests have open, or one of our own; none is ever fetched."""
    try:
        yield request.getfixturevalue("chromium")
        return
    except pytest.FixtureLookupError:
        pass
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 900, "height": 700}, locale="vi-VN")
    yield context.new_page()
    context.close()


def seen(page: Any, name: str) -> None:
    """Keep a picture for whoever wants to look, where LIENTHONG_PICTURES names a folder."""
    if folder := os.environ.get("LIENTHONG_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def called(town: till.Town, key: str, method: str, path: str, body: Any = None) -> Any:
    """Call the hub as sector software does."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(town.gateway_url + path, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    request.add_header("X-API-Key", key)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def finished(town: till.Town, key: str) -> None:
    """Declare the dossier that owes a fee."""
    now = datetime.now(clock.VIETNAM).replace(microsecond=0)
    times = {
        "submitted_at": (now - timedelta(hours=2)).isoformat(),
        "due_at": (now + timedelta(days=2)).isoformat(),
    }
    body = builders.dossier_body(fees=[{"name": "Lệ phí", "amount_vnd": 8_000}], **times)
    called(town, key, "PUT", f"/v1/dossiers/{CODE}", body)


def reported(town: till.Town, key: str, status: str, *, minutes: int) -> None:
    at = datetime.now(clock.VIETNAM).replace(microsecond=0) - timedelta(minutes=minutes)
    change = {"status": status, "occurred_at": at.isoformat(), "handled_by": "Cán bộ Thử", "note": "bước"}
    called(town, key, "POST", f"/v1/dossiers/{CODE}/status", change)


def at_the_portal(town: till.Town, page: Any, status: str) -> dict[str, Any]:
    """Look in the browser at what the national portal holds, until it says so."""
    held: dict[str, Any] = {}

    def has_it() -> bool:
        page.goto(f"{town.sandbox_url}/_sandbox/dossiers/{CODE}")
        held.clear()
        text = page.inner_text("body")
        held.update(json.loads(text) if text.startswith("{") else {})
        return bool(held.get("status") == status)

    towns.wait_until(has_it, timeout_s=60, every_s=0.5)
    return held


@pytest.mark.parametrize("provider", ["vnpay", "keypay"])
def test_paid_by_clicking_and_carried_home(page: Any, provider: str) -> None:
    with till.opened(towns.EMBEDDED) as town:
        key = town.issue_key()
        finished(town, key)
        reported(town, key, "received", minutes=90)
        wanted = {"dossier_code": CODE, "provider": provider, **till.WHO}
        started = called(town, key, "POST", "/v1/payments", wanted)

        page.goto(started["pay_url"])
        assert "8.000 đ" in page.inner_text("body")
        seen(page, f"{provider}-1-to-pay")
        page.get_by_role("link", name="Thanh toán / pay").click()
        page.wait_for_load_state()
        seen(page, f"{provider}-2-paid")
        # The payer is back where the order said, and reads no secret of the hub in the address.
        assert page.url.startswith(town.sandbox_url)
        assert key not in page.url

        at = f"/v1/payments/{started['id']}"
        towns.wait_until(lambda: called(town, key, "GET", at)["state"] == "paid", timeout_s=60)
        # Who clicks again finds that it is over.
        page.goto(started["pay_url"])
        assert "kết thúc" in page.inner_text("body")
        seen(page, f"{provider}-3-again")

        reported(town, key, "processing", minutes=60)
        reported(town, key, "finished", minutes=5)
        held = at_the_portal(town, page, "9")
        seen(page, f"{provider}-4-portal-finished")
        assert held["item"]["MaHoSo"] == CODE

        sent = {"dossier_code": CODE, "direction": "deliver_result", "carrier": "vnpost_hcc"}
        sent |= {
            "sender": {"name": "Bộ phận Một cửa", "phone": "0900000001", **SIDE},
            "receiver": {"name": "Nguyễn Văn Thử", "phone": "0900000002", **SIDE},
        }
        parcel = called(town, key, "POST", "/v1/parcels", sent)
        [carried] = town.sandbox("/_sandbox/parcels?system=vnpost_hcc")["items"]
        town.sandbox(f"/_sandbox/parcels/{carried['number']}?code=4", method="POST")
        # In a thread of its own: the browser keeps a loop in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(feeds_read(town))).result(60)
        assert called(town, key, "GET", f"/v1/parcels/{parcel['id']}")["state"] == "delivered"
        assert called(town, key, "GET", f"/v1/dossiers/{CODE}")["status"] == "returned"
        at_the_portal(town, page, "10")
        seen(page, f"{provider}-5-portal-returned")
        page.goto(f"{town.sandbox_url}/")
        seen(page, f"{provider}-6-sandbox")
        assert "Traceback" not in town.logs()


async def feeds_read(town: till.Town) -> None:
    """Read the carriers' feeds now; the hub itself does so by its timetable."""
    async with hubs.opened(settings.load(town.environment)) as hub:
        await postal_watch.run(hub)
