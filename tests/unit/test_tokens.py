"""Tokens: got for a key, bound, short-lived, and what a forger would try."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import builders
import jwt
import pytest
import signing
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import tokens
from lienthong.bus import hub
from lienthong.core import crypto, errors

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
VAULT = crypto.Vault.from_master(bytes(range(32)))
OURS = tokens.Tokens(VAULT, audience="lienthong:000.00.00.H38", lifetime_s=600)
GOOD = OURS.issue("key-1", 2, now=NOW).access_token
CLAIMS = jwt.decode(GOOD, options={"verify_signature": False})


def _reason(text: str, *, now: datetime = NOW) -> str:
    with pytest.raises(errors.ProofRejected) as refused:
        OURS.read(text, now=now)
    assert refused.value.status == 401
    return refused.value.facts["reason"]


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_says_whose_it_is_and_ends_within_fifteen_minutes():
    told = OURS.read(GOOD, now=NOW)
    assert (told.key_id, told.generation, told.bound_to) == ("key-1", 2, None)
    assert told.expires_at - told.issued_at == 600
    longest = tokens.Tokens(VAULT, audience="a", lifetime_s=86400).issue("key-1", 1, now=NOW)
    assert longest.expires_in == 900


def test_two_tokens_are_never_the_same():
    assert OURS.issue("key-1", 2, now=NOW).access_token != GOOD


def test_every_process_with_the_same_master_key_reads_it():
    other = tokens.Tokens(crypto.Vault.from_master(bytes(range(32))), audience=CLAIMS["aud"], lifetime_s=60)
    assert other.read(GOOD, now=NOW).key_id == "key-1"


def test_a_token_ends_when_it_says():
    OURS.read(GOOD, now=NOW + timedelta(seconds=599))
    assert _reason(GOOD, now=NOW + timedelta(seconds=600)) == "token_expired"


def test_another_hubs_token_is_worth_nothing():
    other = tokens.Tokens(crypto.Vault.from_master(bytes(32)), audience=CLAIMS["aud"], lifetime_s=600)
    assert _reason(other.issue("key-1", 2, now=NOW).access_token)
    namesake = tokens.Tokens(VAULT, audience="lienthong:000.00.00.H01", lifetime_s=600)
    assert _reason(namesake.issue("key-1", 2, now=NOW).access_token)


def test_a_token_without_signature_is_refused():
    for name in ("none", "None", "NONE", "nOnE"):
        assert _reason(f"{_part({'alg': name, 'typ': 'at+jwt'})}.{_part(CLAIMS)}.")
    head, claims, _ = GOOD.split(".")
    assert _reason(f"{head}.{claims}.")


def test_the_public_key_is_no_shared_secret():
    public = VAULT.token_key().public_key()
    from cryptography.hazmat.primitives import serialization

    encodings = (
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw),
    )
    for secret in encodings:
        text = f"{_part({'alg': 'HS256', 'typ': 'at+jwt'})}.{_part(CLAIMS)}"
        forged = base64.urlsafe_b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest())
        assert _reason(f"{text}.{forged.rstrip(b'=').decode()}")


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "kid"])
def test_a_key_that_the_token_brings_along_is_not_used(name):
    key = signing.new_key()
    text = jwt.encode(CLAIMS, key, algorithm="EdDSA", headers={"typ": "at+jwt", name: "http://127.0.0.1:9/key"})
    assert _reason(text)


@pytest.mark.parametrize(
    "changed",
    [
        {"typ": "JWT"},
        {"exp": CLAIMS["iat"] + 86400},
        {"gen": "2"},
        {"gen": True},
        {"sub": 5},
        {"jti": None},
        {"aud": "somebody else"},
        {"iss": "somebody else"},
        {"cnf": {"x5t#S256": 7}},
    ],
)
def test_even_our_own_signature_does_not_excuse_other_claims(changed):
    claims = {**CLAIMS, **{name: value for name, value in changed.items() if name != "typ"}}
    headers = {"typ": changed.get("typ", "at+jwt")}
    assert _reason(jwt.encode(claims, VAULT.token_key(), algorithm="EdDSA", headers=headers))


def test_an_api_key_in_place_of_a_token_is_told_where_it_belongs():
    with pytest.raises(errors.ProofRejected, match="X-API-Key"):
        OURS.read("lt_test_" + "0" * 49, now=NOW)


@given(st.one_of(st.text(max_size=200), st.from_regex(r"[\w-]{0,40}\.[\w-]{0,80}\.[\w-]{0,90}", fullmatch=True)))
def test_whatever_comes_is_refused_and_never_a_defect(text):
    assert _reason(text)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_one_changed_character_never_makes_another_token(place, letter):
    try:
        told = OURS.read(GOOD[:place] + letter + GOOD[place + 1 :], now=NOW)
    except errors.ProofRejected:
        return
    assert told == OURS.read(GOOD, now=NOW)


def test_a_bound_token_needs_its_certificate():
    mine, other = (
        crypto.read_certificate(signing.der(signing.certificate(signing.new_key(), starts=NOW))) for _ in range(2)
    )
    bound = OURS.read(OURS.issue("key-1", 2, now=NOW, certificate=mine).access_token, now=NOW)
    tokens.check_binding(bound, mine)
    for wrong in (None, other):
        with pytest.raises(errors.ProofRejected):
            tokens.check_binding(bound, wrong)


def test_a_token_beside_another_key_is_refused():
    tokens.check_owner(OURS.read(GOOD, now=NOW), "key-1")
    with pytest.raises(errors.ProofRejected):
        tokens.check_owner(OURS.read(GOOD, now=NOW), "key-2")


async def test_a_token_leads_to_its_generation_and_to_no_other(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub)
    generations = tokens.Generations(sqlite_hub.storage)
    first = OURS.read(OURS.issue(issued.record.id, 1, now=NOW).access_token, now=NOW)
    never = OURS.read(OURS.issue(issued.record.id, 9, now=NOW).access_token, now=NOW)
    assert await generations.digest_of(first) == sqlite_hub.vault.digest(issued.key.encode(), purpose="api_key")
    assert await generations.digest_of(never) is None
