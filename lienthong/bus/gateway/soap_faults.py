"""Refusals at the SOAP door: the same codes and sentences as over REST, in the form of SOAP 1.1 or 1.2."""

from __future__ import annotations

import math

from lienthong.bus.gateway import answers, soap_codec, soap_envelope, soap_schema
from lienthong.core import errors

# Known before anybody has read an envelope: HTTP's own words say more here than SOAP's.
_BEFORE_SOAP = frozenset({405, 408, 413, 415})
_NOT_HERE = frozenset({b"content-type", b"www-authenticate"})


def fault(exc: errors.HubError, *, version: str, language: str, request_id: str) -> answers.Answer:
    """Answer with what went wrong. `decided` of the answer is the status that REST would have said."""
    told = answers.problem(exc, language=language, request_id=request_id)
    form = _form_12 if version == soap_envelope.V12 else _form_11
    answer = soap_envelope.answer(version, form(exc, language, _problem(exc, language, request_id)))
    answer.status = status(exc, version)
    answer.decided = exc.status
    answer.outcome = exc.code
    answer.headers += [line for line in told.headers if line[0] not in _NOT_HERE]
    return answer


def status(exc: errors.HubError, version: str) -> int:
    """Give the status of HTTP: clients read a fault only where it comes as SOAP says (1.1: 500; 1.2: 400, 500)."""
    if exc.status in _BEFORE_SOAP:
        return exc.status
    return 400 if version == soap_envelope.V12 and _is_callers(exc) else 500


def _form_11(exc: errors.HubError, language: str, problem: str) -> str:
    code = exc.facts.get("fault") or ("Client" if _is_callers(exc) else ".".join(exc.code.split(".")[:2]))
    said = soap_codec.text(answers.detail(exc, language))
    return (
        f'<soap:Fault><faultcode>soap:{code}</faultcode><faultstring xml:lang="{language}">{said}</faultstring>'
        f"<detail>{problem}</detail></soap:Fault>"
    )


def _form_12(exc: errors.HubError, language: str, problem: str) -> str:
    code = exc.facts.get("fault") or ("Sender" if _is_callers(exc) else "Receiver")
    both = (language, *(other for other in answers.LANGUAGES if other != language))
    reasons = "".join(
        f'<soap:Text xml:lang="{one}">{soap_codec.text(answers.detail(exc, one))}</soap:Text>' for one in both
    )
    return (
        f"<soap:Fault><soap:Code><soap:Value>soap:{code}</soap:Value>"
        f'<soap:Subcode><soap:Value xmlns:lt="{soap_schema.NAMESPACE}">lt:{exc.code}</soap:Value></soap:Subcode>'
        f"</soap:Code><soap:Reason>{reasons}</soap:Reason><soap:Detail>{problem}</soap:Detail></soap:Fault>"
    )


def _problem(exc: errors.HubError, language: str, request_id: str) -> str:
    parts = [f'<problem xmlns="{soap_schema.NAMESPACE}">']
    said = {
        "code": exc.code,
        "status": str(exc.status),
        "title": exc.sentence(language),
        "detail": answers.detail(exc, language),
        "request_id": request_id,
    }
    if exc.retry_after_s is not None:
        said["retry_after_s"] = str(max(1, math.ceil(exc.retry_after_s)))
    parts += [f"<{name}>{soap_codec.text(value)}</{name}>" for name, value in said.items()]
    for wrong in exc.problems:
        told = wrong.as_json(language)
        field, detail = soap_codec.text(told["field"]), soap_codec.text(told["detail"])
        parts.append(f"<errors><field>{field}</field><detail>{detail}</detail></errors>")
    return "".join([*parts, "</problem>"])


def _is_callers(exc: errors.HubError) -> bool:
    return exc.code.startswith("Client")
