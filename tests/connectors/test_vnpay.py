"""VNPAY: every vector of the page and of the library, what is forged, what its codes mean, refunds."""

from __future__ import annotations

import json
import unicodedata
import urllib.parse
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payment_stage import NOW, REFERENCE, RETURN_URL, Stage, got, order, refund

from lienthong.connectors.vnpay import auth, wire
from lienthong.core import errors, money

SECRET = "LGSPTESTSECRET0123456789ABCDEFGH"
ACCOUNT = {
    "tmn_code": "LGSPDEMO",
    "hash_secret": SECRET,
    "pay_url": "https://pay.example.vn/paymentv2/vpcpay.html",
    "api_url": "https://pay.example.vn/merchant_webapi/api/transaction",
}
PAY = (
    "vnp_Amount=15000000&vnp_Command=pay&vnp_CreateDate=20260115093000&vnp_CurrCode=VND"
    "&vnp_ExpireDate=20260115094500&vnp_IpAddr=203.0.113.10&vnp_Locale=vn"
    "&vnp_OrderInfo=Thanh+toan+ho+so+H56.14-260115-0001&vnp_OrderType=other"
    "&vnp_ReturnUrl=https%3A%2F%2Flgsp.example.vn%2Fpayment%2Freturn&vnp_TmnCode=LGSPDEMO"
    "&vnp_TxnRef=H5614260115000101&vnp_Version=2.1.0"
)
PAY_HASH = (
    "f913b74caf3fb02fb318754b6a7cf039f3f9f426c67c2dab470af9bbcfab59fd"
    "0cf619ac8c4a8ca6d15f6d306e2c9bc884c4014d659522e241df98d8bcdcbae6"
)
IPN = (
    "vnp_Amount=15000000&vnp_BankCode=NCB&vnp_BankTranNo=VNP14012345&vnp_CardType=ATM"
    "&vnp_OrderInfo=Thanh+toan+ho+so+H56.14-260115-0001&vnp_PayDate=20260115093412&vnp_ResponseCode=00"
    "&vnp_TmnCode=LGSPDEMO&vnp_TransactionNo=14012345&vnp_TransactionStatus=00&vnp_TxnRef=H5614260115000101"
)
IPN_HASH = (
    "b2991ff50f90049d8ffb92a4758090586fd26011e974e5fad41ee2380e7bf63e"
    "9dc34687bb058147afec2f0549e4828e5c6409052eed58e11ec22cb86f1e401c"
)
SIGNED_IPN = f"{IPN}&vnp_SecureHash={IPN_HASH}"
QUERY = (
    "REQ20260115100000001|2.1.0|querydr|LGSPDEMO|H5614260115000101|20260115093000|20260115100000"
    "|203.0.113.10|Truy van giao dich H5614260115000101"
)
QUERY_HASH = (
    "51ed1ee3e0910755cd48f964ff10567d47a763163d05041d97e9000f51b2d3df"
    "7dfc1e9fb6cd91ef8b18a0433a069c15e08d1a47b354c36ec04145e4cb7cb8ef"
)
ANSWER_HASH = (
    "f3ab97023942c80f800ca4a04ac7320cb820d95e6faf6f0e7628ff7eaa408cf1"
    "64f15334f9b0960c4390ff13b4c410a5a353fc452bd025512d90c4eee7218009"
)
REFUND_HASH = (
    "34b1aac34fe8aa4c260edc50d37f35c22af86e0a82b7a0354011fd07385c4f3a"
    "b1f0daeaf10e9af3a3eac57152675a7fb59ce9260fb1317a860af66044dd026b"
)
ANSWER = {
    "vnp_ResponseId": "RES0001",
    "vnp_Command": "querydr",
    "vnp_ResponseCode": "00",
    "vnp_Message": "QueryDR Success",
    "vnp_TmnCode": "LGSPDEMO",
    "vnp_TxnRef": REFERENCE,
    "vnp_Amount": "15000000",
    "vnp_BankCode": "NCB",
    "vnp_PayDate": "20260115093412",
    "vnp_TransactionNo": "14012345",
    "vnp_TransactionType": "01",
    "vnp_TransactionStatus": "00",
    "vnp_OrderInfo": "Thanh toan ho so H56.14-260115-0001",
}


