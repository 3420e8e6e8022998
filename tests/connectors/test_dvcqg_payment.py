"""The payment platform of the portal: vectors 12.3 to the byte, what is refused, what its codes come to."""

from __future__ import annotations

import json
import unicodedata
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from conformance import SECRET, fails, text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intermediary_stage import (
    ANYTHING,
    NOW,
    PAID_AT,
    REFERENCE,
    IntermediaryPromises,
    Stage,
    broken_bodies,
    callback,
    order,
    plays,
    refund_order,
    spoiled,
)

from lienthong.connectors.dvcqg_payment import auth
from lienthong.core import errors, money

VECTOR_SECRET = "PP_TEST_SECRET_2026"
RESULT = {
    "LoaiBanTin": "CONFIRM",
    "MaLoi": "00",
    "MaDoiTac": "LGSPDEMO",
    "MaThamChieu": REFERENCE,
    "SoTien": 150000,
    "MaTienTe": "VND",
    "MaGiaoDich": "PP0000000001",
    "MaNganHang": "VCB",
    "ThoiGianGD": "20260115093412",
    "ThongTinGiaoDich": "THANH TOAN HO SO H56.14-260115-0001",
}
SIGNED = tuple(RESULT)
RESULT_SUM = "256667fdd3b3e2778cf992d744b5244e661b0c7ea06b8f8f6321c97f7caba561"
STATE = {**RESULT, "MaXacThuc": RESULT_SUM, "TrangThaiGD": "1"}


def signed(secret: str = VECTOR_SECRET, **changed: Any) -> dict[str, Any]:
    fields = {**RESULT, **changed}
    values = ["" if fields[name] is None else str(fields[name]) for name in SIGNED]
    return {**fields, "MaXacThuc": auth.checksum(values, secret=secret)}


def own(request: httpx.Request) -> httpx.Response:
    body = json.loads(request.content)
    if body["LoaiBanTin"] == "INIT":
        return httpx.Response(200, json={"MaLoi": "00", "UrlThanhToan": "https://pay.example.vn/p/1?t=abc"})
    if body["LoaiBanTin"] == "GET_BILL":
        return httpx.Response(200, content=b"%PDF-1.4 bien lai")
    return httpx.Response(200, json=signed(secret=secret_of(body), TrangThaiGD="1") | {"TrangThaiGD": 1})


def secret_of(body: dict[str, str]) -> str:
    """The secret under which a question was signed: the platform knows the partner's."""
    names = ("LoaiBanTin", "PhienBan", "MaDoiTac", "MaThamChieu", "ThoiGianGD")
    for secret in (VECTOR_SECRET, SECRET):
        if auth.checksum([body[name] for name in names], secret=secret) == body["MaXacThuc"]:
            return secret
    raise AssertionError("a question that is not signed")


def new_stage(secret: str = VECTOR_SECRET, **changed: Any) -> Stage:
    given = {"init_path": "/init", "query_path": "/query", "bill_path": "/bill", "partner_code": "LGSPDEMO"}
    return Stage("dvcqg_payment", {**given, "secret_key": secret, **changed}, own)


@pytest.fixture
def stage() -> Stage:
    return new_stage()


