"""The door for systems that call back: whoever calls hears its own words, and every call leaves one row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import builders
import doors
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lienthong.bus import hub
from lienthong.bus.gateway import callbacks
from lienthong.connectors import registry, roles
from lienthong.core import errors, money

# Vector 12.2 of the contract page.
SIGNED = (
    "vnp_Amount=15000000&vnp_BankCode=NCB&vnp_BankTranNo=VNP14012345&vnp_CardType=ATM"
    "&vnp_OrderInfo=Thanh+toan+ho+so+H56.14-260115-0001&vnp_PayDate=20260115093412&vnp_ResponseCode=00"
    "&vnp_TmnCode=LGSPDEMO&vnp_TransactionNo=14012345&vnp_TransactionStatus=00&vnp_TxnRef=H5614260115000101"
    "&vnp_SecureHash=b2991ff50f90049d8ffb92a4758090586fd26011e974e5fad41ee2380e7bf63e"
    "9dc34687bb058147afec2f0549e4828e5c6409052eed58e11ec22cb86f1e401c"
)
IPN = f"/callbacks/vnpay/ipn?{SIGNED}"
PAYERS = ("vnpay", "momo", "dvcqg_payment", "paygov", "keypay", "vietqr")
VNPAY = {"tmn_code": "LGSPDEMO", "hash_secret": "LGSPTESTSECRET0123456789ABCDEFGH"}
MOMO = {"partner_code": "LGSPDEMO", "access_key": "AKDEMO", "secret_key": "MOMOSECRET"}
PLATFORM = {"partner_code": "LGSPDEMO", "secret_key": "PP_TEST_SECRET_2026"}
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Teller:
    """Takes what a connector believes; `trouble` is what it meets instead."""

    taken: list[str] = field(default_factory=list)
    seen: list[money.CallbackRequest] = field(default_factory=list)
    trouble: Exception | None = None

    async def take(self, opened: hub.Hub, contract: str, request: money.CallbackRequest) -> money.CallbackReply:
        if self.trouble is not None:
            raise self.trouble
        self.seen.append(request)
        connector = opened.system(contract)
        outcome: money.CallbackOutcome = "recorded"
        try:
            news = connector.read_callback(request)
        except errors.ProofRejected:
            outcome = "forged"
        except errors.HubError:
            outcome = "unreadable"
        else:
            outcome = "already" if news.reference in self.taken else "recorded"
            self.taken.append(news.reference)
        reply = connector.reply(request, outcome)
        return money.CallbackReply(reply.status, reply.body, reply.content_type, outcome)

    @property
    def flows(self) -> list[tuple[type, callbacks.Flow]]:
        return [(roles.PaymentProvider, self.take)]


@pytest.fixture
def teller() -> Teller:
    return Teller()


def systems(**changed: dict[str, object]) -> dict[str, dict[str, object]]:
    known = {"vnpay": VNPAY, "momo": MOMO, "dvcqg_payment": PLATFORM}
    return {
        name: {"enabled": True, "base_url": "http://127.0.0.1:9", **known.get(name, {}), **changed.get(name, {})}
        for name in (*PAYERS, "dvcqg_portal")
    }


@pytest.fixture
async def payers(tmp_path: Path) -> AsyncIterator[hub.Hub]:
    async with builders.running_hub(tmp_path, systems=systems()) as opened:
        yield opened


async def test_a_message_that_proves_itself_is_taken_without_a_key(payers: hub.Hub, teller: Teller):
    async with doors.client(payers, flows=teller.flows) as caller:
        first, second = await caller.get(IPN), await caller.get(IPN)
    assert first.json() == {"RspCode": "00", "Message": "Confirm Success"}
    assert second.json()["RspCode"] == "02"
    assert teller.taken == ["H5614260115000101"] * 2
    row, again = await doors.journal(payers)
    assert (row.door, row.operation, row.rule, row.status) == ("callback", "callbacks.vnpay", "recorded", 200)
    assert (row.outcome, row.route, row.address) == ("ok", "/callbacks/{contract}/{name…}", "192.0.2.7")
    assert again.rule == "already"


async def test_a_forged_one_hears_what_vnpay_would_and_is_recorded_as_forged(payers: hub.Hub, teller: Teller):
    async with doors.client(payers, flows=teller.flows) as caller:
        answer = await caller.get(IPN.replace("15000000", "15000001"))
    assert (answer.status_code, answer.json()["RspCode"]) == (200, "97")
    assert teller.taken == []
    [row] = await doors.journal(payers)
    assert (row.rule, row.outcome, row.status) == ("forged", "Client.ProofRejected", 401)


async def test_the_message_arrives_untouched(payers: hub.Hub, teller: Teller):
    body = b'{ "a":1,\n"a" :2 }\xff'
    async with doors.client(payers, flows=teller.flows) as caller:
        await caller.post("/callbacks/momo/ipn/a%20b?x=%2B+1", content=body, headers={"X-Odd": "1"})
    [seen] = teller.seen
    assert (seen.name, seen.method, seen.query, seen.body) == ("ipn/a b", "POST", "x=%2B+1", body)
    assert (seen.headers["x-odd"], seen.address) == ("1", "192.0.2.7")


@pytest.mark.parametrize(
    "path",
    ["nobody/ipn", "ngsp/ipn", "dvcqg_portal/ipn", "vnpay", "vnpay/", "/ipn", "vnpay/%00", "vnpay/%ff", ""],
)
async def test_there_is_no_door_for_who_does_not_call_back(payers: hub.Hub, teller: Teller, path: str):
    async with doors.client(payers, flows=teller.flows) as caller:
        answer = await caller.get(f"/callbacks/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "Client.NotFound")
    assert teller.seen == []
    assert len(await doors.journal(payers)) == 1


async def test_other_methods_are_refused(payers: hub.Hub, teller: Teller):
    async with doors.client(payers, flows=teller.flows) as caller:
        for method in ("PUT", "DELETE", "HEAD"):
            answer = await caller.request(method, IPN)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, OPTIONS, POST")
    assert teller.seen == []


async def test_only_the_addresses_that_are_named_may_call(tmp_path: Path, teller: Teller):
    chosen = systems(vnpay={"callback_addresses": "192.0.2.0/29, 2001:db8::1"})
    async with builders.running_hub(tmp_path, systems=chosen) as opened:
        for address, code in (("192.0.2.7", "00"), ("2001:db8::1", "02"), ("192.0.2.8", "03"), ("?", "03")):
            async with doors.client(opened, flows=teller.flows, address=address) as caller:
                assert (await caller.get(IPN)).json()["RspCode"] == code
        *_, row = await doors.journal(opened)
    assert (row.rule, row.outcome, row.status) == ("address_refused", "Client.NotGranted", 403)
    assert len(teller.seen) == 2


def test_an_address_that_is_none_stops_the_start():
    with pytest.raises(errors.Misconfigured, match="callback_addresses"):
        registry.callback_addresses("vnpay", {"callback_addresses": "vnpay.example.vn"})


async def test_one_address_cannot_flood_the_door(tmp_path: Path, teller: Teller):
    chosen = {"systems": systems(), "gateway": {"callbacks_per_minute": 3}}
    async with builders.running_hub(tmp_path, **chosen) as opened:
        async with doors.client(opened, flows=teller.flows) as caller:
            answers = [(await caller.get(IPN)).status_code for _ in range(5)]
            refused = await caller.get(IPN)
        [*_, row] = await doors.journal(opened)
    assert answers == [200, 200, 200, 429, 429]
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert (row.rule, row.operation) == ("callbacks_per_minute", "callbacks.vnpay")


def test_the_pace_is_even_and_each_sender_has_its_own():
    pace = callbacks.Pace(per_minute=60)
    assert [pace.wait_s("192.0.2.7", 0.0) for _ in range(60)] == [0.0] * 60
    assert pace.wait_s("192.0.2.7", 0.0) == pytest.approx(1.0)
    assert pace.wait_s("192.0.2.8", 0.0) == 0.0
    assert pace.wait_s("192.0.2.7", 1.0) == 0.0
    assert pace.wait_s("192.0.2.7", 1.0) > 0.0
    assert pace.wait_s("192.0.2.7", 3600.0) == 0.0


def test_a_host_cannot_step_aside_within_its_own_network():
    pace = callbacks.Pace(per_minute=1)
    assert pace.wait_s("2001:db8::1", 0.0) == 0.0
    assert pace.wait_s("2001:db8::2", 0.0) > 0.0
    assert pace.wait_s("2001:db8:0:1::1", 0.0) == 0.0


@pytest.mark.parametrize(
    "trouble",
    [errors.StorageUnavailable(), errors.InternalFault(), errors.UnmappedCode(), ValueError("a defect")],
)
async def test_where_the_hub_fails_the_sender_is_told_to_call_again(
    payers: hub.Hub, teller: Teller, trouble: Exception
):
    teller.trouble = trouble
    async with doors.client(payers, flows=teller.flows) as caller:
        answer = await caller.get(IPN)
        elsewhere = await caller.post("/callbacks/momo/ipn", json={})
    assert (answer.status_code, answer.json()["RspCode"]) == (200, "99")
    assert elsewhere.status_code != 500
    row, _ = await doors.journal(payers)
    assert row.status >= 500
    assert row.outcome.startswith("Server.")


async def test_the_flow_of_payments_stands_behind_the_door(tmp_path: Path):
    chosen = {"systems": systems(), "payments": {"providers": ["vnpay"]}}
    async with builders.running_hub(tmp_path, **chosen) as opened, doors.client(opened) as caller:
        assert (await caller.get(IPN)).json()["RspCode"] == "01"
        assert (await caller.get(IPN[:-1] + "0")).json()["RspCode"] == "97"
        assert (await caller.post("/callbacks/momo/ipn", json={})).status_code == 404
        assert (await caller.post("/callbacks/vietqr/ipn", json={})).status_code == 404


async def test_a_huge_message_is_not_taken_in(payers: hub.Hub, teller: Teller):
    async with doors.client(payers, flows=teller.flows) as caller:
        fits = await caller.post("/callbacks/momo/ipn", content=b"x" * callbacks.MOST_BYTES)
        huge = await caller.post("/callbacks/momo/ipn", content=b"x" * (callbacks.MOST_BYTES + 1))
    assert fits.status_code != 413
    assert huge.status_code == 413
    assert len(teller.seen) == 1


ODD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?/\\"), max_size=20)
KINDS = st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/xml", "", "\xff"])
BODIES = (
    st.binary(max_size=300)
    | st.sampled_from([b"[" * 5000, b'{"signature":null}', b'{"a":1e999}', b"null", b'{"MaXacThuc":{}}'])
    | st.dictionaries(
        st.sampled_from(["MaXacThuc", "MaLoi", "SoTien", "signature", "amount", "checksum", "orderId", "status"]),
        st.none() | st.integers() | st.text(max_size=10) | st.lists(st.integers(), max_size=2),
    ).map(lambda fields: json.dumps(fields).encode())
)


@MANY
@given(
    contract=st.sampled_from(PAYERS),
    name=st.sampled_from(["ipn", "result", "return", "notify"]) | ODD,
    method=st.sampled_from(["GET", "POST"]),
    query=ODD | st.just(SIGNED) | st.just(SIGNED[:-1]),
    body=BODIES,
    kind=KINDS,
)
async def test_nothing_that_arrives_makes_the_door_fail(
    payers: hub.Hub, contract: str, name: str, method: str, query: str, body: bytes, kind: str
):
    teller = Teller()
    async with doors.client(payers, flows=teller.flows) as caller:
        url = httpx.URL(f"http://hub/callbacks/{contract}/x").copy_with(
            raw_path=f"/callbacks/{contract}/{name}?{query}".encode()
        )
        answer = await caller.request(
            method, url, content=body, headers=[(b"content-type", kind.encode("latin-1"))]
        )
    assert answer.status_code != 500
    assert teller.taken == [] or query == SIGNED
