"""The X.509 signature of a message (WS-Security X.509 Token Profile): THE body and THE timestamp, or nothing.

The home of signxml at the doors. Whose certificate it is, and whether it is registered, is for others to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from typing import cast

from lxml import etree
from signxml import algorithms, verifier
from signxml.exceptions import SignXMLException

from lienthong.bus.gateway import soap_envelope, soap_security
from lienthong.core import crypto, errors

Node = soap_envelope.Node

_LONGEST_CERTIFICATE = 16_384
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_C14N = frozenset({_EXCLUSIVE, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"})
_METHODS = frozenset(
    {
        algorithms.SignatureMethod.RSA_SHA256,
        algorithms.SignatureMethod.RSA_SHA384,
        algorithms.SignatureMethod.RSA_SHA512,
        algorithms.SignatureMethod.ECDSA_SHA256,
        algorithms.SignatureMethod.ECDSA_SHA384,
        algorithms.SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS = frozenset(
    {algorithms.DigestAlgorithm.SHA256, algorithms.DigestAlgorithm.SHA384, algorithms.DigestAlgorithm.SHA512}
)
_MOST_REFERENCES = 10
_DS, _WSSE, _WSU = soap_security.DS, soap_security.WSSE, soap_security.WSU


def verify(
    envelope: soap_envelope.Envelope, security: soap_security.Security, *, now: datetime
) -> tuple[crypto.Certificate, str]:
    """Make sure that body and timestamp are signed; gives the certificate, and a name for this one signature.

    Raises ProofRejected. The name depends on what was signed only, so that a signature which was altered and still
    holds (as ECDSA allows) has the same one.
    """
    signature, timestamp = security.signature, security.timestamp
    if signature is None or timestamp is None:
        raise _wrong("Timestamp")
    encoded = _certificate(security, signature)
    try:
        certificate = crypto.read_certificate(encoded)
    except ValueError:
        raise _wrong("BinarySecurityToken") from None
    signed = _signed(envelope.root, signature)
    if not any(one is envelope.body for one in signed) or not any(one is timestamp for one in signed):
        raise soap_security.rejected(
            "Chữ ký phải phủ Body và Timestamp của chính thông điệp này.",
            "The signature must cover the Body and the Timestamp of this very message.",
            reason="wsse_not_covered",
        )
    _verify(envelope, encoded, references=len(signed), now=now)
    info = etree.tostring(signature[0], method="c14n", exclusive=True)
    return certificate, hashlib.sha256(info).hexdigest()


def _verify(envelope: soap_envelope.Envelope, encoded: bytes, *, references: int, now: datetime) -> None:
    soap = f"{{{soap_envelope.NAMESPACES[envelope.version]}}}"
    expected = verifier.SignatureConfiguration(
        location=f"./{soap}Header/{_WSSE}Security/",
        expect_references=references,
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        verification_time=now,
    )
    try:
        verifier.XMLVerifier().verify(
            envelope.root,
            x509_cert=base64.b64encode(encoded).decode("ascii"),
            expect_config=expected,
            ignore_ambiguous_key_info=True,
        )
    # signxml lets errors of its parser and of cryptography through where a part is not what it should be.
    except (SignXMLException, etree.LxmlError, ValueError, TypeError, KeyError, AttributeError):
        raise soap_security.rejected(
            "Chữ ký của thông điệp không đúng. Dùng RSA hoặc ECDSA với SHA-256 trở lên và exclusive C14N.",
            "The signature is not right. Use RSA or ECDSA with SHA-256 or better, and exclusive C14N.",
            reason="wsse_signature",
        ) from None


def _signed(root: Node, signature: Node) -> list[Node]:
    """Give the very elements that the references mean; each id must be that of one element only."""
    info = signature.find(f"{_DS}SignedInfo")
    references = [] if info is None else info.findall(f"{_DS}Reference")
    if info is None or info is not signature[0] or not 0 < len(references) <= _MOST_REFERENCES:
        raise _wrong("SignedInfo")
    method = info.find(f"{_DS}CanonicalizationMethod")
    if method is None or method.get("Algorithm") not in _C14N:
        raise _wrong("CanonicalizationMethod")
    return [_target(root, reference) for reference in references]


def _target(root: Node, reference: Node) -> Node:
    name = reference.get("URI", "")
    transforms = [one.get("Algorithm") for one in reference.iter(f"{_DS}Transform")]
    if not name.startswith("#") or len(name) < 2 or not set(transforms) <= _C14N:
        raise _wrong("Reference")
    found = root.xpath("//*[@*[local-name()='Id' or local-name()='ID' or local-name()='id']=$name]", name=name[1:])
    if not isinstance(found, list) or len(found) != 1:
        raise _wrong("Reference")
    return cast(Node, found[0])


def _certificate(security: soap_security.Security, signature: Node) -> bytes:
    """Find the certificate: in the token that the key's reference names, or in the key's own X509Data."""
    token = security.certificate
    if token is not None:
        wanted = [one.get("URI", "") for one in signature.iter(f"{_WSSE}Reference")]
        if wanted != [f"#{token.get(f'{_WSU}Id', '')}"]:
            raise _wrong("SecurityTokenReference")
        text = token.text
    else:
        inner = [*signature.iter(f"{_DS}X509Certificate")]
        if len(inner) != 1:
            raise _wrong("KeyInfo")
        text = inner[0].text
    try:
        return base64.b64decode("".join((text or "").split())[:_LONGEST_CERTIFICATE], validate=True)
    except binascii.Error:
        raise _wrong("BinarySecurityToken") from None


def _wrong(name: str) -> errors.ProofRejected:
    return soap_security.rejected(
        f"Phần {name} của chữ ký thiếu, không đọc được hoặc không thuộc dạng được nhận.",
        f"The part {name} of the signature is missing, cannot be read, or is of a form that is not accepted.",
        reason="wsse_signature_form",
    )