class TestPromises(IntermediaryPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage(SECRET)


def test_it_plays_its_roles(stage: Stage) -> None:
    assert plays(stage.connector) == {"PaymentProvider"}


# ------------------------------------------------------------------------------------------------------ vectors


async def test_a_payment_is_asked_for_as_the_vector_says(stage: Stage) -> None:
    started = await stage.connector.start(order())
    assert started.pay_url == "https://pay.example.vn/p/1?t=abc"
    body = stage.wire.last()
    assert body["MaXacThuc"] == "dba4f043c3b11495c830922117e43b8e67613db8314e467c961b99cb940bb754"
    names = ("LoaiBanTin", "PhienBan", "SoTien", "MaKenhThanhToan", "NgonNgu", "Ip")
    assert {name: body[name] for name in names} == {
        "LoaiBanTin": "INIT", "PhienBan": "1.0.6", "SoTien": "150000", "MaKenhThanhToan": "1", "NgonNgu": "vi-VN",
        "Ip": "203.0.113.10",
    }  # fmt: skip
    assert body["ThongTinGiaoDich"] == "THANH TOAN HO SO H56.14-260115-0001"


async def test_the_receipt_part_names_fees_and_leaves_fines_empty(stage: Stage) -> None:
    await stage.connector.start(order(procedure_name="Đ" * 300))
    facts = stage.wire.last()["ThongTinBienLai"]
    assert (facts["MaDichVu"], facts["MaDVC"], facts["MaTTHC"]) == ("2", "1.001193.01", "1.001193")
    assert len(facts["TenTTHC"]) == 250
    line = {"LoaiPhiLePhi": "2", "MaPhiLePhi": "LP01", "TenPhiLePhi": "Lệ phí hộ tịch", "SoTien": "150000"}
    assert facts["PhiLePhi"] == [line]
    assert facts["DSKhoanNop"] == [{"NoiDung": "THANH TOÁN HỒ SƠ H56.14-260115-0001", "SoTien": "150000"}]
    fines = (
        "MaLoaiHinhThuPhat", "TenLoaiHinhThuPhat", "MaCoQuanQD", "TenCoQuanQD", "KhoBac", "NgayQD", "SoQD",
        "ThoiGianViPham", "DiaDiemViPham", "TenNguoiViPham", "TaiKhoanThuNSNN",
    )  # fmt: skip
    assert {facts[name] for name in fines} == {""}


async def test_questions_are_signed_as_the_vectors_say(stage: Stage) -> None:
    await stage.connector.query(order())
    body = stage.wire.last()
    assert body["MaXacThuc"] == "265fb4562aae3aaaee62304063205b92e774f0b848c1052637585ac2c477f326"
    await stage.connector.receipt(order(paid_at=PAID_AT))
    body = stage.wire.last()
    assert body["MaXacThuc"] == "2c609dfcdd4995ceae618bb4692fe885a75827bf6044669caed2cf5a7a35e430"
    assert set(body) == {"LoaiBanTin", "PhienBan", "MaDoiTac", "MaThamChieu", "ThoiGianGD", "MaXacThuc"}


@pytest.mark.parametrize("amount", [150000, "150000"])
def test_a_signed_result_is_read(stage: Stage, amount: Any) -> None:
    news = stage.connector.read_callback(callback({**RESULT, "SoTien": amount, "MaXacThuc": RESULT_SUM}))
    assert news == money.PaymentNews(
        reference=REFERENCE, amount_vnd=150000, partner="LGSPDEMO", state="paid", bank="VCB",
        provider_reference="PP0000000001", provider_code="00", paid_at=PAID_AT,
    )  # fmt: skip


def test_card_fields_beside_the_signed_ones_are_let_pass(stage: Stage) -> None:
    fields = {**RESULT, "MaXacThuc": RESULT_SUM, "SoThe": "970400…0018", "ThangThe": None, "NamThe": None}
    assert stage.connector.read_callback(callback(fields)).state == "paid"


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "wrong", [*spoiled({**RESULT, "MaXacThuc": RESULT_SUM}, signed=SIGNED, checksum="MaXacThuc")]
)
def test_a_result_with_anything_changed_is_forged(stage: Stage, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(wrong))


@pytest.mark.parametrize(
    "body", [*broken_bodies({**RESULT, "MaXacThuc": RESULT_SUM})], ids=lambda it: repr(it[:20])
)
def test_a_body_in_a_form_that_nobody_should_read_is_forged(stage: Stage, body: bytes) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(body))


@pytest.mark.parametrize("secret", ["", f"{VECTOR_SECRET} ", VECTOR_SECRET.lower()])
def test_another_secret_believes_nothing(secret: str) -> None:
    other = new_stage(secret)
    with pytest.raises(errors.ProofRejected):
        other.connector.read_callback(callback(signed()))


def test_without_a_secret_not_even_a_message_signed_with_none_is_believed() -> None:
    with pytest.raises(errors.ProofRejected):
        new_stage("").connector.read_callback(callback(signed(secret="")))


