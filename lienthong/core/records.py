"""The records of the house: what a procedure, a dossier and a change of status are, whoever speaks of them.

Every field carries its Vietnamese term, so that OpenAPI and WSDL show both languages.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]
ChangeId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
DossierCode = Annotated[
    str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9.]{0,34}-[0-9]{6}([0-9]{2})?-[0-9]{4,9}$", max_length=50)
]


def _of_our_times(moment: datetime) -> datetime:
    """Refuse the ends of the calendar: no term can be counted from them, nor their zone be changed."""
    if not 1900 <= moment.year <= 2199:
        raise ValueError("the year must be between 1900 and 2199")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_of_our_times)]


class Record(BaseModel):
    """What all records share: they cannot be changed, and an unknown field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


# ---------------------------------------------------------------------------------------------- procedures


class Channel(StrEnum):
    """How a dossier is submitted (kênh thực hiện)."""

    IN_PERSON = "in_person"
    ONLINE = "online"
    POSTAL = "postal"


class Level(StrEnum):
    """At which level of government a procedure is carried out (cấp thực hiện)."""

    MINISTRY = "ministry"
    PROVINCE = "province"
    DISTRICT = "district"
    COMMUNE = "commune"
    OTHER = "other"


class TimeUnit(StrEnum):
    """The unit of a processing time (đơn vị tính); `other` where the source gives none that can be counted."""

    WORKING_DAY = "working_day"
    DAY = "day"
    HOUR = "hour"
    MONTH = "month"
    YEAR = "year"
    OTHER = "other"


class Coded(Record):
    """A name with its code, and the number that the source gives it; each may be empty."""

    code: str = Field("", description="Mã")
    name: str = Field("", description="Tên")
    source_id: str = Field("", description="Mã nội bộ ở nguồn")


class Decision(Record):
    """The decision by which a procedure was published (quyết định công bố)."""

    number: str = Field("", description="Số quyết định")
    decided_on: date | None = Field(None, description="Ngày quyết định")
    published_on: date | None = Field(None, description="Ngày công khai")
    agency: str = Field("", description="Cơ quan ban hành")
    source_id: str = Field("", description="Mã nội bộ ở nguồn")


class Fee(Record):
    """One fee or charge of a procedure (phí, lệ phí).

    `amount` is in `currency`; 0 often means "set by the provincial council", said only in `note`.
    """

    code: str = Field("", description="Mã phí, lệ phí")
    kind: Literal["fee", "charge", "price", ""] = Field("", description="Loại: phí, lệ phí, giá dịch vụ")
    amount: Decimal | None = Field(None, description="Số tiền")
    amount_text: str = Field("", description="Số tiền như nguồn ghi, khi không đọc được thành số")
    currency: str = Field("", description="Đơn vị tiền")
    note: str = Field("", description="Ghi chú")
    file_name: str = Field("", description="Tệp kèm theo")
    file_url: str = Field("", description="Địa chỉ tệp kèm theo")


class ProcessingTime(Record):
    """How long a procedure may take, with the fees that go with it (thời hạn giải quyết)."""

    quantity: Decimal | None = Field(None, description="Số lượng")
    unit: TimeUnit | None = Field(None, description="Đơn vị tính")
    unit_text: str = Field("", description="Đơn vị tính như nguồn ghi")
    note: str = Field("", description="Mô tả")
    fees: tuple[Fee, ...] = Field((), description="Phí, lệ phí")
    quantity_text: str = Field("", description="Thời hạn như nguồn ghi, khi không đọc được thành số")


class Method(Record):
    """One way of submitting, with its times and fees (cách thức thực hiện)."""

    channel: Channel = Field(description="Kênh thực hiện")
    times: tuple[ProcessingTime, ...] = Field((), description="Thời hạn giải quyết")


class StepCase(Record):
    """The steps of one case (trình tự thực hiện)."""

    name: str = Field("", description="Trường hợp")
    steps: tuple[str, ...] = Field((), description="Các bước")


