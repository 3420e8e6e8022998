"""Writer of generation C: list item and detail of the rebuilt portal (contracts §2.4 c)."""

from __future__ import annotations

from typing import Any

from lienthong.sandbox import codes, neutral
from lienthong.sandbox.neutral import Agencies, Method, Named, Paper, Procedure
from lienthong.sandbox.readers import CARRIED_FLAGS

Packet = dict[str, Any]

_UNITS = {
    "ngày làm việc": "WORKING_DAY",
    "ngày": "DAY",
    "giờ": "HOUR",
    "tháng": "MONTH",
    "năm": "YEAR",
    "khác": "OTHER",
}
_CURRENCIES = {"đồng": "Việt Nam Đồng", "vnd": "Việt Nam Đồng", "": "Việt Nam Đồng"}
_LOCAL_TYPES = {"SPECIFIC"}


def item(procedure: Procedure, *, id: str) -> Packet:
    """Write one row of the public list."""
    return {
        "id": id,
        "name": procedure.name,
        "code": procedure.code,
        "codeNotation": procedure.code,
        "categories": [field.name for field in procedure.fields],
        "categoryIds": [_id("field", field) for field in procedure.fields],
        "departments": [agency.name for agency in procedure.executing.items],
        "departmentPromulgate": procedure.promulgator.name,
        "departmentPromulgateId": _id("agency", procedure.promulgator),
        "formalityTargetType": [subject.name for subject in procedure.subjects],
        "state": procedure.state,
        "type": procedure.type,
    }


def _id(kind: str, thing: Named) -> str:
    return thing.id or (codes.stable_id(kind, codes.fold(thing.name)) if thing.name else "")


def _named(kind: str, things: list[Named]) -> list[Packet]:
    return [{"id": _id(kind, thing), "name": thing.name, "code": thing.code} for thing in things]


def render(procedure: Procedure, *, id: str, created_at_ms: int, updated_at_ms: int) -> Packet:
    """Write one procedure with every key of the portal's own answer, empty where the source says nothing."""
    packet = _header(procedure, id)
    packet.update(_levels(procedure))
    packet.update(_body(procedure))
    packet.update(_parties(procedure))
    packet["procedureProposal"] = _proposal(procedure)
    packet["createdAt"] = procedure.created_at_ms or created_at_ms
    packet["updatedAt"] = procedure.updated_at_ms or updated_at_ms
    return packet


def _header(procedure: Procedure, id: str) -> Packet:
    return {
        "id": id,
        "code": procedure.code,
        "codeNotation": procedure.code,
        "name": procedure.name,
        "description": procedure.description,
        "note": procedure.note,
        "keywords": procedure.keywords,
        "decisionNo": "",
        "formalityType": _formality_type(procedure.kind),
        "state": procedure.state,
        "type": procedure.type,
        "formalityTargetType": [],
        "requirementsAndConditions": procedure.requirements,
        "dossierReceivingAddresses": procedure.address,
    }


def _formality_type(kind: str) -> str:
    lowered = kind.casefold()
    if "không được luật giao" in lowered or "không được giao" in lowered:
        return "NOT_ASSIGNED_REGULATION"
    if "giao" in lowered and "quy định chi tiết" in lowered:
        return "ASSIGNED_REGULATION"
    return "OTHER" if lowered == "loại khác" else kind


def _levels(procedure: Procedure) -> Packet:
    held = {level for level, _ in procedure.levels}
    flags: Packet = {name: procedure.flags.get(name, False) for name in CARRIED_FLAGS}
    flags["isInternal"] = flags["isInternal"] or procedure.type == "STANDARD_INTERNAL"
    return flags | {
        "isWard": neutral.COMMUNE in held,
        "isProvince": neutral.PROVINCE in held,
        "isMinistry": neutral.MINISTRY in held,
        "isOtherAgency": neutral.OTHER in held,
        "isOfflineOnly": bool(procedure.methods) and all(m.channel == "DIRECT" for m in procedure.methods),
    }


