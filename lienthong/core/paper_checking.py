"""The process that judges signatures: reads one task, says one verdict, ends. Started by `paper_signatures`.

The one home of pyhanko and signxml. No network: certificates and revocation lists are those of the task. A defect
met on the way ends the process, which is a verdict too.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import re
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from asn1crypto import x509
from pyhanko.pdf_utils import misc
from pyhanko.pdf_utils import reader as pdf_reader
from pyhanko.sign import fields, validation
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import errors as pdf_errors
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator import errors as path_errors
from signxml import exceptions as xml_errors
from signxml.algorithms import CanonicalizationMethod
from signxml.verifier import SignatureConfiguration, XMLVerifier

from lienthong.core import crypto, paper_signatures, xml_reading

MOST_MEMORY: Final = 1024 * 1024 * 1024
MOST_CPU_S: Final = 20
MOST_SIGNATURES: Final = 20
MOST_REFERENCES: Final = 20
MOST_CERTIFICATES: Final = 20

_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_TRANSFORMS: Final = frozenset({_ENVELOPED, *(it.value for it in CanonicalizationMethod)})
_FRAGMENT: Final = re.compile(r"#[\w.-]{1,200}")
_IDS: Final = frozenset({"Id", "ID", "id"})
_SIGNING: Final = frozenset({"digital_signature", "non_repudiation"})
# The worst of several signatures decides; the earlier a reason stands, the worse it is.
_WORST_FIRST: Final = (
    "form", "altered", "ambiguous", "added", "partial", "revoked", "not_yet", "expired",
    "old_form", "weak", "usage", "untrusted", "no_anchors", "ok",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be judged, when, and by whose certificates."""

    kind: str
    now: datetime
    content: bytes
    certificates: tuple[x509.Certificate, ...]
    revocations: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one signature came to."""

    reason: str
    certificate: x509.Certificate | None = None
    signed_at: datetime | None = None


# -------------------------------------------------------------------------------------------------------- whole


def main() -> None:
    """Judge the task on standard input."""
    _bound()
    logging.disable(logging.CRITICAL)
    sys.stdout.buffer.write(paper_signatures.BEGUN + b"\n")
    sys.stdout.buffer.flush()
    task = _task(sys.stdin.buffer.read())
    try:
        findings = asyncio.run(_pdf(task) if task.kind == "pdf" else _xml(task))
    except (MemoryError, RecursionError, misc.PdfDecodeLimitError):
        findings = [Finding("too_heavy")]
    except misc.PdfReadError:
        findings = [Finding("broken")]
    sys.stdout.buffer.write(orjson.dumps(_said(findings)))


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _task(raw: bytes) -> Task:
    line, _, rest = raw.partition(b"\n")
    head = orjson.loads(line)
    parts, place = [], 0
    for size in head["sizes"]:
        parts.append(rest[place : place + size])
        place += size
    anchors = parts[1 : 1 + head["certificates"]]
    return Task(
        head["kind"],
        datetime.fromisoformat(head["now"]),
        parts[0],
        tuple(x509.Certificate.load(it) for it in anchors),
        tuple(parts[1 + head["certificates"] :]),
    )


def _said(findings: Sequence[Finding]) -> dict[str, Any]:
    reasons = {it.reason for it in findings}
    single = reasons - set(_WORST_FIRST)
    reason = next(iter(single), None) or next(it for it in _WORST_FIRST if it in reasons)
    signers = [
        {
            "organisation": _organisation(it.certificate),
            "serial": f"{it.certificate.serial_number:x}",
            "signed_at": it.signed_at.isoformat() if it.signed_at is not None else None,
        }
        for it in findings
        if it.certificate is not None
    ]
    return {"reason": reason, "signers": signers}


def _organisation(certificate: x509.Certificate) -> str:
    """Name the organisation; a common name only where it is a tax payer's, since people have one too."""
    subject = certificate.subject.native
    found = subject.get("organization_name") or subject.get("organizational_unit_name")
    if not found and str(subject.get("user_id", "")).startswith("MST:"):
        found = subject.get("common_name")
    return str(found[0] if isinstance(found, list) else found or "")[:200]


# -------------------------------------------------------------------------------------------------------- trust


async def _distrust(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], task: Task, *, moment: datetime
) -> str:
    """Say why a signer's certificate does not convince at a moment; empty where it does."""
    if not task.certificates:
        return "no_anchors"
    context = _context(task, moment, others)
    try:
        path = await CertificateValidator(leaf, validation_context=context).async_validate_path()
    except path_errors.ExpiredError:
        return "expired"
    except path_errors.NotYetValidError:
        return "not_yet"
    except path_errors.RevokedError:
        return "revoked"
    except path_errors.DisallowedAlgorithmError:
        return "weak"
    except (path_errors.PathError, path_errors.ValidationError):
        return "untrusted"
    if _is_revoked(list(path.iter_certs(include_root=True)), task.revocations, moment=moment):
        return "revoked"
    usage = leaf.key_usage_value
    return "" if usage is None or usage.native & _SIGNING else "usage"


