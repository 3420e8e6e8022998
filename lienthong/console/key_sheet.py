"""The sheet that goes with a key to its custodian: printable, Vietnamese, with or without the key itself."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from string import Template

from lienthong.api_keys import keys
from lienthong.console.web import forms, grant_matrix
from lienthong.console.web.words import Words
from lienthong.core import errors

_PAGE = resources.files("lienthong.console").joinpath("key_sheet.html")


def must_be_free(path: Path) -> None:
    """Insist that the sheet can be written, before a key is made for it. Raises InvalidRequest."""
    if path.exists():
        raise _cannot(path, "đã có tệp này, hãy chọn tên khác", "the file exists already, choose another name")
    if not os.access(path.parent, os.W_OK):
        raise _cannot(path, "không ghi được vào thư mục này", "the folder cannot be written to")


def write(path: Path, record: keys.KeyRecord, agency: str, *, now: datetime, key: str | None = None) -> None:
    """Write the sheet to a new file that only its owner can read."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise _cannot(path, exc.strerror or "", exc.strerror or "") from exc
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as sink:
            sink.write(page(record, agency, now=now, key=key))
    except OSError as exc:
        raise _cannot(path, exc.strerror or "", exc.strerror or "") from exc


def page(record: keys.KeyRecord, agency: str, *, now: datetime, key: str | None = None) -> str:
    """Give the sheet as HTML; whatever people typed is written as text, never as HTML."""
    rows = "\n".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value or '…')}</td></tr>"
        for name, value in _facts(record).items()
    )
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        agency=html.escape(agency or "…"),
        prefix=html.escape(record.prefix),
        facts=rows,
        key=_key(key),
        printed_at=f"{now:%d/%m/%Y %H:%M}",
    )


def _facts(record: keys.KeyRecord) -> Mapping[str, str]:
    return {
        "Mã khoá": record.id,
        "Phần đầu của khoá": f"{record.prefix}…",
        "Môi trường": "vận hành thật" if record.environment == "live" else "dùng thử",
        "Đơn vị được cấp": record.organisation,
        "Hệ thống sử dụng": record.system,
        "Người giữ khoá": record.custodian,
        "Liên hệ": record.contact,
        "Mục đích": record.purpose,
        "Văn bản cấp": record.decision_number,
        "Quyền gọi": "; ".join(_right(name) for name in record.grants),
        "Hạn mức": "; ".join(forms.limit(it, Words("vi")) for it in record.limits),
        "Địa chỉ được dùng": ", ".join(record.addresses) or "mọi địa chỉ (không giới hạn)",
        "Giờ được dùng": forms.hours(record.hours, Words("vi")) or "mọi lúc",
        "Ngày cấp": f"{record.issued_at:%d/%m/%Y}, {record.issued_by}",
        "Người duyệt": record.approved_by or "chưa duyệt: khoá chưa dùng được",
        "Hết hạn": f"{record.expires_at:%d/%m/%Y %H:%M}",
        "Phải xác nhận lại trước": f"{record.confirm_by:%d/%m/%Y}",
    }


def _right(name: str) -> str:
    """Say what a right opens: whoever signs the sheet need not know the names of operations."""
    return f"{name} ({grant_matrix.about(name, Words('vi'))})"


def _key(key: str | None) -> str:
    if key is None:
        return '<p class="none">Phiếu này không chứa khoá. Khoá được giao riêng, một lần.</p>'
    return f'<p class="key">{html.escape(key)}</p><p>In xong hãy xoá tệp; phiếu này được giữ như giữ khoá.</p>'


def _cannot(path: Path, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"The sheet cannot be written to {path}: {en}.",
        detail_vi=f"Không ghi được phiếu vào {path}: {vi}.",
    )
