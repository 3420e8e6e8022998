"""The imitated document store finds papers and gives files whose signatures are good and bad."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from signxml.exceptions import InvalidCertificate, InvalidDigest, InvalidInput
from signxml.verifier import XMLVerifier

from lienthong.sandbox import signed_papers

KHO = "/dvcqg_store/kho"


def search(**changes: object) -> dict[str, object]:
    wanted = {
        "SoDinhDanhChuSoHuu": "001099000001", "HoTenNguoiYeuCau": "TRẦN THỊ TIẾP NHẬN", "KenhThucHien": "1",
        "SoDinhDanhNguoiYeuCau": "001099000201", "MaThuTuc": "1.001193",
        "DanhSachDanhMucKetQua": [{"MaKetQua": "KQ.G15.000031", "SoKyHieu": ""}],
    }  # fmt: skip
    return wanted | changes


async def post(caller, body: object) -> dict[str, object]:
    return (await caller.client.post(KHO, json=body)).json()


async def test_a_paper_is_found_and_fetched(caller):
    found = await post(caller, search())
    assert (found["errorCode"], found["message"]) == (0, "")
    (paper,) = found["result"]["DanhSachGiayToKetQua"]
    (file,) = paper["DanhSachTepDinhKem"]
    fetched = await post(caller, {"CoQuanChuQuan": paper["CoQuanChuQuan"], "DuongDan": file["DuongDan"]})
    assert base64.b64decode(fetched["result"]).startswith(b"%PDF-1.7")


async def test_only_what_was_asked_for_is_found(caller):
    async def found(**changes: object) -> int:
        return len((await post(caller, search(**changes)))["result"]["DanhSachGiayToKetQua"])

    assert await found(SoDinhDanhChuSoHuu="001099000077") == 0
    assert await found(DanhSachDanhMucKetQua=[{"MaKetQua": "KQ.G15.000031", "SoKyHieu": "khác"}]) == 0
    both = [{"MaKetQua": "KQ.G15.000031"}, {"MaKetQua": "KQ.G15.000032", "SoKyHieu": "0001/KQ"}]
    assert await found(DanhSachDanhMucKetQua=both) == 2


@pytest.mark.parametrize("body", [
    search(SoDinhDanhChuSoHuu=""), search(KenhThucHien="3"), search(Khac="x"), search(DanhSachDanhMucKetQua="x"),
    search(SoDinhDanhNguoiYeuCau="abc"), search(MaThuTuc=1), {"DuongDan": 1}, {"DuongDan": "x"}, {}, [], "x",
    {"CoQuanChuQuan": "H38.15", "DuongDan": "../../secret"},
])  # fmt: skip
async def test_a_wrong_request_gets_an_error_code(caller, body: object):
    answer = await post(caller, body)
    assert answer["errorCode"] != 0
    assert answer["result"] is None


async def test_the_ledger_holds_the_ends_of_numbers_only(caller):
    await post(caller, search())
    text = (await caller.client.get("/_sandbox/received")).text
    assert "001099000001" not in text
    assert "TIẾP NHẬN" not in text
    assert "…201" in text


async def test_a_file_may_be_no_base64_or_huge(caller):
    wanted = {"CoQuanChuQuan": "H38.15", "DuongDan": "kho/2026/H38.15/0000/ket-qua-valid.pdf"}
    await caller.mood("not_base64", count=1)
    with pytest.raises(ValueError):
        base64.b64decode((await post(caller, wanted))["result"], validate=True)
    await caller.mood("huge_answer", bytes=1_000_000, count=1)
    assert len((await post(caller, wanted))["result"]) > 900_000


async def test_every_paper_on_the_list_has_a_file(caller):
    for row in (await caller.look("papers"))["items"]:
        assert row["file"] in signed_papers.files()


@pytest.fixture
async def authority(caller, tmp_path) -> Path:
    """The certificate that is to be trusted, as a file."""
    answer = await caller.client.get("/_sandbox/trust/ca.pem")
    assert "giả lập" in x509.load_pem_x509_certificate(answer.content).subject.rfc4514_string()
    target = tmp_path / "ca.pem"
    target.write_bytes(answer.content)
    return target


@pytest.mark.parametrize(("kind", "problem"), [("unsigned", InvalidInput), ("altered", InvalidDigest),
                                               ("untrusted", InvalidCertificate),
                                               ("expired", InvalidCertificate)])  # fmt: skip
async def test_bad_xml_signatures_are_bad_to_others_too(authority, kind: str, problem: type[Exception]):
    with pytest.raises(problem):
        XMLVerifier().verify(signed_papers.files()[f"ket-qua-{kind}.xml"].content, ca_pem_file=str(authority))


async def test_the_good_xml_signature_holds_and_the_wrapped_one_only_for_what_is_hidden(authority):
    for name in ("ket-qua-valid.xml", "ket-qua-wrapped.xml"):
        content = signed_papers.files()[name].content
        signed = XMLVerifier().verify(content, ca_pem_file=str(authority)).signed_xml
        assert signed.get("Id") == "ket-qua"
        assert (b"9991/KQ" in content) == ("wrapped" in name)


@pytest.mark.parametrize(("name", "holds"), [
    ("valid", True), ("altered", False), ("untrusted", False), ("expired", False), ("appended", False),
])  # fmt: skip
async def test_pdf_signatures_are_judged_alike_by_others(authority, name: str, holds: bool):
    from io import BytesIO

    from asn1crypto import pem
    from asn1crypto import x509 as asn1
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import async_validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    trusted = asn1.Certificate.load(pem.unarmor(authority.read_bytes())[2])
    reader = PdfFileReader(BytesIO(signed_papers.files()[f"ket-qua-{name}.pdf"].content))
    (embedded,) = reader.embedded_signatures
    context = ValidationContext(trust_roots=[trusted], allow_fetching=False)
    assert (await async_validate_pdf_signature(embedded, context)).bottom_line is holds


def test_the_unsigned_pdf_has_no_signature_and_all_names_are_ascii():
    assert b"/Sig" not in signed_papers.files()["ket-qua-unsigned.pdf"].content
    assert all(name.isascii() for name in signed_papers.files())