@pytest.fixture
def stage() -> Stage:
    return Stage("vnpay", **ACCOUNT)


READER = Stage("vnpay", **ACCOUNT).connector


def ipn(changes: dict[str, str] | None = None, *, secret: str = SECRET) -> str:
    """An IPN signed anew after some changes; an empty value takes the field out."""
    fields = {**dict(urllib.parse.parse_qsl(IPN)), **(changes or {})}
    text = auth.form(fields)
    return f"{text}&vnp_SecureHash={auth.sign(text, secret)}"


def read(query: str) -> money.PaymentNews:
    news: money.PaymentNews = READER.read_callback(got(query))
    return news


def is_forged(query: str) -> bool:
    try:
        read(query)
    except errors.ProofRejected:
        return True
    return False


# ----------------------------------------------------------------------------------------------------- vectors


async def test_the_pay_address_is_that_of_the_vector_to_the_byte(stage: Stage) -> None:
    started = await stage.connector.start(order())
    assert started.pay_url == f"{ACCOUNT['pay_url']}?{PAY}&vnp_SecureHash={PAY_HASH}"
    assert started.expires_at == NOW + timedelta(minutes=15)
    assert not stage.sent


def test_the_callback_of_the_vector_is_a_payment() -> None:
    assert read(SIGNED_IPN) == money.PaymentNews(
        reference=REFERENCE,
        amount_vnd=150_000,
        partner="LGSPDEMO",
        state="paid",
        provider_reference="14012345",
        provider_code="00/00",
        bank="NCB",
        paid_at=NOW + timedelta(minutes=4, seconds=12),
    )


def test_the_hashes_of_query_answer_and_refund_are_those_of_the_vectors() -> None:
    assert auth.sign(QUERY, SECRET) == QUERY_HASH
    signed = wire.signed_body(wire.refund_fields(refund(), terminal="LGSPDEMO", address="203.0.113.10"), SECRET)
    assert signed["vnp_SecureHash"] == REFUND_HASH
    _, is_signed = wire.answer({**ANSWER, "vnp_SecureHash": ANSWER_HASH}, command=wire.QUERY, secret=SECRET)
    assert is_signed


def test_the_querys_body_is_signed_as_the_vector_says() -> None:
    fields = dict(zip(wire._QUERY, QUERY.split("|"), strict=True))
    assert wire.signed_body(fields, SECRET)["vnp_SecureHash"] == QUERY_HASH


def shared_vectors(shared_data: Path, kind: str) -> list[dict[str, Any]]:
    file = shared_data / "vectors" / "vnpay.jsonl"
    if not file.is_file():
        pytest.skip(f"the library's vectors are not here: {file}")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["kind"] == kind]


def test_addresses_made_by_the_library_are_signed_alike(shared_data: Path) -> None:
    rows = shared_vectors(shared_data, "pay-url")
    assert rows
    for row in rows:
        query = row["url"].partition("?")[2]
        fields = dict(urllib.parse.parse_qsl(query))
        signature = fields.pop("vnp_SecureHash")
        assert auth.form(fields) == query.partition("&vnp_SecureHash")[0]
        assert auth.sign(auth.form(fields), row["secret"]) == signature


def test_callbacks_are_judged_as_the_library_judges_them(shared_data: Path) -> None:
    rows = shared_vectors(shared_data, "ipn")
    assert {row["library_isVerified"] for row in rows} == {True, False}
    for row in rows:
        reader = Stage("vnpay", **{**ACCOUNT, "tmn_code": "TESTCODE", "hash_secret": row["secret"]}).connector
        request = got(urllib.parse.urlencode(row["query"]))
        if not row["library_isVerified"]:
            with pytest.raises(errors.ProofRejected):
                reader.read_callback(request)
            continue
        news = reader.read_callback(request)
        assert (news.state == "paid") == row["library_isSuccess"]
        assert news.amount_vnd * 100 == int(row["query"]["vnp_Amount"])


