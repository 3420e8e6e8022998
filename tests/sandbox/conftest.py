"""Ways to talk to a sandbox: in process, and over a real connection."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lienthong.sandbox import app as sandbox_app

REPOSITORY = Path(__file__).resolve().parents[2]
USER_AGENT = "lienthong-sandbox-tests/1.0"
LIST = "/dvcqg_portal/api/v1/submitting/formality/list-all-public-formality-by-citizen"
DETAIL = "/dvcqg_portal/api/v1/configuring/formality/get-formality-by-citizen"
PROVINCES = "/dvcqg_portal/api/v1/configuring/province-vn/list-by-citizen"

DOSSIER = {
    "MaHoSo": "H38.15-260803-0001", "MaTTHC": "1.001193", "TenTTHC": "Đăng ký khai sinh", "MaLinhVuc": "G15-TP07",
    "TenLinhVuc": "Hộ tịch", "KenhThucHien": "2", "ChuHoSo": "NGUYỄN VĂN AN", "SoGiayToChuHoSo": "001099000001",
    "DinhDanhCHS": [{"LoaiDinhDanh": "1", "SoDinhDanh": "001099000001"}], "LoaiDoiTuong": "1", "MaDoiTuong": "",
    "ThongTinKhac": "", "Email": "", "Fax": "", "SoDienThoai": "0900000000", "TrichYeuHoSo": "Đăng ký khai sinh",
    "NgayNopHoSo": "20260803081500", "NgayTiepNhan": "20260803083000", "NgayHenTra": "20260804170000",
    "TrangThaiHoSo": "2", "NgayTra": "", "HinhThuc": "0", "NgayKetThucXuLy": "", "DonViXuLy": "UBND xã Thử Nghiệm",
    "GhiChu": "", "NoiNopHoSo": "1", "HoSoCoThanhPhanSoHoa": "1", "TaiKhoanDuocXacThucVoiVNeID": "1",
    "DuocThanhToanTrucTuyen": "0", "NgayTuChoi": "", "DSKetNoiCSDL": [{"MaCSDL": "7"}], "TaiLieuNop": [],
    "DanhSachLePhi": [], "DanhSachTepDinhKemKhac": [], "DanhSachHoSoBoSung": [], "DanhSachGiayToKetQua": [],
}  # fmt: skip
STEP = {
    "MaHoSo": "H38.15-260803-0001", "NguoiXuLy": "Trần Thị Bình", "ChucDanh": "Chuyên viên",
    "ThoiDiemXuLy": "20260803093000", "PhongBanXuLy": "Bộ phận Một cửa", "NoiDungXuLy": "Tiếp nhận hồ sơ",
    "TrangThai": "2", "NgayBatDau": "", "NgayKetThucTheoQuyDinh": "",
}  # fmt: skip


class Caller:
    """Speaks both protocols to one sandbox."""

    dossier = DOSSIER
    step = STEP

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.session = ""

    async def log_in(self) -> str:
        answer = await self.client.post(
            "/dvcqg_adapter/mapi/login", json={"username": "demo", "password": "demo-password"}
        )
        self.session = answer.json()["session"]
        return self.session

    async def send(self, service: str, **parameters: Any) -> httpx.Response:
        if not self.session:
            await self.log_in()
        body = {"session": self.session, "madonvi": "000.00.00.H38", "service": service, **parameters}
        return await self.client.post("/dvcqg_adapter/mapi/g", json=body)

    async def ask(self, service: str, **parameters: Any) -> dict[str, Any]:
        return (await self.send(service, **parameters)).json()

    async def sync(self, *, updating: bool = False, **changes: Any) -> dict[str, Any]:
        return await self.ask("DongBoHoSoMC", isUpdating=str(updating), data=[DOSSIER | changes])

    async def progress(self, **changes: Any) -> dict[str, Any]:
        return await self.ask("CapNhatTienDoHoSoMC", data=[STEP | changes])

    async def list(self, **body: Any) -> httpx.Response:
        return await self.client.post(LIST, json=body)

    async def detail(self, id: str) -> httpx.Response:
        return await self.client.post(DETAIL, json={"id": id})

    async def provinces(self, **body: Any) -> httpx.Response:
        return await self.client.post(PROVINCES, json=body)

    async def mood(self, name: str, **parameters: Any) -> httpx.Response:
        return await self.client.put("/_sandbox/mood", json={"name": name, **parameters})

    async def look(self, path: str, **query: Any) -> Any:
        return (await self.client.get(f"/_sandbox/{path}", params=query)).json()


def caller_of(**settings: Any) -> Caller:
    transport = httpx.ASGITransport(app=sandbox_app.create_app(sandbox_app.Settings(**settings)))
    headers = {"user-agent": USER_AGENT}
    return Caller(httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers))


C06 = "/population_c06/dancu"
XML_BODY = """<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:dan="http://dancuquocgia.bca"><soapenv:Header/><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>"""


class Population:
    """Asks the imitated population database, by recipe C06-1."""

    answer_tag = "{http://www.mic.gov.vn/dancu/1.0}"

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.client = caller.client
        self.path = C06
        self.numbers = itertools.count(1)

    def headers(self, *, path: str = "", **changes: str | None) -> dict[str, str]:
        stamp = changes.pop("Timestamp", None) or str(int(time.time() * 1000))
        url = str(self.client.base_url).rstrip("/") + (path or self.path)
        digest = hashlib.sha256(f"{url}UBND_DEMO{stamp}C06SECRET".encode()).hexdigest()
        pair = base64.b64encode(f"UBND_DEMO:{digest}".encode()).decode()
        found = {
            "Timestamp": stamp, "Authorization": f"Basic {pair}", "ApiKey": "demo-api-key", "SOAPAction": '""',
            "X-Road-Client": "VN/GOV/000.00.00.H38/lgsp", "Content-Type": "text/xml; charset=utf-8",
        }  # fmt: skip
        return {name: value for name, value in {**found, **changes}.items() if value is not None}

    def fields(self, **changes: str) -> dict[str, str]:
        wanted = {
            "MaYeuCau": f"H38-{next(self.numbers):06d}", "MaDVC": "G15-TP110", "MaTichHop": "037",
            "MaCanBo": "CB000201", "MaDonVi": "H38.15", "TaiKhoan": "cb000201", "SoDienThoai": "0900000201",
            "SoDinhDanh": "001099000001", "HoVaTen": "NGUYỄN VĂN AN", "NgayThangNam": "19990115",
        }  # fmt: skip
        return {name: value for name, value in (wanted | changes).items() if value}

    def envelope(self, operation: str, fields: dict[str, str]) -> bytes:
        def written(name: str, value: str) -> str:
            text = f"<dan:{name}>{value}</dan:{name}>"
            is_birth = name in ("NgayThangNam", "Nam")
            return f"<dan:NgayThangNamSinh>{text}</dan:NgayThangNamSinh>" if is_birth else text

        inside = "".join(written(name, value) for name, value in fields.items())
        return XML_BODY.format(f"<dan:{operation}>{inside}</dan:{operation}>").encode()

    async def post(self, body: bytes, **headers: str | None) -> httpx.Response:
        return await self.client.post(self.path, content=body, headers=self.headers(**headers))

    async def look_up(self, **changes: str) -> httpx.Response:
        return await self.post(self.envelope("TraCuuThongTinCongDan", self.fields(**changes)))

    async def verify(self, **changes: str) -> httpx.Response:
        plain = {"MaTichHop": "003", "MaDonVi": "", "TaiKhoan": "", "SoDienThoai": ""}
        return await self.post(self.envelope("XacThucThongTinCongDan", self.fields(**plain | changes)))


@pytest.fixture
def population(caller: Caller) -> Population:
    """The imitated population database, in process."""
    return Population(caller)


@pytest.fixture
def caller() -> Caller:
    """A sandbox in process, with its own small catalogue."""
    return caller_of()


@pytest.fixture
def caller_with() -> Callable[..., Caller]:
    """Makes a sandbox in process with other settings."""
    return caller_of


@pytest.fixture(scope="session")
def tthc() -> Path:
    """The folder of the public catalogues."""
    folder = Path(os.environ.get("LIENTHONG_SHARED_DATA") or REPOSITORY.parent / "shared/data") / "tthc"
    if not folder.is_dir():
        pytest.skip("shared data absent: set LIENTHONG_SHARED_DATA to the folder that holds tthc/")
    return folder


class Served:
    """A sandbox in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "lienthong.sandbox", "--port", str(self.port), "--quiet", *arguments]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE)

    def wait(self) -> None:
        for _ in range(1_200):
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{self.url}/_sandbox/counts", timeout=10)
                return
            time.sleep(0.05)
        raise AssertionError("the sandbox did not start within a minute")

    def caller(self) -> Caller:
        return Caller(httpx.AsyncClient(base_url=self.url, headers={"user-agent": USER_AGENT}, timeout=60))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> bytes:
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts sandboxes as processes and ends them after the test."""
    started: list[Served] = []

    def start(*arguments: str) -> Served:
        started.append(Served(*arguments))
        started[-1].wait()
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One sandbox process shared by the tests of a module."""
    one = Served()
    one.wait()
    yield one
    if one.process.poll() is None:
        one.kill()


@pytest.fixture
def composed_messages(tthc: Path) -> list[dict[str, Any]]:
    """The messages of one dossier from sync to result."""
    text = (tthc.parent / "dossiers/composed-messages.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]
