"""A register of residents to try connectors against, written from the contract page alone; it knows one person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
from conformance import ConnectorPromises

from lienthong.connectors import http, registry
from lienthong.core import people

NOW = datetime(2026, 1, 15, 2, 30, tzinfo=UTC)
QUESTION = people.ResidentQuestion(
    citizen_id="001099000001", full_name="Nguyễn Văn An", birth=people.Birth(day=date(1999, 1, 15))
)
ERRAND = people.Errand(
    number="H56-20260115093000-000001",
    service_code="G15-TP110",
    official_code="CB000123",
    official_account="cb000123",
    official_phone="0900000000",
    unit_code="H56.14",
    dossier_code="H56.14-260115-0001",
    purpose="Đăng ký khai sinh",
)
AN = """<ns1:CongDan>
    <ns1:SoDinhDanh>001099000001</ns1:SoDinhDanh><ns1:SoCMND/>
    <ns1:HoVaTen><ns1:Ho/><ns1:ChuDem/><ns1:Ten>NGUYỄN VĂN AN</ns1:Ten></ns1:HoVaTen>
    <ns1:GioiTinh>1</ns1:GioiTinh><ns1:DanToc>01</ns1:DanToc><ns1:TonGiao>00</ns1:TonGiao>
    <ns1:TinhTrangHonNhan>1</ns1:TinhTrangHonNhan><ns1:NhomMau>00</ns1:NhomMau>
    <ns1:NgayThangNamSinh><ns1:Nam>1999</ns1:Nam><ns1:NgayThangNam>19990115</ns1:NgayThangNam></ns1:NgayThangNamSinh>
    <ns1:ThuongTru><ns1:MaTinhThanh>38</ns1:MaTinhThanh><ns1:MaPhuongXa>14758</ns1:MaPhuongXa><ns1:ChiTiet>Tổ 1</ns1:ChiTiet><ns1:QuocGia>VN</ns1:QuocGia></ns1:ThuongTru>
  </ns1:CongDan>"""  # noqa: E501  (the fixture of contracts §5.4, as it stands)
YES = "<KetQuaXacThucResponse><TonTai>true</TonTai></KetQuaXacThucResponse>"


def envelope(body: str) -> str:
    """What stands around an answer."""
    start = '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>'
    return f"{start}{body}</env:Body></env:Envelope>"


def collection(*citizens: str, attributes: str = "") -> str:
    """An answer that holds these citizens."""
    return (
        f'<ns1:CongdanCollection xmlns:ns1="http://www.mic.gov.vn/dancu/1.0" {attributes}>'
        f"{''.join(citizens)}</ns1:CongdanCollection>"
    )


def soap(body: str, status: int = 200) -> httpx.Response:
    """An answer of the SOAP service."""
    return httpx.Response(status, text=envelope(body), headers={"content-type": "text/xml; charset=utf-8"})


Fault = Callable[[httpx.Request], httpx.Response | None]


class Register(httpx.AsyncBaseTransport):
    """Answers as the page says, or as a test says; keeps what arrived."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.fault: Fault | None = None
        self.tokens = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        self.sent.append((request.url.path, {}))
        answer = self.fault(request) if self.fault else None
        if answer is None:
            answer = self.own(request)
        await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def own(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("getToken"):
            assert parse_qs(request.content.decode()) == {"grant_type": ["client_credentials"]}
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"token-{self.tokens}", "expires_in": 3600})
        if request.method == "GET":
            return httpx.Response(405, text="POST only")
        verifying = b"XacThucThongTinCongDan" in request.content or "verify" in request.url.path
        body = YES if verifying else collection(AN)
        if request.content.startswith(b"<"):
            return soap(body)
        if b'"maYeuCau"' in request.content:
            citizen = {"soDinhDanh": "001099000001", "hoVaTen": {"ten": "NGUYỄN VĂN AN"}, "gioiTinh": "1"}
            return httpx.Response(200, json={"tonTai": True} if verifying else {"congDan": [citizen]})
        return httpx.Response(200, json={"error_code": 0, "message": envelope(body)})

    def services(self) -> list[str]:
        """The paths called so far."""
        return [path for path, _ in self.sent]


@dataclass
class Stage:
    """A connector before the register, with everything that left it."""

    contract: str
    settings: dict[str, Any]
    exchanges: list[http.Exchange] = field(default_factory=list)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.wire = Register()
        self.connector: Any = self.open()

    def open(self, transport: httpx.AsyncBaseTransport | None = None, **changed: Any) -> Any:
        return registry.open_connector(
            self.contract,
            {"base_url": "https://ndxp.example.vn/r1/VN/GOV/C06/dancu", **self.settings, **changed},
            agency_code="000.00.00.H56",
            on_exchange=self.exchanges.append,
            clock=lambda: self.now,
            transport=transport or self.wire,
        )

    def answer_all(self, answer: Callable[[], httpx.Response]) -> None:
        """Answer every call but the one for a token in the register's place."""
        self.wire.fault = lambda request: None if request.url.path.endswith("getToken") else answer()


class ResidentPromises(ConnectorPromises):
    """What holds for every register of residents."""

    async def ask(self, stage: Any) -> Any:
        return await stage.connector.look_up(QUESTION, errand=ERRAND)

    async def test_a_resident_is_found_and_verified(self, stage: Any) -> None:
        found = await stage.connector.look_up(QUESTION, errand=ERRAND)
        assert (found.citizen_id, found.full_name, found.gender) == ("001099000001", "NGUYỄN VĂN AN", "male")
        assert await stage.connector.verify(QUESTION, errand=ERRAND) is True

    async def test_no_personal_data_reaches_the_journal_an_address_or_an_error(self, stage: Any) -> None:
        await self.ask(stage)
        refusal = "<f:Fault xmlns:f='http://schemas.xmlsoap.org/soap/envelope/'><faultcode>f:Client</faultcode>"
        refusal += "<faultstring>001099000001 NGUYỄN VĂN AN</faultstring></f:Fault>"
        stage.answer_all(lambda: soap(refusal, 500))
        shown = repr(stage.exchanges) + repr(QUESTION.number in str([it.url for it in stage.wire.requests]))
        try:
            await self.ask(stage)
        except Exception as error:
            shown += f"{error!s} {error!r} {vars(error)} {error.__cause__!r}"
        shown += repr(stage.exchanges)
        assert "001099000001" not in shown
        assert "NGUYỄN" not in shown
        assert "True" not in shown