# ------------------------------------------------------------------------------------------------------ forged


@pytest.mark.parametrize(
    "query",
    [
        SIGNED_IPN.replace("vnp_Amount=15000000", "vnp_Amount=15000001"),
        f"{IPN}&vnp_SecureHash={IPN_HASH.upper()}",
        SIGNED_IPN.replace("Thanh+toan", urllib.parse.quote_plus(unicodedata.normalize("NFD", "Thành+toan"))),
        SIGNED_IPN + "&vnp_TxnRef=H5614260115000101",
        SIGNED_IPN + "&vnp_SecureHash=" + IPN_HASH,
        SIGNED_IPN + "&vnp_ResponseCode%00=00",
        SIGNED_IPN + "&further=1",
        SIGNED_IPN.replace("NCB", "N%00CB"),
        SIGNED_IPN.replace("NCB", "%FF%FE"),
        SIGNED_IPN.replace("NCB", "NCĐ"),
        SIGNED_IPN.replace("NCB", "NC\ud800"),
        SIGNED_IPN + "&x=" + "y" * 100_000,
        IPN,
        f"{IPN}&vnp_SecureHash=",
        "",
        "&&&",
        "vnp_SecureHash",
    ],
    ids=map(str, range(17)),
)
def test_what_the_intermediary_did_not_sign_is_forged(query: str) -> None:
    assert is_forged(query)


def test_the_order_of_the_fields_does_not_matter_and_empty_ones_are_not_signed() -> None:
    turned = "&".join(reversed(SIGNED_IPN.split("&")))
    assert read(turned) == read(SIGNED_IPN) == read(SIGNED_IPN + "&vnp_Empty=&vnp_SecureHashType=HMACSHA512")


def test_two_values_that_change_places_are_forged() -> None:
    changed = SIGNED_IPN.replace("vnp_BankCode=NCB", "vnp_BankCode=ATM").replace(
        "vnp_CardType=ATM", "vnp_CardType=NCB"
    )
    assert is_forged(changed)


def test_a_blank_after_the_secret_is_another_secret() -> None:
    assert is_forged(ipn(secret=SECRET + " "))


def test_without_a_secret_nothing_is_believed() -> None:
    reader = Stage("vnpay", **{**ACCOUNT, "hash_secret": ""}).connector
    with pytest.raises(errors.ProofRejected):
        reader.read_callback(got(ipn(secret="")))


async def test_our_own_pay_address_sent_back_is_forged(stage: Stage) -> None:
    started = await stage.connector.start(order())
    assert is_forged(started.pay_url.partition("?")[2])


@pytest.mark.parametrize("name", ["vnp_TxnRef", "vnp_Amount", "vnp_ResponseCode", "vnp_TmnCode"])
def test_a_signed_message_without_what_matters_is_forged(name: str) -> None:
    assert is_forged(ipn({name: ""}))


def test_a_message_for_another_partner_is_forged() -> None:
    assert is_forged(ipn({"vnp_TmnCode": "OTHERONE"}))


def test_what_a_browser_brings_is_shown_and_never_a_callback() -> None:
    request = got(SIGNED_IPN, name="return")
    with pytest.raises(errors.ProofRejected):
        READER.read_callback(request)
    assert READER.read_return(request).state == "paid"
    with pytest.raises(errors.ProofRejected):
        READER.read_return(got(SIGNED_IPN.replace("=00", "=24"), name="return"))
    with pytest.raises(errors.ProofRejected):
        READER.read_callback(got(SIGNED_IPN, method="POST"))