def test_parts_of_a_signed_message_cannot_change_places_over_the_separator(stage: Stage) -> None:
    good = signed(MaGiaoDich="PP1", MaNganHang="VCB")
    moved = {**good, "MaGiaoDich": "PP1|VCB", "MaNganHang": "20260115093412", "ThoiGianGD": "THANH"}
    for wrong in (moved, signed(MaNganHang="V|CB")):
        with pytest.raises(errors.ProofRejected):
            stage.connector.read_callback(callback(wrong))


@pytest.mark.parametrize(
    "amount", ["0150000", "+150000", "150.000", "1e5", "-1", "", "１５００００", 150000.0, None, -1]
)
def test_an_amount_has_one_form_only(stage: Stage, amount: Any) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(signed(SoTien=amount)))


def test_a_result_for_another_partner_is_not_ours(stage: Stage) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(signed(MaDoiTac="LGSPOTHER")))


def test_a_result_that_names_no_currency_was_taken_for_dong(stage: Stage) -> None:
    assert stage.connector.read_callback(callback(signed(MaTienTe=""))).currency == ""


def test_text_in_other_letters_than_signed_is_forged(stage: Stage) -> None:
    good = signed(ThongTinGiaoDich="Hồ sơ")
    assert stage.connector.read_callback(callback(good)).state == "paid"
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(
            callback({**good, "ThongTinGiaoDich": unicodedata.normalize("NFD", "Hồ sơ")})
        )


def test_an_empty_bank_may_be_absent_but_a_signed_one_may_not(stage: Stage) -> None:
    empty = signed(MaNganHang="")
    without = {name: value for name, value in empty.items() if name != "MaNganHang"}
    for fields in (empty, without, {**empty, "MaNganHang": None}):
        assert stage.connector.read_callback(callback(fields)).bank == ""
    full = signed()
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback({name: it for name, it in full.items() if name != "MaNganHang"}))


@given(body=ANYTHING)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_arrives_is_forged_and_answered(stage: Stage, body: bytes) -> None:
    request = callback(body)
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(request)
    assert json.loads(stage.connector.reply(request, "forged").body)["MaLoi"] == "99"


@given(at=st.integers(0, 10_000), letter=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_never_changes_what_is_believed(stage: Stage, at: int, letter: int) -> None:
    good = orjson.dumps(signed())
    at %= len(good)
    changed = good[:at] + bytes([letter]) + good[at + 1 :]
    try:
        news = stage.connector.read_callback(callback(changed))
    except errors.ProofRejected:
        return
    assert news == stage.connector.read_callback(callback(good))


# --------------------------------------------------------------------------------------------------------- codes


@pytest.mark.parametrize(
    ("code", "state"), [("00", "paid"), ("99", "failed"), ("07", "needs_person"), ("0", "needs_person")]
)
def test_an_unknown_code_is_put_before_a_person(stage: Stage, code: str, state: str) -> None:
    news = stage.connector.read_callback(callback(signed(MaLoi=code)))
    assert (news.state, news.provider_code) == (state, code)
    assert (news.paid_at is not None) == (state == "paid")


def test_a_strange_time_does_not_make_a_payment_untrue(stage: Stage) -> None:
    news = stage.connector.read_callback(callback(signed(ThoiGianGD="20261345")))
    assert (news.state, news.paid_at) == ("paid", None)


@pytest.mark.parametrize("outcome", money.CallbackOutcome.__args__)
def test_every_outcome_is_answered_in_the_platforms_words(stage: Stage, outcome: Any) -> None:
    request = callback(signed())
    reply = stage.connector.reply(request, outcome)
    assert reply == stage.connector.reply(request, outcome)
    told = json.loads(reply.body)
    assert set(told) == {"MaLoi", "MoTaLoi", "MaDoiTac", "MaThamChieu", "ThoiGianGD", "MaXacThuc"}
    assert told["MaLoi"] == ("00" if outcome in ("recorded", "already") else "99")
    assert (told["MaThamChieu"], told["MaXacThuc"]) == (REFERENCE, RESULT_SUM)
    strange = callback({**signed(), "MaThamChieu": [1]}, headers={"content-type": "text/plain"})
    told = json.loads(stage.connector.reply(strange, outcome).body)
    assert (told["MaThamChieu"], told["MaXacThuc"]) == ("", RESULT_SUM)
    assert reply.status == 200


@pytest.mark.parametrize(("code", "state"), [("1", "paid"), (3, "pending"), ("4", "failed")])
async def test_a_question_is_answered_by_its_state(stage: Stage, code: Any, state: str) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={**STATE, "TrangThaiGD": code}))
    news = await stage.connector.query(order())
    assert (news.state, news.amount_vnd, news.reference) == (state, 150000, REFERENCE)


