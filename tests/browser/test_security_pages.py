"""The security officer's pages in Chromium: tasks end to end, weak eyes, three screens, empty, broken."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import desk
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe

from lienthong.console.web import app
from lienthong.core import access_record, clock, ingest, journal, spool, subjects
from lienthong.monitoring import alert_rules, alerts, responding, seals
from lienthong.monitoring.detectors import findings, people, places, probing

SIZES = {"1366": (1366, 768), "1920": (1920, 1080), "390": (390, 844)}
PAGES = (
    "/alerts",
    "/records?range=7d",
    "/people",
    "/key-risks",
    "/rules",
    "/rules/refusal_burst",
    "/seals",
    "/reviews",
)
CITIZEN = "001099000001"  # invented


def _call(home: Path, number: int, now: Any) -> access_record.Record:
    at = now - timedelta(minutes=number * 9)
    is_personal, is_refused = number % 3 == 0, number % 5 == 0
    years = subjects.Subjects(home)
    return access_record.Record(
        at=at,
        request_id=clock.new_id(int(at.timestamp() * 1000)),
        operation="residents.look_up" if is_personal else ("procedures.list", "dossiers.put")[number % 2],
        route="/v1/residents/look-up" if is_personal else "/v1/procedures",
        outcome="Client.NotGranted" if is_refused else "ok",
        took_ms=(number * 7919 % 10_000) / 100,
        status=403 if is_refused else 200,
        key_id=f"key-{number % 6}",
        organisation="Sở Tư pháp" if number % 2 else "Sở Y tế",
        official=f"can-bo-{number % 4}" if is_personal else None,
        address=f"10.0.{number % 3}.7",
        subject=years.digest(CITIZEN if number % 30 == 0 else f"0010990{number % 97:05d}", at=at)
        if is_personal
        else None,
        purpose="Đăng ký khai sinh" if is_personal else None,
        dossier_code=f"H38.12-261120-{number:06d}" if is_personal else None,
        field_groups=("identity",) if is_personal else (),
    )


async def _fill(hub: Any) -> None:
    stage, now, store, home = (
        desk.Stage(hub, desk.Time(clock.now()), None),
        clock.now(),
        hub.storage,
        hub.settings.home,
    )
    await stage.add("lan", "security_officer")
    await stage.add("hung", "security_officer", "key_manager")
    issued = await builders.issue_key(hub, organisation="Sở Tư pháp", limits=("600/minute",))
    await builders.issue_key(hub, organisation="Sở Y tế", limits=("10/minute",), days=12)
    node = spool.Spool(home / "spool", "gateway")
    for number in range(600, 0, -1):
        made = _call(home, number, now)
        node.append(made._replace(key_id=issued.record.id) if number % 6 == 1 else made)
    node.close()
    await ingest.Ingest(home / "spool", store).step()
    async with seals.opened(home, store) as sealer:
        await sealer.step(now)
    whom, at = findings.Who(key=issued.record.id), now.timestamp()
    found = [
        probing.refused(whom, at - 9000, seen=40, requests=50, share=0.003),
        probing.refused(findings.Who(key=issued.record.id), at - 90_000, seen=30, requests=40, share=0.003),
        people.many_subjects(whom, at - 300, seen=412, bound=9, normal=4, minutes=10),
        people.coming_back(findings.Who(official="can-bo-2"), at - 7200, times=9, on_days=5, usual=2),
        places.network(findings.Who(key="key-3"), at - 4000, network="203.0.113.0/24", known=1, newly=0)
        if hasattr(places, "network")
        else None,
    ]
    made_alerts = [await alerts.open_or_update(store, each) for each in found if each]
    for number in range(12):
        each = probing.refused(
            findings.Who(key=f"key-{number}"), at - number * 2500, seen=20 + number, requests=60, share=0.01
        )
        if each:
            await alerts.open_or_update(store, each)
    if made_alerts[1]:
        await alerts.close(store, made_alerts[1], "normal", reason="đợt nhập bù hồ sơ giấy", actor="hung", now=now)
    if made_alerts[2]:
        await alerts.acknowledge(store, made_alerts[2], actor="lan", now=now)
        await alerts.note(store, made_alerts[2], "Đã gọi Sở Tư pháp, đang chờ trả lời.", actor="lan", now=now)
        until = now + timedelta(hours=1)
        await responding.respond(
            store, made_alerts[2], "throttle", reason="nghi lộ khoá", until=until, actor="lan", now=now
        )
    await alert_rules.silence(
        store, rule="off_hours", entity=None, until=now + timedelta(days=2), reason="bảo trì", actor="lan", now=now
    )


async def _break(hub: Any) -> None:
    facts = {
        "holds": False, "checked": {"records": 600}, "notes": [], "more": 3,
        "findings": [["exchanges: gateway-1 no. 117 (leaf 117)", "Bản ghi đã bị sửa.", "The record was altered."]],
    }  # fmt: skip
    async with hub.storage.transaction() as tx:
        now = clock.now()
        await journal.write_act(
            tx,
            "journal.verify",
            "seals",
            actor="lan",
            now=now,
            reason="định kỳ",
            after=facts,
            outcome="does_not_hold",
        )


async def _serve(
    home: Path, listening: socket.socket, ready: threading.Event, stop: threading.Event, kind: str
) -> None:
    agency = {"code": "000.00.00.H38", "name": "Tỉnh Thử Nghiệm"}
    async with builders.running_hub(home, agency=agency, systems=builders.NOBODY) as hub:
        if kind == "full":
            await _fill(hub)
        else:
            await desk.Stage(hub, desk.Time(clock.now()), None).add("lan", "security_officer")
            await _break(hub)
        server = uvicorn.Server(uvicorn.Config(app.create_app(hub), log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        ready.set()
        while not stop.is_set():  # noqa: ASYNC110 - the flag is another thread's
            await asyncio.sleep(0.1)
        server.should_exit = True
        await serving


def _served(home: Path, kind: str) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(home, listening, ready, stop, kind)), daemon=True)
    thread.start()
    assert ready.wait(60)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    stop.set()
    thread.join(30)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the desks of a hub that has alerts, calls and seals."""
    yield from _served(tmp_path_factory.mktemp("officer"), "full")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the desks of a hub that has nothing, and whose record did not hold."""
    yield from _served(tmp_path_factory.mktemp("bare"), "bare")


def opened(chromium: Any, address: str, **named: Any) -> Any:
    context = chromium.new_context(base_url=address, viewport={"width": 1366, "height": 768}, **named)
    page = context.new_page()
    page.asked, page.wrong = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda said: page.wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto("/sign-in")
    page.fill("input[name=name]", "lan")
    page.fill("input[name=password]", desk.PASSWORD)
    page.click("button.main")
    page.wait_for_url("**/")
    return page


@pytest.fixture
def page(chromium: Any, full: str) -> Iterator[Any]:
    """A page of an officer who is signed in; it asks no other host and has no error of its own."""
    made = opened(chromium, full)
    yield made
    assert {urllib.parse.urlsplit(url).netloc for url in made.asked} <= {urllib.parse.urlsplit(full).netloc}
    assert [said for said in made.wrong if "status of 4" not in said] == []
    made.context.close()


def serious(page: Any) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{it['id']}: {node['html'][:160]}"
        for it in found
        if it["impact"] in ("serious", "critical")
        for node in it["nodes"][:3]
    ]


def every_page(page: Any) -> list[str]:
    page.goto("/alerts")
    alert = page.locator("table a[href^='/alerts/']").first.get_attribute("href")
    page.goto("/records?range=7d")
    one = page.locator("table a[href^='/records/']").first.get_attribute("href")
    return [*PAGES, alert, f"{alert}/timeline", one]


def test_from_an_alert_to_a_suspended_key_in_six_clicks(page: Any) -> None:
    page.goto("/alerts")
    clicks = 0

    def click(what: Any) -> None:
        nonlocal clicks
        clicks += 1
        what.click()

    click(page.get_by_role("link", name="412 người khác nhau").first)
    panel = page.locator("#panel")
    panel.get_by_role("heading", level=1).wait_for()
    click(panel.get_by_text("Tạm dừng khoá", exact=True).first)
    form = panel.locator("form", has=page.locator("input[value=suspend]"))
    form.locator("input[name=reason]").fill("nghi lộ khoá")
    click(form.get_by_role("button", name="Tạm dừng khoá"))
    page.wait_for_selector(".toast")
    assert "Đã tạm dừng khoá" in page.locator(".toast").inner_text()
    assert clicks <= 6
    page.locator(".toast button").click()
    page.wait_for_selector("text=Đã gỡ biện pháp.")


def test_a_stretch_of_the_record_is_chosen_by_dragging_and_a_row_is_verified(page: Any) -> None:
    page.goto("/records?range=24h")
    page.locator("#tops table").first.wait_for()
    chart = page.locator("svg.histogram").bounding_box()
    page.mouse.move(chart["x"] + chart["width"] * 0.5, chart["y"] + 40)
    page.mouse.down()
    page.mouse.move(chart["x"] + chart["width"] * 0.7, chart["y"] + 40, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=**")
    page.locator("table a[href^='/records/']").first.click()
    panel = page.locator("#panel")
    panel.get_by_role("button", name="Kiểm tra bản ghi này").click()
    panel.get_by_text("Đúng như đã niêm phong").wait_for()


def test_who_looked_is_typed_answered_and_printed(page: Any) -> None:
    page.goto("/people")
    page.fill("input[name=number]", CITIZEN)
    page.fill("input[name=reason]", "đơn khiếu nại 12/2026")
    page.click("main button.main")
    page.get_by_text("Từng lượt").wait_for()
    assert CITIZEN not in page.url
    assert CITIZEN not in page.content()
    page.emulate_media(media="print")
    assert page.locator("text=ghi tay số định danh").is_visible()
    assert not page.locator(".rail").is_visible()
    assert serious(page) == []


def test_evidence_is_downloaded(page: Any) -> None:
    page.goto("/records?range=24h")
    page.get_by_text("Xuất kèm chứng cứ").first.click()
    form = page.locator("form[action='/records/export']")
    form.locator("input[name=reason]").fill("theo yêu cầu")
    with page.expect_download() as waiting:
        form.get_by_role("button").click()
    assert waiting.value.suggested_filename.endswith(".zip")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_weak_eyes_and_readers_find_no_serious_fault(page: Any, theme: str) -> None:
    page.context.add_cookies([{"name": "desk_theme", "value": theme, "url": page.url}])
    for path in every_page(page):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert serious(page) == [], path


@pytest.mark.parametrize("size", SIZES)
def test_nothing_runs_over_the_edge_of_the_screen(page: Any, size: str) -> None:
    paths = every_page(page)
    page.set_viewport_size({"width": SIZES[size][0], "height": SIZES[size][1]})
    for path in paths:
        page.goto(path)
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{path} at {size}"


def test_empty_and_broken_pages_say_why(chromium: Any, bare: str) -> None:
    page = opened(chromium, bare)
    for path, told in (
        ("/alerts", "Không có cảnh báo nào"),
        ("/records", "Không có lượt nào"),
        ("/key-risks", "Không khoá nào"),
        ("/seals", "KHÔNG khớp với niêm phong"),
    ):
        page.goto(path)
        assert told in page.locator("main").inner_text(), path
        assert serious(page) == [], path
    _pictures(page, "bare", ["/alerts", "/records", "/key-risks", "/seals"])
    page.context.close()


def test_pictures_for_who_looks_at_them(page: Any) -> None:
    """Write every page as a picture where LIENTHONG_PICTURES names a folder."""
    if not os.environ.get("LIENTHONG_PICTURES"):
        pytest.skip("LIENTHONG_PICTURES is not set")
    paths = every_page(page)
    for language, theme in (("vi", "light"), ("en", "dark")):
        cookies = [("desk_language", language), ("desk_theme", theme)]
        page.context.add_cookies([{"name": name, "value": it, "url": page.url} for name, it in cookies])
        _pictures(page, f"{language}-{theme}", paths)
        page.set_viewport_size({"width": 1366, "height": 768})
        page.goto("/alerts")
        page.locator("table a[href^='/alerts/']").first.click()
        page.locator("#panel h1").wait_for()
        page.screenshot(path=Path(os.environ["LIENTHONG_PICTURES"]) / f"officer-panel-{language}-{theme}.png")


def _pictures(page: Any, kind: str, paths: list[str]) -> None:
    folder = os.environ.get("LIENTHONG_PICTURES")
    if not folder:
        return
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for path in paths:
            page.goto(path)
            page.wait_for_load_state("networkidle")
            parts = [part if len(part) < 20 else "one" for part in path.partition("?")[0].strip("/").split("/")]
            name = "-".join(parts)
            page.screenshot(path=Path(folder) / f"officer-{name}-{kind}-{size}.png", full_page=size != "1920")