@given(place=st.integers(0, len(SIGNED_IPN) - 1), byte=st.characters(min_codepoint=0, max_codepoint=0x2FF))
def test_any_changed_byte_is_forged_unless_it_says_the_very_same(place: int, byte: str) -> None:
    changed = SIGNED_IPN[:place] + byte + SIGNED_IPN[place + 1 :]
    if not is_forged(changed):
        # Another spelling of the same fields: `%2f` for `%2F`.
        assert urllib.parse.parse_qsl(changed) == urllib.parse.parse_qsl(SIGNED_IPN)


@given(query=st.text(max_size=300) | st.text(alphabet="vnp_AmountTxR=&%0129+;\x00ÿ", max_size=300))
def test_any_rubbish_is_forged_and_nothing_else(query: str) -> None:
    assert is_forged(query)


@given(
    fields=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")), max_size=6
    )
)
def test_the_signed_form_has_one_spelling_that_reads_back(fields: dict[str, str]) -> None:
    text = auth.form(fields)
    assert dict(urllib.parse.parse_qsl(text, strict_parsing=bool(text))) == {k: v for k, v in fields.items() if v}
    assert auth.form(dict(reversed(fields.items()))) == text
    assert text.isascii()


@given(
    name=st.sampled_from(["vnp_Amount", "vnp_PayDate", "vnp_ResponseCode", "vnp_TransactionStatus", "vnp_TxnRef"]),
    value=st.text(st.characters(codec="utf-8"), min_size=1, max_size=30),
)
def test_a_signed_message_with_odd_values_is_news_or_unreadable(name: str, value: str) -> None:
    try:
        news = read(ipn({name: value}))
    except (errors.ProofRejected, errors.RemoteGarbled):
        return
    assert news.state in ("paid", "needs_person", "failed", "pending", "reversed", "expired")


# ----------------------------------------------------------------------------------------------------- meaning


@pytest.mark.parametrize("amount", ["15000050", "1500000.00", "-15000000", "015000000", "１５０００", "0x10"])
def test_an_amount_that_is_not_whole_đồng_in_hundredths_is_unreadable(amount: str) -> None:
    with pytest.raises(errors.RemoteGarbled):
        read(ipn({"vnp_Amount": amount}))


def test_a_paid_message_of_nothing_is_unreadable() -> None:
    with pytest.raises(errors.RemoteGarbled):
        read(ipn({"vnp_Amount": "0"}))


@pytest.mark.parametrize(
    ("code", "status", "state"),
    [
        ("00", "00", "paid"),
        ("24", "02", "failed"),
        ("51", "02", "failed"),
        ("99", "02", "failed"),
        ("11", "02", "expired"),
        ("00", "01", "pending"),
        ("00", "06", "reversed"),
        ("07", "00", "needs_person"),
        ("07", "07", "needs_person"),
        ("00", "04", "needs_person"),
        ("24", "00", "needs_person"),
        ("00", "02", "needs_person"),
        ("00", "", "needs_person"),
        ("77", "88", "needs_person"),
    ],
)
def test_only_two_zeros_are_paid_and_what_is_new_needs_a_person(code: str, status: str, state: str) -> None:
    news = read(ipn({"vnp_ResponseCode": code, "vnp_TransactionStatus": status}))
    assert (news.state, news.provider_code) == (state, f"{code}/{status}")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("recorded", "00"),
        ("already", "02"),
        ("unknown_reference", "01"),
        ("amount_differs", "04"),
        ("forged", "97"),
        ("address_refused", "03"),
        ("unreadable", "99"),
        ("failed", "99"),
    ],
)
def test_the_reply_is_in_the_intermediarys_words(stage: Stage, outcome: Any, code: str) -> None:
    reply = stage.connector.reply(got(SIGNED_IPN), outcome)
    assert (reply.status, json.loads(reply.body)["RspCode"]) == (200, code)
    assert reply == stage.connector.reply(got(SIGNED_IPN), outcome)


