"""Readers: one for each shape in which a procedure may come, all giving the sandbox's inner form.

A record is recognised by its content, never by the name of its file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lienthong.sandbox import codes, neutral, readers_older
from lienthong.sandbox.neutral import Agencies, Case, Fee, LegalBasis, Method, Named, Paper, Procedure, text_of

Record = dict[str, Any]

_CHANNEL_OF_KENH = {"1": "DIRECT", "2": "ONLINE", "3": "POSTAL"}
_LEVEL_OF_CODE = {"1": neutral.MINISTRY, "2": neutral.PROVINCE, "3": neutral.COMMUNE}
_LEVEL_FLAGS = (
    ("isMinistry", neutral.MINISTRY, "Cấp Bộ/Trung ương"),
    ("isProvince", neutral.PROVINCE, "Cấp Tỉnh"),
    ("isWard", neutral.COMMUNE, "Cấp Xã"),
    ("isOtherAgency", neutral.OTHER, "Cơ quan khác"),
)
CARRIED_FLAGS = (
    "isVertical",
    "isUndetermined",
    "isInternal",
    "isFullProcess",
    "isSharedService",
    "isNonTerritorial",
)


def recognise(record: Record) -> str:
    """Name the shape of a record; raises ValueError where it is none that the sandbox reads."""
    for shape, marks in _MARKS:
        if all(mark in record for mark in marks):
            return shape
    raise ValueError(f"unknown shape of record, keys: {', '.join(sorted(map(str, record))[:8])}")


def read(record: Record, shape: str) -> Procedure:
    """Read one record of a known shape into the inner form."""
    return READERS[shape](record)


def dicts(value: Any) -> list[Record]:
    """Return the objects of a list; anything else counts as an empty list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]


def agency(name: str, *, code: str = "", id: str = "") -> Named:
    """Build an agency; a missing code is looked up or invented from the name."""
    return Named(code or codes.agency_code(name), name, id)


def agencies_of_text(text: str) -> Agencies:
    """Keep a free text of agencies whole: a comma may stand inside a name as well as between two."""
    return Agencies([agency(text.strip())], text) if text.strip() else neutral.NOBODY


def _subject(name: str, *, code: str = "", id: str = "") -> Named:
    return Named(code or codes.subject_code(name), name, id)


def _coded(name: str, *, code: str = "", id: str = "") -> Named:
    return Named(code or codes.invented(name), name, id)


def _field(name: str, promulgator: Named, *, code: str = "", id: str = "") -> Named:
    return Named(code or codes.field_code(name, promulgator.code), name, id)


def read_full(row: Record) -> Procedure:
    """Read the July form with English keys."""
    promulgator = agency(text_of(row.get("promulgating_agency")).strip())
    field, results = text_of(row.get("field")), text_of(row.get("results"))
    steps = text_of(row.get("steps"))
    return Procedure(
        code=text_of(row["code"]),
        name=text_of(row.get("name")),
        decision_no=text_of(row.get("decision_no")),
        description=text_of(row.get("description")),
        keywords=text_of(row.get("keywords")),
        requirements=text_of(row.get("requirements")),
        address=text_of(row.get("receiving_address")),
        kind=text_of(row.get("kind")),
        type=text_of(row.get("type")) or "STANDARD",
        state=text_of(row.get("state")) or "ACTIVE",
        levels=neutral.levels_of_text(text_of(row.get("level"))),
        fields=[_field(field, promulgator)] if field else [],
        promulgator=promulgator,
        steps=[("", steps)] if steps else [],
        methods=[_full_method(item) for item in dicts(row.get("methods"))],
        cases=[_full_case(item) for item in dicts(row.get("dossier_cases"))],
        results=[_coded(results)] if results else [],
        legal=[
            LegalBasis(text_of(x.get("number")), text_of(x.get("title"))) for x in dicts(row.get("legal_basis"))
        ],
        subjects=[_subject(text_of(name)) for name in row.get("subjects") or []],
        executing=agencies_of_text(text_of(row.get("executing_agency"))),
        competent=agencies_of_text(text_of(row.get("competent_agency"))),
        authorised=agencies_of_text(text_of(row.get("authorised_agency"))),
        coordinating=agencies_of_text(text_of(row.get("coordinating_agency"))),
    )


