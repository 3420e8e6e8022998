"""Proof of possession at the door, end to end: signatures, tokens and the compatibility door."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import doors
import httpx
import pytest
import signing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lienthong.api_keys import key_text, keys, local_limits, proof_register
from lienthong.bus import hub, operations
from lienthong.core import errors

START = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
URL = "https://truc.example.vn"
NOTE = b'{"text": "xin chao"}'
SIGNED = {"required": {"notes.put": ["signature"]}, "public_url": URL}


class Desk(doors.Desk):
    def table(self) -> tuple[operations.Operation, ...]:
        return (*super().table(), *(one for one in operations.OPERATIONS if one.name == "tokens.issue"))


@dataclass
class Town:
    """A running gateway with one key, a minute after its start."""

    hub: hub.Hub
    caller: httpx.AsyncClient
    issued: keys.Issued
    clock: list[datetime]
    private: signing.PrivateKey = field(default_factory=signing.new_key)
    keyid: str = ""

    async def register(self) -> None:
        added = await proof_register.add_public_key(
            self.hub.storage,
            self.issued.record.id,
            signing.pem(self.private),
            label="",
            reason="theo công văn 12",
            actor="can-bo-a",
            now=self.clock[0],
        )
        self.keyid = added.id

    def signed(self, **changed: Any) -> dict[str, str]:
        headers = signing.signed(
            self.private, self.keyid, created=self.clock[0], url=f"{URL}/v1/notes", body=NOTE, **changed
        )
        return {"x-api-key": self.issued.key, "content-type": "application/json", **dict(headers)}

    async def put(self, headers: Mapping[str, str], body: bytes = NOTE) -> httpx.Response:
        return await self.caller.post("/v1/notes", content=body, headers=headers)

    async def token(self) -> dict[str, str]:
        answer = await self.caller.post("/v1/tokens", headers={"x-api-key": self.issued.key})
        assert answer.status_code == 200
        assert answer.json()["token_type"] == "Bearer"
        return {"authorization": f"Bearer {answer.json()['access_token']}", "content-type": "application/json"}


@asynccontextmanager
async def town(home: Path, *, redis_url: str = "", **proof: Any) -> AsyncIterator[Town]:
    clock = [START]
    async with builders.running_hub(home, now=lambda: clock[0], redis_url=redis_url, proof=proof) as opened:
        issued = await builders.issue_key(opened)
        # Limits of this process alone: here it is the proofs that miss Redis.
        limiter = local_limits.LocalLimiter(opened.storage)
        async with doors.client(opened, desk=Desk(), limiter=limiter) as caller:
            clock[0] += timedelta(minutes=1)
            yield Town(opened, caller, issued, clock)


async def test_a_signed_call_is_served_once_and_the_key_alone_is_not_enough(tmp_path: Path):
    async with town(tmp_path, **SIGNED) as here:
        await here.register()
        headers = here.signed()
        served, again = await here.put(headers), await here.put(headers)
        alone = await here.put({"x-api-key": here.issued.key, "content-type": "application/json"})
        other = await here.caller.get("/v1/notes", headers={"x-api-key": here.issued.key})
        assert [served.status_code, again.status_code, alone.status_code, other.status_code] == [
            200,
            401,
            401,
            200,
        ]
        assert alone.json()["code"] == "Client.ProofRejected"
        assert "Signature-Input: sig1=" in alone.json()["detail"]
        rows = await doors.journal(here.hub)
    assert [row.outcome for row in rows] == ["ok", "Client.ProofRejected", "Client.ProofRejected", "ok"]
    assert {row.key_id for row in rows} == {here.issued.record.id}
    assert [row.rule for row in rows[::3]] == ["proof:signature", None], "what was proven is kept"


async def test_another_body_under_the_same_signature_is_refused(tmp_path: Path):
    async with town(tmp_path, **SIGNED) as here:
        await here.register()
        refused = await here.put(here.signed(), body=b'{"text": "khac"}')
    assert refused.status_code == 401
    assert "Content-Digest" in refused.json()["detail"]


async def test_right_after_a_restart_the_caller_is_asked_to_wait_and_sign_again(tmp_path: Path):
    async with town(tmp_path, **SIGNED) as here:
        await here.register()
        here.clock[0] = START + timedelta(seconds=1)
        early = await here.put(here.signed())
        here.clock[0] += timedelta(seconds=int(early.headers["retry-after"]))
        later = await here.put(here.signed())
    assert (early.status_code, later.status_code) == (503, 200)


async def test_without_redis_what_needs_proof_is_closed_and_the_rest_goes_on(tmp_path: Path):
    async with town(tmp_path, redis_url="redis://127.0.0.1:9/0", **SIGNED) as here:
        await here.register()
        closed = await here.put(here.signed())
        rest = await here.caller.get("/v1/notes", headers={"x-api-key": here.issued.key})
    assert (closed.status_code, rest.status_code) == (503, 200)
    assert closed.headers["retry-after"]


async def test_a_token_serves_in_place_of_the_key_until_the_key_is_revoked(tmp_path: Path):
    async with town(tmp_path, required={"notes.put": ["token"]}) as here:
        headers = await here.token()
        assert (await here.put(headers)).status_code == 200
        await keys.revoke(
            here.hub.storage, here.issued.record.id, reason="lộ khoá", actor="can-bo-a", now=here.clock[0]
        )
        await asyncio.sleep(0.6)
        refused = await here.put(headers)
    assert refused.status_code == 401
    assert refused.json()["code"] == "Client.KeyRejected"


async def test_a_token_ends_and_its_caller_is_told_how_to_get_another(tmp_path: Path):
    async with town(tmp_path, token_lifetime_s=60) as here:
        headers = await here.token()
        here.clock[0] += timedelta(seconds=61)
        refused = await here.put(headers)
    assert refused.status_code == 401
    assert "POST /v1/tokens" in refused.json()["detail"]


async def test_key_and_token_together_are_one_too_many(tmp_path: Path):
    async with town(tmp_path) as here:
        refused = await here.put({**await here.token(), "x-api-key": here.issued.key})
    assert refused.status_code == 401


async def test_a_rule_for_an_operation_that_does_not_exist_stops_the_start(tmp_path: Path):
    with pytest.raises(errors.Misconfigured):
        async with town(tmp_path, required={"note.put": ["signature"]}):
            pass


# ------------------------------------------------------------------------------------------ compatibility door


def _lgsp(key: str) -> str:
    fields = {"AccessKey": key_text.prefix(key), "SecretKey": key, "AppName": "LGSP-DEMO", "PartnerCode": "H56"}
    return base64.b64encode(json.dumps(fields).encode()).decode()


async def test_a_vendor_who_speaks_lgspaccesstoken_is_served_like_everybody(tmp_path: Path):
    async with town(tmp_path, lgsp_door=True) as here:
        ours = {"lgspaccesstoken": _lgsp(here.issued.key)}
        got = await here.caller.post("/compat/lgsp/token", headers=ours, data={"grant_type": "client_credentials"})
        assert got.status_code == 200
        bearer = {**ours, "authorization": f"Bearer {got.json()['access_token']}"}
        officer = {"AuthHash": base64.b64encode(b"canbo01:mat-khau").decode()}
        served = await here.caller.get("/compat/lgsp/v1/notes", headers={**bearer, **officer})
        alone = await here.caller.get("/compat/lgsp/v1/notes", headers=ours)
        other = await builders.issue_key(here.hub)
        mixed = await here.caller.get(
            "/compat/lgsp/v1/notes", headers={**bearer, "lgspaccesstoken": _lgsp(other.key)}
        )
        wrong = await here.caller.post("/compat/lgsp/token", headers=ours, data={"grant_type": "password"})
        rows = await doors.journal(here.hub)
    statuses = [answer.status_code for answer in (served, alone, mixed, wrong)]
    assert statuses == [200, 401, 401, 400]
    assert len(rows) == 5
    assert (rows[1].operation, rows[1].route, rows[1].key_id) == ("notes.get", "/v1/notes", here.issued.record.id)
    assert (rows[1].door, rows[1].official, rows[1].rule) == ("lgsp", "canbo01", "proof:token")


async def test_the_compatibility_door_is_shut_unless_it_is_opened(tmp_path: Path):
    async with town(tmp_path) as here:
        shut = await here.caller.post("/compat/lgsp/token", headers={"lgspaccesstoken": _lgsp(here.issued.key)})
    assert shut.status_code == 404


# ------------------------------------------------------------------------------------------ whatever may come

_VALUE = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=120),
    st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()),
    st.binary(max_size=60).map(lambda raw: f"sig1=:{base64.b64encode(raw).decode()}:"),
    st.binary(max_size=60).map(lambda raw: f"Bearer {base64.urlsafe_b64encode(raw).decode()}"),
)
_NAME = st.sampled_from(
    [
        "authorization",
        "lgspaccesstoken",
        "authhash",
        "signature",
        "signature-input",
        "content-digest",
        "client-cert",
    ]
)


_REQUEST = st.tuples(st.lists(st.tuples(_NAME, _VALUE), max_size=4), st.booleans(), st.binary(max_size=30))


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_REQUEST, min_size=40, max_size=60))
async def test_nothing_that_comes_is_ever_a_defect(tmp_path_factory, requests):
    proof = {"lgsp_door": True, "certificate_header": "Client-Cert", **SIGNED}
    async with town(tmp_path_factory.mktemp("hub"), **proof) as here:
        await here.register()
        good = list(here.signed().items())
        for lines, has_key, body in requests:
            known = good if has_key else [("content-type", "application/json")]
            headers = [(name.encode(), value.encode("latin-1")) for name, value in [*known, *lines]]
            for path in ("/v1/notes", "/v1/tokens", "/compat/lgsp/token", "/compat/lgsp/v1/notes"):
                answer = await here.caller.post(path, content=body, headers=headers)
                assert answer.status_code != 500, answer.text
        rows = await doors.journal(here.hub)
    assert len(rows) == 4 * len(requests)
