"""What all roads to the National Population Database share: the question, its answers, what policy refuses.

Facts: contracts §5.2 to §5.6. The names stand in mappings/systems/population_c06.yml.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from lienthong.connectors import base, http, outcomes, soap, soap_documents, soap_reading
from lienthong.core import errors, people, records, xml_reading
from lienthong.mappings import engine, oddities, transforms

MAPPING: Final = engine.load("population_c06")
NAMES: Final = MAPPING.envelope
SERVICES: Final = MAPPING.services
WSDL: Final = Path(__file__).with_suffix(".wsdl")
_ANSWERING: Final = frozenset({NAMES["answering"]})
# The verifying answer stands in the page without a namespace; the collection never does (§5.4).
_VERIFYING: Final = frozenset({NAMES["answering"], ""})
_RESIDENT = MAPPING.message("resident")
_LONGEST_NUMBER: Final = 40
_TONES: Final = frozenset("\u0300\u0301\u0303\u0309\u0323")

log = logging.getLogger(__name__)


class Settings(base.Settings):
    """What every road to the database can be told; what the contract page is unsure of can be changed here."""

    service_path: str = ""
    signed_url: str = Field(default="", description="the address that is signed; empty: the one that is called")
    wsdl: str = Field(default="", description="empty: our own, written from the contract page")
    wsdl_sha256: tuple[str, ...] = Field(default=(), description="a digest, or name=digest for each document")
    wsdl_folder: str = ""
    content_type: str = "application/xml"
    verify_code: str = Field(default="003", pattern=r"^\d{1,20}$")
    look_up_code: str = Field(default="037", pattern=r"^\d{1,20}$")
    verify_element: str = Field(default="", pattern=r"^\w*$")
    look_up_element: str = Field(default="", pattern=r"^\w*$")
    verify_answer_element: str = Field(default="", pattern=r"^\w*$")
    service_code_element: str = Field(default="", pattern=r"^\w*$")
    full_official_in: tuple[str, ...] = ("look_up",)
    other_tone_placement: bool = False


# ------------------------------------------------------------------------------------------------------- policy


def refused_operations() -> Mapping[str, str]:
    """Give every operation over there that a province does not call, and why; a closed list (§5.2)."""
    return MAPPING.spec.refused


def require_allowed(operation: str, *, also_refused: Collection[str] = ()) -> None:
    """Raise NotGranted for any operation but the two that a province has, naming it."""
    if operation in SERVICES.values() and operation not in also_refused:
        return
    known = operation in refused_operations() or operation in SERVICES.values()
    name = operation if known else "another operation"
    raise errors.NotGranted(
        f"{name} of the National Population Database is refused by policy; only verify and look up are open",
        detail_vi=f"Chính sách không cho gọi {name} của CSDL quốc gia về dân cư; chỉ được xác thực và tra cứu.",
        operation=name,
    )


# ----------------------------------------------------------------------------------------------------- question


def question_fields(
    settings: Settings, asked: people.ResidentQuestion, *, errand: people.Errand, operation: str
) -> dict[str, str]:
    """Give the fields of a question by our own names, in their order, only those that have a value (§5.3).

    `operation` is `verify` or `look_up`. Raises InvalidRequest where the register of officials lacks something
    that this operation wants.
    """
    code = settings.verify_code if operation == "verify" else settings.look_up_code
    official = {"unit_code": errand.unit_code, "account": errand.official_account, "phone": errand.official_phone}
    full = operation in settings.full_official_in
    needed = {"service_code": errand.service_code, "official_code": errand.official_code}
    _require({**needed, **official} if full else needed)
    birth = asked.birth
    fields = {
        "number": errand.number,
        "service_code": errand.service_code,
        "integration_code": code,
        "official_code": errand.official_code,
        **(official if full else {}),
        "citizen_id": asked.citizen_id or "",
        "old_id": asked.old_id or "",
        "full_name": written_name(asked.full_name),
        "day": birth.day.isoformat().replace("-", "") if birth.day is not None else "",
        "year": f"{birth.year:04d}" if birth.day is None and birth.year is not None else "",
    }
    return {name: value for name, value in fields.items() if value}


_NO_SERVICE_CODE: Final = errors.FieldProblem(
    "dossier_code",
    "Cơ sở dữ liệu quốc gia về dân cư yêu cầu mã dịch vụ (tối đa 20 ký tự) của thủ tục này; đơn vị vận hành trục "
    "đặt bằng lienthong lookups rule.",
    "The National Population Database wants a service code of this procedure (20 characters at most); the hub's "
    "operator sets it by lienthong lookups rule.",
)


def _require(fields: Mapping[str, str]) -> None:
    if not fields["service_code"]:
        raise errors.InvalidRequest(problems=(_NO_SERVICE_CODE,))
    labels = {
        "official_code": "mã cán bộ do đơn vị quản lý CSDL cấp",
        "unit_code": "mã đơn vị của cán bộ",
        "account": "tài khoản của cán bộ",
        "phone": "số điện thoại của cán bộ",
    }
    problems = tuple(
        errors.FieldProblem(
            f"official.{name}",
            f"Cơ sở dữ liệu quốc gia về dân cư yêu cầu {labels[name]}; hãy bổ sung trước khi tra cứu.",
            "The National Population Database requires it; complete the register of officials first.",
        )
        for name, value in fields.items()
        if not value
    )
    if problems:
        raise errors.InvalidRequest(problems=problems)


def soap_values(fields: Mapping[str, str]) -> dict[str, Any]:
    """Spell a question's fields as the SOAP service does."""
    values: dict[str, Any] = {NAMES[name]: value for name, value in fields.items() if name not in ("day", "year")}
    values[NAMES["birth"]] = {NAMES[name]: fields[name] for name in ("day", "year") if name in fields}
    return values


