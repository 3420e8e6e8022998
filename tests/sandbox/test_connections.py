"""What needs a real connection: answers that are lost, cut or late, and a store that survives a kill."""

from __future__ import annotations

import asyncio

import httpx
import pytest

SYNC = {"isUpdating": "False"}


async def _push(caller, code: str) -> httpx.Response:
    return await caller.send("DongBoHoSoMC", **SYNC, data=[caller.dossier | {"MaHoSo": code}])


@pytest.mark.parametrize(("mood", "error", "holds"), [
    ({"name": "outage"}, httpx.RemoteProtocolError, False),
    ({"name": "lost_request"}, httpx.RemoteProtocolError, False),
    ({"name": "lost_answer"}, httpx.RemoteProtocolError, True),
    ({"name": "truncated"}, httpx.RemoteProtocolError, True),
])  # fmt: skip
async def test_a_broken_connection_has_its_effect_or_not(served, mood, error, holds: bool):
    caller = served.caller()
    await caller.log_in()
    await caller.mood(**mood, services="DongBoHoSoMC", count=1)
    code = f"H38.15-260803-{mood['name']}"
    with pytest.raises((error, httpx.ReadError)):
        await _push(caller, code)
    held = await caller.client.get(f"/_sandbox/dossiers/{code}")
    assert held.status_code == (200 if holds else 404)
    assert (await _push(caller, f"{code}-2")).status_code == 200


async def test_an_answer_may_come_after_the_caller_stopped_waiting(served):
    caller = served.caller()
    await caller.log_in()
    await caller.mood("lost_answer", hang_s=5, services="DongBoHoSoMC", count=1)
    # Long enough for a busy machine to take the message in, and shorter than the answer takes.
    caller.client.timeout = httpx.Timeout(60, read=2)
    with pytest.raises(httpx.ReadTimeout):
        await _push(caller, "H38.15-260803-7777")
    caller.client.timeout = 60
    assert (await caller.client.get("/_sandbox/dossiers/H38.15-260803-7777")).status_code == 200


async def test_a_storm_never_makes_the_sandbox_itself_fail(serve):
    one = serve("--mood", "storm:probability=0.7,seed=3,without=slow")
    caller = one.caller()
    caller.session = "x"
    caller.client.timeout = 60
    places = asyncio.Semaphore(40)

    async def push(number: int) -> None:
        try:
            async with places:
                answer = await _push(caller, f"H38.15-260803-{number:04d}")
            assert answer.status_code in (200, 403, 429, 500, 502, 503, 504)
            assert (answer.status_code == 500) == ("x-road-error" in answer.headers)
        except httpx.TransportError:
            pass

    await asyncio.gather(*(push(number) for number in range(300)))
    assert (await caller.look("counts"))["received"] == 300
    assert one.stop() == b""


async def test_what_was_answered_survives_a_kill(serve, tmp_path):
    first = serve("--store", str(tmp_path / "store.db"))
    caller = first.caller()
    await caller.log_in()
    codes = [f"H38.15-260803-{number:04d}" for number in range(40)]
    await asyncio.gather(*(_push(caller, code) for code in codes))
    await caller.progress(MaHoSo=codes[0], TrangThai="4")
    await caller.progress(MaHoSo=codes[0], TrangThai="9")
    before = await caller.look("received", limit=1000)
    first.kill()
    again = serve("--store", str(tmp_path / "store.db")).caller()
    held = await again.look("dossiers")
    assert {one["code"] for one in held["items"]} == set(codes)
    steps = next(one for one in held["items"] if one["code"] == codes[0])["steps"]
    assert [step["TrangThai"] for step in steps] == ["4", "9"]
    assert await again.look("received", limit=1000) == before
    assert (await again.ask("TraCuuHoSo", mahoso=codes[0]))["result"]


async def test_a_reset_empties_the_store_too(serve, tmp_path):
    first = serve("--store", str(tmp_path / "store.db"))
    caller = first.caller()
    await _push(caller, "H38.15-260803-0001")
    await caller.client.post("/_sandbox/reset")
    first.kill()
    again = serve("--store", str(tmp_path / "store.db")).caller()
    assert (await again.look("dossiers"))["total"] == 0


@pytest.mark.parametrize("arguments", [["--host", "0.0.0.0"], ["--mood", "sunny"], ["--catalogue", "/khong/co"]])
def test_a_start_that_makes_no_sense_says_so(arguments, capsys):
    from lienthong.sandbox.__main__ import main

    assert main(arguments) == 2
    assert capsys.readouterr().err
