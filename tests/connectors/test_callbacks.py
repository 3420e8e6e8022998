"""What connectors to intermediaries share: plain texts, one form of an amount, the way through an LGSP."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intermediary_stage import callback

from lienthong.connectors import callbacks, lgsp
from lienthong.core import errors


@given(st.text(max_size=80))
def test_a_text_without_accents_is_printable_ascii_and_stays_so(text: str) -> None:
    plain = callbacks.plain_ascii(text, without="|&")
    assert plain.isascii()
    assert plain.isprintable()
    assert not set("|&") & set(plain)
    assert plain == plain.strip() == callbacks.plain_ascii(plain, without="|&")
    assert plain == callbacks.plain_ascii(unicodedata.normalize("NFD", text), without="|&")


def test_vietnamese_keeps_its_letters() -> None:
    assert callbacks.plain_ascii("Đặng  Thị Hoà\n– lệ phí ½") == "Dang Thi Hoa le phi"
    assert callbacks.plain_ascii("Nguyễn Văn An", longest=7) == "Nguyen"


@given(st.text(max_size=20))
def test_an_amount_is_read_in_its_canonical_form_or_not_at_all(text: str) -> None:
    try:
        found = callbacks.whole({"amount": text}, "amount", system="x")
    except errors.ProofRejected:
        return
    assert str(found) == text


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(), max_size=6))
def test_a_plain_message_comes_out_as_it_went_in(fields: dict[str, object]) -> None:
    try:
        request = callback(fields)
    except TypeError:  # a number beyond 64 bits, or half a letter: not to be written at all
        return
    assert callbacks.read_fields(request, system="x") == fields


@pytest.mark.parametrize("agency", ["000.00.00.H56", "other"])
def test_the_platform_header_is_the_vector_to_the_byte(agency: str) -> None:
    given = {"lgsp_access_key": "AK123", "lgsp_secret_key": "SK456", "lgsp_app_name": "LGSP-DEMO"}
    partner = "" if agency == "000.00.00.H56" else "000.00.00.H56"
    settings = lgsp.Settings.model_validate({**given, "lgsp_partner_code": partner})
    words = ("AccessKey", "SecretKey", "AppName", "PartnerCode", "PartnerCodeCus")
    ours = ("access_key", "secret_key", "app_name", "partner_code", "partner_code_cus")
    names = {f"lgsp_{our}": word for our, word in zip(ours, words, strict=True)}
    assert lgsp.platform_header(settings, names, agency_code=agency) == (
        "eyJBY2Nlc3NLZXkiOiJBSzEyMyIsIlNlY3JldEtleSI6IlNLNDU2IiwiQXBwTmFtZSI6IkxHU1AtREVNTyIsIlBhcnRuZXJDb2RlIjoi"
        "MDAwLjAwLjAwLkg1NiIsIlBhcnRuZXJDb2RlQ3VzIjoiMDAwLjAwLjAwLkg1NiJ9"
    )
