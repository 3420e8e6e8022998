"""Signatures on papers: good ones hold, and every careless reading of a bad one is refused."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import paper_samples as papers
import pytest

from lienthong.core import errors, paper_signatures

NOW = papers.NOW


@pytest.fixture
def anchors(tmp_path: Path) -> paper_signatures.Anchors:
    return paper_signatures.Anchors.load(papers.trust(tmp_path))


async def judged(content: bytes, anchors: Any, now: datetime = NOW) -> paper_signatures.Verdict:
    verdict = await paper_signatures.check(content, anchors=anchors, now=now)
    assert verdict.why_vi != verdict.why_en
    return verdict


# ---------------------------------------------------------------------------------------------------------- PDF


async def test_a_signed_pdf_holds_and_names_the_organisation_not_the_person(anchors: Any) -> None:
    verdict = await judged(papers.signed_pdf(papers.OFFICIAL), anchors)
    assert (verdict.state, verdict.kind) == ("valid", "pdf")
    (signer,) = verdict.signers
    assert signer.organisation == papers.AGENCY
    assert int(signer.serial, 16) == papers.OFFICIAL.certificate.serial_number
    assert signer.signed_at is not None
    assert "Ví Dụ" not in repr(verdict)


async def test_an_official_and_the_stamp_of_the_agency_may_sign_one_after_the_other(anchors: Any) -> None:
    twice = papers.signed_pdf(papers.AGENCY_STAMP, papers.signed_pdf(papers.OFFICIAL), field="Dau2")
    verdict = await judged(twice, anchors)
    assert verdict.state == "valid"
    assert len(verdict.signers) == 2


async def test_the_worst_of_two_signatures_decides(anchors: Any) -> None:
    twice = papers.signed_pdf(papers.FOREIGN, papers.signed_pdf(papers.OFFICIAL), field="Dau2")
    assert (await judged(twice, anchors)).state == "untrusted"


async def test_a_pdf_without_signature_is_unsigned(anchors: Any) -> None:
    verdict = await judged(papers.plain_pdf(), anchors)
    assert (verdict.state, verdict.signers) == ("unsigned", ())


ALTERED_PDFS = {
    "changed bytes": lambda: papers.signed_pdf(papers.OFFICIAL).replace(b"0001/KQ", b"9991/KQ", 1),
    "another page content after signing": lambda: papers.appended_pdf(papers.signed_pdf(papers.OFFICIAL)),
    "a form filled in after signing": lambda: papers.filled_pdf(papers.OFFICIAL),
    "bytes behind the end": lambda: papers.signed_pdf(papers.OFFICIAL) + b"\n% something more\n",
}


@pytest.mark.parametrize("made", ALTERED_PDFS.values(), ids=ALTERED_PDFS.keys())
async def test_a_pdf_that_was_changed_after_signing_is_altered(made: Any, anchors: Any) -> None:
    assert (await judged(made(), anchors)).state == "altered"


async def test_a_stranger_s_signature_is_untrusted(anchors: Any) -> None:
    assert (await judged(papers.signed_pdf(papers.FOREIGN), anchors)).state == "untrusted"


async def test_a_certificate_not_meant_for_signing_is_untrusted(anchors: Any) -> None:
    assert (await judged(papers.signed_xml(papers.ENCIPHERING), anchors)).state == "untrusted"


async def test_without_trust_anchors_nobody_is_trusted_and_it_says_so() -> None:
    verdict = await judged(papers.signed_pdf(papers.OFFICIAL), paper_signatures.Anchors.load(None))
    assert verdict.state == "untrusted"
    assert "chưa được cài chứng thư" in verdict.why_vi


async def test_a_certificate_that_has_ended_counts_only_with_a_trusted_timestamp(anchors: Any) -> None:
    assert (await judged(papers.signed_pdf(papers.ENDED), anchors)).state == "expired_or_revoked"
    verdict = await judged(papers.signed_pdf(papers.ENDED, stamped=True), anchors)
    assert verdict.state == "valid"
    assert verdict.signers[0].signed_at == NOW - timedelta(days=10)


async def test_a_certificate_that_is_not_valid_yet_is_refused(anchors: Any) -> None:
    early = NOW - timedelta(days=1000)
    assert (await judged(papers.signed_pdf(papers.OFFICIAL), anchors, early)).state == "expired_or_revoked"


@pytest.mark.parametrize("sign", [papers.signed_pdf, papers.signed_xml], ids=["pdf", "xml"])
async def test_a_revoked_certificate_is_refused_even_by_an_overdue_list(sign: Any, tmp_path: Path) -> None:
    anchors = paper_signatures.Anchors.load(papers.trust(tmp_path, revoked=papers.OFFICIAL))
    assert (await judged(sign(papers.OFFICIAL), anchors)).state == "expired_or_revoked"
    assert (await judged(sign(papers.AGENCY_STAMP), anchors)).state == "valid"


async def test_a_list_that_the_authority_did_not_sign_revokes_nobody(tmp_path: Path) -> None:
    anchors = paper_signatures.Anchors.load(papers.trust(tmp_path, revoked=papers.OFFICIAL, expected=False))
    assert (await judged(papers.signed_pdf(papers.OFFICIAL), anchors)).state == "valid"


async def test_a_signature_revoked_after_its_timestamp_still_holds(tmp_path: Path) -> None:
    anchors = paper_signatures.Anchors.load(papers.trust(tmp_path, revoked=papers.OFFICIAL))
    verdict = await judged(papers.signed_pdf(papers.OFFICIAL, stamped=True), anchors)
    assert verdict.state == "valid"


# ---------------------------------------------------------------------------------------------------------- XML


async def test_signed_xml_holds(anchors: Any) -> None:
    verdict = await judged(papers.signed_xml(papers.AGENCY_STAMP), anchors)
    assert (verdict.state, verdict.kind) == ("valid", "xml")
    assert [it.organisation for it in verdict.signers] == [papers.AGENCY]


async def test_a_part_beside_which_there_are_only_signatures_is_the_whole(anchors: Any) -> None:
    signed = papers.signed_xml(papers.AGENCY_STAMP, papers.ENVELOPE, uri="du-lieu", into="CoQuan")
    assert (await judged(signed, anchors)).state == "valid"


async def test_xml_without_signature_is_unsigned(anchors: Any) -> None:
    assert (await judged(papers.RECORD.encode(), anchors)).state == "unsigned"


def part(text: str) -> bytes:
    return papers.signed_xml(papers.AGENCY_STAMP, text, uri="du-lieu", into="CoQuan")


ALTERED_XML = {
    "changed text": lambda: papers.signed_xml(papers.OFFICIAL).replace(b"0001", b"9999", 1),
    "wrapped in another record": lambda: papers.wrapped_xml(
        papers.signed_xml(papers.OFFICIAL, uri="ket-qua"),
    ),
    "something beside the signed part": lambda: part(
        papers.ENVELOPE.replace("<ChuKy>", "<GhiChu>cấp cho người khác</GhiChu><ChuKy>")
    ),
    "an attribute outside the signed part": lambda: part(
        papers.ENVELOPE.replace("<HoSo>", '<HoSo TrangThai="huy">')
    ),
    "the same name twice": lambda: part(papers.ENVELOPE).replace(
        b"</HoSo>", b'<DuLieu Id="du-lieu"><So>9999/KQ</So></DuLieu></HoSo>'
    ),
    "a certificate put in place of the signer's": lambda: papers.signed_xml(papers.FOREIGN).replace(
        b"\n".join(papers.FOREIGN.pem.splitlines()[1:-1]), papers.base64_of(papers.OFFICIAL).encode()
    ),
}


@pytest.mark.parametrize("made", ALTERED_XML.values(), ids=ALTERED_XML.keys())
async def test_xml_that_the_signature_does_not_speak_for_is_altered(made: Any, anchors: Any) -> None:
    assert (await judged(made(), anchors)).state == "altered"


async def test_comments_inside_the_signed_text_change_nothing(anchors: Any) -> None:
    commented = papers.signed_xml(papers.OFFICIAL).replace(b"0001/KQ", b"0001<!-- x -->/KQ", 1)
    assert (await judged(commented, anchors)).state == "valid"


@pytest.mark.parametrize(("by", "state"), [("FOREIGN", "untrusted"), ("ENDED", "expired_or_revoked")])
async def test_xml_by_the_wrong_signer_is_refused(by: str, state: str, anchors: Any) -> None:
    assert (await judged(papers.signed_xml(getattr(papers, by)), anchors)).state == state


async def test_a_transform_that_picks_what_is_signed_is_refused(anchors: Any) -> None:
    enveloped = b"http://www.w3.org/2000/09/xmldsig#enveloped-signature"
    picking = papers.signed_xml(papers.OFFICIAL).replace(
        enveloped, b"http://www.w3.org/TR/1999/REC-xpath-19991116"
    )
    assert (await judged(picking, anchors)).state == "unreadable"


async def test_old_digests_convince_nobody(anchors: Any) -> None:
    modern, old = b"http://www.w3.org/2001/04/xmlenc#sha256", b"http://www.w3.org/2000/09/xmldsig#sha1"
    verdict = await judged(papers.signed_xml(papers.OFFICIAL).replace(modern, old), anchors)
    assert verdict.state == "untrusted"


# ------------------------------------------------------------------------------------------------------ hostile


DTD = b'<!DOCTYPE KetQua [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
HOSTILE = {
    "nothing": b"",
    "an image": b"\xff\xd8\xff\xe0",
    "a pdf cut short": papers.plain_pdf()[:200],
    "a pdf of noise": b"%PDF-1.7\n" + bytes(range(256)) * 50,
    "xml with a DTD": DTD + papers.RECORD.encode(),
    "xml that does not end": b"<KetQua><So>",
    "xml a hundred thousand levels deep": b"<a>" * 100_000 + b"</a>" * 100_000,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_cannot_be_read_is_a_verdict_not_an_error(content: bytes, anchors: Any) -> None:
    assert (await judged(content, anchors)).state == "unreadable"


async def test_a_pdf_that_unpacks_without_end_is_given_up(anchors: Any) -> None:
    assert (await judged(papers.bomb_pdf(), anchors)).state == "unreadable"


async def test_several_papers_are_judged_at_once(anchors: Any) -> None:
    many = [papers.signed_xml(papers.OFFICIAL), papers.plain_pdf(), b"nothing"]
    found = await asyncio.gather(*(judged(it, anchors) for it in many))
    assert [it.state for it in found] == ["valid", "unsigned", "unreadable"]


@pytest.mark.parametrize("name", ["authority.cer", "authority.crl"])
def test_a_trust_anchor_that_cannot_be_read_stops_the_start_and_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("not a certificate")
    with pytest.raises(errors.Misconfigured, match=name):
        paper_signatures.Anchors.load(tmp_path)


def test_a_trust_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured):
        paper_signatures.Anchors.load(tmp_path / "absent")