def written_name(name: str) -> str:
    """Write a name as the database wants it: upper case, composed letters, single blanks (§5.6)."""
    return " ".join(unicodedata.normalize("NFC", name).upper().split())


def other_placement(name: str) -> str | None:
    """Move tone marks to the other letter of oa, oe and uy (HÒA, HOÀ); None where the name has none (§5.6)."""
    changed = " ".join(_moved(word) for word in name.split(" "))
    return changed if changed != name else None


def _moved(word: str) -> str:
    letters = unicodedata.normalize("NFD", word)
    tones = [mark for mark in letters if mark in _TONES]
    plain = unicodedata.normalize("NFC", "".join(mark for mark in letters if mark not in _TONES))
    ending = plain[-2:].casefold()
    if len(tones) != 1 or ending not in ("oa", "oe", "uy") or plain[-3:-2].casefold() == "q":
        return word
    first = unicodedata.normalize("NFC", plain[:-1] + tones[0]) + plain[-1]
    second = unicodedata.normalize("NFC", plain + tones[0])
    return second if word == first else first if word == second else word


Ask = Callable[[people.ResidentQuestion, people.Errand], Awaitable[Any]]


async def ask_twice(settings: Settings, asked: people.ResidentQuestion, errand: people.Errand, ask: Ask) -> Any:
    """Ask; where nobody is found and the setting allows it, once more with the tone marks placed otherwise.

    The second question has a number of its own: each number may be used once over there.
    """
    found = await ask(asked, errand)
    if found or not settings.other_tone_placement:
        return found
    name = other_placement(written_name(asked.full_name))
    if name is None:
        return found
    number = f"{errand.number[: _LONGEST_NUMBER - 2]}-2"
    again = asked.model_copy(update={"full_name": name})
    return await ask(again, errand.model_copy(update={"number": number}))


# ------------------------------------------------------------------------------------------------------- answer


def read_citizens(element: xml_reading.Element | None, *, system: str) -> list[dict[str, Any]]:
    """Take the citizens out of a collection. Raises RemoteGarbled where it is none."""
    if element is None or element.tag != f"{{{NAMES['answering']}}}{NAMES['collection']}":
        raise outcomes.garbled("no collection of citizens", system=system)
    try:
        rows = soap_reading.children_of(element, NAMES["citizen"], namespaces=_ANSWERING)
        found = [soap_reading.tree(row, namespaces=_ANSWERING) for row in rows]
    except soap_reading.Refused as refused:
        raise outcomes.garbled(refused.reason, system=system) from None
    counted = element.get(NAMES["how_many"], "").strip()
    if counted.isdecimal() and int(counted) > len(found):
        raise outcomes.garbled("the collection counts more citizens than it holds", system=system)
    return [row for row in found if isinstance(row, dict)] if any(found) else []


def read_verified(element: xml_reading.Element | None, *, system: str, name: str = "") -> bool:
    """Take the yes or no out of a verifying answer. Raises RemoteGarbled where it is none."""
    if element is None or soap_reading.local_name(element) != (name or NAMES["verified"]):
        raise outcomes.garbled("no verifying answer", system=system)
    try:
        found = soap_reading.tree(element, namespaces=_VERIFYING)
        return read_exists(found.get(NAMES["exists"]) if isinstance(found, dict) else None, system=system)
    except soap_reading.Refused as refused:
        raise outcomes.garbled(refused.reason, system=system) from None


