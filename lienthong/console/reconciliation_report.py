"""The reconciliation of a period as a page to print and as a workbook, in Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lienthong.bus.flows import reconciliation_states, reconciliation_sums
from lienthong.console import printed

_TITLE = "Báo cáo đối soát thanh toán trực tuyến phí, lệ phí"
_SUMS = {
    "agency": "Cơ quan",
    "provider": "Trung gian thanh toán",
    "payments": "Số lượt thu",
    "received_vnd": "Đã thu (đồng)",
    "refunds": "Số lượt hoàn",
    "refunded_vnd": "Đã hoàn (đồng)",
    "net_vnd": "Còn lại (đồng)",
    "waiting_vnd": "Trong đó chờ quyết định (đồng)",
    "confirmed": "Có nguồn thứ hai xác nhận",
    "open_differences": "Chênh lệch chưa khép",
}
_NOBODY = "Không rõ cơ quan"
_FEES = {"provider": "Trung gian thanh toán", "fee_vnd": "Phí giữ lại theo sao kê (đồng)"}
_OPEN = {
    "day": "Ngày",
    "provider": "Trung gian",
    "agency": "Cơ quan",
    "said": "Loại chênh lệch",
    "our_reference": "Mã tham chiếu",
    "provider_reference": "Mã bên trung gian",
    "ours_vnd": "Sổ của trục (đồng)",
    "theirs_vnd": "Sổ trung gian (đồng)",
    "states": "Trạng thái (trục / trung gian)",
    "found_at": "Phát hiện lúc",
}
_CLOSED = {**_OPEN, "closed_at": "Khép lúc", "closed_by": "Người khép", "reason": "Lý do khép"}
# The words of both books: our states of a payment and a refund, and what a statement says.
_STATES = {
    "created": "đang khởi tạo",
    "pending": "chờ thanh toán",
    "paid": "đã thu",
    "failed": "không thành công",
    "expired": "hết hạn",
    "needs_person": "chờ quyết định",
    "refund_requested": "đang hoàn",
    "refunded": "đã hoàn",
    "reversed": "đảo giao dịch",
    "suspect": "nghi ngờ",
    "waiting": "chờ duyệt",
    "ready": "chờ gửi",
    "sending": "đang gửi",
    "accepted": "đã nhận hoàn",
    "done": "đã hoàn",
    "refused": "bị từ chối",
    "declined": "không duyệt",
    "with_person": "chờ xem xét",
}
_WIDE = frozenset({"agency", "said", "reason"})


def page(found: reconciliation_sums.Sums, *, agency: str, made_at: datetime) -> str:
    """Lay the report out as one page of HTML, to read or to print."""
    return printed.page(_report(found, agency, made_at))


def workbook(found: reconciliation_sums.Sums, *, agency: str, made_at: datetime) -> bytes:
    """Write the report as a workbook (XLSX), one sheet a part."""
    return printed.workbook(_report(found, agency, made_at))


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a difference for people."""
    said = reconciliation_states.KINDS_VI.get(row["kind"], row["kind"])
    states = " / ".join(_STATES.get(row[side], row[side]) or "–" for side in ("ours", "theirs"))
    return {**row, "said": said, "states": states}


def _report(found: reconciliation_sums.Sums, agency: str, made_at: datetime) -> printed.Report:
    since, until, made = map(printed.words, (found.since, found.until, made_at))
    still_open, closed = (_differences(found, is_open=is_open) for is_open in (True, False))
    parts = [
        ("1. Tổng hợp theo cơ quan và trung gian", "Tổng hợp", _SUMS, _sums(found)),
        ("2. Phí do trung gian giữ lại", "Phí giữ lại", _FEES, _fees(found)),
        ("3. Chênh lệch chưa khép", "Chênh lệch chưa khép", _OPEN, still_open),
        ("4. Chênh lệch đã khép", "Chênh lệch đã khép", _CLOSED, closed),
    ]
    return printed.Report(
        agency,
        _TITLE,
        [f"Kỳ đối soát: {since} – {until}. Lập lúc {made}."],
        [
            printed.Part(title, columns, rows, sheet=sheet, wide=_WIDE, has_total=columns is _SUMS)
            for title, sheet, columns, rows in parts
        ],
        signed=("Người lập báo cáo", "Kế toán trưởng"),
    )


def _sums(found: reconciliation_sums.Sums) -> list[dict[str, Any]]:
    rows = [{**line.as_json(), "agency": line.agency or _NOBODY} for line in found.lines]
    return [*rows, {**found.total.as_json(), "agency": "Tổng cộng"}] if rows else []


def _fees(found: reconciliation_sums.Sums) -> list[dict[str, Any]]:
    return [{"provider": name, "fee_vnd": found.fees_vnd[name]} for name in sorted(found.fees_vnd)]


def _differences(found: reconciliation_sums.Sums, *, is_open: bool) -> list[dict[str, Any]]:
    return [told(row) for row in found.differences if (row["closed_at"] is None) is is_open]