class Paper(Record):
    """One component of a dossier (thành phần hồ sơ)."""

    code: str = Field("", description="Mã giấy tờ")
    name: str = Field("", description="Tên giấy tờ")
    originals: int = Field(0, description="Số bản chính")
    copies: int = Field(0, description="Số bản sao")
    replaced_by: str = Field("", description="Mã kết quả thay thế")
    form_name: str = Field("", description="Tên mẫu đơn")
    form_url: str = Field("", description="Địa chỉ mẫu đơn")
    has_electronic_form: bool | None = Field(None, description="Có biểu mẫu điện tử")
    source_id: str = Field("", description="Mã nội bộ ở nguồn")


class DossierCase(Record):
    """The components that one case asks for (trường hợp hồ sơ)."""

    name: str = Field("", description="Trường hợp")
    papers: tuple[Paper, ...] = Field((), description="Thành phần hồ sơ")


class ResultPaper(Record):
    """A paper that the procedure gives (kết quả thực hiện)."""

    code: str = Field("", description="Mã kết quả")
    name: str = Field("", description="Tên kết quả")
    file_name: str = Field("", description="Tệp mẫu")
    file_url: str = Field("", description="Địa chỉ tệp mẫu")
    source_id: str = Field("", description="Mã nội bộ ở nguồn")


class LegalBasis(Record):
    """A legal document that the procedure rests on (căn cứ pháp lý)."""

    number: str = Field("", description="Số văn bản")
    title: str = Field("", description="Tên văn bản")
    issuer: str = Field("", description="Cơ quan ban hành")
    issued_on: date | None = Field(None, description="Ngày ban hành")
    effective_on: date | None = Field(None, description="Ngày hiệu lực")
    url: str = Field("", description="Địa chỉ truy cập")
    source_id: str = Field("", description="Mã nội bộ ở nguồn")


class ServiceCase(Record):
    """A public service made of the procedure (dịch vụ công), with its own time."""

    code: str = Field("", description="Mã dịch vụ công")
    name: str = Field("", description="Tên dịch vụ công")
    quantity: Decimal | None = Field(None, description="Số lượng")
    unit: TimeUnit | None = Field(None, description="Đơn vị tính")


class Procedure(Record):
    """An administrative procedure as the national database publishes it (thủ tục hành chính, TTHC).

    Never edited here: names and classification are exactly those published (NT 3.2, 3.3).
    """

    code: str = Field(description="Mã thủ tục", min_length=1, max_length=60)
    name: str = Field(description="Tên thủ tục", min_length=1)
    published: bool = Field(True, description="Đang công khai")
    kind: str = Field("", description="Loại thủ tục, theo cách ghi của nguồn")
    scope: Literal["national", "provincial", "internal", ""] = Field("", description="Phạm vi")
    revision: Literal["active", "updated", ""] = Field("", description="Trạng thái bản công bố")
    levels: tuple[Level, ...] = Field((), description="Cấp thực hiện")
    level_text: str = Field("", description="Cấp thực hiện như nguồn ghi")
    fields: tuple[Coded, ...] = Field((), description="Lĩnh vực")
    publishing_agency: Coded = Field(Coded(), description="Cơ quan công bố")
    decision: Decision = Field(Decision(), description="Quyết định công bố")
    description: str = Field("", description="Mô tả")
    keywords: str = Field("", description="Từ khoá")
    requirements: str = Field("", description="Yêu cầu, điều kiện")
    note: str = Field("", description="Ghi chú")
    receiving_address: str = Field("", description="Địa chỉ tiếp nhận")
    steps: tuple[StepCase, ...] = Field((), description="Trình tự thực hiện")
    methods: tuple[Method, ...] = Field((), description="Cách thức thực hiện")
    cases: tuple[DossierCase, ...] = Field((), description="Thành phần hồ sơ theo trường hợp")
    results: tuple[ResultPaper, ...] = Field((), description="Kết quả thực hiện")
    legal_bases: tuple[LegalBasis, ...] = Field((), description="Căn cứ pháp lý")
    subjects: tuple[Coded, ...] = Field((), description="Đối tượng thực hiện")
    subjects_text: str = Field("", description="Mô tả đối tượng thực hiện")
    executing_agencies: tuple[Coded, ...] = Field((), description="Cơ quan thực hiện")
    competent_agencies: tuple[Coded, ...] = Field((), description="Cơ quan có thẩm quyền")
    authorised_agencies: tuple[Coded, ...] = Field((), description="Cơ quan được uỷ quyền")
    coordinating_agencies: tuple[Coded, ...] = Field((), description="Cơ quan phối hợp")
    executing_text: str = Field("", description="Mô tả cơ quan thực hiện")
    competent_text: str = Field("", description="Mô tả cơ quan có thẩm quyền")
    authorised_text: str = Field("", description="Mô tả cơ quan được uỷ quyền")
    coordinating_text: str = Field("", description="Mô tả cơ quan phối hợp")
    related_codes: tuple[str, ...] = Field((), description="Thủ tục liên quan")
    linked_codes: tuple[str, ...] = Field((), description="Thủ tục liên thông")
    service_cases: tuple[ServiceCase, ...] = Field((), description="Dịch vụ công")
    return_methods: tuple[str, ...] = Field((), description="Cách trả kết quả")
    fully_online: bool | None = Field(None, description="Dịch vụ công toàn trình")
    any_place: bool | None = Field(None, description="Tiếp nhận không phụ thuộc địa giới")
    source_id: str = Field("", description="Mã nội bộ của bản công bố ở nguồn")
    source_created_at: AwareDatetime | None = Field(None, description="Thời điểm tạo ở nguồn")
    source_updated_at: AwareDatetime | None = Field(None, description="Thời điểm cập nhật ở nguồn")