# ------------------------------------------------------------------------------------------------------ start


async def test_a_description_keeps_to_letters_that_all_encoders_spell_alike(stage: Stage) -> None:
    started = await stage.connector.start(order(description='Lệ phí "thẩm định" 100% * ~ đợt 2' + "x" * 300))
    told = dict(urllib.parse.parse_qsl(started.pay_url.partition("?")[2]))["vnp_OrderInfo"]
    assert told.startswith("Le phi tham dinh 100 dot 2x")
    assert len(told) == 255


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"amount_vnd": 10**11}, "amount_vnd"), ({"return_url": ""}, "return_url")],
)
async def test_what_would_be_refused_is_named_before(stage: Stage, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidRequest) as raised:
        await stage.connector.start(order(**changed))
    assert [it.field for it in raised.value.problems] == [field]


async def test_the_beginning_of_an_address_is_enough() -> None:
    short = Stage("vnpay", tmn_code="LGSPDEMO", hash_secret=SECRET, base_url="https://sandbox.example.vn/vnpay/")
    started = await short.connector.start(order())
    assert started.pay_url.startswith("https://sandbox.example.vn/vnpay/paymentv2/vpcpay.html?")
    short.answers = lambda request: httpx.Response(200, json={"vnp_ResponseCode": "91"})
    await short.connector.query(order())
    assert str(short.sent[-1].url) == "https://sandbox.example.vn/vnpay/merchant_webapi/api/transaction"


async def test_without_an_account_nothing_is_started(stage: Stage) -> None:
    with pytest.raises(errors.Misconfigured):
        await stage.open(hash_secret="").start(order())


# ------------------------------------------------------------------------------------------------------ query


def answered(signed: bool = True, command: str = "querydr", **changed: str) -> Any:
    body = {**ANSWER, "vnp_Command": command, **changed}
    order_of = wire._SIGNED[command][1]
    values = (str(body.get(wire.NAMES[word], "")) for word in order_of)
    if signed:
        body["vnp_SecureHash"] = auth.sign_values(values, SECRET)
    return lambda request: httpx.Response(200, json=body)


async def test_a_query_finds_a_payment(stage: Stage) -> None:
    stage.answers = answered()
    news = await stage.connector.query(order())
    assert (news.state, news.amount_vnd, news.provider_code) == ("paid", 150_000, "00/01")
    sent = stage.body()
    assert (sent["vnp_TransactionDate"], sent["vnp_Command"]) == ("20260115093000", "querydr")
    assert len(sent["vnp_RequestId"]) <= 32


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"vnp_TransactionStatus": "01"}, "pending"),
        ({"vnp_TransactionStatus": "02"}, "failed"),
        ({"vnp_TransactionStatus": "04"}, "needs_person"),
        ({"vnp_TransactionStatus": "07"}, "needs_person"),
        ({"vnp_TransactionStatus": "33"}, "needs_person"),
        ({"vnp_TransactionType": "02"}, "reversed"),
        ({"vnp_TransactionType": "03", "vnp_TransactionStatus": "05"}, "reversed"),
        ({"vnp_TransactionType": "09"}, "needs_person"),
    ],
)
async def test_an_answer_says_how_it_stands(stage: Stage, changed: dict[str, str], state: str) -> None:
    stage.answers = answered(**changed)
    assert (await stage.connector.query(order())).state == state


@pytest.mark.parametrize(
    "answers",
    [
        answered(signed=False),
        lambda request: httpx.Response(200, json={**ANSWER, "vnp_SecureHash": ANSWER_HASH, "vnp_Amount": "1"}),
        answered(vnp_TxnRef="H5614260115000102"),
        answered(vnp_TmnCode="OTHERONE"),
        lambda request: httpx.Response(200, json={**ANSWER, "vnp_Amount": [1]}),
        lambda request: httpx.Response(200, json=[]),
        lambda request: httpx.Response(200, text="<html>"),
    ],
    ids=["unsigned", "changed", "another", "partner", "list", "array", "html"],
)
async def test_an_answer_that_proves_nothing_is_garbled(stage: Stage, answers: Any) -> None:
    stage.answers = answers
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.query(order())