def _full_method(row: Record) -> Method:
    quantity, unit = neutral.number_of(row.get("time_qty")), text_of(row.get("time_unit"))
    if not unit:
        # Where a sentence stands in place of a number, the text is the sentence followed by the unit OTHER.
        quantity = text_of(row.get("time_text")).removesuffix("OTHER").strip() or quantity
        unit = "OTHER"
    fees = [Fee(neutral.number_of(x.get("amount_vnd")), text_of(x.get("note"))) for x in dicts(row.get("fees"))]
    return Method(text_of(row.get("channel")), quantity, unit, text_of(row.get("description")), fees)


def _count(value: Any) -> int | None:
    number = neutral.number_of(value)
    return int(number) if isinstance(number, int | float) else None


def _full_case(row: Record) -> Case:
    papers = []
    for item in dicts(row.get("components")):
        name = text_of(item.get("name"))
        originals, copies = _count(item.get("original")), _count(item.get("copy"))
        papers.append(Paper(codes.invented(name), name, originals, copies, form_name=text_of(item.get("extra"))))
    return Case(text_of(row.get("case")), papers)


def read_api(row: Record) -> Procedure:
    """Read an answer of generation C (contracts §2.4 c)."""
    proposal = row.get("procedureProposal") or {}
    fields = dicts(row.get("categoriesDetails")) or dicts([row.get("category")])
    flags = {name: bool(row.get(name)) for name in CARRIED_FLAGS}
    return Procedure(
        code=text_of(row["code"]),
        name=text_of(row.get("name")),
        id=text_of(row.get("id")),
        decision_no=text_of(proposal.get("proposalNumber") or row.get("decisionNo")),
        decision_id=text_of(proposal.get("id")),
        decision_at_ms=proposal.get("decisionDate"),
        published_at_ms=proposal.get("publicationDate"),
        description=text_of(row.get("description")),
        note=text_of(row.get("note")),
        keywords=text_of(row.get("keywords")),
        requirements=text_of(row.get("requirementsAndConditions")),
        address=text_of(row.get("dossierReceivingAddresses")),
        kind=text_of(row.get("formalityType")),
        type=text_of(row.get("type")) or "STANDARD",
        state=text_of(row.get("state")) or "ACTIVE",
        levels=[(level, words) for key, level, words in _LEVEL_FLAGS if row.get(key)],
        fields=[Named(text_of(x.get("code")), text_of(x.get("name")), text_of(x.get("id"))) for x in fields],
        promulgator=agency(
            text_of(row.get("departmentPromulgateName")),
            code=text_of(row.get("departmentPromulgateCode")),
            id=text_of(row.get("departmentPromulgateId")),
        ),
        steps=[(text_of(x.get("name")), text_of(x.get("description"))) for x in dicts(row.get("executionSteps"))],
        methods=[_api_method(item) for item in dicts(row.get("executionMethods"))],
        cases=[_api_case(item) for item in dicts(row.get("executionCases"))],
        results=_api_named(row, "resultsDetails"),
        legal=[LegalBasis(x.code, x.name, id=x.id) for x in _api_named(row, "legalBasisesDetails", invent=False)],
        subjects=_api_named(row, "subjectTypesDetails"),
        executing=_api_agencies(row, "Executing", "executingAgencies"),
        competent=_api_agencies(row, "Authority", "delegatedAgencies"),
        authorised=_api_agencies(row, "Authorized", "authorizedAgencies"),
        coordinating=_api_agencies(row, "Coordinating", "coordinatingAgencies"),
        flags=flags,
        created_at_ms=row.get("createdAt"),
        updated_at_ms=row.get("updatedAt"),
    )


def _api_named(row: Record, key: str, *, invent: bool = True) -> list[Named]:
    found = []
    for item in dicts(row.get(key)):
        name = text_of(item.get("name"))
        code = text_of(item.get("code")) or (codes.invented(name) if invent else "")
        found.append(Named(code, name, text_of(item.get("id"))))
    return found


def _api_agencies(row: Record, part: str, text_key: str) -> Agencies:
    items = [*dicts(row.get(f"departments{part}")), *dicts(row.get(f"unitGroups{part}"))]
    named = [agency(text_of(x.get("name")), code=text_of(x.get("code")), id=text_of(x.get("id"))) for x in items]
    return Agencies(named, text_of(row.get(text_key)) or ", ".join(item.name for item in named))