def read_exists(value: Any, *, system: str) -> bool:
    """Read the yes or no itself. Raises RemoteGarbled for anything else."""
    try:
        if value in (None, ""):
            raise ValueError
        return transforms.read_flag(value)
    except ValueError:
        raise outcomes.garbled("neither yes nor no", system=system) from None


def the_one(
    rows: Sequence[Mapping[str, Any]], asked: people.ResidentQuestion, *, system: str
) -> people.Resident | None:
    """Give the resident that an answer is about, None where it holds nobody.

    Raises RemoteGarbled for several, of whom none is ever picked, and for somebody else's record.
    """
    if not rows:
        return None
    if len(rows) > 1:
        raise errors.RemoteGarbled(
            "several citizens came back for one question; none is picked",
            detail_vi="CSDL quốc gia về dân cư trả về nhiều công dân cho một câu hỏi; không chọn ai trong số đó.",
            system=system,
            reason="several citizens",
        )
    try:
        resident, odd = _RESIDENT.read_wire(dict(rows[0]))
    except errors.UnmappedCode as unmapped:
        # Not the value: where columns have slipped it could be somebody's number.
        facts = {"contract": system, "field": unmapped.facts.get("field", "")}
        raise errors.UnmappedCode("a citizen's record has a code that is not mapped", **facts) from None
    unreadable = sorted(it.field for it in odd if it.kind != oddities.Kind.UNKNOWN_FIELD)
    if unreadable:
        raise outcomes.garbled("a field of the record cannot be read", system=system, field=unreadable[0])
    if odd:
        fields = ", ".join(sorted({it.field for it in odd}))
        log.warning("a citizen's record held what is not mapped", extra={"system": system, "fields": fields})
    found: people.Resident = resident
    for given, wanted in ((found.citizen_id, asked.citizen_id), (found.old_id, asked.old_id)):
        if given and wanted and given != wanted:
            raise outcomes.garbled("the record of another person came back", system=system)
    return found


# --------------------------------------------------------------------------------------------------- connection


def description_of(settings: Settings) -> soap_documents.Description:
    """Say where the WSDL is: our own, or the operator's, pinned."""
    location = settings.wsdl or str(WSDL)
    pins = dict(_pin(text, location) for text in settings.wsdl_sha256)
    return soap_documents.Description(location, pins, Path(settings.wsdl_folder) if settings.wsdl_folder else None)


def _pin(text: str, location: str) -> tuple[str, str]:
    name, _, digest = text.rpartition("=")
    return name or location.rpartition("/")[2], digest


def manner_of(settings: Settings, operation: str, *, headers: Mapping[str, str]) -> soap.Manner:
    """Say how an operation is called: element names as this provider spells them, no foreign sentence kept."""
    spelled = {
        SERVICES["verify"]: settings.verify_element,
        SERVICES["look_up"]: settings.look_up_element,
        NAMES["service_code"]: settings.service_code_element,
    }
    return soap.Manner(
        path=settings.service_path,
        headers=headers,
        renamed={name: given for name, given in spelled.items() if given},
        idempotent=True,
        content_type=settings.content_type,
    )


def fetcher(system: str, settings: Settings, around: base.Surroundings) -> soap_documents.Fetch:
    """Make what fetches a pinned document of the WSDL, over the connection's own limits and certificates."""

    async def fetch(address: str) -> bytes:
        place, _, query = address.partition("?")
        plain = settings.model_copy(update={"base_url": place, "road": "direct"})
        client = base.client(system, plain, around)
        try:
            reply = await client.get("?" + query if query else "", operation="fetch_wsdl", returns=())
        finally:
            await client.close()
        return reply.body

    return fetch


async def reach(client: http.Client, path: str) -> records.CheckResult:
    """Say whether the service can be reached, without asking about anybody.

    Any answer of its own will do, and most take no GET; but 404 means that the address is wrong.
    """
    try:
        reply = await client.get(path, operation="check", returns=frozenset(range(200, 500)) - {404})
    except errors.HubError as error:
        return base.failed_check("reach", error)
    vi = "Kết nối tới dịch vụ được (không hỏi về ai)."
    return base.passed_check(
        "reach", vi, "The service can be reached (nobody was asked about).", status=reply.status
    )
