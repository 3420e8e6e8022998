"""The compatibility door: how `lgspaccesstoken` becomes an ordinary key, and what it refuses."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import key_text
from lienthong.bus.gateway import compat
from lienthong.core import errors, logs

KEY = key_text.new("test")
FIELDS = {
    "AccessKey": key_text.prefix(KEY),
    "SecretKey": KEY,
    "AppName": "LGSP-DEMO",
    "PartnerCode": "000.00.00.H56",
    "PartnerCodeCus": "000.00.00.H56",
}


def _header(fields: object) -> bytes:
    return base64.b64encode(json.dumps(fields, separators=(",", ":")).encode())


def _scope(path: bytes, *headers: tuple[bytes, bytes], token: bytes | None = None) -> dict:
    given_token = _header(FIELDS) if token is None else token
    lines = [(b"host", b"truc.example.vn"), (b"lgspaccesstoken", given_token), *headers]
    return {"type": "http", "method": "POST", "path": path.decode(), "raw_path": path, "headers": lines}


BEARER = (b"authorization", b"Bearer abc.def.ghi")
OFFICER = (b"authhash", base64.b64encode(b"canbo01:mat-khau-vi-du"))


def test_the_shape_is_that_of_the_contracts_page():
    vector = (
        b"eyJBY2Nlc3NLZXkiOiJBSzEyMyIsIlNlY3JldEtleSI6IlNLNDU2IiwiQXBwTmFtZSI6IkxHU1AtREVNTyIsIlBhcnRuZXJDb2RlIjoiMDAwLj"
        b"AwLjAwLkg1NiIsIlBhcnRuZXJDb2RlQ3VzIjoiMDAwLjAwLjAwLkg1NiJ9"
    )
    assert _header({**FIELDS, "AccessKey": "AK123", "SecretKey": "SK456"}) == vector
    with pytest.raises(errors.KeyRejected):  # its key is none of ours
        compat.translate(_scope(b"/compat/lgsp/token", token=vector))


def test_asking_for_a_token_becomes_the_ordinary_operation():
    inner = compat.translate(_scope(b"/compat/lgsp/token"))
    assert inner["raw_path"] == b"/v1/tokens"
    assert inner["headers"] == [(b"host", b"truc.example.vn"), (b"x-api-key", KEY.encode())]
    assert inner[compat.DOOR_IN_SCOPE] == "lgsp"
    compat.check_form(b"grant_type=client_credentials")


def test_a_call_keeps_its_bearer_and_names_the_officer_without_the_password():
    inner = compat.translate(_scope(b"/compat/lgsp/v1/dossiers/x", BEARER, OFFICER))
    assert inner["raw_path"] == b"/v1/dossiers/x"
    assert BEARER in inner["headers"]
    assert inner[compat.OFFICER_IN_SCOPE] == "canbo01"
    assert "mat-khau" not in str(inner)
    assert OFFICER not in inner["headers"]


def test_no_log_line_shows_what_came_in_at_this_door():
    token, officer = _header(FIELDS).decode(), OFFICER[1].decode()
    for line in (
        f"got {token}",
        f"lgspaccesstoken: {token}",
        f"AuthHash={officer}",
        f"a token eyJ{token[3:]}.x-_.y",
    ):
        shown = logs.mask(line)
        assert token[:20] not in shown
        assert officer not in shown


def test_a_call_without_bearer_is_told_where_to_get_one():
    with pytest.raises(errors.ProofRejected, match="POST /compat/lgsp/token"):
        compat.translate(_scope(b"/compat/lgsp/v1/dossiers/x"))


def test_a_key_smuggled_in_beside_does_not_count():
    inner = compat.translate(_scope(b"/compat/lgsp/token", (b"x-api-key", b"lt_test_other")))
    assert [value for name, value in inner["headers"] if name == b"x-api-key"] == [KEY.encode()]


@pytest.mark.parametrize(
    "path", [b"/compat/lgsp", b"/compat/lgsp/", b"/compat/lgsp/docs", b"/compat/lgsp/metrics"]
)
def test_the_door_opens_on_nothing_else(path):
    with pytest.raises(errors.NotFound):
        compat.translate(_scope(path))
    assert compat.is_here(path)
    assert not compat.is_here(b"/compat/lgspx")


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"not base64!",
        base64.b64encode(b"not json"),
        base64.b64encode(b"\xff\xfe"),
        base64.b64encode(b"[" * 3000),
        _header([]),
        _header("text"),
        _header({}),
        _header({"AccessKey": FIELDS["AccessKey"]}),
        _header({**FIELDS, "AccessKey": "lt_test_000000"}),
        _header({**FIELDS, "AccessKey": ""}),
        _header({**FIELDS, "SecretKey": 5}),
        _header({**FIELDS, "SecretKey": KEY + "\r\nx-evil: 1"}),
        _header({**FIELDS, "AppName": "x" * 5000}),
        _header({**FIELDS, "AppName": None}),
        _header({**FIELDS, "Other": "x"}),
    ],
    ids=lambda token: f"{len(token)} bytes",  # the key in it is new each time, and the workers must agree
)
def test_a_damaged_token_is_refused_in_words(token):
    with pytest.raises(errors.KeyRejected, match="SecretKey is the API key"):
        compat.translate(_scope(b"/compat/lgsp/token", token=token))


def test_the_header_sent_twice_is_refused():
    with pytest.raises(errors.KeyRejected, match="twice"):
        compat.translate(_scope(b"/compat/lgsp/token", (b"lgspaccesstoken", _header(FIELDS))))


@pytest.mark.parametrize("value", [b"!!", base64.b64encode(b"no colon"), base64.b64encode(b":x"), b"/w=="])
def test_an_officer_header_that_cannot_be_read_is_named(value):
    with pytest.raises(errors.InvalidRequest) as refused:
        compat.translate(_scope(b"/compat/lgsp/v1/x", BEARER, (b"authhash", value)))
    assert refused.value.problems[0].field == "AuthHash"


@pytest.mark.parametrize(
    "raw", [b"", b"grant_type=password", b"{}", b"\xff", b"grant_type=client_credentials&x=1"]
)
def test_any_other_form_is_refused(raw):
    with pytest.raises(errors.InvalidRequest):
        compat.check_form(raw)


@given(st.binary(max_size=300), st.binary(max_size=60), st.binary(max_size=100))
def test_whatever_comes_is_refused_and_never_a_defect(token, officer, raw):
    for call in (
        lambda: compat.translate(_scope(b"/compat/lgsp/v1/x", BEARER, token=token)),
        lambda: compat.translate(_scope(b"/compat/lgsp/v1/x", BEARER, (b"authhash", officer))),
        lambda: compat.check_form(raw),
    ):
        try:
            call()
        except errors.CallerError:
            continue