def _api_method(row: Record) -> Method:
    fees = [
        Fee(
            neutral.number_of(item.get("value")),
            text_of(item.get("description")),
            kind=text_of(item.get("type")),
            currency=text_of(item.get("currencyName")) or "Việt Nam Đồng",
        )
        for item in dicts(row.get("fees"))
    ]
    quantity, unit = neutral.number_of(row.get("processingTime")), text_of(row.get("processingTimeUnit"))
    return Method(text_of(row.get("submissionMethod")), quantity, unit, text_of(row.get("description")), fees)


def _api_case(row: Record) -> Case:
    papers = []
    for item in dicts(row.get("profileComponents")):
        forms = dicts(item.get("attachments"))
        papers.append(
            Paper(
                text_of(item.get("code")),
                text_of(item.get("name")),
                _count(item.get("originalQty")),
                _count(item.get("copyQty")),
                form_name="; ".join(text_of(form.get("fileName")) for form in forms),
                form_url="; ".join(text_of(form.get("filePath")) for form in forms),
                id=text_of(item.get("profileComponentId")),
            )
        )
    return Case(text_of(row.get("name")), papers)


def read_packet(row: Record) -> Procedure:
    """Read a detail packet of generation A (contracts §2.1 c)."""
    fields = dicts(row.get("LINHVUCTHUCHIEN"))
    code = text_of(row.get("MACOQUANCONGBO"))
    levels = [(text_of(x.get("CAPTHUCHIEN")), text_of(x.get("TENCAP"))) for x in dicts(row.get("CAPTHUCHIEN"))]
    return Procedure(
        code=text_of(row["MATTHC"]),
        name=text_of(row.get("TENTTHC")),
        decision_no=text_of(row.get("QUYETDINH")),
        decision_id=text_of(row.get("IDQUYETDINHCONGBO")),
        description=text_of(row.get("MOTA")),
        keywords=text_of(row.get("TUKHOA")),
        requirements=text_of(row.get("YEUCAU")),
        address=text_of(row.get("DIACHITIEPNHAN")),
        kind=text_of(row.get("LOAITTHC")),
        public=text_of(row.get("TRANGTHAI")) or "1",
        levels=[(_LEVEL_OF_CODE.get(level, neutral.OTHER), name) for level, name in levels],
        fields=[Named(text_of(x.get("MALINHVUC")), text_of(x.get("TENLINHVUC"))) for x in fields],
        promulgator=Named(code, codes.known_agencies().get(code.rpartition(".")[2], code)),
        steps=_packet_steps(row),
        methods=_packet_methods(row),
        cases=[_packet_case(item) for item in dicts(row.get("THANHPHANHOSO"))],
        results=[
            _coded(text_of(x.get("TENKETQUA")), code=text_of(x.get("MAKETQUA")))
            for x in dicts(row.get("KETQUATHUCHIEN"))
        ],
        legal=[_packet_legal(item) for item in dicts(row.get("CANCUPHAPLY"))],
        subjects=[
            _subject(text_of(x.get("TENDOITUONG")), code=text_of(x.get("MADOITUONG")))
            for x in dicts(row.get("DOITUONGTHUCHIEN"))
        ],
        subject_text=text_of(row.get("MOTADOITUONGTHUCHIEN")),
        executing=_packet_agencies(row, "COQUANTHUCHIEN", "MOTACOQUANTHUCHIEN"),
        competent=_packet_agencies(row, "COQUANCOTHAMQUYEN", "MOTACOQUANTHAMQUYEN"),
        authorised=_packet_agencies(row, "COQUANDUOCUYQUYEN"),
        coordinating=_packet_agencies(row, "COQUANPHOIHOP"),
        related=[text_of(code) for code in row.get("TTHCLIENQUAN") or []],
        linked=[text_of(code) for code in row.get("TTHCLIENTHONG") or []],
    )


def _packet_steps(row: Record) -> list[tuple[str, str]]:
    return [
        (text_of(case.get("TRUONGHOP")), text_of(step.get("TENTRINHTU")))
        for case in dicts(row.get("TRINHTUTHUCHIEN"))
        for step in dicts(case.get("TRINHTU"))
    ]


