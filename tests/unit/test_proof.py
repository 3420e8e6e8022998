"""Proof of possession: what is registered for a key, what a call must carry, and what its caller is told."""

from __future__ import annotations

import base64
import dataclasses
from datetime import datetime, timedelta
from urllib.parse import quote

import builders
import pytest
import signing
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import certificates, keys, proof, proof_register, replays, tokens
from lienthong.bus import hub
from lienthong.core import crypto, errors, settings, tables

AGE = proof.Window(age_s=60, skew_s=5)
SIGNATURE, CERTIFICATE, TOKEN = frozenset({"signature"}), frozenset({"certificate"}), frozenset({"token"})
NOTHING: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Key:
    """As much of a key as proofs are checked against."""

    key_id: str
    prefix: str


@dataclasses.dataclass
class Desk:
    """A key, its registered proofs, and the prover of a gateway that started a while ago."""

    hub: hub.Hub
    issued: keys.Issued
    now: datetime
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.key = Key(self.issued.record.id, self.issued.record.prefix)
        seen = replays.LocalReplays(self.now - timedelta(hours=1), skew_s=5)
        register = proof_register.Register(self.hub.storage, monotonic=lambda: self.seconds)
        self.prover = proof.Prover(register, seen, window=AGE)
        self.tokens = tokens.Tokens(self.hub.vault, audience="test", lifetime_s=600)

    async def add_key(self, private: signing.PrivateKey) -> proof_register.Proof:
        self.seconds += 1
        return await proof_register.add_public_key(
            self.hub.storage,
            self.key.key_id,
            signing.pem(private),
            label="máy chủ 1",
            reason="theo công văn 12",
            actor="can-bo-a",
            now=self.now,
        )

    async def add_certificate(self, encoded: bytes, *, by_public_key: bool = False) -> proof_register.Proof:
        self.seconds += 1
        return await proof_register.add_certificate(
            self.hub.storage,
            self.key.key_id,
            encoded,
            by_public_key=by_public_key,
            label="",
            reason="theo công văn 12",
            actor="can-bo-a",
            now=self.now,
        )

    async def require(self, *alternatives: str) -> frozenset[str]:
        self.seconds += 1
        return await proof_register.require(
            self.hub.storage, self.key.key_id, alternatives, reason="đề án 06", actor="can-bo-a", now=self.now
        )

    def signed(self, private: signing.PrivateKey, keyid: str, **changed) -> proof.Presented:
        headers = signing.raw(signing.signed(private, keyid, created=self.now, **changed))
        return proof.Presented("POST", signing.URL, headers, signing.BODY)

    def token(self) -> tokens.Token:
        return self.tokens.read(self.tokens.issue(self.key.key_id, 1, now=self.now).access_token, now=self.now)

    async def check(self, request: proof.Presented, required: frozenset[str], **more) -> proof.Proven:
        return await self.prover.check(request, self.key, required, self.now, **more)


@pytest.fixture
async def desk(sqlite_hub: hub.Hub) -> Desk:
    return Desk(sqlite_hub, await builders.issue_key(sqlite_hub), sqlite_hub.now())


PLAIN = proof.Presented("POST", signing.URL, [(b"x-api-key", b"...")], signing.BODY)


async def _refused(desk: Desk, request: proof.Presented, required: frozenset[str], **more) -> errors.HubError:
    with pytest.raises(errors.HubError) as refused:
        await desk.check(request, required, **more)
    assert refused.value.detail("vi") != refused.value.detail("en")
    return refused.value


async def test_where_nothing_is_required_the_key_is_enough(desk: Desk):
    assert await desk.check(PLAIN, NOTHING) == proof.Proven()


async def test_a_signed_call_is_let_in_and_the_record_can_say_by_what(desk: Desk):
    private = signing.new_key("p256")
    registered = await desk.add_key(private)
    proven = await desk.check(desk.signed(private, registered.id), SIGNATURE)
    assert proven.kinds == {"signature"}
    assert proven.signed_with == registered.id


async def test_the_same_signature_is_good_once(desk: Desk):
    private = signing.new_key()
    request = desk.signed(private, (await desk.add_key(private)).id)
    await desk.check(request, SIGNATURE)
    assert (await _refused(desk, request, SIGNATURE)).facts["reason"] == "replayed"


async def test_a_wrong_signature_spends_no_nonce(desk: Desk):
    private = signing.new_key()
    request = desk.signed(private, (await desk.add_key(private)).id)
    await _refused(desk, dataclasses.replace(request, body=b"{}"), SIGNATURE)
    await desk.check(request, SIGNATURE)


async def test_without_anything_registered_the_caller_is_sent_to_the_unit_that_issues_keys(desk: Desk):
    refused = await _refused(desk, PLAIN, SIGNATURE)
    assert isinstance(refused, errors.NotGranted)
    assert "keys proof add" in refused.detail("vi")


