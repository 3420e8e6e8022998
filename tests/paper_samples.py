"""Papers signed well and badly, with certificates made for the test: an authority, an agency, a stranger."""

from __future__ import annotations

import base64
import concurrent.futures
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lxml import etree
from pyhanko.pdf_utils.generic import StreamObject, pdf_name, pdf_string
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers, timestamps
from pyhanko_certvalidator.registry import SimpleCertificateStore
from signxml.algorithms import SignatureConstructionMethod
from signxml.signer import XMLSigner

NOW = datetime(2026, 1, 15, 2, 30, tzinfo=UTC)
AGENCY = "UBND phường Mẫu"
_KEYS: dict[str, rsa.RSAPrivateKey] = {}


def _key(name: str) -> rsa.RSAPrivateKey:
    return _KEYS.setdefault(name, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _name(organisation: str, person: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COUNTRY_NAME, "VN")]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    parts.append(x509.NameAttribute(NameOID.COMMON_NAME, person or organisation))
    return x509.Name(parts)


@dataclass
class Holder:
    """Somebody with a key and a certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    issuer: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def as_signer(self) -> signers.SimpleSigner:
        raw = self.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        store = SimpleCertificateStore()
        store.register(asn1_x509.Certificate.load(self.issuer.public_bytes(serialization.Encoding.DER)))
        return signers.SimpleSigner(
            signing_cert=asn1_x509.Certificate.load(self.der),
            signing_key=asn1_keys.PrivateKeyInfo.load(raw),
            cert_registry=store,
        )


def holder(
    name: str,
    *,
    organisation: str = "",
    person: str = "",
    by: Holder | None = None,
    begins: datetime = NOW - timedelta(days=300),
    ends: datetime = NOW + timedelta(days=300),
    usage: tuple[bool, bool] = (True, True),
    for_timestamps: bool = False,
) -> Holder:
    """Make somebody; without `by` an authority that vouches for itself."""
    key, subject = _key(name), _name(organisation, person)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(by.certificate.subject if by else subject)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    signing, binding = usage if by is not None else (False, False)
    bits = (
        signing,
        binding,
        by is not None and not any(usage),
        False,
        False,
        by is None,
        by is None,
        False,
        False,
    )
    builder = builder.add_extension(x509.KeyUsage(*bits), critical=True)
    if for_timestamps:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(purpose, critical=True)
    certificate = builder.sign(by.key if by else key, hashes.SHA256())
    return Holder(key, certificate, by.certificate if by else certificate)


AUTHORITY = holder("authority", organisation="Cơ quan chứng thực Mẫu", begins=NOW - timedelta(days=3000))
STRANGER = holder("stranger", organisation="Cơ quan chứng thực Lạ", begins=NOW - timedelta(days=3000))
AGENCY_STAMP = holder("agency", organisation=AGENCY, by=AUTHORITY)
OFFICIAL = holder("official", organisation=AGENCY, person="Trần Văn Ví Dụ", by=AUTHORITY)
ENDED = holder("ended", organisation=AGENCY, by=AUTHORITY, ends=NOW - timedelta(days=1))
FOREIGN = holder("foreign", organisation=AGENCY, by=STRANGER)
ENCIPHERING = holder("enciphering", organisation=AGENCY, by=AUTHORITY, usage=(False, False))
CLOCK = holder("clock", organisation="Dấu thời gian Mẫu", by=AUTHORITY, for_timestamps=True)


def trust(folder: Path, *, revoked: Holder | None = None, expected: bool = True) -> Path:
    """Write a folder of trust anchors; `revoked` goes onto a list of the authority."""
    (folder / "authority.pem").write_bytes(AUTHORITY.pem)
    (folder / "README.txt").write_text("not a certificate")
    if revoked is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(revoked.certificate.serial_number)
        entry = entry.revocation_date(NOW - timedelta(days=2))
        maker = x509.CertificateRevocationListBuilder().issuer_name(AUTHORITY.certificate.subject)
        # Overdue on purpose: what it names stays revoked.
        maker = maker.last_update(NOW - timedelta(days=2)).next_update(NOW - timedelta(days=1))
        signed = maker.add_revoked_certificate(entry.build()).sign(
            AUTHORITY.key if expected else STRANGER.key, hashes.SHA256()
        )
        (folder / "authority.crl").write_bytes(signed.public_bytes(serialization.Encoding.DER))
    return folder


# ---------------------------------------------------------------------------------------------------------- PDF


def plain_pdf(text: str = "So: 0001/KQ") -> bytes:
    """A PDF of one page."""
    stream = f"BT /F1 12 Tf 72 760 Td ({text}) Tj ET".encode()
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
    )
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % table
    return bytes(out)


def signed_pdf(by: Holder, pdf: bytes = b"", *, field: str = "Dau", stamped: bool = False, **meta: Any) -> bytes:
    """Sign a PDF, once more where it is signed already; `stamped` adds a trusted timestamp."""
    stamper = None
    if stamped:
        clock = CLOCK.as_signer()
        stamper = timestamps.DummyTimeStamper(
            tsa_cert=clock.signing_cert,
            tsa_key=clock.signing_key,
            fixed_dt=NOW - timedelta(days=10),
            certs_to_embed=clock.cert_registry,
        )
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf or plain_pdf()))
    wanted = signers.PdfSignatureMetadata(field_name=field, md_algorithm="sha256", **meta)
    # In a thread of its own: the library runs a loop, and tests have one running already.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        work = thread.submit(signers.sign_pdf, writer, wanted, signer=by.as_signer(), timestamper=stamper)
        return bytes(work.result().getvalue())


def appended_pdf(signed: bytes) -> bytes:
    """Show another page content by an update after the signature."""
    writer = IncrementalPdfFileWriter(io.BytesIO(signed))
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Contents"] = writer.add_object(StreamObject(stream_data=b"BT (KHAC) Tj ET"))
    writer.update_container(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def filled_pdf(by: Holder) -> bytes:
    """Sign a form, and fill in a field of it afterwards."""
    writer = IncrementalPdfFileWriter(io.BytesIO(plain_pdf()))
    fields.append_signature_field(writer, fields.SigFieldSpec("Dau"))
    from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject

    box = DictionaryObject(
        {
            pdf_name("/FT"): pdf_name("/Tx"),
            pdf_name("/T"): pdf_string("GhiChu"),
            pdf_name("/V"): pdf_string("truoc"),
            pdf_name("/Type"): pdf_name("/Annot"),
            pdf_name("/Subtype"): pdf_name("/Widget"),
            pdf_name("/Rect"): ArrayObject([]),
        }
    )
    reference = writer.add_object(box)
    writer.root["/AcroForm"]["/Fields"].append(reference)
    writer.update_container(writer.root["/AcroForm"]["/Fields"])
    out = io.BytesIO()
    writer.write(out)
    signed = signed_pdf(by, out.getvalue())
    again = IncrementalPdfFileWriter(io.BytesIO(signed))
    for entry in again.root["/AcroForm"]["/Fields"]:
        if entry.get_object().get("/T") == "GhiChu":
            entry.get_object()["/V"] = pdf_string("sau khi ky")
            again.update_container(entry.get_object())
    out = io.BytesIO()
    again.write(out)
    return out.getvalue()


# ---------------------------------------------------------------------------------------------------------- XML

RECORD = '<KetQua xmlns="urn:mau" Id="ket-qua"><So>0001/KQ</So><NoiDung>Cấp lần đầu</NoiDung></KetQua>'
ENVELOPE = '<HoSo><DuLieu Id="du-lieu"><So>0001/KQ</So></DuLieu><ChuKy><CoQuan/></ChuKy></HoSo>'


def signed_xml(by: Holder, text: str = RECORD, *, uri: str | None = None, into: str = "") -> bytes:
    """Sign XML: the whole (`uri` None) or one part, the signature put `into` an element."""
    root = etree.fromstring(text.encode())
    if into:
        place = root.find(f".//{into}")
        assert place is not None
        etree.SubElement(place, "{http://www.w3.org/2000/09/xmldsig#}Signature", Id="placeholder")
    private = by.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = [it.public_bytes(serialization.Encoding.PEM).decode() for it in (by.certificate, by.issuer)]
    maker = XMLSigner(method=SignatureConstructionMethod.enveloped)
    signed = maker.sign(root, key=private, cert=chain, reference_uri=uri, id_attribute="Id" if uri else None)
    return bytes(etree.tostring(signed, xml_declaration=True, encoding="UTF-8"))


def wrapped_xml(signed: bytes) -> bytes:
    """Carry a signed record about inside another one."""
    start = signed.index(b"<KetQua")
    fresh = RECORD.replace("0001", "9999").replace('Id="ket-qua"', 'Id="khac"').encode()
    return signed[:start] + fresh.replace(b"</KetQua>", b"<Goc>" + signed[start:] + b"</Goc></KetQua>")


def bomb_pdf() -> bytes:
    """A PDF whose table of objects unpacks to far more than it is."""
    import zlib

    # After a full flush the same bytes may come again and again: three thousand packed by packing two.
    packer, much, times = zlib.compressobj(9), bytes(1_000_000), 3_000
    first, again = (packer.compress(much) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    checksum = (times * len(much) % 65_521) << 16 | 1
    packed = first + again * (times - 1) + packer.flush()[:-4] + checksum.to_bytes(4)
    head = b"%PDF-1.7\n"
    entries = b"/Type/XRef/W[1 4 2]/Size 400000000/Root 1 0 R/Filter/FlateDecode"
    body = b"1 0 obj\n<<%s/Length %d>>stream\n%s\nendstream\nendobj\n" % (entries, len(packed), packed)
    return head + body + b"startxref\n%d\n%%%%EOF\n" % len(head)


def base64_of(holder: Holder) -> str:
    """A certificate as it stands in XML."""
    return base64.b64encode(holder.der).decode()