async def test_a_facades_text_is_opened(stage: Stage) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={"error_code": "0", "message": json.dumps(STATE)}))
    assert (await stage.connector.query(order())).state == "paid"
    url = json.dumps({"UrlThanhToan": "https://pay.example.vn/2"})
    stage.answer_all(lambda: httpx.Response(200, json={"error_code": 0, "message": url}))
    assert (await stage.connector.start(order())).pay_url == "https://pay.example.vn/2"
    stage.answer_all(lambda: httpx.Response(200, json={"error_code": "-1", "message": "Số 001099000001 sai"}))
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.start(order())
    assert "001099000001" not in str(raised.value)
    stage.answer_all(lambda: httpx.Response(200, json={"error_code": "0", "message": "{"}))
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.query(order())
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.start(order())


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"TrangThaiGD": "2"}, errors.UnmappedCode),
        ({"TrangThaiGD": None}, errors.RemoteGarbled),
        ({"MaLoi": "01"}, errors.RemoteRefused),
        ({"MaLoi": None}, errors.RemoteGarbled),
        ({"SoTien": 1}, errors.RemoteGarbled),
        ({"MaXacThuc": "0" * 64}, errors.RemoteGarbled),
        ({"MaThamChieu": "DVC26011500000002", "MaXacThuc": ""}, errors.RemoteGarbled),
        ({"MaDoiTac": "OTHER", "MaXacThuc": ""}, errors.RemoteGarbled),
        ({"SoTien": None, "MaXacThuc": ""}, errors.RemoteGarbled),
        ({"SoTien": "1.5", "MaXacThuc": ""}, errors.RemoteGarbled),
    ],
)
async def test_an_answer_that_does_not_hold_is_no_state(
    stage: Stage, changed: Any, error: type[Exception]
) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={**STATE, **changed}))
    with pytest.raises(error):
        await stage.connector.query(order())


async def test_an_unsigned_answer_counts_only_where_the_settings_say_so() -> None:
    unsigned = {**STATE, "MaXacThuc": ""}
    for setting, holds in (("if_present", True), ("never", True), ("required", False)):
        stage = new_stage(query_answer_signature=setting)
        stage.answer_all(lambda: httpx.Response(200, json=unsigned))
        if holds:
            assert (await stage.connector.query(order())).state == "paid"
        else:
            with pytest.raises(errors.RemoteGarbled):
                await stage.connector.query(order())


# ------------------------------------------------------------------------------------- start, receipt, refund


async def test_a_payment_that_is_refused_or_lost_says_so(stage: Stage) -> None:
    for answer, error in (
        (lambda: httpx.Response(200, json={"MaLoi": "99", "MoTaLoi": "Sai"}), errors.RemoteRefused),
        (lambda: httpx.Response(200, json={"MaLoi": "00"}), errors.RemoteGarbled),
        (
            lambda: httpx.Response(200, json={"MaLoi": "00", "UrlThanhToan": "javascript:alert(1)"}),
            errors.RemoteGarbled,
        ),
        (lambda: httpx.Response(200, json={"MaLoi": "00", "UrlThanhToan": "https://a@b/"}), errors.RemoteGarbled),
        (text("{"), errors.OutcomeUnknown),
        (text("[]"), errors.OutcomeUnknown),
        (fails(httpx.ReadTimeout("slow")), errors.OutcomeUnknown),
        (fails(httpx.ConnectError("no")), errors.RemoteUnavailable),
    ):
        stage.answer_all(answer)
        with pytest.raises(error):
            await stage.connector.start(order())
    assert len(stage.wire.requests) == 8


async def test_a_refusal_did_not_say_who_refused_and_why(stage: Stage) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={"MaLoi": "99", "MoTaLoi": "Thiếu DiaChiNguoiNop"}))
    with pytest.raises(errors.RemoteRefused) as refused:
        await stage.connector.start(order())
    said = "Nền tảng thanh toán Cổng DVCQG từ chối, mã 99: Thiếu DiaChiNguoiNop"
    assert refused.value.detail("vi") == said