async def test_a_caller_who_forgot_to_sign_is_told_exactly_what_to_send(desk: Desk):
    await desk.add_key(signing.new_key())
    refused = await _refused(desk, PLAIN, SIGNATURE)
    assert refused.status == 401
    assert 'Signature-Input: sig1=("@method" "@target-uri" "content-digest");created=' in refused.detail("en")


async def test_the_public_key_of_another_api_key_does_not_sign_for_this_one(desk: Desk):
    private = signing.new_key()
    other = Desk(desk.hub, await builders.issue_key(desk.hub), desk.now)
    registered = await other.add_key(private)
    await desk.add_key(signing.new_key())
    refused = await _refused(desk, desk.signed(private, registered.id), SIGNATURE)
    assert refused.facts["reason"] == "signature_keyid"


async def test_a_key_may_demand_more_than_the_operation(desk: Desk):
    private = signing.new_key()
    registered = await desk.add_key(private)
    await desk.require("signature")
    assert (await _refused(desk, PLAIN, NOTHING)).facts["reason"] == "proof_missing"
    await desk.check(desk.signed(private, registered.id), NOTHING)


async def test_removing_the_last_proof_does_not_end_the_demand(desk: Desk):
    private = signing.new_key()
    registered = await desk.add_key(private)
    await desk.require("signature")
    await proof_register.remove(desk.hub.storage, registered.id, reason="lộ", actor="can-bo-a", now=desk.now)
    desk.seconds += proof_register.REMEMBERED_S
    assert isinstance(await _refused(desk, desk.signed(private, registered.id), NOTHING), errors.NotGranted)


def _read(found) -> crypto.Certificate:
    return crypto.read_certificate(signing.der(found))


async def test_a_certificate_counts_only_where_it_is_registered_and_in_time(desk: Desk):
    mine = signing.certificate(signing.new_key("p256"), starts=desk.now - timedelta(days=1), days=30)
    await desk.add_certificate(signing.certificate_pem(mine))
    request = dataclasses.replace(PLAIN, certificate=_read(mine))
    assert (await desk.check(request, CERTIFICATE)).certificate == _read(mine)
    other = signing.certificate(signing.new_key("p256"), starts=desk.now - timedelta(days=1))
    refused = await _refused(desk, dataclasses.replace(PLAIN, certificate=_read(other)), CERTIFICATE)
    assert refused.facts["reason"] == "certificate_other"
    desk.now += timedelta(days=40)
    assert (await _refused(desk, request, CERTIFICATE)).facts["reason"] == "certificate_time"


async def test_a_renewed_certificate_holds_where_the_key_pair_is_bound(desk: Desk):
    private = signing.new_key("p256")
    first = signing.certificate(private, starts=desk.now - timedelta(days=400), days=300)
    renewed = signing.certificate(private, starts=desk.now - timedelta(days=1))
    await desk.add_certificate(signing.der(first), by_public_key=True)
    await desk.check(dataclasses.replace(PLAIN, certificate=_read(renewed)), CERTIFICATE)


async def test_both_together_are_asked_for_with_a_plus(desk: Desk):
    private = signing.new_key()
    mine = signing.certificate(signing.new_key("p256"), starts=desk.now - timedelta(days=1))
    signed = desk.signed(private, (await desk.add_key(private)).id)
    await desk.add_certificate(signing.der(mine))
    both = frozenset({"certificate+signature"})
    await _refused(desk, dataclasses.replace(PLAIN, certificate=_read(mine)), both)
    proven = await desk.check(dataclasses.replace(signed, certificate=_read(mine)), both)
    assert proven.kinds == {"certificate", "signature"}


async def test_a_token_is_good_once_where_the_setting_asks_for_it(desk: Desk):
    request = dataclasses.replace(PLAIN, token=desk.token())
    await desk.check(request, TOKEN)
    await desk.check(request, TOKEN, token_once=True)
    assert (await _refused(desk, request, TOKEN, token_once=True)).facts["reason"] == "replayed"


async def test_a_key_alone_is_no_token(desk: Desk):
    refused = await _refused(desk, PLAIN, TOKEN)
    assert "POST /v1/tokens" in refused.detail("vi")


async def test_registering_is_an_act_refused_or_not(desk: Desk):
    private = signing.new_key()
    registered = await desk.add_key(private)
    with pytest.raises(errors.Conflict):
        await desk.add_key(private)
    for wrong in (b"nothing", signing.private_pem(private)):
        with pytest.raises(errors.InvalidRequest):
            await proof_register.add_public_key(
                desk.hub.storage, desk.key.prefix, wrong, label="", reason="r", actor="a", now=desk.now
            )
    with pytest.raises(errors.InvalidRequest):
        await desk.require("signatur")
    with pytest.raises(errors.NotFound):
        await proof_register.remove(desk.hub.storage, "no-such", reason="r", actor="a", now=desk.now)
    async with desk.hub.storage.reading() as conn:
        acts = (
            await conn.execute(sa.select(tables.admin_acts).where(tables.admin_acts.c.act != "keys.issue"))
        ).all()
    told = [(act.act, act.outcome) for act in acts if act.act.startswith("keys.proof")]
    refused = ("keys.proof.add", "Client.InvalidRequest")
    assert told == [
        ("keys.proof.add", "done"),
        ("keys.proof.add", "Client.Conflict"),
        refused,
        refused,
        ("keys.proof.require", "Client.InvalidRequest"),
        ("keys.proof.remove", "Client.NotFound"),
    ]
    assert "PRIVATE" not in str(acts)
    assert (await proof_register.read(desk.hub.storage, desk.key.key_id)).proofs == (registered,)


