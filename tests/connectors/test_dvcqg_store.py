"""The electronic data store: papers are found and fetched, and nothing of it is taken at its word."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from conformance import SECRET, ConnectorPromises
from imitation_stage import ERRAND, Stage, shown

from lienthong.core import errors, paper_signatures, people
from lienthong.sandbox import app as sandbox_app
from lienthong.sandbox import certificates

OWNER, OFFICIAL = "001099000001", "001099000201"
WANTED = (people.StoredPaperWanted(code="KQ.G15.000031"), people.StoredPaperWanted(code="X", number="0001/KQ"))
PAPER = {
    "MaKetQua": "KQ.G15.000031", "TenGiayTo": "Giấy khai sinh", "SoKyHieu": "0001/KQ", "CoQuanChuQuan": "H38.15",
    "DanhSachTepDinhKem": [{"TenTep": "ket-qua.pdf", "DuongDan": "kho/2026/ket-qua.pdf"}],
}  # fmt: skip


def envelope(result: Any, code: Any = 0, message: str = "") -> httpx.Response:
    return httpx.Response(200, json={"errorCode": code, "message": message, "signature": "", "result": result})


def own(request: httpx.Request) -> httpx.Response:
    """The store as the contract page has it."""
    if request.method == "GET":
        return httpx.Response(405, text="POST only")
    body = orjson.loads(request.content)
    if "DuongDan" in body:
        return envelope(base64.b64encode(b"%PDF-1.7 mau").decode())
    return envelope({"DanhSachGiayToKetQua": [PAPER]})


def new_stage(**settings: Any) -> Stage:
    return Stage("dvcqg_store", {"search_path": "/kho", "file_path": "/kho/tep", **settings}, own)


@pytest.fixture
def stage() -> Stage:
    return new_stage()


async def find(stage: Stage, owner: str = OWNER, wanted: Any = WANTED) -> Any:
    return await stage.connector.find_papers(
        owner, wanted, procedure_code="1.001193", asked_by=OFFICIAL, requester_name="Trần Thị Mẫu", errand=ERRAND
    )


async def fetch(stage: Stage, path: str = "kho/2026/ket-qua.pdf") -> bytes:
    content: bytes = await stage.connector.fetch_file("H38.15", path, errand=ERRAND)
    return content


class TestPromises(ConnectorPromises):
    @pytest.fixture
    def stage(self) -> Any:
        return new_stage(authorization=f"Bearer {SECRET}")

    async def ask(self, stage: Any) -> Any:
        return await find(stage)


async def test_a_search_says_all_that_the_store_wants_to_know(stage: Stage) -> None:
    await find(stage)
    assert orjson.loads(stage.wire.requests[0].content) == {
        "SoDinhDanhChuSoHuu": OWNER,
        "HoTenNguoiYeuCau": "Trần Thị Mẫu",
        "KenhThucHien": "1",
        "SoDinhDanhNguoiYeuCau": OFFICIAL,
        "MaThuTuc": "1.001193",
        "DanhSachDanhMucKetQua": [
            {"MaKetQua": "KQ.G15.000031", "SoKyHieu": ""},
            {"MaKetQua": "X", "SoKyHieu": "0001/KQ"},
        ],
    }


async def test_a_found_paper_is_read_with_its_files(stage: Stage) -> None:
    (paper,) = await find(stage)
    assert (paper.code, paper.title, paper.number, paper.agency) == (
        "KQ.G15.000031", "Giấy khai sinh", "0001/KQ", "H38.15",
    )  # fmt: skip
    assert [(it.name, it.path) for it in paper.files] == [("ket-qua.pdf", "kho/2026/ket-qua.pdf")]


@pytest.mark.parametrize("result", [None, {"DanhSachGiayToKetQua": None}, {"DanhSachGiayToKetQua": []}, {}])
async def test_nothing_found_is_an_empty_list(result: Any, stage: Stage) -> None:
    stage.answer_all(lambda: envelope(result))
    assert await find(stage) == ()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\a.pdf", "a.pdf"),
        ("ket\u202efdp.exe", "ketfdp.exe"),
        ("a\x00b.pdf", "ab.pdf"),
        ("..", "tep-dinh-kem"),
    ],
)
async def test_the_name_of_a_file_is_never_a_path(given: str, kept: str, stage: Stage) -> None:
    files = [{"TenTep": given, "DuongDan": "kho/1"}]
    stage.answer_all(lambda: envelope({"DanhSachGiayToKetQua": [{**PAPER, "DanhSachTepDinhKem": files}]}))
    (paper,) = await find(stage)
    assert paper.files[0].name == kept


async def test_a_refusal_is_named_by_its_code_and_its_sentence_is_dropped(stage: Stage) -> None:
    said = f"Công dân {OWNER} NGUYỄN VĂN AN không tồn tại"
    stage.answer_all(lambda: envelope(None, code="-5", message=said))
    with pytest.raises(errors.RemoteRefused) as raised:
        await find(stage)
    assert raised.value.remote_code == "-5"
    told = shown(stage, raised.value)
    assert OWNER not in told
    assert "NGUYỄN" not in told


async def test_nobody_s_number_stands_in_an_address_or_the_journal(stage: Stage) -> None:
    await find(stage)
    await fetch(stage)
    addresses = "".join(str(it.url) for it in stage.wire.requests)
    assert OWNER not in addresses + shown(stage)
    assert OFFICIAL not in addresses + shown(stage)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: envelope(base64.b64encode(b"%PDF-1.7 mau").decode()),
        lambda: httpx.Response(200, text=base64.b64encode(b"%PDF-1.7 mau").decode()),
        lambda: httpx.Response(200, json=base64.b64encode(b"%PDF-1.7 mau").decode()),
    ],
    ids=["in the envelope", "bare", "as JSON text"],
)
async def test_a_file_comes_as_base64(answer: Any, stage: Stage) -> None:
    stage.answer_all(answer)
    assert await fetch(stage) == b"%PDF-1.7 mau"


@pytest.mark.parametrize("result", [None, "", "<html>", "không phải base64", {}, 17, "QQ="])
async def test_what_is_no_file_is_garbled(result: Any, stage: Stage) -> None:
    stage.answer_all(lambda: envelope(result))
    with pytest.raises(errors.RemoteGarbled):
        await fetch(stage)


async def test_a_file_larger_than_is_fetched_is_given_up(stage: Stage) -> None:
    stage.answer_all(lambda: envelope(base64.b64encode(bytes(2000)).decode()))
    stage.connector = stage.open(max_file_bytes=1000)
    with pytest.raises(errors.RemoteGarbled):
        await fetch(stage)


async def test_a_path_goes_back_to_the_store_as_it_came(stage: Stage) -> None:
    await fetch(stage, "../../kho\\lạ?&%00")
    assert stage.wire.requests[0].url.path == "/kho/tep"
    assert orjson.loads(stage.wire.requests[0].content) == {
        "CoQuanChuQuan": "H38.15",
        "DuongDan": "../../kho\\lạ?&%00",
    }


async def test_the_sandbox_s_papers_are_found_fetched_and_judged(tmp_path: Path) -> None:
    stage = new_stage(base_url="http://sandbox/dvcqg_store")
    stage.connector = stage.open(httpx.ASGITransport(app=sandbox_app.create_app()))
    (tmp_path / "authority.pem").write_bytes(certificates.pem(certificates.trust().authority))
    anchors = paper_signatures.Anchors.load(tmp_path)
    expected = {"valid": "valid", "unsigned": "unsigned", "altered": "altered", "appended": "altered",
                "wrapped": "altered", "untrusted": "untrusted", "expired": "expired_or_revoked"}  # fmt: skip
    seen = 0
    for owner in ("001099000001", "001099000002", "001099000005", "001099000006"):
        wanted = [people.StoredPaperWanted(code=f"KQ.G15.00003{place}") for place in range(1, 6)]
        for paper in await find(stage, owner, wanted):
            (file,) = paper.files
            content = await stage.connector.fetch_file(paper.agency, file.path, errand=ERRAND)
            verdict = await paper_signatures.check(content, anchors=anchors, now=datetime.now(UTC))
            kind = file.name.removeprefix("ket-qua-").partition(".")[0]
            assert (file.name, verdict.state) == (file.name, expected[kind])
            seen += 1
    assert seen == 12
