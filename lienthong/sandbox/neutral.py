"""The sandbox's own inner form of a procedure, between the shapes of the sources and of the two generations."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,6})?")

COMMUNE, PROVINCE, MINISTRY, OTHER = "COMMUNE", "PROVINCE", "MINISTRY", "OTHER"


class Named(NamedTuple):
    """A thing with a code and a name; `id` is the portal's own identifier where the source has one."""

    code: str
    name: str
    id: str = ""


class Fee(NamedTuple):
    """One amount to pay: `amount` is nothing where the source names none."""

    amount: int | float | str | None
    note: str
    kind: str = "FEE"
    code: str = ""
    currency: str = "Việt Nam Đồng"
    file_name: str = ""
    url: str = ""


class Method(NamedTuple):
    """One way to submit, with its time and fees; `quantity` is text where the source writes a sentence."""

    channel: str
    quantity: int | float | str | None
    unit: str
    note: str
    fees: list[Fee]


class Paper(NamedTuple):
    """One component of a dossier."""

    code: str
    name: str
    originals: int | None
    copies: int | None
    form_name: str = ""
    form_url: str = ""
    replaced_by: str = ""
    id: str = ""


class Case(NamedTuple):
    """A case with the papers that it asks for."""

    name: str
    papers: list[Paper]


class LegalBasis(NamedTuple):
    """A legal document that a procedure rests on; dates as the source writes them."""

    number: str
    title: str
    issuer: str = ""
    issued_on: str = ""
    in_force_on: str = ""
    url: str = ""
    id: str = ""


class Agencies(NamedTuple):
    """The agencies in one part (executing, competent, …): as a list and as the free text beside it."""

    items: list[Named]
    text: str = ""


NOBODY = Agencies([])
UNNAMED = Named("", "")


@dataclass(slots=True)
class Procedure:
    """One administrative procedure, with everything that a source may say about it."""

    code: str
    name: str
    id: str = ""
    decision_no: str = ""
    decision_id: str = ""
    decision_at_ms: int | None = None
    published_at_ms: int | None = None
    description: str = ""
    note: str = ""
    keywords: str = ""
    requirements: str = ""
    address: str = ""
    kind: str = ""
    type: str = "STANDARD"
    state: str = "ACTIVE"
    public: str = "1"
    levels: list[tuple[str, str]] = field(default_factory=list)
    fields: list[Named] = field(default_factory=list)
    promulgator: Named = UNNAMED
    steps: list[tuple[str, str]] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    results: list[Named] = field(default_factory=list)
    legal: list[LegalBasis] = field(default_factory=list)
    subjects: list[Named] = field(default_factory=list)
    subject_text: str = ""
    executing: Agencies = NOBODY
    competent: Agencies = NOBODY
    authorised: Agencies = NOBODY
    coordinating: Agencies = NOBODY
    related: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    flags: dict[str, bool] = field(default_factory=dict)
    created_at_ms: int | None = None
    updated_at_ms: int | None = None


def levels_of_text(text: str) -> list[tuple[str, str]]:
    """Split a text such as `Cấp Tỉnh, Cấp Xã` into known levels, each with its own words."""
    found = []
    for part in (piece.strip() for piece in text.split(",")):
        lowered = part.casefold()
        if "xã" in lowered:
            found.append((COMMUNE, part))
        elif "tỉnh" in lowered:
            found.append((PROVINCE, part))
        elif "bộ" in lowered or "trung ương" in lowered:
            found.append((MINISTRY, part))
        elif part:
            found.append((OTHER, part))
    return found


def text_of(value: Any) -> str:
    """Write any value of a source as text; nothing becomes the empty text."""
    return "" if value is None else str(value)


def number_of(value: Any) -> int | float | str | None:
    """Read a count or an amount: a number where it is one, the text where it is a sentence."""
    if value is None or isinstance(value, int | float):
        return value
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        return text or None
    return float(text) if "." in text else int(text)