def _context(task: Task, moment: datetime, others: Sequence[x509.Certificate] = ()) -> ValidationContext:
    return ValidationContext(
        trust_roots=list(task.certificates), other_certs=list(others), moment=moment, allow_fetching=False
    )


def _is_revoked(path: Sequence[x509.Certificate], lists: Sequence[bytes], *, moment: datetime) -> bool:
    for issuer, issued in itertools.pairwise(path):
        for one in lists:
            since = crypto.revoked_at(one, serial=issued.serial_number, issuer=issuer.dump())
            if since is not None and since <= moment:
                return True
    return False


# ---------------------------------------------------------------------------------------------------------- PDF


async def _pdf(task: Task) -> list[Finding]:
    reader = pdf_reader.PdfFileReader(io.BytesIO(task.content))
    if reader.encrypted:
        return [Finding("encrypted")]
    signed = reader.embedded_signatures
    filled = len(list(fields.enumerate_sig_fields(reader, filled_status=True)))
    regular = [it for it in signed if it.sig_object_type == "/Sig"]
    if filled > MOST_SIGNATURES:
        return [Finding("too_heavy")]
    found = [await _pdf_signature(it, task, is_last=it is regular[-1]) for it in regular]
    if filled > len(signed):
        found.append(Finding("old_form"))
    return found or [Finding("unsigned")]


async def _pdf_signature(signature: validation.EmbeddedPdfSignature, task: Task, *, is_last: bool) -> Finding:
    certificate = signature.signer_cert
    try:
        status = await validation.async_validate_pdf_signature(
            signature, signer_validation_context=_context(task, task.now)
        )
    except pdf_errors.DisallowedAlgorithmError:
        return Finding("weak", certificate, signature.self_reported_timestamp)
    except pdf_errors.SignatureValidationError:
        return Finding("altered", certificate, signature.self_reported_timestamp)
    stamp = status.timestamp_validity
    proven = stamp.timestamp if stamp is not None and stamp.valid and stamp.intact and stamp.trusted else None
    reason = _pdf_content(status, is_last=is_last) or await _distrust(
        certificate, signature.other_embedded_certs, task, moment=proven or task.now
    )
    return Finding(reason or "ok", certificate, proven or status.signer_reported_dt)


def _pdf_content(status: validation.PdfSignatureStatus, *, is_last: bool) -> str:
    """Say what is wrong between a signature and the file; empty where nothing is.

    What came after it may be further signatures and what proves their age; after the last one only the latter.
    """
    if not (status.intact and status.valid):
        return "altered"
    if status.coverage is None or status.coverage < validation.SignatureCoverageLevel.ENTIRE_REVISION:
        return "partial"
    level = status.modification_level
    if not status.docmdp_ok or level is None or level > ModificationLevel.FORM_FILLING:
        return "added"
    covers_all = status.coverage == validation.SignatureCoverageLevel.ENTIRE_FILE
    return "" if covers_all or not is_last or level == ModificationLevel.LTA_UPDATES else "added"


# ---------------------------------------------------------------------------------------------------------- XML


class _OneOfSeveral(XMLVerifier):
    """Checks the signature at one place among those of a document."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self._place = place

    def _get_signature(self, root: xml_reading.Element) -> xml_reading.Element:
        return _signatures(root)[self._place]


async def _xml(task: Task) -> list[Finding]:
    try:
        root = xml_reading.parse(task.content, as_written=True)
    except xml_reading.XmlRefused:
        return [Finding("broken")]
    if root.tag == f"{_DS}Signature":
        return [Finding("form")]
    found = _signatures(root)
    if len(found) > MOST_SIGNATURES:
        return [Finding("too_heavy")]
    return [await _xml_signature(root, place, task) for place in range(len(found))] or [Finding("unsigned")]


def _signatures(root: xml_reading.Element) -> list[xml_reading.Element]:
    """Give the signatures that are not part of another one."""
    every = root.iter(f"{_DS}Signature")
    return [it for it in every if not any(above.tag == it.tag for above in it.iterancestors())]


async def _xml_signature(root: xml_reading.Element, place: int, task: Task) -> Finding:
    signature = _signatures(root)[place]
    certificates = _certificates(signature)
    if not certificates:
        return Finding("form")
    issuers = {it.issuer.hashable for it in certificates if it.issuer.hashable != it.subject.hashable}
    leaf = next((it for it in certificates if it.subject.hashable not in issuers), certificates[0])
    signed_at = _signing_time(signature)
    reason = _uncovered(root, signature) or _xml_content(root, place, leaf)
    others = [it for it in certificates if it is not leaf]
    reason = reason or await _distrust(leaf, others, task, moment=task.now)
    return Finding(reason or "ok", leaf, signed_at)


def _xml_content(root: xml_reading.Element, place: int, leaf: x509.Certificate) -> str:
    """Say what is wrong between a signature and what it covers; the certificate's dates are looked at later."""
    begins = leaf["tbs_certificate"]["validity"]["not_before"].native
    manner = SignatureConfiguration(expect_references=True, verification_time=begins + timedelta(seconds=1))
    if _is_weak(_signatures(root)[place], manner):
        return "weak"
    certificate = crypto.certificate_pem(leaf.dump())
    try:
        _OneOfSeveral(place).verify(root, x509_cert=certificate, expect_config=manner)
    except (xml_errors.InvalidSignature, xml_errors.InvalidDigest):
        return "altered"
    except (xml_errors.SignXMLException, ValueError):
        return "form"
    return ""


