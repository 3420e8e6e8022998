"""`dvcqg_store`: the electronic data store of citizens, search and fetch (contracts §3.6).

The contract names no paths: a request is told by what stands in it, under any path.
"""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import orjson

from lienthong.sandbox import certificates, imitation, signed_papers
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.wire import Reply

SYSTEM = "dvcqg_store"
AGENCY = "H38.15"
_SEARCH = ("SoDinhDanhChuSoHuu", "HoTenNguoiYeuCau", "KenhThucHien", "SoDinhDanhNguoiYeuCau", "MaThuTuc",
           "DanhSachDanhMucKetQua")  # fmt: skip
# Who has which papers: owner, code of the result, title, number, file.
PAPERS = (
    ("001099000001", "KQ.G15.000031", "Giấy khai sinh (giả lập)", "0001/KQ", "ket-qua-valid.pdf"),
    ("001099000001", "KQ.G15.000032", "Trích lục (giả lập)", "0001/KQ", "ket-qua-valid.xml"),
    ("001099000001", "KQ.G15.000033", "Bản quét chưa ký (giả lập)", "0002/KQ", "ket-qua-unsigned.pdf"),
    ("001099000002", "KQ.G15.000031", "Giấy khai sinh bị sửa sau khi ký", "0003/KQ", "ket-qua-altered.pdf"),
    ("001099000002", "KQ.G15.000032", "Trích lục bị sửa sau khi ký", "0003/KQ", "ket-qua-altered.xml"),
    ("001099000002", "KQ.G15.000034", "Thay nội dung bằng bản cập nhật", "0004/KQ", "ket-qua-appended.pdf"),
    ("001099000002", "KQ.G15.000035", "Chữ ký bị bọc trong giấy tờ khác", "0004/KQ", "ket-qua-wrapped.xml"),
    ("001099000005", "KQ.G15.000031", "Giấy tờ do bên lạ ký", "0005/KQ", "ket-qua-untrusted.pdf"),
    ("001099000005", "KQ.G15.000032", "Trích lục do bên lạ ký", "0005/KQ", "ket-qua-untrusted.xml"),
    ("001099000006", "KQ.G15.000031", "Chứng thư đã hết hạn", "0006/KQ", "ket-qua-expired.pdf"),
    ("001099000006", "KQ.G15.000032", "Chứng thư đã hết hạn", "0006/KQ", "ket-qua-expired.xml"),
    ("001099000006", "KQ.G15.000033", "Bản ghi chưa ký", "0006/KQ", "ket-qua-unsigned.xml"),
)  # fmt: skip


class WrongRequest(ValueError):
    """A request that the store refuses."""


