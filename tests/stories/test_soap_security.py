"""WS-Security at the SOAP door: user names with key or digest, times and nonces, signatures and wrapped ones."""

from __future__ import annotations

import base64
import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import doors
import httpx
import pytest
import signing
import signxml
import soap_town
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from lienthong.api_keys import keys, local_limits, proof_register, soap_passwords
from lienthong.bus import hub

START = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE, WSU = f"{OASIS}wssecurity-secext-1.0.xsd", f"{OASIS}wssecurity-utility-1.0.xsd"
PROFILE = f"{OASIS}username-token-profile-1.0"
BODY = soap_town.element("notes.put", "<text>xin chao</text>")
NONCE = base64.b64encode(bytes(range(16))).decode()


def security(content: str) -> str:
    return f'<w:Security xmlns:w="{WSSE}" xmlns:u="{WSU}" e:mustUnderstand="1">{content}</w:Security>'


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Town:
    """A running gateway with one key, two minutes after its start."""

    hub: hub.Hub
    caller: httpx.AsyncClient
    issued: keys.Issued
    clock: list[datetime]
    desk: doors.Desk
    reasons: list[str | None] = field(default_factory=list)

    async def send(self, header: str = "", *, raw: bytes | None = None, **headers: str) -> httpx.Response:
        content = soap_town.envelope(BODY, header=header) if raw is None else raw
        return await self.caller.post(
            "/soap/v1", content=content, headers={"content-type": "text/xml", "accept-language": "en", **headers}
        )

    async def password(self) -> str:
        _, text = await soap_passwords.add(
            self.hub.storage,
            self.hub.vault,
            self.issued.record.id,
            label="",
            reason="theo công văn 12",
            actor="can-bo-a",
            now=self.clock[0],
        )
        return text

    def text_token(self, **changed: str) -> str:
        username, password = (
            changed.get("username", self.issued.key[:14]),
            changed.get("password", self.issued.key),
        )
        more = changed.get("more", "")
        return security(
            f"<w:UsernameToken><w:Username>{username}</w:Username>"
            f'<w:Password Type="{PROFILE}#PasswordText">{password}</w:Password>{more}</w:UsernameToken>'
        )

    def digest_token(self, password: str, **changed: str) -> str:
        username, nonce = changed.get("username", self.issued.key[:14]), changed.get("nonce", NONCE)
        created = changed.get("created", stamp(self.clock[0]))
        digest = soap_passwords.digest_of(password, nonce=base64.b64decode(nonce), created=created)
        return security(
            f"<w:UsernameToken><w:Username>{username}</w:Username>"
            f'<w:Password Type="{PROFILE}#PasswordDigest">{digest}</w:Password>'
            f"<w:Nonce>{nonce}</w:Nonce><u:Created>{created}</u:Created></w:UsernameToken>"
        )


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Town]:
    clock, desk = [START], doors.Desk()
    async with builders.running_hub(tmp_path, now=lambda: clock[0]) as opened:
        issued = await builders.issue_key(opened)
        limiter = local_limits.LocalLimiter(opened.storage)
        async with doors.client(opened, desk=desk, limiter=limiter) as caller:
            clock[0] += timedelta(minutes=2)
            yield Town(opened, caller, issued, clock, desk)


def code(answer: httpx.Response) -> str:
    found = etree.fromstring(answer.content).findtext(".//{urn:lienthong:v1}code")
    return "ok" if found is None else found


# ------------------------------------------------------------------------------------------- username token


async def test_the_key_itself_may_be_the_password(here: Town):
    assert code(await here.send(here.text_token())) == "ok"
    by_id = await here.send(here.text_token(username=here.issued.record.id))
    assert code(by_id) == "ok"
    [row, _] = await doors.journal(here.hub)
    assert (row.door, row.operation, row.key_id, row.outcome) == ("soap", "notes.put", here.issued.record.id, "ok")


