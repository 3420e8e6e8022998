"""The control routes and the human page show what was received, and nothing secret."""

from __future__ import annotations

import pytest

from lienthong.sandbox.ledger import Ledger


async def test_what_arrived_is_shown_with_its_answer_newest_last(caller):
    await caller.sync()
    await caller.progress()
    shown = await caller.look("received")
    assert [row["service"] for row in shown["items"]] == ["login", "DongBoHoSoMC", "CapNhatTienDoHoSoMC"]
    row = shown["items"][1]
    assert (row["outcome"], row["effect"], row["moods"]) == ("accepted", True, [])
    assert row["answer"]["json"]["message"] == "Đồng bộ hồ sơ thành công"
    assert row["body"]["data"][0]["MaHoSo"] == "H38.15-260803-0001"


async def test_sessions_and_passwords_are_never_shown(caller, tmp_path):
    session = await caller.log_in()
    await caller.sync()
    text = (await caller.client.get("/_sandbox/received")).text + (await caller.client.get("/?call=1")).text
    assert session not in text
    assert "demo-password" not in text


async def test_received_is_filtered_and_paged_from_the_newest(caller):
    for number in range(5):
        await caller.sync(MaHoSo=f"H38.15-260803-000{number}")
    await caller.list(limit=1)
    only = await caller.look("received", dossier="H38.15-260803-0003")
    assert [row["dossiers"] for row in only["items"]] == [["H38.15-260803-0003"]]
    assert (await caller.look("received", system="dvcqg_portal"))["total"] == 1
    page = await caller.look("received", service="DongBoHoSoMC", limit=2, offset=1)
    assert (page["total"], [row["dossiers"][0][-1] for row in page["items"]]) == (5, ["2", "3"])


async def test_a_call_that_was_lost_still_names_its_dossier_and_mood(caller):
    await caller.log_in()
    await caller.mood("forbidden", services="DongBoHoSoMC")
    await caller.send("DongBoHoSoMC", isUpdating="False", data=[caller.dossier])
    (row,) = (await caller.look("received", dossier="H38.15-260803-0001"))["items"]
    assert (row["outcome"], row["effect"], row["moods"]) == ("fault", False, ["forbidden"])


async def test_counts_say_how_much_of_what(caller):
    await caller.sync()
    await caller.sync()
    await caller.progress()
    counts = await caller.look("counts")
    assert (counts["received"], counts["dossiers"], counts["steps"]) == (4, 1, 1)
    assert counts["systems"]["dvcqg_adapter"]["DongBoHoSoMC"] == {"accepted": 1, "duplicate": 1}


async def test_a_reset_forgets_calls_and_dossiers_but_not_the_catalogue(caller):
    await caller.client.put("/_sandbox/catalogue", json={"records": [{"code": "1.001193", "name": "Thử"}]})
    await caller.sync()
    await caller.client.post("/_sandbox/reset")
    assert (await caller.look("counts"))["received"] == 0
    assert (await caller.look("dossiers"))["total"] == 0
    assert (await caller.look("catalogue"))["count"] == 1


def test_the_oldest_calls_give_way():
    ledger = Ledger(keep=128)
    for number in range(1000):
        ledger.add(
            {"system": "s", "service": "v", "outcome": "read", "number": number}, dossiers=(f"d{number % 7}",)
        )
    total, rows = ledger.received(wanted={}, limit=10_000, offset=0)
    assert total == len(rows) <= 192
    assert [row["n"] for row in rows] == list(range(1001 - total, 1001))
    assert all(row["number"] % 7 == 3 for row in ledger.received(wanted={"dossier": "d3"}, limit=99, offset=0)[1])
    assert ledger.one(1) is None


@pytest.mark.parametrize("path", ["/", "/_sandbox/", "/?lang=en", "/?call=2&dossier=H38.15-260803-0001",
                                  "/?call=abc", "/?offset=99999999999999999999"])  # fmt: skip
async def test_the_page_opens(caller, path: str):
    await caller.sync()
    page = await caller.client.get(path)
    assert page.status_code == 200
    assert "http://" not in page.text.replace("http://sandbox", "")
    assert ("Imitation national systems" in page.text) == ("lang=en" in path)


async def test_the_page_writes_what_it_received_as_text(caller):
    await caller.send("<script>alert(1)</script>", data=[{"MaHoSo": "<b>"}])
    page = (await caller.client.get("/?call=2")).text
    assert "<script>alert" not in page
    assert "<b>&lt;" not in page


async def test_a_mood_is_switched_on_and_off_by_the_form(caller):
    on = {"action": "on", "name": "slow", "system": "dvcqg_portal", "params": "latency_ms=1", "count": "3"}
    assert (await caller.client.post("/_sandbox/form", data=on)).status_code == 303
    assert (await caller.look("mood"))["moods"][0]["count"] == 3
    await caller.client.post("/_sandbox/form", data={"action": "off", "name": "slow", "system": "dvcqg_portal"})
    assert (await caller.look("mood"))["moods"] == []


async def test_a_wrong_form_says_what_is_wrong(caller):
    answer = await caller.client.post("/_sandbox/form", data={"action": "on", "name": "slow", "params": "speed=1"})
    assert answer.status_code == 422
    assert "speed" in answer.text


async def test_a_form_of_another_site_is_refused(caller):
    headers = {"origin": "http://elsewhere.example"}
    answer = await caller.client.post("/_sandbox/form", data={"action": "reset"}, headers=headers)
    assert answer.status_code == 403
    assert (await caller.client.post("/_sandbox/reset", headers=headers)).status_code == 403


@pytest.mark.parametrize("name", ["sandbox.css", "sandbox.js"])
async def test_style_and_script_are_served_by_the_sandbox(caller, name: str):
    assert (await caller.client.get(f"/_sandbox/static/{name}")).status_code == 200


async def test_only_post_is_answered_by_the_imitated_systems(caller):
    assert (await caller.client.get("/dvcqg_adapter/mapi/g")).status_code == 405
    assert (await caller.client.post("/dvcqg_adapter/other", json={})).status_code == 404
