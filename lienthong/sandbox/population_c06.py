"""`population_c06`: the population database behind a security server, by recipe C06-1 (contracts §5)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from lienthong.sandbox import population, soap_text
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.population import LOOK_UP, REQUEST_NAMESPACE, VERIFY, Population, Question, Refused
from lienthong.sandbox.wire import Reply
from lienthong.sandbox.xml_tree import Node, Unreadable

SYSTEM = "population_c06"
_SERVICES = {VERIFY: "verify", LOOK_UP: "look_up"}
_MEDIA = ("application/xml", "text/xml")


@dataclass(slots=True)
class Account:
    """What a member must show; `tolerance_s` is how far its clock may be off."""

    username: str = "UBND_DEMO"
    secret: str = "C06SECRET"
    api_key: str = "demo-api-key"
    client: str = "VN/GOV/000.00.00.H38/lgsp"
    tolerance_s: float = 300.0
    in_seconds: bool = False


class PopulationC06:
    """The imitated service: checks the headers, then the form, then asks the database."""

    roots: frozenset[str] = frozenset()

    def __init__(self, population: Population, *, account: Account | None = None) -> None:
        """Answer from this database to this account."""
        self._population = population
        self.account = account or Account()

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Forget numbers of questions and the quota."""
        self._population.forget()

    def service_of(self, request: Request) -> str:
        """Name the operation: verify, look_up, or what else stands in the body; a GET asks about nobody."""
        if request.method in ("GET", "HEAD"):
            return "probe"
        try:
            return _SERVICES.get(_operation(soap_text.body_element(request.body)), "other")
        except Unreadable:
            return "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call; any refusal is a SOAP fault."""
        try:
            if request.method != "POST":
                raise Refused(405, "POST only")
            fields = soap_text.xroad_fields(request.body)
            self._check_headers(request, client=soap_text.xroad_client(fields))
            question = question_of(soap_text.body_element(request.body))
            request.about |= question.shown()
            found = self._population.ask(question, now=request.now)
        except Unreadable as problem:
            return soap_text.fault(500, f"unreadable: {problem}", by_client=True)
        except Refused as refused:
            return soap_text.fault(refused.status, str(refused), by_client=refused.by_client)
        kind = str(request.chosen.get("wrong_hash", {}).get("kind", ""))
        header = soap_text.xroad_header(fields, posted=request.body, kind=kind) if fields else ""
        body = soap_text.envelope(population.answer_body(question.operation, found, at=request.at), header=header)
        request.about["found"] = len(found)
        return Reply(soap_text.touched(body, request.chosen), 200, soap_text.XML)

    def _check_headers(self, request: Request, *, client: str) -> None:
        headers, account = request.headers, self.account
        if headers.get("content-type", "").partition(";")[0].strip().lower() not in _MEDIA:
            raise Refused(415, "Content-Type: application/xml or text/xml")
        if headers.get("soapaction", "missing").strip('"'):
            raise Refused(500, 'SOAPAction: ""')
        stamp = headers.get("timestamp", "")
        if not stamp.isascii() or not stamp.isdecimal() or len(stamp) > 20:
            raise Refused(401, "Timestamp: missing or no number")
        sent_at = int(stamp) if account.in_seconds else int(stamp) / 1000
        skew_s = float(request.chosen.get("skew", {}).get("seconds", 0))
        if abs(request.now + skew_s - sent_at) > account.tolerance_s:
            raise Refused(401, "Timestamp: too far from the clock of the server")
        username, digest = request.basic()
        # Where the member stands behind a road, its address of the service is the one it calls.
        wanted = digest_of(request.url, account.username, stamp, account.secret)
        if username != account.username or not hmac.compare_digest(digest.encode(), wanted.encode()):
            raise Refused(401, "Authorization: wrong name or digest")
        if not hmac.compare_digest(headers.get("apikey", "").encode(), account.api_key.encode()):
            raise Refused(403, "ApiKey: unknown")
        if (client or headers.get("x-road-client", "").strip("/")) != account.client:
            raise Refused(403, "X-Road-Client: no member with this path")


def digest_of(url: str, username: str, timestamp: str, secret: str) -> str:
    """Compute the digest of recipe C06-1: lower-case hex SHA-256 of the four, without separators."""
    return hashlib.sha256(f"{url}{username}{timestamp}{secret}".encode()).hexdigest()


def _operation(node: Node) -> str:
    return node.name.removesuffix("Request")


def question_of(node: Node) -> Question:
    """Read a question: the right namespace, each field once and in the order of contracts §5.3."""
    operation = _operation(node)
    if operation not in _SERVICES:
        raise Refused(500, "this operation is not open to a province")
    for one in (node, *node.children):
        if one.namespace != REQUEST_NAMESPACE:
            raise Refused(500, f"every element is of {REQUEST_NAMESPACE}")
    names = [child.name for child in node.children]
    allowed = [name for name in population.FIELDS if operation == LOOK_UP or name not in population.OF_THE_LOOK_UP]
    if any(name not in allowed for name in names):
        raise Refused(500, "an element that this operation does not know")
    places = [allowed.index(name) for name in names]
    if places != sorted(set(places)):
        raise Refused(500, f"the order is {', '.join(allowed)}")
    if any(child.children for child in node.children if child.name != "NgayThangNamSinh"):
        raise Refused(500, "a text is expected, not elements")
    fields = {child.name: child.text for child in node.children if child.name != "NgayThangNamSinh"}
    return Question(operation, fields, *_birth(node.child("NgayThangNamSinh")))


def _birth(node: Node | None) -> tuple[str, str]:
    if node is None or len(node.children) != 1:
        raise Refused(500, "NgayThangNamSinh: NgayThangNam or Nam, exactly one")
    (choice,) = node.children
    if choice.namespace != REQUEST_NAMESPACE or choice.name not in ("NgayThangNam", "Nam"):
        raise Refused(500, "NgayThangNamSinh: NgayThangNam or Nam, exactly one")
    return (choice.text, "") if choice.name == "NgayThangNam" else ("", choice.text)