async def test_a_digest_of_the_registered_password_is_accepted_once(here: Town):
    password = await here.password()
    header = here.digest_token(password)
    served, replayed = await here.send(header), await here.send(header)
    assert (code(served), code(replayed)) == ("ok", "Client.ProofRejected")
    assert "used before" in replayed.text
    again = base64.b64encode(b"another nonce 16").decode()
    assert code(await here.send(here.digest_token(password, nonce=again))) == "ok"
    assert here.desk.runs == 2


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("wrong password", "password_digest"),
        ("no password registered", "password_digest"),
        ("another user name", "username"),
        ("too old", "wsse_old"),
        ("in the future", "wsse_future"),
        ("no nonce", "wsse_no_nonce"),
        ("short nonce", "wsse_unreadable"),
        ("no time", "wsse_unreadable"),
        ("end of the calendar", "wsse_unreadable"),
        ("begin of the calendar", "wsse_unreadable"),
    ],
)
async def test_a_digest_that_does_not_hold_is_refused_and_written_down(here: Town, case: str, reason: str):
    password = "x" * 43 if case == "no password registered" else await here.password()
    at = here.clock[0]
    header = {
        "wrong password": lambda: here.digest_token("wrong"),
        "no password registered": lambda: here.digest_token(password),
        "another user name": lambda: here.digest_token(password, username="lt_test_aaaaaa"),
        "too old": lambda: here.digest_token(password, created=stamp(at - timedelta(minutes=7))),
        "in the future": lambda: here.digest_token(password, created=stamp(at + timedelta(minutes=2))),
        "no nonce": lambda: here.digest_token(password).replace(f"<w:Nonce>{NONCE}</w:Nonce>", ""),
        "short nonce": lambda: here.digest_token(password, nonce="YWJj"),
        "no time": lambda: here.digest_token(password, created="yesterday"),
        "end of the calendar": lambda: here.digest_token(password, created="9999-12-31T23:59:59Z"),
        "begin of the calendar": lambda: here.digest_token(password, created="0001-01-01T00:00:00+14:00"),
    }[case]()
    assert code(await here.send(header)) in ("Client.KeyRejected", "Client.ProofRejected")
    [row] = await doors.journal(here.hub)
    assert (row.door, row.operation, row.rule) == ("soap", "notes.put", reason)
    assert here.desk.runs == 0


async def test_a_removed_password_and_a_revoked_key_open_nothing(here: Town):
    password = await here.password()
    await keys.revoke(here.hub.storage, here.issued.record.id, reason="lộ khoá", actor="an", now=here.clock[0])
    assert code(await here.send(here.digest_token(password))) == "Client.KeyRejected"


async def test_the_password_is_sealed_and_never_listed(here: Town):
    password = await here.password()
    [proof] = (await proof_register.read(here.hub.storage, here.issued.record.id)).proofs
    assert password not in str(proof)
    assert proof.as_json()["public_key"] == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("</w:Username>", "x</w:Username>"), "username"),
        (lambda text: text.replace("PasswordText", "PasswordClear"), "wsse_unreadable"),
        (lambda text: text.replace("<w:Username>", "<w:Username><b/>"), "wsse_unreadable"),
        (lambda text: text.replace("</w:Username>", "</w:Username><w:Username>y</w:Username>"), "wsse_unreadable"),
    ],
)
async def test_a_user_name_that_is_not_whole_is_refused(here: Town, change: Callable[[str], str], reason: str):
    assert code(await here.send(change(here.text_token()))) != "ok"
    [row] = await doors.journal(here.hub)
    assert row.rule == reason


async def test_a_comment_does_not_cut_a_user_name_or_a_key_in_two(here: Town):
    key = here.issued.key
    hidden = here.text_token(password=f"{key[:20]}<!-- x -->{key[20:]}", username=f"{key[:9]}<!-- -->{key[9:14]}")
    assert code(await here.send(hidden)) == "ok", "the text is the whole text"
    cut = here.text_token(username=f"{key[:14]}<!-- -->zz")
    assert code(await here.send(cut)) == "Client.KeyRejected"


async def test_two_ways_of_saying_who_one_is_are_one_too_many(here: Town):
    both = await here.send(here.text_token(), **{"x-api-key": here.issued.key})
    twice = await here.send(here.text_token() + here.text_token())
    assert (code(both), code(twice)) == ("Client.KeyRejected", "Client.InvalidRequest")


