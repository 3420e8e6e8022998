"""The security officer's pages in Chromium: tasks end to end, weak eyes, three screens, empty, broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import desk
import officer_week
import pytest
import serving
from officer_week import CITIZEN

from lienthong.core import clock, journal

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


async def _broken(hub: Any) -> None:
    """A hub that has nothing, and whose record did not hold."""
    await desk.Stage(hub, desk.Time(clock.now()), None).add("lan", "security_officer")
    await _break(hub)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Desks]:
    """Serve the desks of a hub that has alerts, calls and seals."""
    with serving.serving(tmp_path_factory.mktemp("officer"), serving.played(officer_week.fill)) as desks:
        yield desks


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Desks]:
    with serving.serving(tmp_path_factory.mktemp("bare"), serving.played(_broken)) as desks:
        yield desks


@pytest.fixture
def page(chromium: Any, full: serving.Desks) -> Iterator[Any]:
    """A page of an officer who is signed in."""
    with full.visited(chromium, "lan") as page:
        yield page


def every_page(page: Any) -> dict[str, str]:
    page.goto("/alerts")
    alert = address_of(page, "412 người khác nhau")
    page.goto("/records?range=7d")
    one = page.locator("table a[href^='/records/']").first.get_attribute("href")
    return serving.named(*PAGES) | {"alert": alert, "alert-timeline": f"{alert}/timeline", "record": one}


def address_of(page: Any, sentence: str) -> str:
    return str(page.get_by_role("link", name=sentence).first.get_attribute("href"))


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
    # A day is drawn by quarters of an hour: fine enough to choose a burst.
    assert page.locator("svg.histogram g[data-from]").count() == 97
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
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print")
    # Who works in the dark prints black on white.
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.locator("text=ghi tay số định danh").is_visible()
    assert not page.locator(".rail").is_visible()
    assert serving.serious(page) == []


def test_a_citizens_number_typed_into_a_filter_is_not_sent(page: Any) -> None:
    page.goto("/records")
    field = page.locator("form.filters [name=official]")
    for typed, is_wrong in (("001 099 000 001", True), ("123456789", True), ("CB-0001", False)):
        field.fill(typed)
        assert field.evaluate("field => field.validity.customError") is is_wrong
    field.fill("001099000001")
    field.press("Enter")
    assert "001099000001" not in page.url


def test_evidence_is_downloaded(page: Any) -> None:
    page.goto("/records?range=24h")
    page.get_by_text("Xuất kèm chứng cứ").first.click()
    form = page.locator("form[action='/records/export']")
    form.locator("input[name=reason]").fill("theo yêu cầu")
    with page.expect_download() as waiting:
        form.get_by_role("button").click()
    assert waiting.value.suggested_filename.endswith(".zip")


@pytest.mark.parametrize(
    ("kind", "verdict"), [("incident", "sự cố"), ("normal", "bình thường"), ("mistake", "báo nhầm")]
)
def test_an_alert_is_closed_with_a_verdict_and_a_reason(page: Any, kind: str, verdict: str) -> None:
    page.goto("/alerts?rule=refusal_burst")
    page.goto(address_of(page, "lời gọi bị từ chối"))
    page.locator("summary", has_text="Đóng cảnh báo").click()
    form = page.locator("details[open] form")
    form.locator(f"input[value={kind}]").check()
    form.locator("input[name=reason]").fill("đã hỏi đơn vị")
    form.get_by_role("button", name="Đóng cảnh báo").click()
    page.wait_for_selector(".toast")
    told = page.locator("main").inner_text()
    assert f"lan đã đóng với kết luận “{verdict}”: đã hỏi đơn vị" in told
    assert page.locator("summary", has_text="Đóng cảnh báo").count() == 0


def test_the_chart_of_an_alert_lays_what_was_seen_over_what_is_normal(page: Any) -> None:
    page.goto("/alerts")
    page.goto(address_of(page, "412 người khác nhau"))
    chart = page.locator("svg.banded")
    assert chart.locator(".band").count() == 1
    # The last hour, in which everybody was asked for, lies above the band and says how many.
    marked = chart.locator(".outside title").all_text_contents()
    page.locator("figure.drawn summary").click()
    last = page.locator("figure.drawn tbody tr").last.locator("td").all_inner_texts()
    assert any(label.startswith(last[0]) for label in marked)
    assert int(last[1]) > int(last[3])


def test_the_seals_page_asks_no_more_once_the_result_is_there(page: Any) -> None:
    page.clock.install()
    page.goto("/seals")
    running = page.content().replace('<div id="verdict"', '<div id="verdict" data-load="/seals" data-every="5"')
    page.route("**/seals", lambda route: route.fulfill(body=running, content_type="text/html"), times=1)
    page.goto("/seals")
    with page.expect_response("**/seals"):
        page.clock.run_for(5_000)
    page.wait_for_selector("#verdict:not([data-every])")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    assert asked == []


def test_no_page_has_a_serious_fault_or_runs_over_the_edge(page: Any) -> None:
    assert serving.faults(page, every_page(page), kind="officer") == {}


def test_an_alert_beside_the_list_has_no_serious_fault(page: Any) -> None:
    page.goto("/alerts")
    page.get_by_role("link", name="412 người khác nhau").first.click()
    page.locator("#panel h1").wait_for()
    assert serving.serious(page) == []
    serving.picture(page, "officer-panel-vi-light")


@pytest.mark.parametrize("path", ["/seals", "/records"])
def test_a_folded_form_ran_off_a_telephone_where_nobody_could_reach_it(page: Any, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path)
    page.locator("main .title summary").last.click()
    form = page.locator("main .title details[open] form").bounding_box()
    assert form["x"] >= 0
    assert form["x"] + form["width"] <= 390


def test_the_row_beside_which_a_panel_is_open_is_marked(page: Any) -> None:
    page.goto("/alerts")
    page.get_by_role("link", name="412 người khác nhau").first.click()
    page.locator("#panel h1").wait_for()
    assert "412 người khác nhau" in page.locator("tr.at").inner_text()


def test_empty_and_broken_pages_say_why(chromium: Any, bare: serving.Desks) -> None:
    told = {
        "/alerts": "Không có cảnh báo nào",
        "/records": "Chưa có lượt gọi nào",
        "/key-risks": "Không khoá nào",
        "/seals": "KHÔNG khớp với niêm phong",
    }
    with bare.visited(chromium, "lan") as page:
        for path, sentence in told.items():
            page.goto(path)
            assert sentence in page.locator("main").inner_text(), path
        assert serving.faults(page, serving.named(*told), kind="officer-bare") == {}
