"""Payments and parcels as records: what is owed, what an intermediary says, where a parcel is.

Amounts are whole đồng. A reference is the hub's own number of one attempt to pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from lienthong.core import records

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Reference = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{6,20}$")]
"""Letters and digits, at most 20: the narrowest of all intermediaries (contracts §7.1.1)."""
AmountVnd = Annotated[int, Field(ge=1, le=10**12)]


# ------------------------------------------------------------------------------------------------- what is owed


class Payer(records.Record):
    """Who pays (người nộp). Personal data."""

    name: Text = Field(description="Họ tên người nộp")
    citizen_id: Text = Field("", description="Số định danh")
    address: Text = Field("", description="Địa chỉ")
    district: Text = Field("", description="Huyện (cũ)")
    province: Text = Field("", description="Tỉnh")
    phone: Text = Field("", description="Số điện thoại")
    address_of_device: Text = Field("", description="Địa chỉ mạng của người nộp")


class Beneficiary(records.Record):
    """Where the money goes (tài khoản thụ hưởng)."""

    unit_code: Text = Field("", description="Mã đơn vị thu")
    unit_name: Text = Field("", description="Tên đơn vị thu")
    bank_code: Text = Field("", description="Mã ngân hàng")
    account: Text = Field("", description="Số tài khoản")
    holder: Text = Field("", description="Tên tài khoản")


class OwedLine(records.Record):
    """One fee or charge that is paid (khoản phí, lệ phí)."""

    kind: Literal["fee", "charge"] = Field(description="fee = phí, charge = lệ phí")
    code: Text = Field("", description="Mã phí, lệ phí")
    name: Text = Field(description="Tên phí, lệ phí")
    amount_vnd: AmountVnd = Field(description="Số tiền (đồng)")


class PaymentOrder(records.Record):
    """One attempt to pay, as an intermediary is asked to carry it out (yêu cầu thanh toán)."""

    reference: Reference = Field(description="Mã tham chiếu của trục, không lặp lại")
    amount_vnd: AmountVnd = Field(description="Số tiền (đồng)")
    dossier_code: Text = Field(description="Mã hồ sơ")
    procedure_code: Text = Field("", description="Mã thủ tục")
    procedure_name: Text = Field("", description="Tên thủ tục")
    description: Text = Field(description="Nội dung; mỗi bên tự bỏ dấu, cắt theo giới hạn của mình")
    payer: Payer
    beneficiary: Beneficiary = Field(default_factory=Beneficiary)
    lines: tuple[OwedLine, ...] = ()
    return_url: Text = Field("", description="Trang hiện cho người nộp sau khi trả")
    callback_url: Text = Field("", description="Địa chỉ nhận kết quả của trục")
    created_at: AwareDatetime
    expires_at: AwareDatetime
    provider_reference: Text = Field("", description="Số của trung gian, khi đã biết: để hỏi lại, lấy biên lai")
    paid_at: AwareDatetime | None = Field(None, description="Thời điểm đã trả, khi đã biết: để lấy biên lai")


class PaymentStarted(records.Record):
    """What an intermediary gave for an attempt: where the payer goes, its own number."""

    pay_url: str = Field("", description="Trang thanh toán")
    qr_text: str = Field("", description="Nội dung mã QR")
    provider_reference: str = Field("", description="Số của trung gian, nếu đã có")
    expires_at: AwareDatetime | None = None


# ----------------------------------------------------------------------------------- what an intermediary says

NewsState = Literal["paid", "pending", "failed", "expired", "needs_person", "reversed"]
"""`needs_person`: money moved but something is wrong (suspected fraud, reversed half-way): a person decides."""


class PaymentNews(records.Record):
    """A verified word of an intermediary about one attempt, from a callback or a query alike."""

    reference: str
    amount_vnd: int | None = Field(None, description="None where the message carries no amount")
    currency: str = "VND"
    partner: str = Field("", description="for whom the intermediary thinks it works: must be us")
    state: NewsState
    provider_reference: str = ""
    provider_code: str = Field("", description="its own code, kept as it came")
    provider_message: str = ""
    bank: str = ""
    paid_at: AwareDatetime | None = None


class RefundOrder(records.Record):
    """Money to be given back, in whole or in part (yêu cầu hoàn tiền)."""

    request_number: Reference
    reference: Reference
    provider_reference: str = ""
    refund_reference: str = Field("", description="the intermediary's own number of the refund, when known")
    amount_vnd: AmountVnd
    is_whole: bool
    reason: Text
    paid_at: AwareDatetime
    started_at: AwareDatetime | None = Field(None, description="when the payment was asked for; VNPAY wants it")
    created_at: AwareDatetime
    created_by: Text
    address_of_device: Text = ""


class RefundNews(records.Record):
    """What an intermediary says of a refund."""

    state: Literal["accepted", "done", "refused", "already", "pending"]
    provider_reference: str = ""
    provider_code: str = ""
    provider_message: str = ""


class ReceiptFile(records.Record):
    """The receipt or voucher of a payment (biên lai, chứng từ): its bytes, or where it can be fetched."""

    content: bytes = Field(b"", repr=False)
    content_type: str = "application/pdf"
    url: str = ""


# -------------------------------------------------------------------------------------------------- callbacks


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A message that an outside system sent to us, untouched: nothing of it is believed yet.

    `name` is the last part of `/callbacks/<contract>/<name>`; header names are in lower case.
    """

    name: str
    method: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    address: str = ""


