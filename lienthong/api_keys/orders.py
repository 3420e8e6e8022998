"""What may be asked for: everything wrong with the order of a key, with a lifetime, an overlap or a reason."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta

from lienthong.api_keys import bounds, grants, key_text, limits
from lienthong.api_keys.key_records import Order
from lienthong.core import errors

LONGEST_OVERLAP_DAYS = 30
_LIFETIME = re.compile(r"(\d{1,4})([dw])")
_OVERLAP = re.compile(r"(\d{1,3})([dh])")
_TEXTS = {
    "organisation": ("đơn vị được cấp", 200),
    "system": ("tên hệ thống", 200),
    "custodian": ("người giữ khoá", 200),
    "contact": ("liên hệ", 200),
    "purpose": ("mục đích", 500),
    "decision_number": ("số văn bản", 100),
}
_REQUIRED = ("organisation", "system", "custodian")


def problems(
    order: Order, *, known: Collection[str], longest_days: int, now: datetime
) -> list[errors.FieldProblem]:
    """Name everything wrong with an order, all at once."""
    return [
        *_text_problems(order),
        *grants.problems(order.grants, known=known),
        *limits.problems(order.limits, operations=known),
        *bounds.problems(order.addresses, order.hours),
        *_expiry_problems(order.expires_at, longest_days=longest_days, now=now),
    ]


def read_lifetime(text: str) -> timedelta:
    """Read how long a key is to live: `365d` or `52w`. Raises InvalidRequest naming `expires`."""
    match = _LIFETIME.fullmatch(text.strip().lower())
    if match is None:
        raise _refused(
            "expires",
            "Thời hạn của khoá ghi bằng số ngày hoặc số tuần, ví dụ 365d hoặc 52w.",
            "A key's lifetime is given in days or weeks, for example 365d or 52w.",
        )
    return timedelta(days=int(match[1]) * (7 if match[2] == "w" else 1))


def read_overlap(text: str) -> timedelta:
    """Read how long the old key goes on after a rotation: `7d`, `12h`, `0d`. Raises InvalidRequest."""
    match = _OVERLAP.fullmatch(text.strip().lower())
    overlap = timedelta(**{"days" if match[2] == "d" else "hours": int(match[1])}) if match else None
    if overlap is None or overlap > timedelta(days=LONGEST_OVERLAP_DAYS):
        raise _refused(
            "overlap",
            f"Thời gian khoá cũ còn dùng được là từ 0d đến {LONGEST_OVERLAP_DAYS}d (hoặc số giờ, ví dụ 12h).",
            f"The old key may go on for 0d to {LONGEST_OVERLAP_DAYS}d (or hours, for example 12h).",
        )
    return overlap


def need_reason(reason: str, act_vi: str, act_en: str) -> None:
    """Insist on a reason: those who read the record later were not there. Raises InvalidRequest."""
    if not reason.strip():
        raise _refused("reason", f"Phải ghi lý do {act_vi}.", f"Say why the key is {act_en}.")


def _text_problems(order: Order) -> list[errors.FieldProblem]:
    found = []
    for name, (label, longest) in _TEXTS.items():
        text = getattr(order, name)
        if name in _REQUIRED and not text.strip():
            found.append(errors.FieldProblem(name, f"Thiếu {label}.", f"{name} is missing."))
        elif len(text) > longest:
            found.append(
                errors.FieldProblem(
                    name, f"Phần {label} dài quá {longest} ký tự.", f"{name} is longer than {longest} characters."
                )
            )
        elif key_text.recognise(text):
            found.append(
                errors.FieldProblem(
                    name,
                    f"Phần {label} có một khoá API; khoá không được ghi vào đâu cả.",
                    f"{name} holds an API key; a key must not be written anywhere.",
                )
            )
    return found


def _expiry_problems(expires_at: datetime, *, longest_days: int, now: datetime) -> list[errors.FieldProblem]:
    if expires_at <= now:
        return [
            errors.FieldProblem("expires", "Ngày hết hạn phải ở tương lai.", "The key must expire in the future.")
        ]
    if expires_at > now + timedelta(days=longest_days):
        return [
            errors.FieldProblem(
                "expires",
                f"Khoá không được cấp quá {longest_days} ngày.",
                f"A key cannot be issued for more than {longest_days} days.",
            )
        ]
    return []


def _refused(field: str, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(problems=(errors.FieldProblem(field, vi, en),))