def _body(procedure: Procedure) -> Packet:
    fields = _named("field", procedure.fields)
    return {
        "executionSteps": [{"name": name, "description": text} for name, text in procedure.steps],
        "executionMethods": [_method(method) for method in procedure.methods],
        "executionCases": [
            {"name": case.name, "profileComponents": [_component(paper) for paper in case.papers]}
            for case in procedure.cases
        ],
        "categoryIds": [field["id"] for field in fields],
        "categoriesDetails": fields,
        "category": fields[0] if fields else None,
        "resultIds": [_id("result", result) for result in procedure.results],
        "resultsDetails": _named("result", procedure.results),
        "legalBasisIds": [thing["id"] for thing in _legal(procedure)],
        "legalBasisesDetails": _legal(procedure),
        "subjectTypeIds": [_id("subject", subject) for subject in procedure.subjects],
        "subjectTypesDetails": _named("subject", procedure.subjects),
        "serviceGroupIds": [],
        "serviceGroupsDetails": [],
        "cases": [],
        "fees": [],
        "profileComponents": [],
        "targetObjects": [],
        "returningMethods": [],
        "procedureRelatedGroup": [{"code": code} for code in procedure.related],
    }


def _legal(procedure: Procedure) -> list[Packet]:
    return [
        {
            "id": law.id or codes.stable_id("law", f"{law.number}\0{law.title}"),
            "name": law.title,
            "code": law.number,
        }
        for law in procedure.legal
    ]


def _method(method: Method) -> Packet:
    return {
        "submissionMethod": method.channel,
        "processingTime": method.quantity,
        "processingTimeUnit": _UNITS.get(method.unit.casefold(), method.unit),
        "description": method.note,
        "fees": [
            {
                "type": fee.kind,
                "value": fee.amount,
                "currencyId": codes.stable_id("currency", _currency(fee.currency)),
                "attachment": fee.url or fee.file_name or None,
                "description": fee.note,
                "currencyName": _currency(fee.currency),
            }
            for fee in method.fees
        ],
    }


def _currency(words: str) -> str:
    return _CURRENCIES.get(words.casefold(), words)


def _component(paper: Paper) -> Packet:
    return {
        "profileComponentId": paper.id or codes.stable_id("paper", f"{paper.code}\0{paper.name}"),
        "originalQty": paper.originals or 0,
        "copyQty": paper.copies or 0,
        "required": False,
        "hasElectronicForm": False,
        "isProcessingResult": False,
        "name": paper.name,
        "code": paper.code,
        "attachments": [_attachment(paper)] if paper.form_name or paper.form_url else [],
    }


def _attachment(paper: Paper) -> Packet:
    id = codes.stable_id("form", f"{paper.form_name}\0{paper.form_url}")
    path = paper.form_url or f"configuring/{id}/{paper.form_name}"
    return {"id": id, "fileName": paper.form_name, "bucketName": "dvc", "filePath": path}


def _parties(procedure: Procedure) -> Packet:
    packet: Packet = {
        "departmentPromulgateId": _id("agency", procedure.promulgator),
        "departmentPromulgateCode": procedure.promulgator.code,
        "departmentPromulgateName": procedure.promulgator.name,
        "departmentDetails": [],
    }
    parts = (
        ("Executing", procedure.executing, "executingAgencies"),
        ("Authority", procedure.competent, "delegatedAgencies"),
        ("Authorized", procedure.authorised, "authorizedAgencies"),
        ("Coordinating", procedure.coordinating, "coordinatingAgencies"),
    )
    for part, agencies, text_key in parts:
        packet.update(_party(part, agencies))
        packet[text_key] = agencies.text
    return packet


def _party(part: str, agencies: Agencies) -> Packet:
    named = _named("agency", agencies.items)
    return {
        f"department{part}Ids": [agency["id"] for agency in named],
        f"departments{part}": named,
        f"unitGroup{part}Ids": [],
        f"unitGroups{part}": [],
    }


def _proposal(procedure: Procedure) -> Packet:
    return {
        "id": procedure.decision_id or codes.stable_id("decision", procedure.decision_no),
        "proposalNumber": procedure.decision_no,
        "decisionDate": procedure.decision_at_ms,
        "decisionNumber": None,
        "publicationDate": procedure.published_at_ms,
        "issuingAgency": {"id": _id("agency", procedure.promulgator), "name": procedure.promulgator.name},
        "proposalType": "SPECIFIC" if procedure.type in _LOCAL_TYPES else "STANDARD",
    }