async def test_a_timestamp_alone_is_checked_too(here: Town):
    old = f"<u:Timestamp><u:Created>{stamp(START - timedelta(hours=1))}</u:Created></u:Timestamp>"
    answer = await here.send(security(old), **{"x-api-key": here.issued.key})
    assert code(answer) == "Client.ProofRejected"


# ------------------------------------------------------------------------------------------------ signatures


@dataclass
class Signed:
    """A message signed as WS-Security has it, to be sent as it is or to be tampered with."""

    private: Any
    certificate: Any
    at: datetime

    def message(
        self, *, cover: tuple[str, ...] = ("#body", "#time"), token: bool = True, body: str = BODY
    ) -> bytes:
        # Indented as no canonical form would be, so that nothing works by luck.
        head = security(
            f'<u:Timestamp u:Id="time"><u:Created>{stamp(self.at)}</u:Created>'
            f"<u:Expires>{stamp(self.at + timedelta(minutes=1))}</u:Expires></u:Timestamp>"
        )
        raw = soap_town.envelope(body, header=head).replace(
            b"<e:Body>", f'<e:Body xmlns:u="{WSU}" u:Id="body">'.encode()
        )
        root = etree.fromstring(raw)
        kind = "rsa-sha256" if isinstance(self.private, rsa.RSAPrivateKey) else "ecdsa-sha256"
        signer = signxml.XMLSigner(
            method=signxml.SignatureConstructionMethod.detached,
            signature_algorithm=kind,
            c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#",
        )
        signature = signer.sign(root, key=self.private, cert=[self.certificate], reference_uri=list(cover))
        header = root.find(f".//{{{WSSE}}}Security")
        header.append(signature)
        if token:
            self._by_token(header, signature)
        return etree.tostring(root)

    def _by_token(self, header: Any, signature: Any) -> None:
        encoded = base64.b64encode(signing.der(self.certificate)).decode()
        held = etree.fromstring(
            f'<w:BinarySecurityToken xmlns:w="{WSSE}" xmlns:u="{WSU}" u:Id="cert">{encoded}'
            "</w:BinarySecurityToken>"
        )
        said = etree.fromstring(
            f'<w:SecurityTokenReference xmlns:w="{WSSE}"><w:Reference URI="#cert"/></w:SecurityTokenReference>'
        )
        info = signature.find(f"{{{signxml.namespaces.ds}}}KeyInfo")
        info[:] = [said]
        header.insert(0, held)


@pytest.fixture
async def signed(here: Town) -> Signed:
    private = rsa.generate_private_key(65537, 2048)
    made = Signed(private, signing.certificate(private, starts=START - timedelta(days=1)), here.clock[0])
    await register(here, made.certificate)
    await proof_register.require(
        here.hub.storage, here.issued.record.id, ["certificate"], reason="x", actor="an", now=here.clock[0]
    )
    return made


async def register(here: Town, certificate: Any) -> None:
    await proof_register.add_certificate(
        here.hub.storage,
        here.issued.record.id,
        signing.certificate_pem(certificate),
        by_public_key=False,
        label="",
        reason="theo công văn 12",
        actor="can-bo-a",
        now=here.clock[0],
    )


async def send(here: Town, raw: bytes) -> httpx.Response:
    return await here.send(raw=raw, **{"x-api-key": here.issued.key})


@pytest.mark.parametrize("token", [True, False])
async def test_a_signed_message_is_served_once_and_unsigned_not_at_all(here: Town, signed: Signed, token: bool):
    raw = signed.message(token=token)
    served, replayed = await send(here, raw), await send(here, raw)
    unsigned = await send(here, soap_town.envelope(BODY))
    assert code(served) == "ok", served.text
    assert [code(replayed), code(unsigned)] == ["Client.ProofRejected"] * 2
    rows = await doors.journal(here.hub)
    assert [row.rule for row in rows[:2]] == ["proof:certificate+signature", "replayed"]
    assert here.desk.runs == 1


async def test_a_key_on_an_elliptic_curve_signs_as_well(here: Town, signed: Signed):
    private = ec.generate_private_key(ec.SECP256R1())
    other = Signed(private, signing.certificate(private, starts=START - timedelta(days=1)), here.clock[0])
    await register(here, other.certificate)
    assert code(await send(here, other.message())) == "ok"


