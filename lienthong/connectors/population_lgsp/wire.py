"""The JSON variants as platforms spell them, and what their answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lienthong.connectors import base, http, outcomes, population, soap_reading
from lienthong.core import errors, people, xml_reading
from lienthong.mappings import engine

SYSTEM = "population_lgsp"
NAMES = engine.load(SYSTEM).envelope
SERVICES = population.SERVICES


def lower_body(fields: Mapping[str, str], *, account: str) -> dict[str, str]:
    """Write a question in lower camel case; this form names no operation, the path does."""
    known = ("number", "service_code", "official_code", "citizen_id", "old_id", "full_name", "day", "year")
    body = {NAMES[f"lower_{name}"]: fields.get(name, "") for name in known}
    return {**body, NAMES["lower_account"]: account}


def facade_body(fields: Mapping[str, str]) -> dict[str, str]:
    """Write a question for the façade: every field is there, empty where it has no value."""
    order = (
        "full_name", "citizen_id", "old_id", "day", "year", "integration_code", "service_code", "official_code",
        "number",
    )  # fmt: skip
    return {NAMES[f"facade_{name}"]: fields.get(name, "") for name in order}


def facade_element(reply: http.Reply) -> xml_reading.Element | None:
    """Take the XML out of the text field that holds it: an envelope, or what would stand in its body.

    Raises RemoteRefused where the façade names an error, RemoteGarbled where the text is no XML to be read.
    """
    body = _object(reply)
    _refuse_error(body)
    text = body.get(NAMES["message"])
    if not isinstance(text, str) or not text.strip():
        raise outcomes.garbled("no text where the answer should be", system=SYSTEM)
    try:
        element = xml_reading.parse(text.strip().encode())
        if soap_reading.local_name(element) != "Envelope":
            return element
        envelope = soap_reading.read(text.encode(), "text/xml")
    except (xml_reading.XmlRefused, soap_reading.Refused) as refused:
        raise outcomes.garbled(f"the text in the answer: {refused.reason}", system=SYSTEM) from None
    if envelope.fault is not None:
        raise errors.RemoteRefused(system=SYSTEM, remote_code=base.safe_text(envelope.fault.code))
    return envelope.body


def lower_exists(reply: http.Reply) -> bool:
    """Read the verifying answer in lower camel case."""
    body = _object(reply)
    _refuse_error(body)
    return population.read_exists(body.get(NAMES["lower_exists"]), system=SYSTEM)


def lower_resident(reply: http.Reply, asked: people.ResidentQuestion) -> people.Resident | None:
    """Read the answer to a look-up in lower camel case: the names of §5.4 with a small first letter."""
    body = _object(reply)
    _refuse_error(body)
    if NAMES["lower_citizens"] not in body:
        raise outcomes.garbled("no citizens in the answer", system=SYSTEM)
    found = body[NAMES["lower_citizens"]]
    rows = [found] if isinstance(found, dict) else found or []
    if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
        raise outcomes.garbled("no list of citizens", system=SYSTEM)
    return population.the_one([_capital(row) for row in rows if row], asked, system=SYSTEM)


def _capital(value: Any) -> Any:
    if not isinstance(value, dict):
        return "" if value is None else value
    return {name[:1].upper() + name[1:]: _capital(inner) for name, inner in value.items()}


def _object(reply: http.Reply) -> dict[str, Any]:
    """Read a body as an object; a page or nothing in its place is a gateway's word: RemoteUnavailable."""
    if not reply.body.strip() or soap_reading.is_html(reply.body):
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code="html" if reply.body.strip() else "empty")
    body = reply.json()
    if not isinstance(body, dict):
        raise outcomes.garbled("no object", system=SYSTEM)
    return body


def _refuse_error(body: Mapping[str, Any]) -> None:
    code = body.get(NAMES["error_code"])
    if code is None or str(code).strip("0") == "":
        return
    # Its sentence may repeat the name that was asked about, so it is not kept.
    raise errors.RemoteRefused(system=SYSTEM, remote_code=base.safe_text(code))


def token(reply: http.Reply) -> tuple[str, float]:
    """Read a token and its seconds of life; one hour where they are not said."""
    try:
        body = _object(reply)
        value, life_s = body.get(NAMES["access_token"]), float(body.get(NAMES["expires_in"]) or 3600)
    except (errors.RemoteGarbled, TypeError, ValueError) as error:
        # Whatever waits for this token was not sent, and must not be given up because of it.
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code="garbled", operation="token") from error
    if not isinstance(value, str) or not value or life_s <= 0:
        raise errors.RemoteForbids(system=SYSTEM, remote_code="no token", operation="token")
    return value, life_s