class DvcqgStore:
    """The imitated store."""

    roots: frozenset[str] = frozenset({"kho"})

    def __init__(self) -> None:
        """Start without files: they are made when the first request comes."""
        self._making = asyncio.Lock()
        self._is_made = False

    async def prepare(self) -> None:
        """Make the signed files, once."""
        if self._is_made:
            return
        async with self._making:
            await asyncio.to_thread(signed_papers.files)
            self._is_made = True

    def forget(self) -> None:
        """Papers stay."""

    def service_of(self, request: Request) -> str:
        """Tell a search from a fetch by what stands in it."""
        body = request.json()
        if not isinstance(body, dict):
            return "?"
        return "search" if "SoDinhDanhChuSoHuu" in body else "fetch" if "DuongDan" in body else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call; a refusal is an errorCode in HTTP 200."""
        body = request.json()
        try:
            if request.method != "POST" or not isinstance(body, dict):
                raise WrongRequest("a JSON object is to be posted")
            if request.service == "search":
                return self._search(request, body)
            if request.service == "fetch":
                return self._fetch(request, body)
            raise WrongRequest("SoDinhDanhChuSoHuu or DuongDan: required")
        except WrongRequest as wrong:
            return Reply(_answer(-5, str(wrong), None), outcome="refused", shown=str(wrong).encode())

    def _search(self, request: Request, body: dict[str, Any]) -> Reply:
        _check_search(body)
        owner, wanted = body["SoDinhDanhChuSoHuu"], body["DanhSachDanhMucKetQua"]
        request.about |= {
            "owner": imitation.end_of(owner), "asked_by": imitation.end_of(body["SoDinhDanhNguoiYeuCau"]),
            "procedure": body["MaThuTuc"], "channel": str(body["KenhThucHien"]),
        }  # fmt: skip
        found = [
            {
                "MaKetQua": code, "TenGiayTo": title, "SoKyHieu": number, "CoQuanChuQuan": AGENCY,
                "DanhSachTepDinhKem": [{"TenTep": name, "DuongDan": f"kho/2026/{AGENCY}/{place:04d}/{name}"}],
            }
            for place, (holder, code, title, number, name) in enumerate(PAPERS)
            if holder == owner and any(_is_wanted(one, code, number) for one in wanted)
        ]  # fmt: skip
        return Reply(_answer(0, "", {"DanhSachGiayToKetQua": found}))

    def _fetch(self, request: Request, body: dict[str, Any]) -> Reply:
        agency, path = body.get("CoQuanChuQuan"), body.get("DuongDan")
        if not isinstance(agency, str) or not isinstance(path, str) or set(body) - {"CoQuanChuQuan", "DuongDan"}:
            raise WrongRequest("CoQuanChuQuan, DuongDan: two texts")
        request.about["path"] = path[:200]
        known = {f"kho/2026/{AGENCY}/{place:04d}/{row[-1]}": row[-1] for place, row in enumerate(PAPERS)}
        if agency != AGENCY or path not in known:
            return Reply(_answer(-6, "Không tìm thấy tệp", None), outcome="refused")
        content = signed_papers.files()[known[path]].content
        if "huge_answer" in request.chosen:
            content = content.ljust(int(request.chosen["huge_answer"]["bytes"]) * 3 // 4, b"\n")
        if "not_base64" in request.chosen:
            return Reply(_answer(0, "", "<html>không phải base64</html>"))
        return Reply(_answer(0, "", base64.b64encode(content).decode()))


def _check_search(body: dict[str, Any]) -> None:
    missing = [name for name in _SEARCH if not body.get(name)]
    if missing:
        raise WrongRequest(f"{', '.join(missing)}: required")
    if set(body) - set(_SEARCH):
        raise WrongRequest("a field that the store does not know")
    for name in ("SoDinhDanhChuSoHuu", "SoDinhDanhNguoiYeuCau"):
        if not isinstance(body[name], str) or not re.fullmatch(r"[0-9]{9,13}", body[name]):
            raise WrongRequest(f"{name}: digits")
    if str(body["KenhThucHien"]) not in ("1", "2"):
        raise WrongRequest("KenhThucHien: 1 or 2")
    if not isinstance(body["MaThuTuc"], str) or not isinstance(body["HoTenNguoiYeuCau"], str):
        raise WrongRequest("MaThuTuc, HoTenNguoiYeuCau: texts")
    wanted = body["DanhSachDanhMucKetQua"]
    if not isinstance(wanted, list) or not all(isinstance(one, dict) and one.get("MaKetQua") for one in wanted):
        raise WrongRequest("DanhSachDanhMucKetQua: a list of {MaKetQua, SoKyHieu}")


def _is_wanted(one: dict[str, Any], code: str, number: str) -> bool:
    return one["MaKetQua"] == code and one.get("SoKyHieu") in (None, "", number)


def _answer(code: int, message: str, result: Any) -> bytes:
    # The contract shows a `signature` beside the result and does not say of what: it is left empty.
    return orjson.dumps({"errorCode": code, "message": message, "signature": "", "result": result})


def authority_pem() -> bytes:
    """Return the certificate of the authority that signs the papers."""
    return certificates.pem(certificates.trust().authority)