class ListedProcedure(Record):
    """One row of a source's list of procedures.

    `key` is what the source wants when the detail is asked for. `fingerprint` changes whenever the published
    version changes; empty where the source gives nothing to tell by, so that the detail must be fetched.
    """

    code: str
    name: str
    key: str
    fingerprint: str = ""


class AgencyRow(Record):
    """One row of the national list of agencies (danh mục cơ quan)."""

    code: str
    name: str
    level: str = ""


class FieldRow(Record):
    """One row of the national list of fields of administration (danh mục lĩnh vực)."""

    code: str
    name: str
    sector: str = ""


class Oddity(Record):
    """Something in a record that is not as it should be, kept as it came and reported."""

    kind: str = Field(description="Loại bất thường")
    field: str = Field("", description="Trường")
    seen: str = Field("", description="Giá trị thấy được")


# ------------------------------------------------------------------------------------------------ dossiers


class Status(StrEnum):
    """The ten states of a dossier (trạng thái hồ sơ); national codes 1 to 10 in this order."""

    SUBMITTED = "submitted"
    RECEIVED = "received"
    REJECTED = "rejected"
    PROCESSING = "processing"
    SUPPLEMENT_REQUESTED = "supplement_requested"
    PAYMENT_REQUESTED = "payment_requested"
    WITHDRAW_REQUESTED = "withdraw_requested"
    STOPPED = "stopped"
    FINISHED = "finished"
    RETURNED = "returned"


STATUS_VI: dict[Status, str] = {
    Status.SUBMITTED: "Mới đăng ký",
    Status.RECEIVED: "Được tiếp nhận",
    Status.REJECTED: "Không được tiếp nhận",
    Status.PROCESSING: "Đang xử lý",
    Status.SUPPLEMENT_REQUESTED: "Yêu cầu bổ sung giấy tờ",
    Status.PAYMENT_REQUESTED: "Yêu cầu thực hiện nghĩa vụ tài chính",
    Status.WITHDRAW_REQUESTED: "Công dân yêu cầu rút hồ sơ",
    Status.STOPPED: "Dừng xử lý",
    Status.FINISHED: "Đã xử lý xong",
    Status.RETURNED: "Đã trả kết quả",
}


