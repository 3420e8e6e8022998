"""Each mood does what its name says, where it was asked to, and no longer than it was asked to."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from lienthong.sandbox import faults, moods


async def test_good_weather_switches_everything_off(caller):
    await caller.mood("empty_list")
    assert (await caller.ask("LayDanhSachTTHC"))["result"] == []
    await caller.mood("good")
    assert len((await caller.ask("LayDanhSachTTHC"))["result"]) > 60
    assert (await caller.look("mood"))["moods"] == []


async def test_a_mood_for_the_next_calls_runs_out(caller):
    await caller.log_in()
    await caller.mood("quota", count=2, retry_after_s=7)
    answers = [await caller.send("LayDanhSachTTHC") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"


async def test_a_mood_keeps_to_its_system_and_its_services(caller):
    await caller.mood("forbidden", system="dvcqg_adapter", services="LayThuTuc+TraCuuHoSo")
    assert (await caller.send("LayDanhSachTTHC")).status_code == 200
    assert (await caller.send("LayThuTuc", maTTHC="1.001193")).status_code == 403
    assert (await caller.list(limit=1)).status_code == 201


async def test_a_mood_ends_after_its_time(caller):
    await caller.mood("empty_list", until_s=0)
    assert (await caller.ask("LayDanhSachTTHC"))["result"]


async def test_a_seeded_chance_gives_the_same_days_again(caller):
    async def days() -> list[int]:
        await caller.mood("maintenance", probability=0.5, seed=11, services="LayDanhMucLinhVuc")
        return [(await caller.send("LayDanhMucLinhVuc")).status_code for _ in range(20)]

    first = await days()
    assert set(first) == {200, 503}
    assert await days() == first


@pytest.mark.parametrize(("mood", "status"), [("maintenance", 503), ("quota", 429), ("forbidden", 403),
                                              ("x_road_error", 500)])  # fmt: skip
async def test_a_call_in_bad_weather_has_no_effect(caller, mood: str, status: int):
    await caller.log_in()
    await caller.mood(mood, services="DongBoHoSoMC")
    answer = await caller.send("DongBoHoSoMC", isUpdating="False", data=[caller.dossier])
    assert answer.status_code == status
    assert (await caller.look("dossiers"))["total"] == 0
    assert ("x-road-error" in answer.headers) == (mood == "x_road_error")


@pytest.mark.parametrize("kind", ["502", "503", "504"])
async def test_an_outage_may_answer_with_a_gateway_status(caller, kind: str):
    await caller.mood("outage", kind=kind)
    assert (await caller.list(limit=1)).status_code == int(kind)


@pytest.mark.parametrize("mood", ["garbage_html", "garbage_json", "empty_body"])
@pytest.mark.parametrize("effect", [False, True])
async def test_an_unreadable_answer_has_an_effect_only_where_asked(caller, mood: str, effect: bool):
    await caller.log_in()
    await caller.mood(mood, effect=effect)
    answer = await caller.send("DongBoHoSoMC", isUpdating="False", data=[caller.dossier])
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert (await caller.look("dossiers"))["total"] == int(effect)


async def test_a_refusal_has_a_code_and_a_text(caller):
    await caller.log_in()
    await caller.mood("refuse", code=-12, message="Hồ sơ sai quy định")
    assert await caller.sync() == {"error_code": -12, "message": "Hồ sơ sai quy định"}
    assert (await caller.list(limit=1)).status_code == 400


async def test_sessions_expire_every_so_many_calls(caller):
    await caller.mood("expired_session", every=3)
    answers = [await caller.ask("LayDanhMucLinhVuc") for _ in range(3)]
    assert ["session" in answer["message"] for answer in answers] == [False, False, True]
    assert "session" in (await caller.ask("LayDanhMucLinhVuc"))["message"]
    await caller.log_in()
    assert (await caller.ask("LayDanhMucLinhVuc"))["error_code"] == "0"


async def test_a_login_may_be_refused(caller):
    await caller.mood("login_refused", count=1)
    body = {"username": "demo", "password": "demo-password"}
    answers = [(await caller.client.post("/dvcqg_adapter/mapi/login", json=body)).json() for _ in range(2)]
    assert ["session" in answer for answer in answers] == [False, True]


async def test_codes_come_as_text_or_as_numbers(caller):
    await caller.mood("code_as_text")
    assert (await caller.sync())["error_code"] == "0"
    await caller.mood("good")
    await caller.mood("code_as_number")
    assert (await caller.ask("LayThuTuc", maTTHC="1.001193"))["error_code"] == 0


@pytest.mark.parametrize("code", [3, -3, 0])
async def test_a_duplicate_has_the_code_asked_for(caller, code: int):
    await caller.mood("duplicate_code", code=code)
    await caller.sync()
    answer = await caller.sync()
    assert (answer["error_code"], "đã tồn tại" in answer["message"]) == (code, True)


async def test_lists_come_in_three_envelopes(caller):
    whole = (await caller.ask("LayDanhSachTTHC"))["result"]
    await caller.mood("envelope", shape="data")
    assert (await caller.ask("LayDanhSachTTHC"))["data"] == whole
    await caller.mood("envelope", shape="nested")
    assert (await caller.ask("LayDanhSachTTHC"))["result"] == {"data": whole}


async def test_a_header_or_more_fields_may_be_demanded(caller):
    await caller.log_in()
    await caller.mood("strict_dstcode")
    assert "dstcode" in (await caller.sync())["message"]
    caller.client.headers["dstcode"] = "VN:GOV:000.00.00.G22:thu"
    await caller.mood("strict_fields")
    assert "KenhThucHien" in (await caller.sync(KenhThucHien=None))["message"]
    assert (await caller.sync())["error_code"] == 0


async def test_lists_may_be_short_or_have_rows_twice(caller):
    whole = (await caller.ask("LayDanhSachTTHC"))["result"]
    await caller.mood("half_list", fraction=0.25)
    assert (await caller.ask("LayDanhSachTTHC"))["result"] == whole[: len(whole) // 4]
    assert (await caller.list(limit=5)).json()["data"]["total"] == len(whole) // 4
    await caller.mood("good")
    await caller.mood("duplicate_items")
    doubled = Counter(row["MATTHC"] for row in (await caller.ask("LayDanhSachTTHC"))["result"])
    assert max(doubled.values()) == 2
    ids = [item["id"] for item in (await caller.list(limit=5)).json()["data"]["items"]]
    assert len(ids) > len(set(ids))


async def test_the_cursor_may_be_stuck_and_success_may_be_200(caller):
    first = (await caller.list(limit=5)).json()["data"]["lastId"]
    await caller.mood("stuck_cursor")
    await caller.mood("success_as_200")
    answer = await caller.list(limit=5, lastId=first)
    assert (answer.status_code, answer.json()["data"]["lastId"]) == (200, first)


@pytest.mark.parametrize("kind", ["types", "name", "nulls"])
async def test_a_record_may_be_bad_for_chosen_codes_only(caller, kind: str):
    good = (await caller.ask("LayThuTuc", maTTHC="1.001193"))["result"][0]
    other = (await caller.ask("LayThuTuc", maTTHC="1.004222"))["result"][0]
    await caller.mood("bad_record", codes="1.001193", kind=kind)
    bad = (await caller.ask("LayThuTuc", maTTHC="1.001193"))["result"][0]
    if kind == "nulls":
        assert bad["LINHVUCTHUCHIEN"] is None
    else:
        assert bad.get("TENTTHC") != good["TENTTHC"]
    assert (await caller.ask("LayThuTuc", maTTHC="1.004222"))["result"] == [other]


async def test_a_detail_may_be_missing_for_chosen_codes(caller):
    await caller.mood("detail_missing", codes=["1.001193"])
    assert (await caller.ask("LayThuTuc", maTTHC="1.001193"))["error_code"] != "0"
    assert (await caller.ask("LayThuTuc", maTTHC="1.004222"))["error_code"] == "0"
    item = (await caller.list(limit=1, q="1.001193")).json()["data"]["items"][0]
    assert (await caller.detail(item["id"])).status_code == 404


async def test_slow_answers_are_whole_and_recorded_as_slow(caller):
    await caller.log_in()
    await caller.mood("slow", latency_ms=5, jitter_ms=5)
    assert (await caller.sync())["error_code"] == 0
    assert (await caller.look("received"))["items"][-1]["moods"] == ["slow"]


def test_slowness_lies_between_its_latency_and_its_jitter():
    delays = [faults.delay_s({"slow": {"latency_ms": 100, "jitter_ms": 50}}) for _ in range(200)]
    assert 0.1 <= min(delays) <= max(delays) <= 0.15


def test_a_storm_brings_every_bad_mood_that_fits():
    weather = moods.Weather(clock=time.monotonic)
    weather.put({"name": "storm", "probability": 1, "seed": 5})
    seen = {name for _ in range(2000) for service in ("LayThuTuc", "LayDanhSachTTHC", "login")
            for name in weather.choose("dvcqg_adapter", service)}  # fmt: skip
    assert seen == {name for name in moods.STORM_KINDS if "dvcqg_adapter" in moods.KINDS[name].systems}


def test_a_storm_can_be_narrowed():
    weather = moods.Weather(clock=time.monotonic)
    weather.put({"name": "storm", "probability": 1, "only": "outage+quota+refuse", "without": "refuse"})
    seen = {name for _ in range(200) for name in weather.choose("dvcqg_portal", "list")}
    assert seen == {"outage", "quota"}


def test_a_mood_of_the_command_line_is_read():
    wanted = moods.parse_spec("slow:latency_ms=40,jitter_ms=5,system=dvcqg_portal,services=list+detail,count=3")
    mood = moods.build(wanted, now=0.0)
    assert (mood.params, mood.system, mood.remaining) == ({"latency_ms": 40, "jitter_ms": 5}, "dvcqg_portal", 3)
    assert mood.services == {"list", "detail"}


@pytest.mark.parametrize("wanted", [
    {"name": "sunny"}, {"name": "slow", "speed": 3}, {"name": "slow", "latency_ms": "abc"}, "slow:x",
    {"name": "slow", "system": "elsewhere"}, {"name": "slow", "probability": 2}, {"name": "storm", "only": "sun"},
    {"name": "outage", "kind": "x"}, {"moods": [{"name": "slow"}, {"name": "sunny"}]}, {"moods": [7]}, 7, None,
])  # fmt: skip
async def test_a_mood_that_makes_no_sense_is_refused_and_changes_nothing(caller, wanted):
    assert (await caller.client.put("/_sandbox/mood", json=wanted)).status_code == 422
    assert (await caller.look("mood"))["moods"] == []


async def test_moods_are_set_together_and_taken_off_one_by_one(caller):
    wanted = {"moods": ["slow:latency_ms=1", {"name": "quota", "system": "dvcqg_portal"}]}
    in_force = (await caller.client.put("/_sandbox/mood", json=wanted)).json()["moods"]
    assert [mood["name"] for mood in in_force] == ["slow", "quota"]
    left = await caller.client.delete("/_sandbox/mood", params={"name": "quota", "system": "dvcqg_portal"})
    assert [mood["name"] for mood in left.json()["moods"]] == ["slow"]
