"""`population_lgsp`: the population database behind a provincial LGSP, recipe LGSP-1 (contracts §5.5)."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from typing import Any

import orjson

from lienthong.sandbox import population, population_c06, soap_text, tokens, xml_tree
from lienthong.sandbox.imitation import Request, unpacked_pair
from lienthong.sandbox.population import LOOK_UP, VERIFY, Population, Question, Refused
from lienthong.sandbox.residents import Resident
from lienthong.sandbox.tokens import Tokens
from lienthong.sandbox.wire import Reply
from lienthong.sandbox.xml_tree import Node, Unreadable

SYSTEM = "population_lgsp"
_FACADE = {"HoVaTen", "SoDinhDanh", "SoCMND", "NgayThangNam", "Nam", "MaTichHop", "MaDVC", "MaCanBo", "MaYeuCau"}
_LOWER = {
    "maYeuCau": "MaYeuCau", "maDVC": "MaDVC", "maTichHop": "MaTichHop", "maCanBo": "MaCanBo",
    "maDonVi": "MaDonVi", "taiKhoan": "TaiKhoan", "soDienThoai": "SoDienThoai", "soDinhDanh": "SoDinhDanh",
    "soCMND": "SoCMND", "hoVaTen": "HoVaTen", "ngayThangNam": "NgayThangNam", "nam": "Nam",
    "userNameService": "userNameService",
}  # fmt: skip


@dataclass(slots=True)
class Account:
    """What a province must show; the values of the contract's vector where it has one."""

    access_key: str = "AK123"
    secret_key: str = "SK456"
    app_name: str = "LGSP-DEMO"
    partner: str = "000.00.00.H56"
    key_name: str = "demo-key"
    key_pass: str = "demo-pass"

    def header(self) -> str:
        """Return the only right `lgspaccesstoken`: base64 of compact JSON with its keys in this order."""
        values = (self.access_key, self.secret_key, self.app_name, self.partner, self.partner)
        names = ("AccessKey", "SecretKey", "AppName", "PartnerCode", "PartnerCodeCus")
        return base64.b64encode(orjson.dumps(dict(zip(names, values, strict=True)))).decode()


class PopulationLgsp:
    """The imitated gateway: a token first, then a question in one of three forms, told apart by its content."""

    roots: frozenset[str] = frozenset()

    def __init__(self, population: Population, *, account: Account | None = None, life_s: float = 3600.0) -> None:
        """Answer from this database to this account; tokens live so long."""
        self._population = population
        self.account = account or Account()
        self._tokens = Tokens(life_s=life_s)

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Forget tokens, numbers of questions and the quota."""
        self._tokens.forget()
        self._population.forget()

    def service_of(self, request: Request) -> str:
        """Name what is asked for: token, verify, look_up."""
        if request.path.lower().endswith("token"):
            return "token"
        try:
            operation = _read(request).operation
        except (Refused, Unreadable):
            return "?"
        return "verify" if operation == VERIFY else "look_up"

    def handle(self, request: Request) -> Reply:
        """Answer one call, in the form that it came in."""
        if request.method != "POST":
            return tokens.oauth_error(405, "method_not_allowed")
        if not hmac.compare_digest(
            request.headers.get("lgspaccesstoken", "").encode(), self.account.header().encode()
        ):
            return _wrong(request, Refused(401, "lgspaccesstoken: wrong"))
        if request.service == "token":
            return self._token(request)
        try:
            self._check(request)
            question = _read(request)
            request.about |= question.shown()
            found = self._population.ask(question, now=request.now)
        except Unreadable as problem:
            return _wrong(request, Refused(500, f"unreadable: {problem}"))
        except Refused as refused:
            return _wrong(request, refused)
        request.about["found"] = len(found)
        return _answer(request, question, found)

    def _token(self, request: Request) -> Reply:
        if "login_refused" in request.chosen or request.form().get("grant_type") != "client_credentials":
            return tokens.oauth_error(400, "unsupported_grant_type")
        return tokens.granted(self._tokens.issue(request.now), self._tokens.life_s)

    def _check(self, request: Request) -> None:
        if self._tokens.find(request.bearer(), request) is None:
            raise Refused(401, "Authorization: no token in force")
        if unpacked_pair(request.headers.get("authhash", "")) != (self.account.key_name, self.account.key_pass):
            raise Refused(403, "AuthHash: wrong")


def _form(request: Request) -> str:
    """Tell the variants apart: SOAP, Đồng Tháp's lower-camel JSON, Thanh Hóa's JSON façade."""
    if request.body.lstrip()[:1] == b"<":
        return "soap"
    body = request.json()
    return "dong_thap" if isinstance(body, dict) and "maYeuCau" in body else "thanh_hoa"


def _read(request: Request) -> Question:
    form = _form(request)
    if form == "soap":
        return population_c06.question_of(soap_text.body_element(request.body))
    body = request.json()
    if not isinstance(body, dict) or any(not isinstance(value, str | None) for value in body.values()):
        raise Refused(400, "a JSON object of texts is expected")
    names = _LOWER if form == "dong_thap" else {name: name for name in _FACADE}
    if set(body) - set(names):
        raise Refused(400, "a field that this service does not know")
    fields = {names[key]: value for key, value in body.items() if value}
    verifying = fields.get("MaTichHop") in population.INTEGRATION_CODES[VERIFY]
    if form == "dong_thap" and "MaTichHop" not in fields:
        # The public client of this form names no integration code: the path says what is asked.
        verifying = "xacthuc" in request.path.lower().replace("-", "")
        fields["MaTichHop"] = "033" if verifying else "037"
    operation = VERIFY if verifying else LOOK_UP
    day, year = fields.pop("NgayThangNam", ""), fields.pop("Nam", "")
    fields.pop("userNameService", "")
    return Question(operation, fields, day, year, has_unit=form == "soap" or "MaDonVi" in fields)


def _answer(request: Request, question: Question, found: list[Resident]) -> Reply:
    form = _form(request)
    whole = soap_text.envelope(population.answer_body(question.operation, found, at=request.at))
    whole = soap_text.touched(whole, request.chosen)
    if form == "soap":
        return Reply(whole, 200, soap_text.XML)
    if form == "thanh_hoa":
        return Reply(orjson.dumps({"error_code": 0, "message": whole.decode()}))
    if question.operation == VERIFY:
        return Reply(orjson.dumps({"tonTai": bool(found)}))
    return Reply(orjson.dumps({"congDan": [_lower(one) for one in found]}))


def _lower(resident: Resident) -> dict[str, Any]:
    """Write a resident as JSON: the names of contracts §5.4 in lower camel case."""
    written = _object(xml_tree.read(resident.written("").encode()))
    return written if isinstance(written, dict) else {}


def _object(node: Node) -> Any:
    if not node.children:
        return node.text
    return {child.name[:1].lower() + child.name[1:]: _object(child) for child in node.children}


def _wrong(request: Request, refused: Refused) -> Reply:
    if _form(request) == "soap":
        return soap_text.fault(refused.status, str(refused), by_client=refused.by_client)
    body = {"error_code": refused.status, "message": str(refused)}
    # A refusal of the database itself comes as HTTP 200 with a code, one of the gateway with its status.
    status = 200 if refused.status == 500 else refused.status
    return Reply(orjson.dumps(body), status, outcome="refused", shown=str(refused).encode())