class Applicant(Record):
    """Whose dossier it is (chủ hồ sơ). Personal data."""

    kind: Literal["citizen", "enterprise", "agency", "organisation"] = Field(description="Loại đối tượng")
    name: Name = Field(description="Họ tên hoặc tên tổ chức")
    citizen_id: Annotated[str, StringConstraints(pattern=r"^([0-9]{12}|[0-9]{9})$")] | None = Field(
        None, description="Số định danh cá nhân (12 số) hoặc CMND (9 số)"
    )
    tax_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{10}(-?[0-9]{3})?$|^[0-9]{12}$")] | None = Field(
        None, description="Mã số thuế, mã số doanh nghiệp"
    )
    identity_number: Text = Field("", description="Số giấy tờ khác, khi không có hai số trên")
    phone: Annotated[str, StringConstraints(strip_whitespace=True, max_length=30)] = Field(
        "", description="Số điện thoại"
    )
    email: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = Field(
        "", description="Thư điện tử"
    )
    fax: Annotated[str, StringConstraints(strip_whitespace=True, max_length=30)] = Field("", description="Số fax")
    portal_account: Text = Field("", description="TechID của tài khoản trên Cổng DVCQG")
    identity_verified: bool = Field(False, description="Tài khoản đã xác thực với VNeID")


class DossierFee(Record):
    """A fee that a dossier owes (lệ phí của hồ sơ)."""

    name: Name = Field(description="Tên phí, lệ phí")
    code: Text = Field("", description="Mã phí, lệ phí")
    kind: Literal["fee", "charge"] = Field("charge", description="fee = phí, charge = lệ phí")
    amount_vnd: int = Field(ge=0, le=10**13, description="Số tiền (đồng)")
    collected: Literal["reception", "supplement", "return"] = Field(
        "reception", description="Thu khi: tiếp nhận, bổ sung, trả kết quả"
    )


class DossierComponent(Record):
    """A paper handed in with a dossier (tài liệu nộp)."""

    code: Text = Field("", description="Mã thành phần hồ sơ")
    file_id: Text = Field("", description="Mã tệp ở bên gửi")
    file_name: Name = Field(description="Tên tệp")
    url: Text = Field(description="Địa chỉ để Cổng tải tệp", min_length=1)
    deleted: bool = Field(False, description="Đã xoá")
    digitised: bool = Field(False, description="Được số hoá")
    reused_from: Literal["none", "component", "result"] = Field("none", description="Tái sử dụng từ")
    from_national_store: bool = Field(False, description="Lấy từ kho dữ liệu điện tử quốc gia")
    replaced_by_result: Text = Field("", description="Mã kết quả thay thế")


class DossierAttachment(Record):
    """Another paper that came with a dossier, without a file (giấy tờ đính kèm khác)."""

    name: Name = Field(description="Tên giấy tờ")
    quantity: int = Field(1, ge=0, le=10_000, description="Số lượng")
    kind: Text = Field("", description="Loại giấy tờ")


class DossierSupplement(Record):
    """A request for more papers, and what came of it (yêu cầu bổ sung)."""

    number: int = Field(ge=0, description="Số thứ tự yêu cầu bổ sung")
    requested_by: Text = Field("", description="Người yêu cầu")
    request: Text = Field("", description="Nội dung yêu cầu")
    requested_at: Moment | None = Field(None, description="Ngày yêu cầu")
    received_by: Text = Field("", description="Người tiếp nhận bổ sung")
    received_note: Text = Field("", description="Thông tin tiếp nhận")
    received_at: Moment | None = Field(None, description="Ngày tiếp nhận bổ sung")
    completed: bool = Field(False, description="Đã bổ sung")
    papers: tuple[DossierAttachment, ...] = Field((), description="Giấy tờ bổ sung")
    fees: tuple[DossierFee, ...] = Field((), description="Lệ phí bổ sung")
    due_before_at: Moment | None = Field(None, description="Ngày hẹn trả trước")
    due_after_at: Moment | None = Field(None, description="Ngày hẹn trả mới")


class DossierResult(Record):
    """A result document of a dossier (giấy tờ kết quả)."""

    name: Name = Field(description="Tên giấy tờ")
    code: Text = Field("", description="Mã giấy tờ kết quả")
    component_code: Text = Field("", description="Mã thành phần hồ sơ")
    file_id: Text = Field("", description="Mã tệp")
    url: Text = Field("", description="Địa chỉ tệp kết quả")