def _is_weak(signature: xml_reading.Element, manner: SignatureConfiguration) -> bool:
    methods = {it.get("Algorithm", "") for it in signature.iter(f"{_DS}SignatureMethod", f"{_DS}DigestMethod")}
    allowed = {it.value for it in manner.signature_methods} | {it.value for it in manner.digest_algorithms}
    return not methods <= allowed


def _certificates(signature: xml_reading.Element) -> list[x509.Certificate]:
    texts = [it.text or "" for it in signature.findall(f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate")]
    try:
        encoded = [crypto.certificate_der(text) for text in texts[:MOST_CERTIFICATES]]
    except ValueError:
        return []
    return [x509.Certificate.load(it) for it in encoded]


def _uncovered(root: xml_reading.Element, signature: xml_reading.Element) -> str:
    """Say why a signature does not speak for the whole document; empty where it does.

    What it covers must be the root, or a child of it beside which there is nothing but signatures: else the signed
    part can be carried about inside something that nobody signed (signature wrapping).
    """
    infos = signature.findall(f"{_DS}SignedInfo")
    references = infos[0].findall(f"{_DS}Reference") if len(infos) == 1 else []
    if not 0 < len(references) <= MOST_REFERENCES:
        return "form"
    covered: list[xml_reading.Element] = []
    for reference in references:
        if any(it.get("Algorithm") not in _TRANSFORMS for it in reference.iter(f"{_DS}Transform")):
            return "form"
        target = _target(root, reference.get("URI"))
        if isinstance(target, str):
            return target
        if signature not in (target, *target.iterancestors()):
            covered.append(target)
    if root in covered:
        return ""
    return "" if covered and _holds_only(root, covered) else "partial"


def _target(root: xml_reading.Element, address: str | None) -> xml_reading.Element | str:
    if address == "":
        return root
    if address is None or not _FRAGMENT.fullmatch(address):
        return "form"
    named = [it for it in root.iter("*") if address[1:] in _names(it)]
    return named[0] if len(named) == 1 else "ambiguous"


def _names(element: xml_reading.Element) -> Iterator[str]:
    for name, value in element.attrib.items():
        if str(name).rpartition("}")[2] in _IDS:
            yield str(value)


def _holds_only(element: xml_reading.Element, covered: Sequence[xml_reading.Element], *, depth: int = 0) -> bool:
    """Whether an element says nothing itself and holds only signatures and, under the root, what is covered."""
    names = (str(name) for name in element.attrib)
    if any(not name.startswith(_XSI) and name.rpartition("}")[2] not in _IDS for name in names):
        return False
    texts = [element.text, *(child.tail for child in element)]
    children = [child for child in element if isinstance(child.tag, str)]
    return (
        bool(children)
        and not any(text and text.strip() for text in texts)
        and all(
            child.tag == f"{_DS}Signature"
            or (depth == 0 and child in covered)
            or _holds_only(child, covered, depth=depth + 1)
            for child in children
        )
    )


def _signing_time(signature: xml_reading.Element) -> datetime | None:
    """Give the time that the signer wrote down, if it is signed too."""
    addresses = {it.get("URI") for it in signature.findall(f"{_DS}SignedInfo/{_DS}Reference")}
    for stated in signature.iter("{*}SigningTime"):
        signed = (f"#{name}" for above in (stated, *stated.iterancestors()) for name in _names(above))
        if any(address in addresses for address in signed):
            try:
                found = datetime.fromisoformat((stated.text or "").strip())
            except ValueError:
                return None
            return found if found.tzinfo is not None else None
    return None


if __name__ == "__main__":
    main()
