"""VNPost's public-administration post: orders, what their answers mean, and the feed that all parcels share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from carrier_stage import AN, Stage, order
from conformance import SECRET, ConnectorPromises, fails, text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lienthong.connectors import http, registry
from lienthong.connectors.vnpost_hcc import auth, wire
from lienthong.core import errors
from lienthong.mappings import engine

ACCOUNT = {"customer_key": "demo-key", "secret_key": SECRET, "customer_code": "H56HCC01"}
DOSSIER = "H56.14-260115-0001"
EMPTY = {"_size": 0, "_total_pages": 0, "_returned": 0, "_embedded": {"rh:doc": []}}
# The fixture of contracts §8.1, as it stands.
FIXTURE = json.loads("""{"_size": 2, "_total_pages": 1, "_returned": 2, "_embedded": {"rh:doc": [
 {"_id": {"$oid": "65a4f0c2e4b0a1b2c3d4e5f6"}, "CustomerCode": "H56HCC01", "OrderNumber": "H56.14-260115-0001",
  "EventTime": 1768446000000, "POSID": "440000", "ItemCode": "EH000000001VN", "StatusCode": 1, "StatusMessage": "Đã chấp nhận", "Notes": ""},
 {"_id": {"$oid": "65a4f0c2e4b0a1b2c3d4e5f7"}, "CustomerCode": "H56HCC01", "OrderNumber": "H56.14-260115-0001",
  "EventTime": 1768532400000, "POSID": "441000", "ItemCode": "EH000000001VN", "StatusCode": 4, "StatusMessage": "Phát thành công", "Notes": ""}]}}""")  # noqa: E501


def feed(*rows: Any) -> dict[str, Any]:
    return {**EMPTY, "_size": len(rows), "_returned": len(rows), "_embedded": {"rh:doc": list(rows)}}


def row(number: int = 1, **changed: Any) -> dict[str, Any]:
    return {**FIXTURE["_embedded"]["rh:doc"][0], "_id": {"$oid": f"{number:024x}"}, **changed}


def office(request: httpx.Request) -> httpx.Response:
    service = request.url.path.rpartition("/")[2]
    if service == "token":
        if request.headers["authorization"] != "Basic ZGVtby1rZXk6ZGVtby1wYXNzd29yZA==":
            return httpx.Response(401, text="no")
        assert parse_qs(request.content.decode()) == {"grant_type": ["client_credentials"]}
        return httpx.Response(200, json={"access_token": "t0k3n", "token_type": "Bearer", "expires_in": 3600})
    if request.headers.get("authorization") != "Bearer t0k3n":
        return httpx.Response(401, text="no")
    if service == "tracking":
        last = request.url.params["lastId"]
        return httpx.Response(200, json=FIXTURE if last == wire.FIRST else EMPTY)
    if service == "price":
        return httpx.Response(200, json={"content": {"price": 32000}})
    return httpx.Response(200, json={"Status": "100", "Message": "Thành công"})


def opened(**changed: Any) -> Stage:
    return Stage("vnpost_hcc", {**ACCOUNT, **changed}, office)


@pytest.fixture
def stage() -> Stage:
    return opened()


def said(status: Any, message: str = "") -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json={"Status": status, "Message": message})


class TestAsCarrier(ConnectorPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return opened()

    async def ask(self, stage: Any) -> Any:
        return await stage.connector.follow(cursor="")


# ------------------------------------------------------------------------------------------------------ orders


async def test_an_order_is_that_of_the_contract_page(stage: Stage) -> None:
    booked = await stage.open(flag_config=2).book(order())
    path, sent = stage.wire.sent[-1]
    assert path == "/api/postOrder"
    assert sent == {
        "CustomerCode": "H56HCC01",
        "OrderNumber": DOSSIER,
        "ItemCode": "EH000000001VN",
        "CODAmount": 0,
        "Description": "Kết quả hồ sơ",
        "SenderName": "Trung tâm HCC",
        "SenderTel": "0237000000",
        "SenderEmail": "",
        "SenderAddress": "28 Đại lộ Lê Lợi",
        "SenderProvince": 44,
        "SenderDistrict": 4410,
        "ReceiverName": "Nguyễn Văn An",
        "ReceiverTel": "0900000000",
        "ReceiverEmail": "",
        "ReceiverAddress": "12 Lê Lợi",
        "ReceiverProvince": 70,
        "ReceiverDistrict": 7270,
        "FlagConfig": 2,
    }
    assert (booked.carrier_reference, booked.waybill, booked.duplicate) == (DOSSIER, "EH000000001VN", False)


async def test_without_a_waybill_and_a_flag_neither_is_sent(stage: Stage) -> None:
    await stage.connector.book(order(waybill="", cod_vnd=30000))
    sent = stage.wire.sent[-1][1]
    assert not {"ItemCode", "FlagConfig"} & sent.keys()
    assert sent["CODAmount"] == 30000


async def test_the_parcels_own_number_may_name_the_order(stage: Stage) -> None:
    await stage.open(order_number="parcel").book(order())
    assert stage.wire.sent[-1][1]["OrderNumber"] == "P26011500000001"


@pytest.mark.parametrize("status", ["100", 100])
async def test_100_is_an_order_with_its_waybill(stage: Stage, status: Any) -> None:
    stage.answer_all(said(status))
    assert (await stage.connector.book(order())).waybill == "EH000000001VN"


@pytest.mark.parametrize("status", ["101", 101])
async def test_101_is_handed_over_and_binds_no_waybill(stage: Stage, status: Any) -> None:
    stage.answer_all(said(status))
    booked = await stage.connector.book(order())
    assert (booked.carrier_reference, booked.waybill) == (DOSSIER, "")


@pytest.mark.parametrize("status", ["102", 0, "-1", "1000", "200"])
async def test_any_other_status_is_a_refusal_in_vnposts_words(stage: Stage, status: Any) -> None:
    stage.answer_all(said(status, "Số 0900000000 không hợp lệ"))
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.book(order())
    assert raised.value.remote_code == str(status)
    assert "không hợp lệ" in raised.value.detail("vi")
    assert "0900000000" not in str(raised.value) + raised.value.detail("vi")


async def test_the_provinces_own_500_leaves_the_outcome_unknown(stage: Stage) -> None:
    stage.answer_all(said(500, "Object reference not set"))
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.book(order())


async def test_an_order_that_exists_already_is_success(stage: Stage) -> None:
    stage.answer_all(said("102", "Đơn hàng ĐÃ TỒN TẠI trên hệ thống"))
    assert (await stage.connector.book(order())).duplicate


@pytest.mark.parametrize(
    "answer",
    [
        fails(httpx.ReadTimeout("slow")),
        fails(httpx.ReadError("cut")),
        text("oops", 500),
        text("bad gateway", 502),
        text("late", 504),
        text("<html>Request Rejected</html>"),
        text(""),
        text('{"Status":'),
        text("[]"),
        text('{"Status":null}'),
        text('{"Status":true}'),
        text('{"Message":"x"}'),
    ],
)
async def test_an_order_without_a_readable_answer_is_unknown_and_not_sent_again(stage: Stage, answer: Any) -> None:
    stage.answer_all(answer)
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.book(order())
    assert stage.wire.services().count("postOrder") == 1


async def test_an_order_that_never_left_is_to_be_tried_again(stage: Stage) -> None:
    stage.answer_all(fails(httpx.ConnectError("refused")))
    with pytest.raises(errors.RemoteUnavailable):
        await stage.connector.book(order())


async def test_the_document_variant_names_the_procedure_and_both_sides(stage: Stage) -> None:
    connector = stage.open(variant="document", document_state="1")
    await connector.book(order(procedure_code="1.001193", procedure_name="Thủ tục đăng ký khai sinh"))
    path, sent = stage.wire.sent[-1]
    assert path == "/api/postDocument"
    assert sent["Procedure"] == {
        "Code": "1.001193",
        "Title": "Thủ tục đăng ký khai sinh",
        "Category": "",
        "Elements": [],
    }
    assert sent["DocumentSender"] == {
        "Name": "Trung tâm HCC",
        "Phone": "0237000000",
        "ProvinceCode": "44",
        "ProvinceTitle": "Tỉnh Thanh Hóa",
        "DistrictCode": "4410",
        "DistrictTitle": "",
        "Address": "28 Đại lộ Lê Lợi",
        "Email": "",
    }
    assert (sent["IsSendDocument"], sent["IsReceiveResult"], sent["State"]) == (False, True, "1")
    assert sent["ResultReceiver"]["Name"] == "Nguyễn Văn An"


async def test_hanoi_names_the_citizen_whichever_way_the_parcel_goes(stage: Stage) -> None:
    connector = stage.open(variant="hanoi_cls")
    await connector.book(order(cod_vnd=30000, citizen_id="001099000001"))
    await connector.book(order(direction="collect_dossier", sender=AN, receiver=order().sender))
    delivering, collecting = (body for path, body in stage.wire.sent if path.endswith("postOrder"))
    assert set(delivering) == {
        "MaThuTuc", "TenThuTuc", "MaHoSo", "LePhi", "ChuHoSo", "NguoiNop", "CMT", "DiaChi",
        "NgayTiepNhan", "DiaChiBC",
    }  # fmt: skip
    assert (delivering["MaHoSo"], delivering["LePhi"], delivering["CMT"]) == (DOSSIER, 30000, "001099000001")
    assert delivering["ChuHoSo"] == collecting["ChuHoSo"] == collecting["NguoiNop"] == "Nguyễn Văn An"


async def test_a_place_without_a_number_is_named_and_nothing_is_sent(stage: Stage) -> None:
    merged = AN.model_copy(update={"province_code": "15", "old_district_code": ""})
    with pytest.raises(errors.UnmappedCode) as raised:
        await stage.connector.book(order(receiver=merged))
    assert raised.value.facts["value"] == "15"
    assert raised.value.facts["field"] == "receiver.province_code"
    assert stage.wire.sent == []


async def test_the_operators_file_gives_what_is_missing(stage: Stage, tmp_path: Path) -> None:
    own = tmp_path / "places.csv"
    own.write_text(
        "level,code,number\nprovince,15,33\ncommune_district,02647,3399\ncommune_district,14758,4410\n",
        encoding="utf-8",
    )
    merged = AN.model_copy(update={"province_code": "15", "commune_code": "02647", "old_district_code": ""})
    await stage.open(places_file=str(own)).book(order(receiver=merged))
    sent = stage.wire.sent[-1][1]
    assert (sent["ReceiverProvince"], sent["ReceiverDistrict"]) == (33, 3399)


# ---------------------------------------------------------------------------------------------- lost answers


async def test_after_a_lost_answer_the_feed_is_asked_and_nothing_is_sent_twice(stage: Stage) -> None:
    booked = await stage.connector.book(order(), look_first=True)
    assert (booked.duplicate, booked.waybill, booked.carrier_reference) == (True, "EH000000001VN", DOSSIER)
    assert "postOrder" not in stage.wire.services()


async def test_what_the_feed_does_not_have_is_sent(stage: Stage) -> None:
    assert not (await stage.connector.book(order(dossier_code="H56.14-260115-0002"), look_first=True)).duplicate
    assert stage.wire.services() == ["token", "tracking", "tracking", "postOrder"]


async def test_the_feed_is_asked_from_where_it_stood(stage: Stage) -> None:
    await stage.connector.book(order(), look_first=True, cursor="65a4f0c2e4b0a1b2c3d4e5f7")
    assert stage.wire.requests[1].url.params["lastId"] == "65a4f0c2e4b0a1b2c3d4e5f7"
    assert stage.wire.services()[-1] == "postOrder"


async def test_another_parcel_of_the_dossier_is_not_taken_for_this_one(stage: Stage) -> None:
    booked = await stage.connector.book(order(waybill="EH000000009VN"), look_first=True)
    assert (booked.duplicate, booked.waybill) == (False, "EH000000009VN")


@pytest.mark.parametrize("answer", [text("[]"), fails(httpx.ReadTimeout("slow")), text("<html>")])
async def test_a_feed_that_cannot_be_asked_keeps_the_order_waiting(stage: Stage, answer: Any) -> None:
    stage.answer("tracking", answer)
    with pytest.raises((errors.OutcomeUnknown, errors.RemoteUnavailable)) as raised:
        await stage.connector.book(order(), look_first=True)
    assert raised.value.retry
    assert "postOrder" not in stage.wire.services()


async def test_a_feed_too_long_to_look_through_leaves_it_unknown(stage: Stage) -> None:
    pages = iter(range(1, 100))
    stage.answer("tracking", lambda: httpx.Response(200, json=feed(row(next(pages), OrderNumber="khác"))))
    with pytest.raises(errors.OutcomeUnknown):
        await stage.open(look_pages=3).book(order(), look_first=True)
    assert stage.wire.services().count("tracking") == 3


async def test_a_province_may_cancel_before_it_sends_again(stage: Stage) -> None:
    stage.answer("cancelOrder", said("404", "Không tìm thấy"))
    assert not (await stage.open(before_retry="cancel").book(order(), look_first=True)).duplicate
    assert stage.wire.services() == ["token", "cancelOrder", "postOrder"]


# ------------------------------------------------------------------------------------------- cancelling, price


async def test_a_cancellation_names_customer_and_order(stage: Stage) -> None:
    await stage.connector.cancel(order(), carrier_reference="")
    asked = stage.wire.requests[-1]
    assert (asked.method, dict(asked.url.params)) == ("GET", {"CustomerCode": "H56HCC01", "OrderNumber": DOSSIER})


async def test_a_refused_cancellation_is_a_refusal(stage: Stage) -> None:
    stage.answer_all(said("102", "Đã thu gom"))
    with pytest.raises(errors.RemoteRefused):
        await stage.connector.cancel(order(), carrier_reference=DOSSIER)


async def test_a_price_is_asked_for_with_places_alone(stage: Stage) -> None:
    assert await stage.connector.price(order()) == 32000
    assert stage.wire.sent[-1][1] == {
        "weight": 100,
        "mainSrv": "HCC",
        "isreturn": 1,
        "sender": {"provCode": 44, "distCode": 4410},
        "receiver": {"provCode": 70, "distCode": 7270},
    }


@pytest.mark.parametrize("price", [None, "x", -1, [], {}, 1.5, True, 10**12])
async def test_what_is_no_price_is_garbled(stage: Stage, price: Any) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={"content": {"price": price}}))
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.price(order())


async def test_one_parcel_alone_cannot_be_followed(stage: Stage) -> None:
    with pytest.raises(errors.NotOffered):
        await stage.connector.track("EH000000001VN")


# -------------------------------------------------------------------------------------------------------- feed


async def test_the_feed_of_the_contract_page_is_read_to_its_empty_page(stage: Stage) -> None:
    page = await stage.connector.follow(cursor="")
    assert stage.wire.requests[-1].url.params["lastId"] == "0" * 24
    assert stage.wire.requests[-1].url.params["pagesize"] == "50"
    assert [(it.number, it.state, it.carrier_code, it.carrier_message) for it in page.events] == [
        (DOSSIER, "unknown", "1", "Đã chấp nhận"),
        (DOSSIER, "delivered", "4", "Phát thành công"),
    ]
    assert page.events[1].occurred_at.isoformat() == "2026-01-16T10:00:00+07:00"
    assert (page.cursor, page.is_last) == ("65a4f0c2e4b0a1b2c3d4e5f7", False)
    last = await stage.connector.follow(cursor=page.cursor)
    assert (last.events, last.cursor, last.is_last) == ((), page.cursor, True)


async def test_a_row_that_cannot_be_read_is_named_and_does_not_stop_the_feed(stage: Stage) -> None:
    rows = (row(1), row(2, EventTime="hôm qua"), row(3, OrderNumber=None), row(4, New="x"))
    stage.answer_all(lambda: httpx.Response(200, json=feed(*rows)))
    page = await stage.connector.follow(cursor="")
    assert len(page.events) == 2
    assert page.unread == (f"{2:024x}", f"{3:024x}")
    assert page.cursor == f"{4:024x}"


@pytest.mark.parametrize(
    "body",
    [
        {**feed(row(1)), "_returned": 2},
        feed(row(1), row(1)),
        feed(row(0)),
        feed({**row(1), "_id": {}}),
        feed({**row(1), "_id": {"$oid": "abc"}}),
        feed("x"),
        {"_returned": 1, "_embedded": {}},
        {"_returned": 1, "_embedded": None},
        {"_embedded": {"rh:doc": {}}},
    ],
)
async def test_half_a_page_or_a_stuck_cursor_is_not_taken(stage: Stage, body: Any) -> None:
    stage.answer_all(lambda: httpx.Response(200, json=body))
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.follow(cursor="")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(changes=st.dictionaries(st.sampled_from([*row(), "x"]), JSON, max_size=4), status=JSON, raw=st.binary())
def test_whatever_comes_is_read_or_garbled(changes: dict[str, Any], status: Any, raw: bytes) -> None:
    for body in (json.dumps(feed({**row(1), **changes})).encode(), json.dumps({"Status": status}).encode(), raw):
        reply = http.Reply(200, {}, body, 1.0, "vnpost_hcc")
        for read in (lambda it: wire.page(it, cursor=wire.FIRST), lambda it: wire.answer(it, operation="order")):
            with contextlib.suppress(errors.RemoteError):
                read(reply)


# ------------------------------------------------------------------------------------------- façade and tokens


async def test_the_facade_form_names_the_service_in_the_address(stage: Stage) -> None:
    connector = stage.open(form="facade", facade_path="/vnpost")
    stage.answer("vnpost", said("100"))
    await connector.book(order())
    asked = stage.wire.requests[-1]
    assert (asked.url.path, dict(asked.url.params)) == ("/api/vnpost", {"service": "postOrder"})
    await connector.cancel(order(), carrier_reference="x1")
    assert dict(stage.wire.requests[-1].url.params) == {
        "service": "cancelOrder",
        "CustomerCode": "H56HCC01",
        "OrderNumber": "x1",
    }


async def test_a_given_token_travels_in_the_facades_own_header(stage: Stage) -> None:
    connector = stage.open(token_header="access_token", access_token="given")
    stage.answer_all(said("100"))
    await connector.book(order())
    assert stage.wire.services() == ["postOrder"]
    assert stage.wire.requests[-1].headers["access_token"] == "given"
    assert "authorization" not in stage.wire.requests[-1].headers


def test_the_token_keeps_the_type_it_was_given_with() -> None:
    assert auth.call_headers("MAC abc", header="authorization") == {"authorization": "MAC abc"}
    assert auth.call_headers("MAC abc", header="access_token") == {"access_token": "abc"}


async def test_a_token_is_shared_and_got_anew_once_when_refused(stage: Stage) -> None:
    await stage.connector.follow(cursor="")
    await stage.connector.follow(cursor="")
    assert stage.wire.services().count("token") == 1
    stage.answer("tracking", text("no", 401))
    with pytest.raises(errors.RemoteForbids):
        await stage.connector.follow(cursor="")
    assert stage.wire.services().count("token") == 2


@pytest.mark.parametrize("body", ["[]", '{"access_token":', '{"expires_in":"x"}', ""])
async def test_a_broken_answer_for_a_token_does_not_lose_the_order(stage: Stage, body: str) -> None:
    stage.answer("token", text(body))
    with pytest.raises((errors.RemoteUnavailable, errors.RemoteForbids)):
        await stage.connector.book(order())
    assert stage.wire.services() == ["token"]


async def test_a_check_without_an_account_says_what_is_missing() -> None:
    stage = Stage("vnpost_hcc", {}, office)
    first = (await stage.connector.check())[0]
    assert not first.ok
    assert "CUSTOMER_CODE" in first.vi


def test_the_registry_knows_the_contract_and_statuses_are_open_to_learn() -> None:
    assert registry.settings_class("vnpost_hcc").model_fields["place_numbers"].default == "internal"
    assert engine.load("vnpost_hcc").spec.codes["parcel_status"].values == {"4": "delivered"}
