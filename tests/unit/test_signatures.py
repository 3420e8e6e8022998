"""HTTP message signatures: the vectors of RFC 9421, what must be covered, and what a forger would try."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
import signing
from hypothesis import assume, given
from hypothesis import strategies as st

from lienthong.api_keys import signatures
from lienthong.core import crypto, errors

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
KEY = signing.new_key()

# RFC 9421 appendix B.1.3, B.1.4: public test keys.
RFC_ED25519 = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----"""
RFC_P256 = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----"""
RFC_CERTIFICATE = (
    ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVk"
    "aWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8Y"
    "nXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNV"
    "HSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYm"
    "RjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5Xa"
    "rmPk0wmuydBVoU4hBVZ1yhk=:"
)


def _message(headers, *, method="POST", url=signing.URL, body=signing.BODY) -> signatures.Message:
    return signatures.Message(method, url, headers, body)


def _check(headers, *, key=KEY, now=NOW, **changed) -> None:
    """Check a request as the gateway does, with a registered public key."""
    message = _message(headers, **changed)
    claim = signatures.read(headers)
    signatures.check_coverage(claim, message)
    signatures.check_time(claim, now=now, age_s=60, skew_s=5)
    signatures.check_body(claim, message)
    signatures.verify(message, claim, crypto.read_public_key(signing.pem(key)))


def _reason(call) -> str:
    with pytest.raises(errors.ProofRejected) as refused:
        call()
    assert refused.value.detail("vi") != refused.value.detail("en")
    return refused.value.facts["reason"]


def test_the_rfcs_ed25519_vector_holds():
    covered = '("date" "@method" "@path" "@authority" "content-type" "content-length")'
    signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    headers = [
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-length", "18"),
        ("signature-input", f'sig-b26={covered};created=1618884473;keyid="test-key-ed25519"'),
        ("signature", f"sig-b26=:{signature}:"),
    ]
    claim = signatures.Claim(frozenset(), 1618884473, "", "test-key-ed25519", None, None)
    key = crypto.read_public_key(RFC_ED25519)
    url = "https://example.com/foo?param=Value&Pet=dog"
    signatures.verify(_message(headers, url=url), claim, key)
    assert _reason(lambda: signatures.verify(_message(headers, url=url, method="PUT"), claim, key))


def test_the_rfcs_ecdsa_vector_of_a_proxy_with_a_client_certificate_holds():
    covered = '("@path" "@query" "@method" "@authority" "client-cert")'
    signature = "xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw=="
    headers = [
        ("host", "service.internal.example"),
        ("client-cert", RFC_CERTIFICATE),
        ("signature-input", f'ttrp={covered};created=1618884473;keyid="test-key-ecc-p256"'),
        ("signature", f"ttrp=:{signature}:"),
    ]
    claim = signatures.Claim(frozenset(), 1618884473, "", "test-key-ecc-p256", None, None)
    url = "https://service.internal.example/foo?param=Value&Pet=dog"
    signatures.verify(_message(headers, url=url), claim, crypto.read_public_key(RFC_P256))


def test_the_digests_of_rfc_9530_hold():
    body = b'{"hello": "world"}'
    text = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
    claim = signatures.Claim(frozenset({"content-digest"}), 0, "", "", None, None)
    signatures.check_body(claim, _message([("content-digest", text)], body=body))
    assert _reason(lambda: signatures.check_body(claim, _message([("content-digest", text)], body=body + b"\n")))


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
@pytest.mark.parametrize(
    "covered",
    [
        ("@method", "@target-uri", "content-digest"),
        ("content-digest", "@query", "@path", "@authority", "@method", "x-api-key"),
    ],
)
def test_what_a_caller_signs_is_accepted(kind, covered):
    key = signing.new_key(kind)
    _check(
        signing.signed(key, "k1", created=NOW, covered=covered, headers=[("x-api-key", "…".encode().hex())]),
        key=key,
    )


def test_the_order_of_the_headers_is_free():
    headers = signing.signed(KEY, "k1", created=NOW, headers=[("accept", "*/*")])
    _check(list(reversed(headers)))


def test_a_request_without_body_needs_no_digest():
    headers = signing.signed(KEY, "k1", created=NOW, method="GET", body=b"", covered=("@method", "@target-uri"))
    _check(headers, method="GET", body=b"")


@pytest.mark.parametrize(
    ("covered", "said"),
    [
        (("@target-uri", "content-digest"), '"@method"'),
        (("@method", "content-digest"), '"@target-uri"'),
        (("@method", "@authority", "@path", "content-digest"), '"@target-uri"'),
        (("@method", "@path", "@query", "content-digest"), '"@target-uri"'),
        (("@method", "@target-uri"), '"content-digest"'),
    ],
)
def test_a_signature_that_leaves_something_out_is_told_what(covered, said):
    headers = signing.signed(KEY, "k1", created=NOW, covered=covered)
    with pytest.raises(errors.ProofRejected) as refused:
        _check(headers)
    assert said in refused.value.detail("en")
    assert said in refused.value.detail("vi")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"body": b'{"text": "khac"}'}, "content_digest"),
        ({"body": signing.BODY + b" "}, "content_digest"),
        ({"url": signing.URL.replace("5", "500")}, "signature_wrong"),
        ({"url": signing.URL.replace("notes", "dossiers")}, "signature_wrong"),
        ({"url": signing.URL.replace("truc", "khac")}, "signature_wrong"),
        ({"url": signing.URL.replace("https", "http")}, "signature_wrong"),
        ({"method": "PUT"}, "signature_wrong"),
        ({"key": signing.new_key()}, "signature_wrong"),
    ],
)
def test_what_was_changed_on_the_way_is_noticed(changed, reason):
    headers = signing.signed(KEY, "k1", created=NOW)
    assert _reason(lambda: _check(headers, **changed)) == reason


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(-66, "signature_old"), (-65, None), (0, None), (5, None), (6, "signature_future")],
)
def test_the_edges_of_the_time_window(seconds, reason):
    headers = signing.signed(KEY, "k1", created=NOW + timedelta(seconds=seconds))
    if reason is None:
        _check(headers)
    else:
        assert _reason(lambda: _check(headers)) == reason


def test_the_refusal_of_a_wrong_clock_shows_the_hubs():
    headers = signing.signed(KEY, "k1", created=NOW - timedelta(hours=7))
    with pytest.raises(errors.ProofRejected, match="2026-01-15T16:30:00\\+07:00"):
        _check(headers)


def test_a_signature_past_its_own_end_is_refused():
    end = int(NOW.timestamp()) - 10
    headers = signing.signed(KEY, "k1", created=NOW - timedelta(seconds=30), extra=f";expires={end}")
    assert _reason(lambda: _check(headers)) == "signature_old"


@pytest.mark.parametrize("named", ["hmac-sha256", "none", "ecdsa-p256-sha256", "rsa-v1_5-sha256", ""])
def test_the_caller_does_not_choose_the_algorithm(named):
    headers = signing.signed(KEY, "k1", created=NOW, extra=f';alg="{named}"')
    if named:
        assert _reason(lambda: _check(headers)) == "signature_algorithm"
    else:
        assert _reason(lambda: _check(headers)) == "signature_wrong"


def test_a_public_key_is_no_shared_secret():
    """Somebody who knows the public key signs with it as an HMAC secret, and names no algorithm."""
    import hashlib
    import hmac

    headers = signing.signed(KEY, "k1", created=NOW)
    params = dict(headers)["signature-input"].removeprefix("sig1=")
    lines = [
        '"@method": POST',
        f'"@target-uri": {signing.URL}',
        f'"content-digest": {signing.digest(signing.BODY)}',
    ]
    base = "\n".join([*lines, f'"@signature-params": {params}'])
    forged = base64.b64encode(hmac.new(signing.pem(KEY), base.encode(), hashlib.sha256).digest()).decode()
    headers[-1] = ("signature", f"sig1=:{forged}:")
    assert _reason(lambda: _check(headers)) == "signature_wrong"


def _with(**changed) -> list[tuple[str, str]]:
    """Sign well, then put other header lines in place; None takes a header away."""
    headers = dict(signing.signed(KEY, "k1", created=NOW))
    for name, value in changed.items():
        headers[name.replace("_", "-")] = value
    return [(name, value) for name, value in headers.items() if value is not None]


GOOD = dict(_with())


@pytest.mark.parametrize(
    "headers",
    [
        _with(signature=None),
        _with(signature_input=None),
        _with(signature=""),
        _with(signature=GOOD["signature"][:-3]),
        _with(signature="sig1=?1"),
        _with(signature="sig2" + GOOD["signature"][4:]),
        _with(signature_input=GOOD["signature-input"][:40]),
        _with(signature_input="sig1=()"),
        _with(signature_input="sig1=1"),
        _with(signature_input=GOOD["signature-input"] + ";secret=1"),
        _with(signature_input=GOOD["signature-input"].replace("created=", "created=-")),
        _with(signature_input=GOOD["signature-input"].replace("created=", "made=")),
        _with(signature_input=GOOD["signature-input"].replace("nonce=", "other=")),
        _with(signature_input=GOOD["signature-input"].replace("keyid=", "other=")),
        _with(signature_input=GOOD["signature-input"] + " " * 5000),
        _with(signature_input="sig1=(" + '"a" ' * 60 + ");created=1"),
        _with(signature="sig1=:" + "A" * 2000 + ":"),
        _with(signature="sig1=:AAAA:"),
        _with(content_digest=None),
        _with(content_digest="sha-256=:AAAA:"),
        _with(content_digest="md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"),
        _with(content_digest=""),
        [*_with(), ("signature", GOOD["signature"])],
        [*_with(), ("signature-input", GOOD["signature-input"])],
        [*_with(), ("signature", "sig2=:AAAA:"), ("signature-input", 'sig2=();created=1;keyid="x"')],
        [*_with(), ("content-digest", GOOD["content-digest"])],
    ],
)
def test_a_damaged_signature_is_refused_in_words(headers):
    assert _reason(lambda: _check(headers))


def test_a_component_with_parameters_does_not_count_as_covered():
    text = GOOD["signature-input"].replace('"content-digest"', '"content-digest";key="sha-256"')
    assert _reason(lambda: _check(_with(signature_input=text))) == "signature_coverage"


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=100), st.binary(max_size=50))
def test_whatever_comes_is_refused_and_never_a_defect(given_input, value, digest, body):
    headers = [("signature-input", given_input), ("signature", value), ("content-digest", digest)]
    with pytest.raises(errors.ProofRejected):
        _check(headers, body=body)


@given(st.sampled_from(sorted(GOOD)), st.integers(0, 400), st.characters(codec="latin-1"))
def test_one_changed_character_never_passes_for_another_request(name, place, letter):
    text = GOOD[name]
    place %= len(text)
    assume(letter != text[place])
    headers = _with(**{name.replace("-", "_"): text[:place] + letter + text[place + 1 :]})
    try:
        _check(headers)
    except errors.ProofRejected:
        return
    # Only what means the same may still pass: blanks, the label, the spare bits of base64.
    assert signatures.read(headers) == signatures.read(list(GOOD.items()))