async def test_rsa_and_other_curves_are_not_registered(desk: Desk):
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    for private in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(errors.InvalidRequest):
            await desk.add_key(private)


# ------------------------------------------------------------------------------------------ rules and settings


def test_every_rule_that_names_an_operation_holds():
    rules = {
        "residents.*": ("signature", "certificate"),
        "residents.verify": ("token",),
        "payments.start": ("token",),
    }
    assert proof.required_for(rules, "residents.look_up") == {"signature", "certificate"}
    assert proof.required_for(rules, "residents.verify") == {"signature+token", "certificate+token"}
    assert proof.required_for(rules, "procedures.list") == NOTHING


def test_the_environment_spells_the_rules_in_one_line():
    text = "residents.*=signature|certificate; tokens.issue=signature+certificate"
    loaded = settings.load({"LIENTHONG_PROOF__REQUIRED": text})
    assert loaded.proof.required == {
        "residents.*": ("signature", "certificate"),
        "tokens.issue": ("signature+certificate",),
    }


@pytest.mark.parametrize("text", ["residents.*", "residents.*=", "residents.*=signed", "a=signature,certificate"])
def test_a_rule_that_means_nothing_stops_the_start(text):
    with pytest.raises(errors.Misconfigured):
        settings.load({"LIENTHONG_PROOF__REQUIRED": text})


def test_a_rule_for_an_operation_that_does_not_exist_stops_the_start():
    known = {"residents.verify", "procedures.list"}
    proof.must_be_known(
        ["all", "residents.*", "procedures.list"], known=known, setting="LIENTHONG_PROOF__REQUIRED"
    )
    with pytest.raises(errors.Misconfigured, match=r"nearest is residents\.\*"):
        proof.must_be_known(["resident.*"], known=known, setting="LIENTHONG_PROOF__REQUIRED")


def test_the_address_is_the_one_that_the_caller_wrote():
    scope = {
        "scheme": "http",
        "path": "/v1/notes",
        "raw_path": b"/v1/n%6ftes",
        "query_string": b"limit=5",
        "headers": [(b"host", b"truc.example.vn")],
    }
    assert proof.address(scope, public_url="") == "http://truc.example.vn/v1/n%6ftes?limit=5"
    assert proof.address(scope, public_url="https://a.vn") == "https://a.vn/v1/n%6ftes?limit=5"


# ------------------------------------------------------------------------------- certificates through the proxy

CERT = signing.certificate(signing.new_key("p256"), starts=datetime.fromisoformat("2026-01-01T00:00:00+07:00"))
SF = b":" + base64.b64encode(signing.der(CERT)) + b":"
ESCAPED = quote(signing.certificate_pem(CERT).decode(), safe="").encode()


def _scope(*values: bytes, extensions: dict | None = None) -> dict:
    return {"headers": [(b"client-cert", value) for value in values], "extensions": extensions or {}}


@pytest.mark.parametrize("value", [SF, ESCAPED])
def test_the_proxys_header_is_read_in_both_forms(value):
    found = certificates.presented(_scope(value), header="Client-Cert", is_from_proxy=True)
    assert found == _read(CERT)


def test_the_header_of_anybody_else_is_not_believed():
    assert certificates.presented(_scope(SF), header="Client-Cert", is_from_proxy=False) is None
    assert certificates.presented(_scope(SF), header="", is_from_proxy=True) is None


def test_the_servers_own_word_comes_first():
    other = signing.certificate(
        signing.new_key("p256"), starts=datetime.fromisoformat("2026-01-01T00:00:00+07:00")
    )
    tls = {"tls": {"client_cert_chain": [signing.certificate_pem(other).decode()]}}
    found = certificates.presented(_scope(SF, extensions=tls), header="Client-Cert", is_from_proxy=True)
    assert found == _read(other)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda b: b":" + base64.b64encode(b) + b":")))
def test_a_header_that_is_no_certificate_is_refused_in_words(value):
    try:
        found = certificates.presented(_scope(value), header="Client-Cert", is_from_proxy=True)
    except errors.ProofRejected:
        return
    assert found is None
    assert value == b""


def test_two_certificates_are_one_too_many():
    with pytest.raises(errors.ProofRejected):
        certificates.presented(_scope(SF, SF), header="Client-Cert", is_from_proxy=True)
    with pytest.raises(errors.ProofRejected):
        certificates.presented(_scope(b":" + b"A" * 20_000 + b":"), header="Client-Cert", is_from_proxy=True)
