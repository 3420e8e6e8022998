"""X-Road's headers at the SOAP door: said in a description for members of X-Road, and given back in every answer.

X-Road message protocol for SOAP, version 4.0 (contracts §6.1).
"""

from __future__ import annotations

from lxml import etree

from lienthong.bus.gateway import soap_envelope

_IDENTIFIERS = "http://x-road.eu/xsd/identifiers"
_PARTS = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode", "serviceCode", "serviceVersion")
_REQUIRED = ("client", "service", "userId", "id", "protocolVersion")
_OF = f"{{{soap_envelope.XROAD}}}"
_MOST_ECHOED = 20


def types() -> str:
    """Write the schemas of the headers, in our own words: names as the protocol has them, no more."""
    parts = "".join(f'<xs:element name="{name}" type="xs:string" minOccurs="0"/>' for name in _PARTS)
    members = "".join(f'<xs:element name="{name}" type="iden:Party"/>' for name in ("client", "service"))
    words = "".join(
        f'<xs:element name="{name}" type="xs:string"/>' for name in ("userId", "id", "protocolVersion")
    )
    return (
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{_IDENTIFIERS}" '
        'elementFormDefault="qualified"><xs:attribute name="objectType" type="xs:string"/>'
        f'<xs:complexType name="Party"><xs:sequence>{parts}</xs:sequence>'
        f'<xs:attribute xmlns:iden="{_IDENTIFIERS}" ref="iden:objectType" use="required"/></xs:complexType>'
        f'</xs:schema><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:iden="{_IDENTIFIERS}" '
        f'targetNamespace="{soap_envelope.XROAD}" elementFormDefault="qualified">'
        f'<xs:import namespace="{_IDENTIFIERS}"/>{members}{words}</xs:schema>'
    )


def message() -> str:
    """Write the message that names the headers."""
    parts = "".join(f'<wsdl:part name="{name}" element="xro:{name}"/>' for name in _REQUIRED)
    return f'<wsdl:message name="XRoadHeader" xmlns:xro="{soap_envelope.XROAD}">{parts}</wsdl:message>'


def headers() -> str:
    """Write the headers of one input or output of the SOAP 1.1 binding."""
    return "".join(f'<soap:header message="tns:XRoadHeader" part="{name}" use="literal"/>' for name in _REQUIRED)


def echoed(header: soap_envelope.Node | None) -> str:
    """Give X-Road's headers back as they came: its security servers compare them."""
    if header is None:
        return ""
    found = [block for block in header if str(block.tag).startswith(_OF)][:_MOST_ECHOED]
    return "".join(etree.tostring(block, encoding="unicode", with_tail=False) for block in found)
