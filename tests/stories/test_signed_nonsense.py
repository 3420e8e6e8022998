"""Whoever holds an intermediary's key and sends nonsense hears its own words; what disagrees moves no money.

Every message is signed by recipes written for these tests (contracts §7); the connectors are the real ones.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builders
import doors
import httpx
import payment_town
import pytest
import sqlalchemy as sa
import test_intermediaries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payment_town import CODE, FEE

from lienthong.bus import hub as hubs
from lienthong.bus.flows import dossier_status, payment, payment_views
from lienthong.bus.gateway import callbacks
from lienthong.core import settings as hub_settings
from lienthong.core import storage, tables
from lienthong.sandbox import app as sandbox_app

# The profile says how many (`make proofs`: a thousand).
FUZZ = settings(deadline=None, suppress_health_check=[*HealthCheck])
_p, _o, _m = tables.payments, tables.obligations, tables.payment_messages
BOOK = (_p, _o, tables.payment_questions)
Fields = dict[str, Any]


def text(value: Any) -> str:
    """Write a value as whoever signs carelessly would."""
    return value if isinstance(value, str) else json.dumps(value)


def mac(signed: str, key: str, digest: str = "sha256") -> str:
    return hmac.new(key.encode(), signed.encode("utf-8", "surrogatepass"), digest).hexdigest()


def sha(signed: str) -> str:
    return hashlib.sha256(signed.encode("utf-8", "surrogatepass")).hexdigest()


def values(fields: Fields, names: str) -> list[str]:
    return [text(fields.get(name, "")) for name in names.split()]


# ------------------------------------------------------------------------------- how each signs and is answered


def by_vnpay(fields: Fields) -> str:
    told = sorted((name, text(value)) for name, value in fields.items() if value != "")
    return mac(urllib.parse.urlencode(told, errors="replace"), "LGSPTESTSECRET0123456789ABCDEFGH", "sha512")


def by_momo(fields: Fields) -> str:
    names = (
        "accessKey amount extraData message orderId orderInfo orderType partnerCode payType requestId "
        "responseTime resultCode transId"
    )
    told = zip(names.split(), values({**fields, "accessKey": "AKDEMO"}, names), strict=True)
    return mac("&".join(f"{name}={value}" for name, value in told), "MOMOSECRET")


def by_the_platform(fields: Fields) -> str:
    names = (
        "LoaiBanTin MaLoi MaDoiTac MaThamChieu SoTien MaTienTe MaGiaoDich MaNganHang ThoiGianGD ThongTinGiaoDich"
    )
    return sha("|".join([*values(fields, names), "PP_TEST_SECRET_2026"]))


def by_keypay(fields: Fields) -> str:
    return mac(
        "|".join(values(fields, "addition_fee client_id command trans_amount transaction_id version")), "KPKEY2"
    )


def by_paygov(fields: Fields) -> str:
    return sha("".join(["PGSECRET", "PGACCESS", *values(fields, "requestCode orderId errorCode amount")]))


def in_json(names: str, code: str, words: tuple[Any, ...]) -> Callable[[httpx.Response], None]:
    """The answer is an object of these names, and its code one of these words."""

    def holds(answer: httpx.Response) -> None:
        told = answer.json()
        assert (answer.status_code, set(told)) == (200, set(names.split()))
        assert told[code] in words

    return holds


def in_momos_way(answer: httpx.Response) -> None:
    assert answer.status_code in (204, 400)
    assert answer.content == b""


@dataclass(frozen=True)
class Speech:
    """How an intermediary says that something was paid: its fields, those that must agree, its signature."""

    path: str
    plain: Fields
    reference: str
    agreeing: str
    signature: str
    sign: Callable[[Fields], str]
    is_answered: Callable[[httpx.Response], None]

    def message(self, reference: str) -> Fields:
        return {**self.plain, self.reference: reference}

    def agrees(self, fields: Fields) -> bool:
        """Whether amount, currency, partner and verdict are all those of the payment."""
        return all(text(fields.get(name)) == text(self.plain[name]) for name in self.agreeing.split())


VERDICTS = ("00", "01", "02", "04", "97", "99")
SPEECHES = {
    "vnpay": Speech(
        "ipn",
        {
            "vnp_Amount": str(FEE * 100), "vnp_BankCode": "NCB", "vnp_OrderInfo": "Thanh toan",
            "vnp_PayDate": "20260115093412", "vnp_ResponseCode": "00", "vnp_TmnCode": "LGSPDEMO",
            "vnp_TransactionNo": "14012345", "vnp_TransactionStatus": "00",
        },
        "vnp_TxnRef", "vnp_Amount vnp_ResponseCode vnp_TransactionStatus vnp_TmnCode", "vnp_SecureHash", by_vnpay,
        in_json("RspCode Message", "RspCode", VERDICTS),
    ),
    "momo": Speech(
        "ipn",
        {
            "partnerCode": "LGSPDEMO", "requestId": "r", "amount": FEE, "orderInfo": "x", "orderType": "w",
            "transId": 4088878653, "resultCode": 0, "message": "Successful.", "payType": "qr",
            "responseTime": 1768444452000, "extraData": "",
        },
        "orderId", "amount partnerCode resultCode", "signature", by_momo, in_momos_way,
    ),
    "dvcqg_payment": Speech(
        "dpnhankqthanhtoanhs",
        {
            "LoaiBanTin": "CONFIRM", "MaLoi": "00", "MaDoiTac": "LGSPDEMO", "SoTien": FEE, "MaTienTe": "VND",
            "MaGiaoDich": "PP1", "MaNganHang": "VCB", "ThoiGianGD": "20260115093412", "ThongTinGiaoDich": "x",
        },
        "MaThamChieu", "MaLoi MaDoiTac SoTien MaTienTe", "MaXacThuc", by_the_platform,
        in_json("MaLoi MoTaLoi MaDoiTac MaThamChieu ThoiGianGD MaXacThuc", "MaLoi", ("00", "99")),
    ),
    "keypay": Speech(
        "result",
        {
            "addition_fee": "0", "client_id": "LGSPDEMO", "command": "PAY", "trans_amount": str(FEE),
            "version": "3.0", "status": "0", "transaction_code": "KP1", "currency_code": "VND",
        },
        "transaction_id", "client_id command trans_amount status", "check_sum", by_keypay,
        in_json("return_code return_msg", "return_code", (0, -1)),
    ),
    "paygov": Speech(
        "result",
        {
            "amount": str(FEE), "orderId": "H38-x-01", "errorCode": "00", "orderInfo": "x", "transactionNo": "1",
            "payDate": "20260115093412", "paygate": "VCB", "type": "1", "transactionCode": "TXN1",
        },
        "requestCode", "amount errorCode", "checksum", by_paygov,
        in_json("error_code error_message", "error_code", ("SUCCESSFUL", "FAILED", "SIGNATURE_WRONG")),
    ),
}  # fmt: skip
SECTIONS: dict[str, Fields] = {
    # The status of KeyPay's callback is believed here, or every one of them would only make the hub ask.
    "keypay": {"believe_callback_status": True},
    "paygov": {
        "callback_check": "recipe",
        "callback_recipe": ["@secret_key", "@access_key", "requestCode", "orderId", "errorCode", "amount"],
    },
    "vnpay": {
        "pay_url": f"{test_intermediaries.BASE}/vnpay/paymentv2/vpcpay.html",
        "api_url": f"{test_intermediaries.BASE}/vnpay/merchant_webapi/api/transaction",
    },
}


# ------------------------------------------------------------------------------------------------------ the hub


@dataclass
class Till:
    """A hub with every intermediary that calls back, one open payment with each, and its door."""

    hub: hubs.Hub
    door: httpx.AsyncClient
    references: dict[str, str]
    begun: list[list[Fields]]

    async def book(self) -> list[list[Fields]]:
        async with self.hub.storage.reading() as conn:
            return [await storage.every(conn, sa.select(table).order_by(table.c.id)) for table in BOOK]

    async def begin_anew(self) -> None:
        """Let nothing have been heard."""
        async with self.hub.storage.transaction() as tx:
            await tx.execute(sa.delete(BOOK[2]))
            for table, rows in zip(BOOK[:2], self.begun, strict=False):
                for row in rows:
                    await tx.execute(table.update().where(table.c.id == row["id"]).values(**row))

    async def send(self, contract: str, body: bytes, *, kind: str = "application/json") -> httpx.Response:
        path = f"/callbacks/{contract}/{SPEECHES[contract].path}"
        if contract == "vnpay":
            url = httpx.URL("http://hub").copy_with(raw_path=f"{path}?".encode() + body)
            return await self.door.get(url)
        return await self.door.post(path, content=body, headers={"content-type": kind})

    async def verdicts(self) -> list[str]:
        async with self.hub.storage.reading() as conn:
            rows = await storage.every(conn, sa.select(_m.c.verdict))
        return [row["verdict"] for row in rows]


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    sandbox = sandbox_app.create_app()
    base = test_intermediaries.BASE
    systems = {
        name: {"enabled": True, "base_url": f"{base}/{name}", **account, **SECTIONS.get(name, {})}
        for name, account in test_intermediaries.ACCOUNTS.items()
    }
    chosen: dict[str, Any] = {
        "systems": {**builders.NOBODY, **systems},
        "agency": hub_settings.Agency(code=payment_town.AGENCY),
        "proof": {"public_url": "http://hub"},
        "gateway": {"callbacks_per_minute": 1_000_000},
        "payments": {"return_url": "http://127.0.0.1:8081/xong"},
    }
    wires = {name: httpx.ASGITransport(app=sandbox) for name in systems}
    async with builders.running_hub(tmp_path, transports=wires, now=lambda: payment_town.NOW, **chosen) as hub:
        dossier = payment_town.dossier()
        await builders.seed_procedure(hub, code=dossier.procedure_code)
        await dossier_status.put(hub, dossier, caller=payment_town.caller(), request_id="r")
        references = {name: (await begin(hub, name)).reference for name in SPEECHES}
        async with doors.client(hub) as door:
            opened = Till(hub, door, references, [])
            opened.begun = await opened.book()
            yield opened


async def begin(hub: hubs.Hub, contract: str) -> payment_views.PaymentView:
    """Begin to pay an obligation of its own with an intermediary."""
    asked = {
        "dossier_code": CODE,
        "payer": test_intermediaries.PAYER,
        "beneficiary": test_intermediaries.BENEFICIARY,
        "provider": contract,
        "obligation": contract,
        "amount_vnd": FEE,
    }
    request = payment_views.PaymentRequest.model_validate(asked)
    return await payment.start(hub, request, caller=payment_town.caller(), request_id="r")


def changes(before: list[list[Fields]], after: list[list[Fields]]) -> dict[str, tuple[Fields, Fields]]:
    """Give the payments that stand otherwise than before, by their references."""
    were = {row["id"]: row for row in before[0]}
    return {row["reference"]: (were[row["id"]], row) for row in after[0] if were[row["id"]] != row}


# ------------------------------------------------------------------------------------------------- the messages

ODD: tuple[Any, ...] = (
    None, True, False, [], {}, [FEE], {"a": FEE}, "", " ", "0", "-1", -1, 0, 1, FEE + 1, FEE * 100, float(FEE),
    float(FEE) + 0.5, float("nan"), float("inf"), 1e300, 10**14, 10**15, 10**18, 10**30, f"{FEE}.0", f"0{FEE}",
    f" {FEE}", f"{FEE}\n", "１５００００", "150.000", "USD", "vnd", "SOMEBODY", "lgspdemo", "00 ", "０", "x|y",
    "x&amount=1", "\x00", "\u202e", "\ud800", "é" * 300, "9" * 5_000, "20260230999999", "00010101000000",
    "99991231235959", "2026-01-15T09:34:12-11:00", "2026-01-15T09:34:12+99:00", -62135596800000, 253402300799999,
    9_999_999_999_999, "=1+1", "<b>x</b>", "' or 1=1 --",
)  # fmt: skip
VALUES = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def nonsense(draw: st.DrawFn, contract: str, references: tuple[str, ...]) -> tuple[Fields, bytes, str]:
    """Draw a message that is signed and says odd things: its fields, its bytes and what they are."""
    speech = SPEECHES[contract]
    given = speech.message(references[0])
    whose = st.sampled_from((*references, "LT26011509000000AAAA")) | VALUES
    for name in draw(st.lists(st.sampled_from([*given, "x", ""]), max_size=3)):
        if draw(st.integers(0, 4)) == 0:
            given.pop(name, None)
        else:
            given[name] = draw(whose if name == speech.reference else VALUES)
    told = {**given, speech.signature: speech.sign(given)}
    if contract == "vnpay" or draw(st.integers(0, 5)) == 0:
        pairs = [(name, text(value)) for name, value in told.items()]
        raw, kind = urllib.parse.urlencode(pairs, errors="replace").encode(), "application/x-www-form-urlencoded"
        again = raw.partition(b"&")[0] + b"&" + raw
    else:
        raw, kind = json.dumps(told).encode(), "application/json"
        again = raw[:-1] + b"," + json.dumps({next(iter(told)): draw(VALUES)}).encode()[1:]
    return given, draw(st.sampled_from((raw, raw, raw, again))), kind


@pytest.mark.parametrize("contract", sorted(SPEECHES))
async def test_a_message_that_agrees_in_everything_pays_once(till: Till, contract: str) -> None:
    speech = SPEECHES[contract]
    told = speech.message(till.references[contract])
    told[speech.signature] = speech.sign(told)
    raw = urllib.parse.urlencode(told).encode() if contract == "vnpay" else json.dumps(told).encode()
    for _ in range(2):
        speech.is_answered(await till.send(contract, raw))
    assert await till.verdicts() == ["recorded", "already"]
    [(_, row)] = changes(till.begun, await till.book()).values()
    assert (row["provider"], row["state"], row["received_vnd"]) == (contract, "paid", FEE)


@pytest.mark.hypothesis
@pytest.mark.parametrize("contract", sorted(SPEECHES))
@FUZZ
@given(draw=st.data())
async def test_nothing_that_is_signed_fails_or_moves_money_by_what_does_not_agree(
    till: Till, contract: str, draw: st.DataObject
) -> None:
    speech, own = SPEECHES[contract], till.references[contract]
    others = tuple(it for it in till.references.values() if it != own)
    fields, raw, kind = draw.draw(nonsense(contract, (own, *others)))
    await till.begin_anew()
    heard = await till.verdicts()
    speech.is_answered(await till.send(contract, raw, kind=kind))
    verdicts = await till.verdicts()
    assert len(verdicts) == len(heard) + 1
    assert verdicts.count("failed") == heard.count("failed")
    for reference, (before, after) in changes(till.begun, await till.book()).items():
        assert reference == own == text(fields.get(speech.reference))
        assert after["received_vnd"] == before["received_vnd"] or speech.agrees(fields)
        assert (after["state"] == "paid") == (after["received_vnd"] == FEE)


async def test_a_signed_message_of_megabytes_changes_nothing(till: Till) -> None:
    # VNPAY's stands in an address, which a server cuts off long before.
    for contract in sorted({*SPEECHES} - {"vnpay"}):
        speech = SPEECHES[contract]
        for size in (70_000, callbacks.MOST_BYTES + 1, 10_000_000):
            told = {**speech.message(till.references[contract]), "x": "x" * size}
            told[speech.signature] = speech.sign(told)
            answer = await till.send(contract, json.dumps(told).encode())
            if size > callbacks.MOST_BYTES:
                assert answer.status_code == 413
            else:
                speech.is_answered(answer)
    assert changes(till.begun, await till.book()) == {}