class Dossier(Record):
    """A dossier as its receiving system describes it (hồ sơ). Contains personal data."""

    code: DossierCode = Field(description="Mã hồ sơ, do hệ thống tiếp nhận cấp")
    procedure_code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)] = Field(
        description="Mã thủ tục hành chính"
    )
    applicant: Applicant = Field(description="Chủ hồ sơ")
    summary: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field(
        description="Trích yếu"
    )
    channel: Channel = Field(description="Kênh thực hiện")
    submitted_at: Moment = Field(description="Ngày nộp")
    received_at: Moment | None = Field(None, description="Ngày tiếp nhận")
    due_at: Moment | None = Field(None, description="Ngày hẹn trả")
    agency: Name = Field(description="Mã định danh hoặc tên cơ quan giải quyết")
    unit: Text = Field("", description="Đơn vị xử lý")
    return_by: Literal["in_person", "postal"] = Field("in_person", description="Hình thức nhận kết quả")
    receipt_number: Text = Field("", description="Số biên nhận")
    submitted_on: Literal["national_portal", "provincial_system"] = Field(
        "provincial_system", description="Nơi nộp hồ sơ"
    )
    online_payment: Literal["none", "national_platform", "other_gateway"] = Field(
        "none", description="Được thanh toán trực tuyến"
    )
    databases_used: tuple[Text, ...] = Field((), max_length=100, description="Cơ sở dữ liệu đã kết nối")
    fees: tuple[DossierFee, ...] = Field((), max_length=100, description="Lệ phí")
    components: tuple[DossierComponent, ...] = Field((), max_length=500, description="Tài liệu nộp")
    attachments: tuple[DossierAttachment, ...] = Field((), max_length=500, description="Giấy tờ khác")
    supplements: tuple[DossierSupplement, ...] = Field((), max_length=100, description="Yêu cầu bổ sung")
    results: tuple[DossierResult, ...] = Field((), max_length=100, description="Giấy tờ kết quả")
    return_note: Text = Field("", description="Thông tin trả kết quả")
    note: Text = Field("", description="Ghi chú")
    other_information: Text = Field("", description="Thông tin khác")
    external_references: dict[str, str] = Field(
        default_factory=dict, max_length=20, description="Số của hồ sơ ở hệ thống khác"
    )

    @model_validator(mode="after")
    def _times_agree(self) -> Dossier:
        for field in ("received_at", "due_at"):
            value: datetime | None = getattr(self, field)
            if value is not None and value < self.submitted_at:
                raise ValueError(f"{field} must not be before submitted_at")
        return self


class StatusChange(Record):
    """One change of a dossier's status, as reported by the system that handles it (cập nhật tiến độ)."""

    status: Status = Field(description="Trạng thái sau bước này")
    occurred_at: Moment = Field(description="Thời điểm xử lý")
    handled_by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] = Field(
        description="Người xử lý"
    )
    position: Text = Field("", description="Chức danh")
    unit: Text = Field("", description="Phòng ban xử lý")
    note: Text = Field("", description="Nội dung xử lý")
    due_at: Moment | None = Field(None, description="Ngày hẹn trả mới, nếu thay đổi")
    step_started_at: Moment | None = Field(None, description="Ngày bắt đầu bước")
    step_due_at: Moment | None = Field(None, description="Ngày kết thúc bước theo quy định")
    change_id: ChangeId | None = Field(
        None, description="Số của lần cập nhật ở hệ thống gửi; gửi lại cùng số là cùng một lần"
    )


class ProcedureFacts(Record):
    """What a dossier needs to know of the procedure version that it was received under."""

    code: str
    name: str
    field_code: str
    field_name: str
    version: int


class DossierSnapshot(Record):
    """A dossier as it stands after one change: what a receiving system is told. Contains personal data."""

    dossier: Dossier
    procedure: ProcedureFacts
    status: Status
    rejected_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    returned_at: AwareDatetime | None = None


class ProgressStep(Record):
    """One step in the handling of a dossier: what a receiving system appends to its list."""

    dossier_code: str
    change: StatusChange


# ------------------------------------------------------------------------------------------------- answers


class Receipt(Record):
    """What a receiving system said to one message that it took.

    `duplicate` is true where it had the message already, which is success.
    """

    duplicate: bool = False
    remote_code: str = ""
    remote_message: str = ""


class CheckResult(Record):
    """One line of a self-check: what was tried, whether it holds, and the sentence that helps."""

    name: str
    ok: bool
    vi: str
    en: str
    facts: dict[str, Any] = Field(default_factory=dict)