async def test_what_they_do_not_know_is_pending_and_expires_only_by_a_signed_word(stage: Stage) -> None:
    absent = {"vnp_ResponseCode": "91", "vnp_TransactionStatus": ""}
    stage.answers = answered(**absent)
    assert (await stage.connector.query(order())).state == "pending"
    stage.now = NOW + timedelta(hours=1)
    assert (await stage.connector.query(order())).state == "expired"
    stage.answers = answered(signed=False, **absent)
    assert (await stage.connector.query(order())).state == "pending"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("02", errors.RemoteForbids),
        ("97", errors.RemoteForbids),
        ("03", errors.RemoteRefused),
        ("94", errors.RemoteBusy),
        ("99", errors.RemoteUnavailable),
        ("55", errors.UnmappedCode),
    ],
)
async def test_a_question_that_is_not_answered_has_a_name(stage: Stage, code: str, error: type[Exception]) -> None:
    stage.answers = answered(vnp_ResponseCode=code)
    with pytest.raises(error):
        await stage.connector.query(order())


# ------------------------------------------------------------------------------------------------------ refund


@pytest.mark.parametrize(
    ("code", "status", "state"),
    [
        ("00", "00", "done"),
        ("00", "05", "accepted"),
        ("00", "", "accepted"),
        ("00", "09", "refused"),
        ("94", "", "already"),
        ("95", "", "refused"),
        ("91", "", "refused"),
    ],
)
async def test_a_refund_has_a_state(stage: Stage, code: str, status: str, state: str) -> None:
    stage.answers = answered(command="refund", vnp_ResponseCode=code, vnp_TransactionStatus=status)
    assert (await stage.connector.refund(refund())).state == state
    sent = stage.body()
    assert (sent["vnp_TransactionType"], sent["vnp_Amount"], sent["vnp_SecureHash"]) == (
        "02",
        "15000000",
        REFUND_HASH,
    )


async def test_a_part_of_an_unnumbered_payment_can_be_given_back(stage: Stage) -> None:
    stage.answers = answered(command="refund")
    await stage.connector.refund(refund(is_whole=False, amount_vnd=1_000, provider_reference=""))
    sent = stage.body()
    assert (sent["vnp_TransactionType"], sent["vnp_Amount"], sent["vnp_TransactionNo"]) == ("03", "100000", "0")


@pytest.mark.parametrize(
    "answers",
    [
        answered(signed=False, command="refund"),
        answered(command="refund", vnp_ResponseCode="99"),
        lambda request: httpx.Response(200, text="<html>"),
        lambda request: httpx.Response(500),
    ],
    ids=["unsigned", "99", "html", "500"],
)
async def test_a_refund_whose_answer_proves_nothing_may_have_happened(stage: Stage, answers: Any) -> None:
    stage.answers = answers
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.refund(refund())


async def test_a_check_asks_about_a_payment_that_never_was(stage: Stage) -> None:
    stage.answers = answered(signed=False, vnp_ResponseCode="91")
    assert all(it.ok for it in await stage.connector.check())
    stage.answers = answered(vnp_ResponseCode="97")
    assert [it.ok for it in await stage.connector.check()] == [True, False]


async def test_no_secret_and_no_payer_reaches_an_error_or_the_journal(stage: Stage) -> None:
    stage.answers = answered(vnp_ResponseCode="03", vnp_Message="Sai số 001099000001")
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.query(order())
    shown = str(raised.value) + repr(stage.exchanges) + repr(stage.connector._settings)
    assert not [word for word in (SECRET, "001099000001", REFERENCE, RETURN_URL) if word in shown]
    with pytest.raises(errors.NotOffered):
        await stage.connector.receipt(order())
