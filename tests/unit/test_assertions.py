"""Assertions of officials: what is believed of them, and everything that a forger would try."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
import pytest
import signing
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import assertions, proof_register
from lienthong.core import crypto, errors, settings

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
AT = int(NOW.timestamp())
AUDIENCE = "lienthong:000.00.00.H38"
CLAIMS = {
    "iss": "Phần mềm hộ tịch",
    "sub": "CB000123",
    "aud": AUDIENCE,
    "iat": AT,
    "exp": AT + 300,
    "jti": "một",
    "dossier": "000.00.00.H38-260115-0001",
    "purpose": "Đối chiếu người yêu cầu",
}
NAMES = {"ed25519": "EdDSA", "p256": "ES256", "rsa": "RS256"}


@cache
def private(kind: str) -> Any:
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else signing.new_key(kind)


@cache
def registered(kind: str, key_id: str = "key-1") -> proof_register.Proof:
    found = crypto.read_assertion_key(signing.pem(private(kind)))
    facts = {"name": "", "valid_until": None, "added_at": NOW, "added_by": "test"}
    return proof_register.Proof(
        f"kid-{kind}", key_id, "assertion", algorithm=found.algorithm, public_key=found.pem, thumbprint="", **facts
    )


KEYS = tuple(registered(kind) for kind in NAMES)


def made(kind: str = "ed25519", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    told = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    headers = {"typ": "official+jwt", "kid": f"kid-{kind}", **(header or {})}
    return jwt.encode(told, private(kind), algorithm=NAMES[kind], headers=headers)


def raw(head: str, body: str, kind: str = "ed25519") -> str:
    """Sign a text as it stands, whatever a library would make of it."""
    start = f"{part(head)}.{part(body)}"
    return f"{start}.{encoded(private(kind).sign(start.encode()))}"


def part(text: str) -> str:
    return encoded(text.encode("utf-8", "surrogatepass"))


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def check(text: str, *, keys: Any = KEYS, key_id: str = "key-1", now: datetime = NOW) -> assertions.Asserted:
    return assertions.check(text, keys=keys, key_id=key_id, audience=AUDIENCE, longest_s=300, skew_s=30, now=now)


def reason(text: str, **given: Any) -> str:
    with pytest.raises(errors.ProofRejected) as refused:
        check(text, **given)
    exc = refused.value
    assert exc.status == 401
    assert exc.detail("vi") != exc.detail("en")
    return str(exc.facts["reason"]).removeprefix("assertion_")


@pytest.mark.parametrize("kind", NAMES)
def test_a_good_assertion_says_who_and_for_what(kind: str):
    found = check(made(kind))
    assert (found.official, found.dossier, found.purpose) == ("CB000123", CLAIMS["dossier"], CLAIMS["purpose"])
    assert len(found.digest) == 64


def test_dossier_and_purpose_may_be_left_out():
    found = check(made(dossier=None, purpose=None))
    assert (found.dossier, found.purpose) == (None, None)


def test_the_digest_stands_for_key_issuer_and_number_and_not_for_the_signature():
    # ECDSA signs the same claims anew with other bytes: it is still the same assertion.
    assert made("p256") != made("p256")
    assert check(made("p256")).digest == check(made("p256")).digest == check(made()).digest
    others = {check(made(**{name: "khác"})).digest for name in ("iss", "jti")}
    other_key = check(made(), keys=[registered("ed25519", "key-2")], key_id="key-2").digest
    assert len({check(made()).digest, other_key, *others}) == 4


@pytest.mark.parametrize("kind", NAMES)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_bit_of_an_assertion_can_be_changed(kind: str, place: float, bit: int):
    good = made(kind).encode()
    changed = bytearray(good)
    changed[int(place * len(good))] ^= 1 << bit
    assert reason(changed.decode("latin-1"))


@given(st.text(max_size=400) | st.binary(max_size=300).map(lambda held: f"{encoded(held)}.{encoded(held)}.AA"))
def test_what_is_no_assertion_is_refused_and_breaks_nothing(text: str):
    assert reason(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists, max_leaves=5))
def test_any_value_in_any_claim_is_taken_or_refused(value: Any):
    for name in CLAIMS:
        text = raw('{"alg":"EdDSA","typ":"official+jwt","kid":"kid-ed25519"}', json.dumps({**CLAIMS, name: value}))
        with contextlib.suppress(errors.ProofRejected):
            assert check(text).official


def test_an_assertion_without_signature_is_refused():
    for name in ("none", "None", "NONE"):
        head = json.dumps({"alg": name, "typ": "official+jwt", "kid": "kid-ed25519"})
        assert reason(f"{part(head)}.{part(json.dumps(CLAIMS))}.") == "unreadable"
        assert reason(f"{part(head)}.{part(json.dumps(CLAIMS))}.AA") == "algorithm"
    head, claims, _ = made().split(".")
    assert reason(f"{head}.{claims}.") == "unreadable"
    assert reason(f"{head}.{claims}.AAAA") == "signature"


@pytest.mark.parametrize("kind", NAMES)
def test_the_public_key_is_no_shared_secret(kind: str):
    for name, hashed in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
        head = json.dumps({"alg": name, "typ": "official+jwt", "kid": f"kid-{kind}"})
        start = f"{part(head)}.{part(json.dumps(CLAIMS))}"
        for secret in (registered(kind).public_key, registered(kind).public_key.strip()):
            forged = encoded(hmac.new(secret.encode(), start.encode(), hashed).digest())
            assert reason(f"{start}.{forged}") == "algorithm"


def test_the_algorithm_is_that_of_the_registered_key():
    for alg in ("ES256", "RS256", "PS256", "RS512", "EdDSA ", "eddsa", None, ["EdDSA"], {"a": 1}):
        head = json.dumps({"alg": alg, "typ": "official+jwt", "kid": "kid-ed25519"})
        assert reason(raw(head, json.dumps(CLAIMS))) == "algorithm"
    stronger = jwt.encode(CLAIMS, private("rsa"), "RS512", {"typ": "official+jwt", "kid": "kid-rsa"})
    assert reason(stronger) == "algorithm"


@pytest.mark.parametrize("kid", [None, "kid-other", "", 7, ["kid-ed25519"], "kid-p256 "])
def test_a_key_that_is_not_registered_signs_nothing(kid: Any):
    head = json.dumps({"alg": "EdDSA", "typ": "official+jwt", "kid": kid})
    assert reason(raw(head, json.dumps(CLAIMS))) == "unknown_key"
    assert reason(raw('{"alg":"EdDSA","typ":"official+jwt"}', json.dumps(CLAIMS))) == "unknown_key"


def test_the_key_of_another_api_key_or_for_another_use_signs_nothing():
    assert reason(made(), keys=[registered("ed25519", "key-2")]) == "unknown_key"
    assert reason(made(), keys=[]) == "unknown_key"
    for kind in ("signature", "certificate", "password"):
        assert reason(made(), keys=[dataclasses.replace(registered("ed25519"), kind=kind)]) == "unknown_key"
    ended = dataclasses.replace(registered("ed25519"), valid_until=NOW)
    assert reason(made(), keys=[ended]) == "unknown_key"


def test_keys_that_the_header_brings_along_are_not_looked_at():
    mine = signing.new_key()
    told = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": encoded(mine.public_key().public_bytes_raw())}}
    headers = {"typ": "official+jwt", "kid": "kid-ed25519", **told, "jku": "https://vi-du.vn/jwks", "x5c": ["MII"]}
    assert reason(jwt.encode(CLAIMS, mine, "EdDSA", headers)) == "signature"


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"typ": None},
        {"typ": 1},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": True},
    ],
)
def test_another_type_and_unknown_critical_headers_are_refused(header: dict[str, Any]):
    head = {"alg": "EdDSA", "typ": "official+jwt", "kid": "kid-ed25519", **header}
    assert reason(raw(json.dumps(head), json.dumps(CLAIMS))) == "type"


@pytest.mark.parametrize(
    "audience",
    ["lienthong:000.00.00.H01", "", None, ["lienthong:000.00.00.H38"], [AUDIENCE, "x"], 1, f"{AUDIENCE} "],
)
def test_an_assertion_for_another_hub_is_refused(audience: Any):
    head = '{"alg":"EdDSA","typ":"official+jwt","kid":"kid-ed25519"}'
    assert reason(raw(head, json.dumps({**CLAIMS, "aud": audience}))) == "audience"
    assert reason(made(aud=None)) == "audience"


def test_a_name_that_occurs_twice_is_refused():
    head = '{"alg":"EdDSA","typ":"official+jwt","kid":"kid-ed25519"}'
    body = json.dumps(CLAIMS)
    assert reason(raw(head, body[:-1] + ',"sub":"CB000999"}')) == "unreadable"
    assert reason(raw(head[:-1] + ',"kid":"kid-ed25519"}', body)) == "unreadable"
    assert reason(raw(head, body[:-1] + ',"x":{"a":1,"a":2}}')) == "unreadable"


@pytest.mark.parametrize(
    "body", ["[]", "1", '"x"', "null", "{", "", "NaN", '{"iat":NaN}', "[" * 1500, '{"a":' * 500]
)
def test_a_body_that_is_no_json_object_is_refused(body: str):
    head = '{"alg":"EdDSA","typ":"official+jwt","kid":"kid-ed25519"}'
    assert reason(raw(head, body)) == "unreadable"
    assert reason(f"{part(body)}.{part(json.dumps(CLAIMS))}.AAAA") == "unreadable"


def test_an_assertion_that_is_too_large_is_refused_before_it_is_read():
    assert reason(made(more="x" * 4000)) == "unreadable"
    assert reason("é" + made()) == "unreadable"
    assert reason(made() + "=") == "unreadable"
    assert reason(made() + "\n") == "unreadable"


@pytest.mark.parametrize("name", ["iss", "sub", "jti"])
@pytest.mark.parametrize("value", [None, "", 7, "x" * 301, "CB\x00", "a\nb", "\ud800", ["CB000123"], True])
def test_who_and_which_must_be_one_line_of_text(name: str, value: Any):
    head = '{"alg":"EdDSA","typ":"official+jwt","kid":"kid-ed25519"}'
    assert reason(raw(head, json.dumps({**CLAIMS, name: value}))) == "claims"
    del (left := dict(CLAIMS))[name]
    assert reason(raw(head, json.dumps(left))) == "claims"


def test_it_is_good_from_the_skew_before_until_the_skew_after():
    text = made()
    for moment in (NOW - timedelta(seconds=30), NOW + timedelta(seconds=329, microseconds=999_999)):
        assert check(text, now=moment).official == "CB000123"
    assert reason(text, now=NOW - timedelta(seconds=30, microseconds=1)) == "not_yet"
    assert reason(text, now=NOW + timedelta(seconds=330)) == "expired"


def test_a_beginning_later_than_the_issue_is_respected():
    assert reason(made(nbf=AT + 31)) == "not_yet"
    assert check(made(nbf=AT + 30)).official
    assert check(made(nbf=AT - 9999)).official


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ({"exp": AT + 301}, "too_long"),
        ({"exp": AT}, "too_long"),
        ({"iat": AT + 20, "exp": AT - 5}, "too_long"),
        ({"exp": 10**400}, "too_long"),
        ({"iat": -(10**400)}, "too_long"),
        ({"iat": None}, "times"),
        ({"exp": None}, "times"),
        ({"exp": AT + 299.5}, "times"),
        ({"iat": True}, "times"),
        ({"exp": str(AT + 60)}, "times"),
        ({"nbf": "x"}, "times"),
    ],
)
def test_it_lives_no_longer_than_the_hub_allows(times: dict[str, Any], why: str):
    told = {name: value for name, value in {**CLAIMS, **times}.items() if value is not None}
    head = '{"alg":"EdDSA","typ":"official+jwt","kid":"kid-ed25519"}'
    assert reason(raw(head, json.dumps(told))) == why


def test_a_refusal_repeats_nothing_of_the_assertion():
    with pytest.raises(errors.ProofRejected) as refused:
        check(made(sub="CB\x00 001099000001"))
    assert "001099000001" not in str(refused.value)


# ------------------------------------------------------------------------------- the keys that may be registered


def jwk_of(kind: str) -> dict[str, str]:
    names = {"ed25519": "OKP", "p256": "EC", "rsa": "RSA"}
    algorithm = jwt.get_algorithm_by_name(NAMES[kind])
    told: dict[str, str] = json.loads(algorithm.to_jwk(private(kind).public_key()))
    assert told["kty"] == names[kind]
    return told


@pytest.mark.parametrize("kind", NAMES)
def test_a_key_is_the_same_in_pem_and_in_jwk(kind: str):
    told = json.dumps({**jwk_of(kind), "use": "sig", "kid": "bên gọi"}).encode()
    assert crypto.read_assertion_key(told) == crypto.read_assertion_key(signing.pem(private(kind)))


@pytest.mark.parametrize(
    "encoded_key",
    [
        b"",
        b"{",
        b"{}",
        b'{"kty":"oct","k":"AAAA"}',
        b'{"kty":"OKP","crv":"X25519","x":"AAAA"}',
        b'{"kty":"OKP","crv":"Ed25519","x":"AAAA"}',
        b'{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}',
        b'{"kty":"RSA","n":7,"e":"AQAB"}',
        b'{"kty":"RSA","n":"AQAB","e":"Ag"}',
        b'{"a":' * 9999,
        signing.pem(rsa.generate_private_key(65537, 1024)),
        signing.pem(ec.generate_private_key(ec.SECP384R1())),
        signing.private_pem(signing.new_key()),
    ],
)
def test_other_keys_are_not_registered(encoded_key: bytes):
    with pytest.raises(ValueError, match=r"not a|nor"):
        crypto.read_assertion_key(encoded_key)


def test_a_jwk_with_its_private_part_is_refused():
    algorithm = jwt.get_algorithm_by_name("EdDSA")
    with pytest.raises(ValueError, match="not a public key"):
        crypto.read_assertion_key(algorithm.to_jwk(private("ed25519")).encode())


def test_each_key_that_may_merely_name_an_official_is_a_risk():
    chosen = settings.Settings.model_validate({"residents": {"plain_officials": ["key-1", "key-2"]}})
    found = assertions.risks(chosen)
    assert [risk.facts["key"] for risk in found] == ["key-1", "key-2"]
    assert all(risk.facts["risk"] and "key-" in risk.vi and "key-" in risk.en for risk in found)
    assert assertions.risks(settings.Settings()) == []
