"""What callers send to ask about a person, an enterprise or a stored paper, and what they get back."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from lienthong.core import people, records

# Nine digits in a row may be somebody's number: a purpose is kept in the record and must name nobody.
_NUMBER = re.compile(r"\d(?:[ .-]?\d){8,}")
Purpose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=300)]
OfficialName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Occasion(records.Record):
    """For what, on whose behalf and for which dossier something is asked (căn cứ tra cứu)."""

    dossier_code: records.DossierCode = Field(description="Mã hồ sơ đang giải quyết")
    purpose: Purpose = Field(description="Mục đích tra cứu; không ghi tên hay số của người được tra cứu")
    procedure_code: Annotated[str, StringConstraints(strip_whitespace=True, max_length=60)] | None = Field(
        None, description="Mã thủ tục; nếu ghi thì phải đúng thủ tục của hồ sơ"
    )
    official: OfficialName | None = Field(
        None, description="Mã hoặc tài khoản cán bộ; chỉ cần khi khoá được phép nêu tên cán bộ không kèm xác nhận"
    )

    @field_validator("purpose")
    @classmethod
    def _names_nobody(cls, given: str) -> str:
        if _NUMBER.search(given):
            raise ValueError("the purpose must not hold the number of a person")
        if not given.isprintable():
            raise ValueError("the purpose must be one line of text")
        return given


class VerifyRequest(Occasion):
    """Does a person with this number, name and birth exist? (xác thực thông tin công dân)."""

    citizen: people.ResidentQuestion = Field(description="Công dân được xác thực")


class LookUpRequest(Occasion):
    """What does the population database know of this person? (tra cứu thông tin công dân)."""

    citizen: people.ResidentQuestion = Field(description="Công dân được tra cứu")
    fields: tuple[str, ...] = Field(
        (), max_length=20, description="Nhóm trường cần lấy; bỏ trống là mọi nhóm được phép cho thủ tục này"
    )


class Repeated(_View):
    """The same was asked for the same dossier a short while ago; the answer below is fresh nevertheless."""

    lookup_id: str = Field(description="Số của lần hỏi trước")
    asked_at: AwareDatetime = Field(description="Thời điểm hỏi trước")


class Asked(_View):
    """What every answer says about the question itself."""

    lookup_id: str = Field(description="Số lần hỏi trong sổ của trục")
    number: str = Field(description="Mã yêu cầu đã gửi tới cơ sở dữ liệu quốc gia")
    official: str = Field(description="Mã cán bộ đứng tên lần hỏi")
    dossier_code: str = Field(description="Mã hồ sơ")
    repeated: Repeated | None = Field(None, description="Có khi câu hỏi này vừa được hỏi cho cùng hồ sơ")
    asked_before: int = Field(0, description="Số lần đã hỏi về người này cho hồ sơ này trước lần này")


class VerifyAnswer(Asked):
    """Whether such a person exists; where not, the register does not say what disagrees."""

    verified: bool = Field(description="Đúng là có công dân với số, họ tên và ngày sinh này")
    note: str = Field("", description="Giải thích, khi không xác thực được")


class IdentityGroup(_View):
    """`residents.identity`."""

    citizen_id: str = Field(description="Số định danh cá nhân")
    old_id: str = Field(description="Số CMND")


class BasicGroup(_View):
    """`residents.basic`."""

    full_name: str = Field(description="Họ và tên")
    gender: people.Gender = Field(description="Giới tính")
    birth: people.Birth = Field(description="Ngày sinh, hoặc năm sinh")
    ethnicity: str = Field(description="Mã dân tộc")
    nationality: str = Field(description="Quốc tịch")


class ResidenceGroup(_View):
    """`residents.residence`."""

    permanent_residence: people.PlaceOfResident | None = Field(description="Nơi thường trú")
    current_residence: people.PlaceOfResident | None = Field(description="Nơi ở hiện tại")


class BirthGroup(_View):
    """`residents.birth`."""

    birth_registered_at: people.PlaceOfResident | None = Field(description="Nơi đăng ký khai sinh")
    hometown: people.PlaceOfResident | None = Field(description="Quê quán")


class FamilyGroup(_View):
    """`residents.family`."""

    father: people.Relative | None = Field(description="Cha")
    mother: people.Relative | None = Field(description="Mẹ")
    spouse: people.Relative | None = Field(description="Vợ, chồng")
    representative: people.Relative | None = Field(description="Người đại diện")
    household_head: people.Relative | None = Field(description="Chủ hộ")
    household_book: str = Field(description="Số sổ hộ khẩu (cũ)")


class StatusGroup(_View):
    """`residents.status`."""

    marital_status: people.MaritalStatus = Field(description="Tình trạng hôn nhân")


class SensitiveGroup(_View):
    """`residents.sensitive`."""

    religion: str = Field(description="Mã tôn giáo")
    blood_group: people.BloodGroup = Field(description="Nhóm máu")


class ResidentView(_View):
    """A resident, group by group; a group that was not asked for or not granted is absent (null)."""

    identity: IdentityGroup | None = Field(None, description="Số định danh")
    basic: BasicGroup | None = Field(None, description="Thông tin cơ bản")
    residence: ResidenceGroup | None = Field(None, description="Nơi cư trú")
    birth: BirthGroup | None = Field(None, description="Nơi sinh, quê quán")
    family: FamilyGroup | None = Field(None, description="Quan hệ gia đình")
    status: StatusGroup | None = Field(None, description="Tình trạng hôn nhân")
    sensitive: SensitiveGroup | None = Field(None, description="Tôn giáo, nhóm máu")


GROUPS: dict[str, type[BaseModel]] = {
    "residents.identity": IdentityGroup,
    "residents.basic": BasicGroup,
    "residents.residence": ResidenceGroup,
    "residents.birth": BirthGroup,
    "residents.family": FamilyGroup,
    "residents.status": StatusGroup,
    "residents.sensitive": SensitiveGroup,
}


def resident_view(found: people.Resident, groups: tuple[str, ...]) -> ResidentView:
    """Cut a resident down to the groups that may go out."""
    told: dict[str, Any] = {}
    for name in groups:
        shape = GROUPS[name]
        told[name.partition(".")[2]] = shape(**{part: getattr(found, part) for part in shape.model_fields})
    return ResidentView(**told)


class LookUpAnswer(Asked):
    """What the population database knows, as far as key, procedure and request allow."""

    found: bool = Field(description="Có tìm thấy công dân")
    note: str = Field("", description="Giải thích, khi không tìm thấy")
    field_groups: tuple[str, ...] = Field((), description="Các nhóm trường có trong trả lời")
    resident: ResidentView | None = Field(None, description="Thông tin công dân")


# ------------------------------------------------------------------------------------------------- enterprises


class EnterpriseRequest(records.Record):
    """An enterprise is looked up by its code (mã số doanh nghiệp)."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{10}(-?[0-9]{3})?$")] = Field(
        description="Mã số doanh nghiệp, mã số thuế"
    )
    purpose: Purpose = Field(description="Mục đích tra cứu")
    dossier_code: records.DossierCode | None = Field(None, description="Mã hồ sơ, nếu có")


