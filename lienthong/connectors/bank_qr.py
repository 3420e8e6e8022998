"""The text of a bank transfer's QR code (VietQR, EMVCo), both ways, and its picture.

Facts: contracts §7.6. The numbers of the fields stand in mappings/systems/vietqr.yml.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import segno

from lienthong.core import errors
from lienthong.mappings import engine

SYSTEM: Final = "vietqr"
MAPPING: Final = engine.load(SYSTEM)
_TAGS: Final = MAPPING.envelope
_KINDS: Final = MAPPING.spec.codes["kind"].values
_SERVICES: Final = MAPPING.spec.codes["service"].values
_SERVICE_CODES: Final = {str(value): code for code, value in _SERVICES.items()}
LONGEST_NOTE: Final = 25
_LONGEST_TEXT = 512
_BANK = re.compile(r"[0-9]{6}")
_ACCOUNT = re.compile(r"[0-9A-Za-z]{1,19}")
_PRINTABLE = re.compile(r"[ -~]*")
_AMOUNT = re.compile(r"[1-9][0-9]{0,12}")
_FIELD = re.compile(r"[0-9]{4}")
_CHECK = re.compile(r"[0-9A-F]{4}")

Service = Literal["account", "card", "merchant"]


@dataclass(frozen=True, slots=True)
class BankCode:
    """What a code asks for: a transfer to this account. Without an amount the payer fills it in."""

    bank: str
    account: str
    amount_vnd: int | None = None
    note: str = ""
    service: Service = "account"
    is_dynamic: bool = False


# ------------------------------------------------------------------------------------------------------ writing


def text_of(code: BankCode) -> str:
    """Write the text of a code. Raises InvalidRequest naming what cannot stand in it."""
    _refuse(code)
    beneficiary = _field(_TAGS["bank"], code.bank) + _field(_TAGS["account"], code.account)
    account = (
        _field(_TAGS["scheme"], _TAGS["scheme_value"])
        + _field(_TAGS["beneficiary"], beneficiary)
        + _field(_TAGS["service"], _SERVICE_CODES[code.service])
    )
    text = "".join(
        (
            _field(_TAGS["version"], _TAGS["version_value"]),
            _field(_TAGS["kind"], "12" if code.is_dynamic else "11"),
            _field(_TAGS["account_template"], account),
            _field(_TAGS["currency"], _TAGS["currency_value"]),
            _field(_TAGS["amount"], str(code.amount_vnd)) if code.amount_vnd else "",
            _field(_TAGS["country"], _TAGS["country_value"]),
            _field(_TAGS["further"], _field(_TAGS["note"], code.note)) if code.note else "",
            f"{_TAGS['check_digits']}04",
        )
    )
    return text + check_digits(text)


def check_digits(text: str) -> str:
    """Work out the four check digits: CRC-16/CCITT-FALSE, upper-case hex."""
    register = 0xFFFF
    for byte in text.encode("ascii"):
        register ^= byte << 8
        for _ in range(8):
            register = ((register << 1) ^ 0x1021 if register & 0x8000 else register << 1) & 0xFFFF
    return f"{register:04X}"


def _refuse(code: BankCode) -> None:
    checks = (
        (_BANK.fullmatch(code.bank), "bank", "Mã BIN của ngân hàng có 6 chữ số.", "A bank's BIN has 6 digits."),
        (
            _ACCOUNT.fullmatch(code.account),
            "account",
            "Số tài khoản gồm 1 đến 19 chữ số hoặc chữ cái không dấu.",
            "An account has 1 to 19 digits or plain letters.",
        ),
        (
            code.amount_vnd is None or _AMOUNT.fullmatch(str(code.amount_vnd)),
            "amount_vnd",
            "Số tiền là số đồng nguyên, lớn hơn 0, tối đa 13 chữ số.",
            "The amount is whole đồng, more than 0, at most 13 digits.",
        ),
        (
            len(code.note) <= LONGEST_NOTE and _PRINTABLE.fullmatch(code.note),
            "note",
            "Nội dung tối đa 25 ký tự, không dấu.",
            "The note has at most 25 characters, without accents.",
        ),
    )
    problems = tuple(errors.FieldProblem(field, vi, en) for holds, field, vi, en in checks if not holds)
    if problems:
        raise errors.InvalidRequest(problems=problems)


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02d}{value}"


# ------------------------------------------------------------------------------------------------------ reading


def read(text: str) -> BankCode:
    """Read the text of a code, its check digits first. Raises RemoteGarbled for anything but a VietQR code.

    A bank that is not named is left empty: such codes are made, and a reader must say so rather than guess.
    """
    if len(text) > _LONGEST_TEXT or not _PRINTABLE.fullmatch(text):
        raise _unreadable("no plain text")
    mark = f"{_TAGS['check_digits']}04"
    body, given = text[:-4], text[-4:]
    if not body.endswith(mark) or not _CHECK.fullmatch(given) or check_digits(body) != given:
        raise _unreadable("the check digits do not agree")
    fields = _fields(body[: -len(mark)])
    _expect(fields, version="version_value", currency="currency_value", country="country_value")
    account = _fields(fields.get(_TAGS["account_template"], ""))
    _expect(account, scheme="scheme_value")
    beneficiary = _fields(account.get(_TAGS["beneficiary"], ""))
    code = BankCode(
        bank=beneficiary.get(_TAGS["bank"], ""),
        account=beneficiary.get(_TAGS["account"], ""),
        amount_vnd=_amount(fields.get(_TAGS["amount"])),
        note=_fields(fields.get(_TAGS["further"], "")).get(_TAGS["note"], ""),
        service=_service(account.get(_TAGS["service"], "")),
        is_dynamic=_kind(fields.get(_TAGS["kind"], "")),
    )
    if not _ACCOUNT.fullmatch(code.account) or (code.bank and not _BANK.fullmatch(code.bank)):
        raise _unreadable("no account")
    return code


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        head = text[at : at + 4]
        if not _FIELD.fullmatch(head):
            raise _unreadable("a field has no number and length")
        tag, end = head[:2], at + 4 + int(head[2:])
        if tag in found or end > len(text):
            raise _unreadable("a field stands twice or is cut off")
        found[tag] = text[at + 4 : end]
        at = end
    return found


def _expect(fields: Mapping[str, str], **wanted: str) -> None:
    for name, value in wanted.items():
        if fields.get(_TAGS[name]) != _TAGS[value]:
            raise _unreadable(f"another {name}")


def _amount(value: str | None) -> int | None:
    if value is not None and not _AMOUNT.fullmatch(value):
        raise _unreadable("the amount is no whole number")
    return None if value is None else int(value)


def _service(value: str) -> Service:
    for service in ("account", "card", "merchant"):
        if _SERVICES.get(value) == service:
            return service
    raise _unreadable("another service")


def _kind(value: str) -> bool:
    if value not in _KINDS:
        raise _unreadable("neither static nor dynamic")
    return _KINDS[value] == "dynamic"


def _unreadable(reason: str) -> errors.RemoteGarbled:
    return errors.RemoteGarbled(
        "This is not the text of a VietQR code.",
        detail_vi="Đây không phải nội dung của mã VietQR.",
        system=SYSTEM,
        reason=reason,
    )


# ----------------------------------------------------------------------------------------------------- pictures


def png(text: str, *, scale: int = 8) -> bytes:
    """Draw a code as PNG, with the quiet border that readers need."""
    return _drawn(text, kind="png", scale=scale)


def svg(text: str, *, scale: int = 8) -> bytes:
    """Draw a code as SVG, with the quiet border that readers need."""
    return _drawn(text, kind="svg", scale=scale)


def _drawn(text: str, *, kind: str, scale: int) -> bytes:
    picture = io.BytesIO()
    # Level M, as banks print it: a damaged 15 % can be read; a micro code is not read by banks' programs.
    segno.make(text, error="m", micro=False, boost_error=False).save(picture, kind=kind, scale=scale, border=4)
    return picture.getvalue()
