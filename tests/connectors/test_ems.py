"""EMS: orders, tracking, and the calls by which it tells of events, in any order and more than once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from carrier_stage import Stage, order
from conformance import SECRET, ConnectorPromises, fails, text
from hypothesis import given
from hypothesis import strategies as st

from lienthong.connectors import http, roles
from lienthong.connectors.ems import wire
from lienthong.core import errors, money

TAKEN = {"code": "success", "data": {"tracking_code": "EE000000001VN"}}
MOVING = {
    "tracking_code": "EE000000001VN",
    "order_code": "P26011500000001",
    "status_code": 4,
    "status_name": "Đang vận chuyển",
    "note": "",
    "locate": "Thanh Hóa",
    "datetime": "16/01/2026 10:00:00",
    "total_weight": 100,
    "money_collect": 30000,
    "total_fee": 32000,
}
ACCEPTED = {**MOVING, "status_code": 2, "status_name": "Đã duyệt", "datetime": "15/01/2026 10:00:00"}
PRICE = {"code": "success", "data": {"fee": {"fee": 30000, "remote_fee": 5000}, "vas": {"total_vas": 1000}}}


def office(request: httpx.Request) -> httpx.Response:
    if request.url.params.get("merchant_token") != SECRET:
        return httpx.Response(200, json={"code": "error", "message": "token"})
    if request.url.path.endswith("create-v2"):
        return httpx.Response(200, json=TAKEN)
    if request.url.path.endswith("get-order-fee"):
        return httpx.Response(200, json=PRICE)
    if request.url.path.endswith("KIEMTRA"):
        return httpx.Response(200, json={"code": "error", "message": "Không tìm thấy"})
    return httpx.Response(200, json={"code": "success", "data": [MOVING, ACCEPTED, MOVING]})


def opened(**changed: Any) -> Stage:
    return Stage("ems", {"merchant_token": SECRET, **changed}, office)


@pytest.fixture
def stage() -> Stage:
    return opened()


def says(body: Any) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json=body)


class TestAsCarrier(ConnectorPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return opened()

    async def ask(self, stage: Any) -> Any:
        return await stage.connector.track("EE000000001VN")


# ------------------------------------------------------------------------------------------------------ orders


async def test_an_order_names_both_sides_and_gets_a_waybill(stage: Stage) -> None:
    booked = await stage.connector.book(order(cod_vnd=30000))
    path, sent = stage.wire.sent[-1]
    assert path == "/api/api/v1/orders/create-v2"
    assert (sent["order_code"], sent["from_province"], sent["from_district"]) == ("P26011500000001", "44", "4410")
    assert (sent["to_province"], sent["to_district"], sent["money_collect"]) == ("70", "7270", 30000)
    assert (booked.waybill, booked.carrier_reference, booked.duplicate) == (
        "EE000000001VN",
        "P26011500000001",
        False,
    )


async def test_a_token_may_travel_in_a_header(stage: Stage) -> None:
    stage.answer_all(says(TAKEN))
    await stage.open(token_in="header").book(order())
    asked = stage.wire.requests[-1]
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in str(asked.url)


async def test_an_order_that_exists_already_is_success(stage: Stage) -> None:
    stage.answer_all(says({**TAKEN, "code": "error", "error_code": "099"}))
    booked = await stage.connector.book(order())
    assert (booked.duplicate, booked.waybill) == (True, "EE000000001VN")


async def test_a_refusal_is_final_and_repeats_no_number(stage: Stage) -> None:
    stage.answer_all(says({"code": "error", "error_code": "012", "message": "Sai số 0900000000"}))
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.book(order())
    assert raised.value.remote_code == "012"
    assert "0900000000" not in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        fails(httpx.ReadTimeout("slow")),
        text("oops", 500),
        text("bad gateway", 504),
        text("<html>"),
        text(""),
        text("[]"),
        text("{}"),
        text('{"code":"success"}'),
        text('{"code":"success","data":{"tracking_code":7}}'),
        text('{"code":"error","error_code":"099"}'),
    ],
)
async def test_an_order_without_a_readable_answer_is_unknown(stage: Stage, answer: Any) -> None:
    stage.answer_all(answer)
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.book(order())
    assert len(stage.wire.sent) == 1


async def test_after_a_lost_answer_tracking_is_asked_first(stage: Stage) -> None:
    booked = await stage.connector.book(order(), look_first=True)
    assert (booked.duplicate, booked.waybill) == (True, "EE000000001VN")
    assert stage.wire.services() == ["P26011500000001"]


async def test_what_tracking_does_not_know_is_sent(stage: Stage) -> None:
    stage.answer("tracking", says({"code": "error", "message": "Không tìm thấy"}))
    assert not (await stage.connector.book(order(), look_first=True)).duplicate
    assert stage.wire.services() == ["P26011500000001", "create-v2"]


async def test_tracking_that_cannot_be_read_keeps_the_order_waiting(stage: Stage) -> None:
    stage.answer("tracking", text("[]"))
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.book(order(), look_first=True)
    assert "create-v2" not in stage.wire.services()


async def test_a_price_is_the_sum_of_its_parts(stage: Stage) -> None:
    assert await stage.connector.price(order()) == 36000
    stage.answer_all(says({"code": "success", "data": {"fee": 3}}))
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.price(order())


async def test_what_ems_has_no_public_call_for_is_said(stage: Stage) -> None:
    for ask in (stage.connector.cancel(order(), carrier_reference="x"), stage.connector.follow(cursor="")):
        with pytest.raises(errors.NotOffered):
            await ask


async def test_events_come_once_each_and_oldest_first(stage: Stage) -> None:
    events = (await stage.connector.track("EE000000001VN")).events
    assert [it.state for it in events] == ["accepted", "in_transit"]


async def test_events_may_lie_one_level_deeper_and_be_called_by_the_parcel_above(stage: Stage) -> None:
    rows = [{"status_code": "4", "status_name": "x", "datetime": "16/01/2026 10:00:00", "city": "y"}]
    stage.answer_all(says({"code": "success", "data": {"order_code": "P1234567", "histories": rows}}))
    (event,) = (await stage.connector.track("EE000000001VN")).events
    assert (event.number, event.waybill, event.state) == ("P1234567", "EE000000001VN", "in_transit")


# ----------------------------------------------------------------------------------------------------- webhook


def call(body: bytes | dict[str, Any], **changed: Any) -> money.CallbackRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    values = {"name": "s3cr3t", "method": "POST", "query": "", "headers": {"ems-transaction": "tx-1"}, "body": raw}
    return money.CallbackRequest(**{**values, **changed})


def test_an_event_is_read_and_the_reply_names_its_transaction(stage: Stage) -> None:
    assert isinstance(stage.connector, roles.ParcelCaller)
    event = stage.connector.read_event(call(MOVING))
    assert (event.number, event.waybill, event.state) == ("P26011500000001", "EE000000001VN", "in_transit")
    assert event.occurred_at.isoformat() == "2026-01-16T10:00:00+07:00"
    assert (event.place, event.cod_collected_vnd) == ("Thanh Hóa", None)
    reply = stage.connector.reply(call(MOVING), "recorded")
    assert (reply.status, json.loads(reply.body)) == (200, {"code": "success", "transaction": "tx-1"})


def test_the_same_event_told_twice_has_the_same_id_and_another_has_not(stage: Stage) -> None:
    first = stage.connector.read_event(call(MOVING)).event_id
    again = stage.connector.read_event(call(dict(reversed(MOVING.items())), headers={"ems-transaction": "tx-2"}))
    assert again.event_id == first
    for name, value in [
        ("status_code", 5),
        ("datetime", "16/01/2026 10:00:01"),
        ("tracking_code", "EE000000002VN"),
    ]:
        assert stage.connector.read_event(call({**MOVING, name: value})).event_id != first


def test_webhook_and_tracking_tell_of_the_same_event_alike(stage: Stage) -> None:
    (row,) = wire.way(reply_of({"code": "success", "data": [MOVING]}), waybill="EE000000001VN").events
    assert row.event_id == stage.connector.read_event(call(MOVING)).event_id


def reply_of(body: Any) -> Any:
    return http.Reply(200, {}, json.dumps(body).encode(), 1.0, "ems")


def test_events_in_any_order_can_be_put_in_order_by_their_times(stage: Stage) -> None:
    late, early = (stage.connector.read_event(call(it)) for it in (MOVING, ACCEPTED))
    assert [it.state for it in sorted((late, early), key=lambda it: it.occurred_at)] == ["accepted", "in_transit"]


def test_an_unknown_status_is_kept_and_shown(stage: Stage) -> None:
    event = stage.connector.read_event(call({**MOVING, "status_code": 77, "status_name": "Gọi 0900000000"}))
    assert (event.state, event.carrier_code) == ("unknown", "77")
    assert "0900000000" not in event.carrier_message


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe{\x00}\x00", json.dumps(MOVING).encode("utf-16"),
        b'{"tracking_code":"a","tracking_code":"b"}', b"[" * 60_000, b'{"a":' * 10_000,
        json.dumps(MOVING).encode() + b" " * 70_000, b'{"status_code":NaN}',
        {**MOVING, "tracking_code": ""}, {**MOVING, "tracking_code": ["x"]}, {**MOVING, "tracking_code": "a\0b"},
        {**MOVING, "status_code": None}, {**MOVING, "status_code": {"x": 1}}, {**MOVING, "status_code": True},
        {**MOVING, "datetime": "32/13/2026 10:00:00"}, {**MOVING, "datetime": None}, {**MOVING, "datetime": 5},
        {**MOVING, "locate": "\ud800"}, {**MOVING, "note": 10**400},
    ],
)  # fmt: skip
def test_what_is_no_event_is_unreadable_and_said_so(stage: Stage, body: Any) -> None:
    with pytest.raises(errors.RemoteGarbled):
        stage.connector.read_event(call(body))
    reply = stage.connector.reply(call(body), "unreadable")
    assert (reply.status, json.loads(reply.body)["code"]) == (400, "error")


def test_only_a_post_is_an_event(stage: Stage) -> None:
    with pytest.raises(errors.RemoteGarbled):
        stage.connector.read_event(call(MOVING, method="GET"))


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("already", 200), ("unknown_reference", 200), ("forged", 401), ("address_refused", 403), ("failed", 503)],
)
def test_each_outcome_has_its_reply(stage: Stage, outcome: Any, status: int) -> None:
    assert stage.connector.reply(call(MOVING), outcome).status == status


@pytest.mark.parametrize("transaction", ["x" * 500, "a\r\nb", "\udcff"])
def test_an_odd_transaction_is_never_a_crash(stage: Stage, transaction: str) -> None:
    reply = stage.connector.reply(call(MOVING, headers={"ems-transaction": transaction}), "recorded")
    assert json.loads(reply.body)["code"] == "success"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(changes=st.dictionaries(st.sampled_from([*MOVING, "x"]), JSON, max_size=4), raw=st.binary(), key=st.text())
def test_whatever_is_posted_is_an_event_or_unreadable(changes: dict[str, Any], raw: bytes, key: str) -> None:
    for body in (json.dumps({**MOVING, **changes}).encode(), raw, json.dumps({key: changes}).encode()):
        try:
            event = wire.event(call(body))
        except errors.RemoteGarbled:
            continue
        assert event.waybill
        assert event.carrier_code