async def test_a_receipt_comes_as_a_file_or_as_an_address(stage: Stage) -> None:
    assert (await stage.connector.receipt(order())).content.startswith(b"%PDF")
    url = "https://pay.example.vn/bienlai/1.pdf"
    for answer in (
        {"UrlBienLai": url},
        {"MaLoi": "00", "UrlBienLai": url},
        {"error_code": "0", "message": json.dumps({"UrlBienLai": url})},
    ):
        stage.answer_all(lambda answer=answer: httpx.Response(200, json=answer))
        assert await stage.connector.receipt(order()) == money.ReceiptFile(url=url)
    stage.answer_all(lambda: httpx.Response(200, json={"MaLoi": "99"}))
    with pytest.raises(errors.RemoteRefused):
        await stage.connector.receipt(order())


async def test_refunds_are_not_offered(stage: Stage) -> None:
    with pytest.raises(errors.NotOffered):
        await stage.connector.refund(refund_order())


async def test_a_check_asks_about_no_real_payment(stage: Stage) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={"MaLoi": "01"}))
    assert all(it.ok for it in await stage.connector.check())
    assert stage.wire.last()["LoaiBanTin"] == "QUERY"
    stage.answer_all(text("", 404))
    assert not all(it.ok for it in await stage.connector.check())
    assert "INIT_PATH" in (await new_stage(init_path="").connector.check())[0].en


async def test_behind_a_platform_calls_carry_its_token() -> None:
    stage = new_stage(
        lgsp_token_path="/token", lgsp_consumer_key="demoConsumerKey", lgsp_consumer_secret="demoConsumerSecret"
    )
    stage.wire.own = lambda it: (
        httpx.Response(200, json={"access_token": "t1", "expires_in": 3600})
        if it.url.path == "/token"
        else own(it)
    )
    await stage.connector.query(order())
    await stage.connector.query(order())
    token, *calls = stage.wire.requests
    basic = "ZGVtb0NvbnN1bWVyS2V5OmRlbW9Db25zdW1lclNlY3JldA=="
    assert token.headers["authorization"] == f"Basic {basic}"
    assert [it.headers["authorization"] for it in calls] == ["Bearer t1"] * 2


# --------------------------------------------------------------------------------------------------- bill lookup


def test_a_lookup_is_read_and_answered_in_the_portals_words(stage: Stage) -> None:
    asked = callback({"MaHoSo": "H56.14-260115-0001"}, name="dptracuuthanhtoanhs")
    assert stage.connector.read_bill_lookup(asked) == "H56.14-260115-0001"
    told = json.loads(stage.connector.bill_lookup_reply(order(), is_known=True, now=PAID_AT).body)
    assert told["error_code"] == 1
    assert told["message"]["MaTraCuuTT"] == "H56.14-260115-000120260115093412"
    assert (told["message"]["transaction_id"], told["message"]["client_id"]) == (REFERENCE, "LGSPDEMO")
    assert told["message"]["MaHoSo"] == "H56.14-260115-0001"
    for is_known, code in ((True, 0), (False, -1)):
        reply = stage.connector.bill_lookup_reply(None, is_known=is_known, now=NOW)
        assert json.loads(reply.body) == {"error_code": code, "message": []}


@pytest.mark.parametrize(
    "body", [{}, {"MaHoSo": ""}, {"MaHoSo": 7.5}, {"MaHoSo": "H" * 51}, {"MaHoSo": ["H"]}, b"{", b"\xff"]
)
def test_a_lookup_without_a_dossier_is_the_askers_fault(stage: Stage, body: Any) -> None:
    with pytest.raises(errors.InvalidRequest):
        stage.connector.read_bill_lookup(callback(body))


def test_a_time_is_written_in_vietnam_time(stage: Stage) -> None:
    reply = stage.connector.bill_lookup_reply(order(), is_known=True, now=NOW + timedelta(hours=20))
    assert json.loads(reply.body)["message"]["MaTraCuuTT"].endswith("20260116053000")