def _packet_methods(row: Record) -> list[Method]:
    found = []
    for way in dicts(row.get("CACHTHUCTHUCHIEN")):
        kenh = text_of(way.get("KENH"))
        for time in dicts(way.get("THOIGIAN")):
            fees = [_packet_fee(item) for item in dicts(time.get("PHILEPHI"))]
            quantity = neutral.number_of(time.get("THOIGIANGIAIQUYET"))
            unit, note = text_of(time.get("DONVITINH")), text_of(time.get("MOTA"))
            found.append(Method(_CHANNEL_OF_KENH.get(kenh, kenh), quantity, unit, note, fees))
    return found


def _packet_fee(row: Record) -> Fee:
    code = text_of(row.get("MAPHILEPHI"))
    return Fee(
        neutral.number_of(row.get("SOTIEN")),
        text_of(row.get("MOTA")),
        kind=code if code in {"FEE", "SERVICE_FEE", "PRICE_LEVEL"} else "FEE",
        code=code,
        currency=text_of(row.get("DONVI")),
        file_name=text_of(row.get("TENTEP")),
        url=text_of(row.get("URL")),
    )


def _packet_case(row: Record) -> Case:
    papers = [
        Paper(
            text_of(item.get("MAGIAYTO")),
            text_of(item.get("TENGIAYTO")),
            _count(item.get("SOBANCHINH")),
            _count(item.get("SOBANSAO")),
            form_name=text_of(item.get("TENMAUDON")),
            form_url=text_of(item.get("URL")),
            replaced_by=text_of(item.get("MA_KQ_THAYTHE")),
        )
        for item in dicts(row.get("GIAYTO"))
    ]
    return Case(text_of(row.get("TRUONGHOP")), papers)


def _packet_legal(row: Record) -> LegalBasis:
    keys = ("SOVANBAN", "TENVANBAN", "COQUANBANHANH", "NGAYBANHANH", "NGAYHIEULUC", "DIACHITRUYCAP")
    return LegalBasis(*(text_of(row.get(key)) for key in keys))


def _packet_agencies(row: Record, key: str, text_key: str = "") -> Agencies:
    items = [agency(text_of(x.get("TENDONVI")), code=text_of(x.get("MADONVI"))) for x in dicts(row.get(key))]
    return Agencies(items, text_of(row.get(text_key)) or ", ".join(item.name for item in items))


def read_row(row: Record) -> Procedure:
    """Read a row of a list (CSV): any of the two collected column sets, or the sandbox's own."""
    promulgator = agency(text_of(row.get("promulgating_agency")), id=text_of(row.get("promulgating_agency_id")))
    names = _split(text_of(row.get("fields"))) or [text_of(row.get("field"))]
    ids = [*_split(text_of(row.get("field_ids"))), *[""] * len(names)]
    executing = [agency(name) for name in _split(text_of(row.get("executing_agencies")))]
    code = text_of(row.get("field_code"))
    return Procedure(
        code=text_of(row["code"]),
        name=text_of(row.get("name")),
        id=text_of(row.get("id")),
        type=text_of(row.get("type")) or "STANDARD",
        state=text_of(row.get("state")) or "ACTIVE",
        levels=neutral.levels_of_text(text_of(row.get("level"))),
        fields=[_field(name, promulgator, code=code, id=ids[at]) for at, name in enumerate(names) if name],
        promulgator=promulgator,
        methods=_row_methods(row),
        subjects=[_subject(name) for name in _split(text_of(row.get("targets")))],
        executing=Agencies(executing, ", ".join(item.name for item in executing)),
    )


def _row_methods(row: Record) -> list[Method]:
    quantity = neutral.number_of(row.get("time"))
    amount = neutral.number_of(row.get("fee_vnd"))
    fees = [] if amount is None else [Fee(amount, "")]
    channels = _split(text_of(row.get("channels")))
    return [Method(channel, quantity, text_of(row.get("unit")) or "OTHER", "", fees) for channel in channels]


_MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("packet", ("MATTHC",)),
    ("api", ("code", "executionMethods")),
    ("full", ("code", "methods")),
    ("snake", ("ma_thu_tuc",)),
    ("defence", ("thu_tuc_id", "metadata")),
    ("row", ("code", "name")),
)
READERS: dict[str, Callable[[Record], Procedure]] = {
    "packet": read_packet,
    "api": read_api,
    "full": read_full,
    "snake": readers_older.read_snake,
    "defence": readers_older.read_defence,
    "row": read_row,
}