class EnterpriseAnswer(_View):
    """What the business register knows of an enterprise."""

    lookup_id: str = Field(description="Số lần hỏi trong sổ của trục")
    found: bool = Field(description="Có tìm thấy doanh nghiệp")
    field_groups: tuple[str, ...] = Field((), description="Các nhóm trường có trong trả lời")
    enterprise: people.Enterprise | None = Field(None, description="Thông tin doanh nghiệp")


# ----------------------------------------------------------------------------------------------- stored papers


class PaperRequest(Occasion):
    """Which papers of a person are looked for in the electronic data store (HG 9.2, NA 10)."""

    owner_id: people.CitizenId = Field(description="Số định danh chủ sở hữu giấy tờ")
    requester_id: people.CitizenId = Field(description="Số định danh của người yêu cầu")
    requester_name: people.FullName = Field(description="Họ tên người yêu cầu")
    wanted: tuple[people.StoredPaperWanted, ...] = Field(
        min_length=1, max_length=20, description="Loại kết quả cần tìm"
    )


class PapersAnswer(Asked):
    """The papers that were found."""

    papers: tuple[people.StoredPaper, ...] = Field((), description="Giấy tờ tìm thấy")


class PaperFileRequest(Occasion):
    """One file of a paper that was found before."""

    lookup_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] = Field(
        description="Số của lần tìm đã thấy giấy tờ này"
    )
    paper_code: people.Word = Field(description="Mã loại kết quả")
    paper_number: people.Word = Field("", description="Số, ký hiệu")
    agency: people.Word = Field(description="Cơ quan chủ quản kho")
    path: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)] = Field(
        description="Đường dẫn tệp, như lần tìm đã trả"
    )


class SignerView(_View):
    """Who signed a paper."""

    organisation: str = Field(description="Đơn vị ký")
    serial: str = Field(description="Số sê-ri chứng thư")
    signed_at: AwareDatetime | None = Field(None, description="Thời điểm ký ghi trong tệp")


class PaperFile(Asked):
    """A file with the verdict on its digital signature (NA 20.1)."""

    content: str = Field(description="Nội dung tệp, base64")
    digest: str = Field(description="SHA-256 của tệp")
    bytes: int = Field(description="Kích thước tệp")
    signature: Literal["valid", "unsigned", "altered", "untrusted", "expired_or_revoked", "unreadable"] = Field(
        description="Kết quả kiểm tra chữ ký số"
    )
    signature_note: str = Field("", description="Giải thích kết quả kiểm tra chữ ký")
    signers: tuple[SignerView, ...] = Field((), description="Người ký")
