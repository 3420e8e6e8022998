"""What callers send to pay, to ask how it stands and to give money back, and what they hear."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from lienthong.bus.flows import payment_states
from lienthong.core import money, records

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
ObligationName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,60}$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=300)]
Person = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=100)]
WebAddress = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,480}$")]

STATE_VI: dict[str, str] = {
    "created": "Đang khởi tạo",
    "pending": "Chờ thanh toán",
    "paid": "Đã thanh toán",
    "failed": "Không thành công",
    "expired": "Hết hạn",
    "needs_person": "Chờ người có thẩm quyền xem xét",
    "refund_requested": "Đang hoàn tiền",
    "refunded": "Đã hoàn tiền",
}


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class PaymentRequest(records.Record):
    """What is to be paid for a dossier, and by whom (yêu cầu thanh toán)."""

    dossier_code: records.DossierCode = Field(description="Mã hồ sơ")
    payer: money.Payer = Field(description="Người nộp")
    obligation: ObligationName = Field("fees", description="Tên khoản phải nộp, khi hồ sơ nộp nhiều lần")
    amount_vnd: money.AmountVnd | None = Field(
        None, description="Số tiền (đồng); bỏ trống thì lấy tổng phí, lệ phí đã khai trong hồ sơ"
    )
    lines: tuple[money.OwedLine, ...] = Field(
        (), max_length=50, description="Các khoản phí, lệ phí; tổng phải đúng bằng số tiền"
    )
    provider: Line = Field("", description="Trung gian thanh toán; bỏ trống thì trục chọn theo cấu hình")
    beneficiary: money.Beneficiary = Field(
        default_factory=money.Beneficiary, description="Đơn vị, tài khoản thụ hưởng"
    )
    description: Line = Field("", description="Nội dung thanh toán")
    return_url: WebAddress | None = Field(None, description="Trang hiện cho người nộp sau khi thanh toán")


class PaymentView(_View):
    """An attempt to pay, as the organisation of its dossier sees it."""

    id: str = Field(description="Số lần thanh toán")
    reference: str = Field(description="Mã tham chiếu gửi trung gian")
    dossier_code: str = Field(description="Mã hồ sơ")
    obligation: str = Field(description="Tên khoản phải nộp")
    provider: str = Field(description="Trung gian thanh toán")
    state: payment_states.State = Field(description="Trạng thái")
    state_vi: str = Field(description="Trạng thái, bằng lời")
    amount_vnd: int = Field(description="Số tiền (đồng)")
    refunded_vnd: int = Field(0, description="Số tiền đã hoàn (đồng)")
    pay_url: str = Field("", description="Trang thanh toán, khi còn chờ")
    qr_text: str = Field("", description="Nội dung mã QR, khi còn chờ")
    provider_reference: str = Field("", description="Số giao dịch của trung gian")
    created_at: AwareDatetime = Field(description="Thời điểm tạo")
    expires_at: AwareDatetime = Field(description="Hạn thanh toán")
    paid_at: AwareDatetime | None = Field(None, description="Thời điểm đã thanh toán")
    settled_by: str | None = Field(
        None, description="Biết được nhờ: callback, query, statement hoặc carrier (bưu chính thu hộ)"
    )
    has_receipt: bool = Field(False, description="Đã lấy được biên lai, chứng từ")
    repeated: bool = Field(False, description="Lần thanh toán này đã được tạo từ trước và còn hiệu lực")


class RefundRequest(records.Record):
    """Money to be given back (yêu cầu hoàn tiền)."""

    amount_vnd: money.AmountVnd | None = Field(None, description="Số tiền hoàn; bỏ trống là toàn bộ")
    reason: Reason = Field(description="Lý do hoàn tiền")
    requested_by: Person = Field(description="Tài khoản cán bộ đề nghị hoàn")


class RefundView(_View):
    """A refund and how it stands."""

    id: str = Field(description="Số yêu cầu hoàn tiền")
    payment_id: str = Field(description="Số lần thanh toán")
    request_number: str = Field(description="Mã yêu cầu gửi trung gian")
    amount_vnd: int = Field(description="Số tiền hoàn (đồng)")
    state: str = Field(
        description="waiting = chờ người thứ hai duyệt, ready = chờ gửi, sending = đang gửi, accepted = đã nhận, "
        "done = đã hoàn, refused = bị từ chối, declined = không duyệt, with_person = chờ người xem xét"
    )
    requested_at: AwareDatetime = Field(description="Thời điểm đề nghị")
    finished_at: AwareDatetime | None = Field(None, description="Thời điểm xong")


class ReceiptView(_View):
    """The receipt or voucher of a payment (biên lai, chứng từ)."""

    payment_id: str = Field(description="Số lần thanh toán")
    content_base64: str = Field(description="Nội dung tệp, base64; trống khi trung gian chỉ cho địa chỉ")
    content_type: str = Field(description="Kiểu tệp")
    url: str = Field(description="Địa chỉ tải, khi trung gian chỉ cho địa chỉ")
    digest: str = Field(description="SHA-256 của tệp hoặc của địa chỉ")
    fetched_at: AwareDatetime = Field(description="Thời điểm lấy")


def refund_view(row: Any) -> RefundView:
    """Show a refund's row."""
    return RefundView(**{name: row[name] for name in RefundView.model_fields})
