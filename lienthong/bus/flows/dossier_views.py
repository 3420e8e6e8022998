"""What callers get to see of a dossier, its changes and its messages."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from lienthong.core import records
from lienthong.core.records import Status


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class DossierView(_View):
    """A dossier as the hub holds it, with what the hub adds."""

    dossier: records.Dossier = Field(description="Hồ sơ, như hệ thống gửi đã khai")
    status: Status = Field(description="Trạng thái hiện tại")
    status_vi: str = Field(description="Trạng thái bằng tiếng Việt")
    status_at: AwareDatetime = Field(description="Thời điểm của trạng thái hiện tại")
    procedure_version: int = Field(description="Phiên bản thủ tục khi tiếp nhận")
    organisation: str = Field(description="Đơn vị khai hồ sơ")
    answer_by: AwareDatetime | None = Field(None, description="Hạn tiếp nhận hoặc trả lời hồ sơ trực tuyến")
    supplement_by: AwareDatetime | None = Field(None, description="Hạn bổ sung giấy tờ")
    finished_at: AwareDatetime | None = Field(None, description="Ngày kết thúc xử lý")
    returned_at: AwareDatetime | None = Field(None, description="Ngày trả kết quả")
    rejected_at: AwareDatetime | None = Field(None, description="Ngày từ chối")
    updated_at: AwareDatetime = Field(description="Lần sửa cuối trên trục")
    personal_data_hidden: bool = Field(False, description="Dữ liệu cá nhân đã được che")
    created: bool = Field(False, description="Hồ sơ vừa được tạo bởi yêu cầu này")


class Accepted(_View):
    """A change of status was taken and promised to every target."""

    message_id: str = Field(description="Số thông điệp, để theo dõi việc gửi đi")
    messages: dict[str, str] = Field(description="Số thông điệp theo từng hệ thống nhận")
    dossier_code: str = Field(description="Mã hồ sơ")
    change_number: int = Field(description="Số thứ tự của lần cập nhật trong hồ sơ")
    status: Status = Field(description="Trạng thái của hồ sơ sau lần cập nhật")
    repeated: bool = Field(False, description="Đã nhận lần cập nhật này từ trước; không gửi lại")
    unusual: str = Field("", description="Ghi chú nếu bước chuyển khác thường")
    accepted_at: AwareDatetime = Field(description="Thời điểm trục nhận")


class Delivered(_View):
    """How far one message has come, for one target."""

    target: str = Field(description="Hệ thống nhận")
    message_id: str = Field(description="Số thông điệp")
    state: Literal["pending", "in_flight", "delivered", "dead", "dropped"] = Field(description="Trạng thái gửi")
    delivered_at: AwareDatetime | None = Field(None, description="Thời điểm hệ thống nhận xác nhận")


class TimelineItem(_View):
    """One change of status: when it happened, when the hub took it, when each target took it."""

    number: int = Field(description="Số thứ tự")
    status: Status = Field(description="Trạng thái")
    status_vi: str = Field(description="Trạng thái bằng tiếng Việt")
    occurred_at: AwareDatetime = Field(description="Thời điểm xảy ra")
    accepted_at: AwareDatetime = Field(description="Thời điểm trục nhận")
    handled_by: str = Field("", description="Người xử lý")
    unit: str = Field("", description="Đơn vị")
    note: str = Field("", description="Nội dung")
    unusual: str = Field("", description="Ghi chú nếu bước chuyển khác thường")
    deliveries: tuple[Delivered, ...] = Field((), description="Việc gửi tới từng hệ thống")


class Timeline(_View):
    """Everything that happened to one dossier, oldest first."""

    dossier_code: str = Field(description="Mã hồ sơ")
    items: tuple[TimelineItem, ...] = Field(description="Các lần cập nhật")


class AttemptView(_View):
    """One try to deliver a message."""

    number: int = Field(description="Lần thử")
    started_at: AwareDatetime = Field(description="Bắt đầu")
    took_ms: float = Field(description="Thời gian (ms)")
    outcome: str = Field(description="Kết quả")
    code: str = Field(description="Mã lỗi, hoặc ok")


class MessageView(_View):
    """One message of the outbox, as its sender may follow it."""

    message_id: str = Field(description="Số thông điệp")
    target: str = Field(description="Hệ thống nhận")
    dossier_code: str = Field(description="Mã hồ sơ")
    state: Literal["pending", "in_flight", "delivered", "dead", "dropped"] = Field(description="Trạng thái gửi")
    created_at: AwareDatetime = Field(description="Thời điểm trục nhận")
    delivered_at: AwareDatetime | None = Field(None, description="Thời điểm hệ thống nhận xác nhận")
    next_try_at: AwareDatetime | None = Field(None, description="Lần gửi kế tiếp")
    waiting_behind: str | None = Field(None, description="Đang chờ thông điệp này của cùng hồ sơ")
    last_code: str | None = Field(None, description="Mã kết quả lần gửi gần nhất")
    attempts: tuple[AttemptView, ...] = Field((), description="Các lần gửi")


class EnquiryView(_View):
    """The public status of a dossier: no personal data (TG 5.7, DL 5)."""

    dossier_code: str = Field(description="Mã hồ sơ")
    procedure_code: str = Field(description="Mã thủ tục")
    procedure_name: str = Field(description="Tên thủ tục")
    status: Status = Field(description="Trạng thái")
    status_vi: str = Field(description="Trạng thái bằng tiếng Việt")
    status_at: AwareDatetime = Field(description="Thời điểm của trạng thái")
    agency: str = Field(description="Cơ quan giải quyết")
    received_at: AwareDatetime | None = Field(None, description="Ngày tiếp nhận")
    due_at: AwareDatetime | None = Field(None, description="Ngày hẹn trả")
    finished_at: AwareDatetime | None = Field(None, description="Ngày kết thúc xử lý")
    returned_at: AwareDatetime | None = Field(None, description="Ngày trả kết quả")
