"""What callers send to have a parcel carried and to follow it, and what they hear."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from lienthong.bus.flows import payment_views, postal_states
from lienthong.core import money, records

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Filled = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Phone = Annotated[str, StringConstraints(pattern=r"^[0-9+][0-9 .()-]{6,18}[0-9]$")]
PlaceCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,5}$")]
ProvinceToday = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")]
CarrierName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=40)]

STATE_VI: dict[str, str] = {
    "booking": "Đang chờ bưu chính xác nhận",
    "refused": "Bưu chính từ chối",
    "booked": "Đã đặt với bưu chính",
    "created": "Bưu chính đã tạo đơn",
    "accepted": "Bưu chính đã chấp nhận",
    "collected": "Đã thu gom",
    "in_transit": "Đang vận chuyển",
    "delivery_failed": "Phát không thành công",
    "delivered": "Đã phát thành công",
    "returned": "Đã chuyển hoàn người gửi",
    "cancelled": "Đã huỷ",
    "unknown": "Mã trạng thái chưa biết",
}


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Address(records.Record):
    """Somebody's address for the post (địa chỉ). Personal data."""

    name: Filled = Field(description="Họ tên hoặc tên đơn vị")
    phone: Phone = Field(description="Số điện thoại")
    email: Line = Field("", description="Thư điện tử")
    address: Filled = Field(description="Số nhà, đường, thôn, tổ dân phố")
    province_code: ProvinceToday = Field(description="Mã tỉnh hiện hành")
    commune_code: PlaceCode = Field("", description="Mã xã, phường hiện hành")
    old_district_code: PlaceCode = Field("", description="Mã huyện trước 01/7/2025, khi bưu chính còn dùng")
    old_province_code: PlaceCode = Field("", description="Mã tỉnh trước 01/7/2025, khi tỉnh đã sáp nhập")

    def for_post(self) -> money.PostalAddress:
        """Give the address as carriers take it."""
        return money.PostalAddress.model_validate(self.model_dump())


class ParcelRequest(records.Record):
    """What is to be carried, from whom to whom (yêu cầu bưu chính)."""

    dossier_code: records.DossierCode = Field(description="Mã hồ sơ")
    direction: Literal["collect_dossier", "deliver_result"] = Field(
        description="collect_dossier = thu gom hồ sơ tại địa chỉ, deliver_result = phát kết quả"
    )
    sender: Address = Field(description="Người gửi")
    receiver: Address = Field(description="Người nhận")
    carrier: CarrierName = Field("", description="Đơn vị bưu chính; bỏ trống thì trục chọn theo cấu hình")
    cod_vnd: int = Field(
        0, ge=0, le=10**9, description="Số tiền thu hộ khi phát (đồng); phải bằng khoản hồ sơ còn nợ"
    )
    obligation: payment_views.ObligationName = Field("fees", description="Tên khoản được thu hộ")
    weight_g: int = Field(100, ge=1, le=30_000, description="Khối lượng (gam)")
    description: Line = Field("", description="Nội dung bưu gửi")


class ParcelEventView(_View):
    """One event in a parcel's way."""

    occurred_at: AwareDatetime = Field(description="Thời điểm xảy ra")
    state: str = Field(description="Trạng thái; unknown = mã của bưu chính chưa có trong bảng ánh xạ")
    state_vi: str = Field(description="Trạng thái, bằng lời")
    carrier_code: str = Field(description="Mã trạng thái của bưu chính, giữ nguyên")
    carrier_message: str = Field(description="Lời của bưu chính")
    place: str = Field(description="Bưu cục")


class ParcelView(_View):
    """A parcel, as the organisation of its dossier sees it."""

    id: str = Field(description="Số bưu gửi của trục")
    number: str = Field(description="Mã bưu gửi gửi tới bưu chính")
    dossier_code: str = Field(description="Mã hồ sơ")
    direction: str = Field(description="Chiều gửi")
    carrier: str = Field(description="Đơn vị bưu chính")
    state: postal_states.State = Field(description="Trạng thái")
    state_vi: str = Field(description="Trạng thái, bằng lời")
    state_at: AwareDatetime | None = Field(None, description="Thời điểm của trạng thái, theo bưu chính")
    waybill: str = Field("", description="Số vận đơn, khi đã biết")
    carrier_reference: str = Field("", description="Số đơn của bưu chính, khi đã biết")
    cod_vnd: int = Field(0, description="Số tiền thu hộ (đồng)")
    payment_id: str | None = Field(None, description="Lần thanh toán của khoản thu hộ; xem GET /v1/payments/{id}")
    price_vnd: int | None = Field(None, description="Cước (đồng), khi bưu chính cho biết")
    is_late: bool = Field(False, description="Quá hạn không có tin")
    is_lost: bool = Field(False, description="Coi như thất lạc")
    created_at: AwareDatetime = Field(description="Thời điểm đặt")
    booked_at: AwareDatetime | None = Field(None, description="Thời điểm bưu chính nhận đơn")
    events: tuple[ParcelEventView, ...] = Field((), description="Hành trình, cũ trước mới sau")
    repeated: bool = Field(False, description="Bưu gửi này đã được đặt từ trước")