def wrapped(raw: bytes, *, where: str) -> bytes:
    """Move the signed body out of the way and put another one into its place, in the classical ways."""
    root = etree.fromstring(raw)
    soap = f"{{{soap_town.V11}}}"
    header, body = root.find(f"{soap}Header"), root.find(f"{soap}Body")
    other = copy.deepcopy(body)
    other[0][0].text = "forged"
    if where == "in the header":
        other.attrib.clear()
        root.replace(body, other)
        etree.SubElement(header, "wrapper").append(body)
    elif where == "same id twice":
        root.replace(body, other)
        etree.SubElement(header, "wrapper").append(body)
    elif where == "inside the signature":
        other.attrib.clear()
        root.replace(body, other)
        node = etree.SubElement(
            root.find(f".//{{{signxml.namespaces.ds}}}Signature"), f"{{{signxml.namespaces.ds}}}Object"
        )
        node.append(body)
    elif where == "second body":
        root.append(other)
    elif where == "under another name of id":
        other.attrib.clear()
        other.set("ID", "body")
        root.replace(body, other)
        etree.SubElement(header, "wrapper").append(body)
    elif where == "the timestamp":
        time = root.find(f".//{{{WSU}}}Timestamp")
        other_time = copy.deepcopy(time)
        other_time.attrib.clear()
        time.getparent().replace(time, other_time)
        etree.SubElement(header, "wrapper").append(time)
    return etree.tostring(root)


WRAPPED = [
    "in the header",
    "same id twice",
    "inside the signature",
    "second body",
    "under another name of id",
    "the timestamp",
]


@pytest.mark.parametrize("where", WRAPPED)
async def test_a_signature_wrapped_away_from_its_body_is_refused(here: Town, signed: Signed, where: str):
    answer = await send(here, wrapped(signed.message(), where=where))
    assert code(answer) in ("Client.ProofRejected", "Client.InvalidRequest")
    assert here.desk.runs == 0
    [row] = await doors.journal(here.hub)
    assert (row.door, row.status) in (("soap", 401), ("soap", 400))


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("changed body", "wsse_signature"),
        ("body not covered", "wsse_not_covered"),
        ("time not covered", "wsse_not_covered"),
        ("comment in the signed text", None),
        ("another certificate", "certificate_other"),
        ("old", "wsse_old"),
        ("no certificate", "wsse_signature_form"),
        ("transform", "wsse_signature_form"),
        ("weak digest", "wsse_signature"),
    ],
)
async def test_a_signature_that_does_not_hold_is_refused(
    here: Town, signed: Signed, case: str, reason: str | None
):
    other = rsa.generate_private_key(65537, 2048)
    stranger = Signed(other, signing.certificate(other, starts=START - timedelta(days=1)), here.clock[0])
    raw = {
        "changed body": lambda: signed.message().replace(b"xin chao", b"tam biet"),
        "body not covered": lambda: signed.message(cover=("#time",)),
        "time not covered": lambda: signed.message(cover=("#body",)),
        "comment in the signed text": lambda: signed.message().replace(b"xin chao", b"xin<!-- not --> chao"),
        "another certificate": stranger.message,
        "old": signed.message,
        "no certificate": lambda: signed.message().replace(b'URI="#cert"', b'URI="#other"'),
        "transform": lambda: signed.message().replace(
            b'<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"',
            b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"',
        ),
        "weak digest": lambda: signed.message().replace(
            b"http://www.w3.org/2001/04/xmlenc#sha256", b"http://www.w3.org/2000/09/xmldsig#sha1"
        ),
    }[case]()
    if case == "old":
        here.clock[0] += timedelta(minutes=10)
    answer = await send(here, raw)
    [row] = await doors.journal(here.hub)
    if reason is None:
        # The comment is no part of what was signed, nor of what is read: the text is whole, and the same.
        assert (code(answer), here.desk.runs) == ("ok", 1)
        return
    assert (code(answer), row.rule, here.desk.runs) == ("Client.ProofRejected", reason, 0)