CallbackOutcome = Literal[
    "recorded",
    "already",
    "unknown_reference",
    "amount_differs",
    "forged",
    "address_refused",
    "unreadable",
    "failed",
]


@dataclass(frozen=True, slots=True)
class CallbackReply:
    """What the provider wants to hear, in its own words."""

    status: int
    body: bytes
    content_type: str = "application/json"
    outcome: CallbackOutcome | None = None  # what became of the message: for our record, never sent


# --------------------------------------------------------------------------------------------------- parcels


class PostalAddress(records.Record):
    """Somebody's address for the post (địa chỉ). Personal data. Place codes are ours (2025 divisions)."""

    name: Text
    phone: Text
    email: Text = ""
    address: Text
    province_code: Text
    commune_code: Text = ""
    old_district_code: Text = ""
    old_province_code: Text = ""


class ParcelOrder(records.Record):
    """A parcel to be collected or delivered (yêu cầu bưu chính)."""

    number: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.-]{4,50}$")]
    dossier_code: str
    direction: Literal["collect_dossier", "deliver_result"]
    sender: PostalAddress
    receiver: PostalAddress
    waybill: str = Field("", description="a number from the pool, where the carrier wants one")
    cod_vnd: int = Field(0, ge=0)
    weight_g: int = Field(100, ge=1, le=30_000)
    description: Text = ""
    procedure_code: str = ""
    procedure_name: str = ""
    citizen_id: Text = Field("", description="Số định danh của người dân, nơi bưu chính đòi")
    received_at: AwareDatetime | None = Field(None, description="Thời điểm tiếp nhận hồ sơ, nơi bưu chính đòi")


class ParcelBooked(records.Record):
    """A carrier took a parcel."""

    carrier_reference: str = ""
    waybill: str = ""
    price_vnd: int | None = None
    duplicate: bool = False


ParcelState = Literal[
    "created",
    "accepted",
    "collected",
    "in_transit",
    "delivery_failed",
    "delivered",
    "returned",
    "cancelled",
    "unknown",
]


class ParcelEvent(records.Record):
    """One event in a parcel's way, as the carrier tells it; an unknown code is kept and shown."""

    number: str = Field(description="our number of the parcel, or the dossier's code as the carrier has it")
    waybill: str = ""
    event_id: str = Field(description="unique with the carrier; repeated events have the same one")
    occurred_at: AwareDatetime
    state: ParcelState
    carrier_code: str
    carrier_message: str = ""
    place: str = ""
    cod_collected_vnd: int | None = None


class TrackingPage(records.Record):
    """A page of a carrier's feed; `cursor` is where to go on, once the events are stored."""

    events: tuple[ParcelEvent, ...]
    cursor: str
    is_last: bool
    unread: tuple[str, ...] = Field((), description="ids of rows that cannot be read: an alert, not an end")
