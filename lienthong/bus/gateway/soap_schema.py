"""The schema and the description (WSDL 1.1) of the SOAP door, written from the plan of its operations."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from lienthong.bus.gateway import soap_types

NAMESPACE = "urn:lienthong:v1"
ADDRESS_MARK = "{address}"  # stands in the WSDL where the address of the hub goes
_XSD = "http://www.w3.org/2001/XMLSchema"
_ZONED = r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+\-]\d\d:\d\d)"
_OF_FACETS = {
    "minLength": "minLength",
    "maxLength": "maxLength",
    "minimum": "minInclusive",
    "maximum": "maxInclusive",
    "exclusiveMinimum": "minExclusive",
    "exclusiveMaximum": "maxExclusive",
}
# What the patterns of the two worlds do not share: anchors inside, groups with a meaning, lazy repetition.
_FOREIGN = re.compile(r"(?<!\\)\^|(?<!\\)\$|\(\?|\\[bBAzZG]|[*+?}][?+]")
_PROBLEM = """
<xs:complexType name="FieldProblem">
<xs:annotation><xs:documentation xml:lang="vi">Một trường sai</xs:documentation></xs:annotation>
<xs:sequence><xs:element name="field" type="xs:string"/><xs:element name="detail" type="xs:string"/></xs:sequence>
</xs:complexType>
<xs:complexType name="Problem">
<xs:annotation><xs:documentation xml:lang="vi">Chi tiết lỗi, ngôn ngữ theo Accept-Language</xs:documentation>
</xs:annotation>
<xs:sequence>
<xs:element name="code" type="xs:string"/><xs:element name="status" type="xs:int"/>
<xs:element name="title" type="xs:string"/><xs:element name="detail" type="xs:string"/>
<xs:element name="request_id" type="xs:string"/>
<xs:element name="retry_after_s" type="xs:int" minOccurs="0"/>
<xs:element name="errors" type="tns:FieldProblem" minOccurs="0" maxOccurs="unbounded"/>
</xs:sequence>
</xs:complexType>
<xs:element name="problem" type="tns:Problem"/>
<xs:element name="officialAssertion" type="xs:string"/>
<xs:element name="acceptLanguage" type="xs:string"/>
"""


def schema(plan: soap_types.Plan) -> str:
    """Write the schema (XSD 1.0) of every request and every answer."""
    parts = [
        f'<xs:schema xmlns:xs="{_XSD}" xmlns:tns="{NAMESPACE}" targetNamespace="{NAMESPACE}" '
        'elementFormDefault="qualified">',
        _PROBLEM,
    ]
    for record in plan.records.values():
        parts.append(
            f'<xs:complexType name="{record.name}">{_said(record.said)}{_content(record)}</xs:complexType>'
        )
    for name, call in plan.calls.items():
        parts.append(f'<xs:element name="{name}">{_said(call.request.said)}<xs:complexType>')
        parts.append(f"{_content(call.request)}</xs:complexType></xs:element>")
        parts.append(f'<xs:element name="{name}Response" type="tns:{call.answer.name}"/>')
    parts.append("</xs:schema>")
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Extra:
    """What a description for another road says besides: schemas, a message, headers of inputs and outputs."""

    types: str = ""
    message: str = ""
    headers: str = ""


def description(plan: soap_types.Plan, extra: Extra | None = None) -> str:
    """Write the WSDL; `ADDRESS_MARK` stands where the address goes."""
    more = extra or Extra()
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" '
            'xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" '
            'xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/" '
            f'xmlns:tns="{NAMESPACE}" name="Lienthong" targetNamespace="{NAMESPACE}">',
            f"<wsdl:types>{more.types}{schema(plan)}</wsdl:types>",
            *_messages(plan),
            more.message,
            '<wsdl:portType name="Lienthong">',
            *(_port_operation(name, call) for name, call in plan.calls.items()),
            "</wsdl:portType>",
            *_binding(plan, "soap", "Soap11", more.headers),
            *_binding(plan, "soap12", "Soap12", ""),
            '<wsdl:service name="LienthongService">',
            *(
                f'<wsdl:port name="{name}" binding="tns:{name}"><{prefix}:address location="{ADDRESS_MARK}"/>'
                "</wsdl:port>"
                for prefix, name in (("soap", "Soap11"), ("soap12", "Soap12"))
            ),
            "</wsdl:service>",
            "</wsdl:definitions>",
        ]
    )


def action(name: str) -> str:
    """Give the SOAPAction of an operation."""
    return f"{NAMESPACE}#{name}"


def _messages(plan: soap_types.Plan) -> Iterator[str]:
    for name in plan.calls:
        for kind, element in (("Request", name), ("Response", f"{name}Response")):
            part = f'<wsdl:part name="parameters" element="tns:{element}"/>'
            yield f'<wsdl:message name="{name}{kind}">{part}</wsdl:message>'
    yield '<wsdl:message name="Problem"><wsdl:part name="problem" element="tns:problem"/></wsdl:message>'


def _port_operation(name: str, call: soap_types.Call) -> str:
    said = f"{call.operation.summary_vi} / {call.operation.summary_en}"
    return (
        f'<wsdl:operation name="{name}"><wsdl:documentation>{escape(said)}</wsdl:documentation>'
        f'<wsdl:input message="tns:{name}Request"/><wsdl:output message="tns:{name}Response"/>'
        '<wsdl:fault name="problem" message="tns:Problem"/></wsdl:operation>'
    )


def _binding(plan: soap_types.Plan, prefix: str, name: str, headers: str) -> Iterator[str]:
    yield f'<wsdl:binding name="{name}" type="tns:Lienthong">'
    yield f'<{prefix}:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>'
    body = headers + f'<{prefix}:body use="literal"/>'
    for called in plan.calls:
        yield (
            f'<wsdl:operation name="{called}"><{prefix}:operation soapAction="{action(called)}" style="document"/>'
            f"<wsdl:input>{body}</wsdl:input><wsdl:output>{body}</wsdl:output>"
            f'<wsdl:fault name="problem"><{prefix}:fault name="problem" use="literal"/></wsdl:fault>'
            "</wsdl:operation>"
        )
    yield "</wsdl:binding>"


def _content(record: soap_types.Record) -> str:
    return f"<xs:sequence>{''.join(_element(element) for element in record.elements)}</xs:sequence>"


def _element(element: soap_types.Element) -> str:
    """Write one element. What may be null may be left out or sent with `xsi:nil`, and is left out of answers."""
    occurs = ""
    if element.is_list:
        least = element.least if element.is_required and not element.is_nullable else 0
        occurs = f' minOccurs="{least}" maxOccurs="{element.most or "unbounded"}"'
    elif element.is_nullable or not element.is_required:
        occurs = ' minOccurs="0"'
    if element.is_nullable and not element.is_list:
        occurs += ' nillable="true"'
    return _typed(element.name, element.kind, occurs, element.said)


def _typed(name: str, kind: soap_types.Kind, occurs: str, said: str) -> str:
    opened = f'<xs:element name="{name}"{occurs}'
    if isinstance(kind, soap_types.Record):
        return f'{opened} type="tns:{kind.name}">{_said(said)}</xs:element>'
    if isinstance(kind, soap_types.Leaf):
        restriction = _restriction(kind)
        if not restriction:
            return f'{opened} type="xs:{kind.base}">{_said(said)}</xs:element>'
        return f"{opened}>{_said(said)}<xs:simpleType>{restriction}</xs:simpleType></xs:element>"
    return f"{opened}>{_said(said)}<xs:complexType>{_inner(kind)}</xs:complexType></xs:element>"


def _inner(kind: soap_types.Entries | soap_types.Choice) -> str:
    if isinstance(kind, soap_types.Choice):
        options = "".join(f'<xs:element name="{one.name}" type="tns:{one.name}"/>' for one in kind.options)
        return f"<xs:choice>{options}</xs:choice>"
    pair = '<xs:element name="key" type="xs:string"/>' + _typed("value", kind.value, "", "")
    entry = f"<xs:complexType><xs:sequence>{pair}</xs:sequence></xs:complexType>"
    return (
        f'<xs:sequence><xs:element name="entry" minOccurs="0" maxOccurs="unbounded">{entry}</xs:element>'
        "</xs:sequence>"
    )


def _restriction(leaf: soap_types.Leaf) -> str:
    zoned = f"<xs:pattern value={quoteattr(_ZONED)}/>"
    facets = zoned if leaf.base == "dateTime" else "".join(_facets(leaf))
    return f'<xs:restriction base="xs:{leaf.base}">{facets}</xs:restriction>' if facets else ""


def _facets(leaf: soap_types.Leaf) -> Iterator[str]:
    for value in leaf.facets.get("enum", ()):
        yield f"<xs:enumeration value={quoteattr(str(value))}/>"
    pattern = xsd_pattern(leaf.facets.get("pattern", ""))
    if pattern:
        yield f"<xs:pattern value={quoteattr(pattern)}/>"
    for name, facet in _OF_FACETS.items():
        if name in leaf.facets:
            yield f'<xs:{facet} value="{_number(leaf.facets[name])}"/>'


@functools.cache
def xsd_pattern(pattern: str) -> str:
    """Give a pattern as XML Schema has it, which always means the whole text; nothing where it cannot be said."""
    said = [_unanchored(part) for part in _alternatives(pattern)]
    if not pattern or None in said:
        return ""
    whole = "|".join(part for part in said if part is not None)
    probe = (
        f'<xs:schema xmlns:xs="{_XSD}"><xs:simpleType name="t"><xs:restriction base="xs:string">'
        f"<xs:pattern value={quoteattr(whole)}/></xs:restriction></xs:simpleType></xs:schema>"
    )
    try:
        etree.XMLSchema(etree.fromstring(probe))
    except etree.XMLSchemaParseError:
        return ""
    return whole


def _alternatives(pattern: str) -> list[str]:
    """Split at the bars that stand in no group and no set."""
    parts, depth, begun, escaped = [], 0, 0, False
    for place, letter in enumerate(pattern):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "|" and depth == 0:
            parts.append(pattern[begun:place])
            begun = place + 1
    return [*parts, pattern[begun:]]


def _unanchored(part: str) -> str | None:
    if not part.startswith("^") or not part.endswith("$") or part.endswith("\\$"):
        return None
    inner = part[1:-1].replace("(?:", "(")
    # A caret that opens a negated set is the same in both worlds.
    return None if _FOREIGN.search(inner.replace("[^", "[")) else inner


def _number(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _said(text: str) -> str:
    if not text:
        return ""
    return f"<xs:annotation><xs:documentation>{escape(text)}</xs:documentation></xs:annotation>"
