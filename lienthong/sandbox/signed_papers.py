"""Files of invented results, with real digital signatures good and bad, made at the first use.

A careless reader of signatures takes the bad ones for good: altered after signing, signed by a stranger, with a
certificate that had expired, not signed at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from lienthong.sandbox import certificates
from lienthong.sandbox.certificates import Signer

KINDS = ("valid", "unsigned", "altered", "untrusted", "expired")
_NAMESPACE = "urn:sandbox:ket-qua"


@dataclass(frozen=True, slots=True)
class PaperFile:
    """One file of a paper; `kind` says what is right or wrong with its signature."""

    name: str
    kind: str
    content: bytes


@cache
def files() -> dict[str, PaperFile]:
    """Make every file, by its name; takes a few seconds, once in a process."""
    # In a thread of its own: what signs a PDF wants an event loop, and the caller may have one running.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_made).result()


def _made() -> dict[str, PaperFile]:
    made = [PaperFile(f"ket-qua-{kind}.pdf", kind, _pdf(kind)) for kind in KINDS]
    made += [PaperFile(f"ket-qua-{kind}.xml", kind, _xml(kind)) for kind in KINDS]
    made.append(PaperFile("ket-qua-appended.pdf", "altered", _appended(_pdf("valid"))))
    made.append(PaperFile("ket-qua-wrapped.xml", "altered", _wrapped(_xml("valid"))))
    return {one.name: one for one in made}


def _signer(kind: str) -> Signer:
    trust = certificates.trust()
    return {"untrusted": trust.stranger, "expired": trust.expired}.get(kind, trust.good)


def plain_pdf(lines: Iterable[str]) -> bytes:
    """Write a small PDF of one page; ASCII only, since it carries no font."""
    shown = "".join(f"({line}) Tj 0 -20 Td " for line in lines)
    stream = f"BT /F1 12 Tf 72 760 Td {shown}ET".encode("ascii")
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(out)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"xref\n0 6\n0000000000 65535 f \n" + rows
    out += b"trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % table
    return bytes(out)


def _pdf(kind: str) -> bytes:
    plain = plain_pdf(("GIAY TO KET QUA (GIA LAP)", "So: 0001/KQ", "UBND xa Thu Nghiem"))
    if kind == "unsigned":
        return plain
    signed = _signed_pdf(plain, _signer(kind))
    return signed.replace(b"So: 0001/KQ", b"So: 9991/KQ", 1) if kind == "altered" else signed


def _signed_pdf(plain: bytes, signer: Signer) -> bytes:
    # Slow to import, and needed by few.
    from asn1crypto import keys, x509
    from cryptography.hazmat.primitives import serialization
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import signers
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    der, plainly = serialization.Encoding.DER, serialization.NoEncryption()
    key = signer.key.private_bytes(der, serialization.PrivateFormat.PKCS8, plainly)
    certificate, authority = (
        x509.Certificate.load(one.public_bytes(der)) for one in (signer.certificate, signer.authority)
    )
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]  # the library has no types here
    store.register(authority)
    simple = signers.SimpleSigner(
        signing_cert=certificate, signing_key=keys.PrivateKeyInfo.load(key), cert_registry=store
    )
    meta = signers.PdfSignatureMetadata(field_name="ChuKy", reason="Ket qua giai quyet TTHC (gia lap)")
    out = signers.sign_pdf(IncrementalPdfFileWriter(BytesIO(plain)), meta, signer=simple)
    return bytes(out.getvalue())


def _appended(signed: bytes) -> bytes:
    """Replace the content of a signed page by an update after the signature; what was signed stays as it was."""
    from pyhanko.pdf_utils.generic import StreamObject
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(BytesIO(signed))
    page = writer.root["/Pages"]["/Kids"][0]
    text = b"BT /F1 12 Tf 72 760 Td (NOI DUNG KHAC) Tj ET"
    page["/Contents"] = writer.add_object(StreamObject(stream_data=text))
    writer.update_container(page)
    out = BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]  # as above
    return out.getvalue()


def _record(number: str) -> str:
    return (
        f'<KetQua xmlns="{_NAMESPACE}" Id="ket-qua"><So>{number}</So><CoQuan>UBND xã Thử Nghiệm</CoQuan>'
        "<NoiDung>Giấy tờ kết quả giả lập</NoiDung></KetQua>"
    )


def _xml(kind: str) -> bytes:
    text = _record("0001/KQ")
    if kind == "unsigned":
        return f"<?xml version='1.0' encoding='UTF-8'?>\n{text}".encode()
    signed = _signed_xml(text.encode(), _signer(kind))
    return signed.replace(b"0001/KQ", b"9991/KQ", 1) if kind == "altered" else signed


def _signed_xml(text: bytes, signer: Signer) -> bytes:
    from lxml import etree
    from signxml.algorithms import SignatureConstructionMethod
    from signxml.signer import XMLSigner

    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    root = etree.fromstring(text, parser)
    chain = [one.decode() for one in signer.chain_pem()]
    maker = XMLSigner(method=SignatureConstructionMethod.enveloped)
    signed = maker.sign(root, key=signer.key_pem(), cert=chain, reference_uri="ket-qua", id_attribute="Id")
    return bytes(etree.tostring(signed, xml_declaration=True, encoding="UTF-8"))


def _wrapped(signed: bytes) -> bytes:
    """Put the signed record inside another one: the signature still holds, of what nobody reads."""
    start = signed.index(b"<KetQua")
    fresh = _record("9991/KQ").replace('Id="ket-qua"', 'Id="khac"').encode()
    return signed[:start] + fresh.replace(b"</KetQua>", b"<Goc>" + signed[start:] + b"</Goc></KetQua>")
