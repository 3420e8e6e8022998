"""Residents, enterprises, officials and stored papers as records, whoever speaks of them.

Beside `records.py`, which it adds to: what is here comes from national registers and is never stored.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from lienthong.core import records

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
CitizenId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
OldId = Annotated[str, StringConstraints(pattern=r"^[0-9]{9}$")]
FullName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=100)]

LONGEST_SERVICE_CODE = 20

Gender = Literal["unknown", "male", "female"]
MaritalStatus = Literal["unknown", "never_married", "married", "divorced_or_widowed"]
BloodGroup = Literal["unknown", "A", "B", "AB", "O"]


# --------------------------------------------------------------------------------------------------- residents


class Birth(records.Record):
    """When somebody was born: a day, or only the year where that is all that is known (ngày sinh, năm sinh)."""

    day: date | None = Field(None, description="Ngày tháng năm sinh")
    year: int | None = Field(None, ge=1850, le=2200, description="Năm sinh, khi chỉ biết năm")

    @model_validator(mode="after")
    def _one_of_both(self) -> Birth:
        if self.day is not None and self.year is not None and self.day.year != self.year:
            raise ValueError("day and year must agree")
        return self

    @property
    def is_known(self) -> bool:
        """Whether anything is known of it."""
        return self.day is not None or self.year is not None


class PlaceOfResident(records.Record):
    """A place as the population database gives it: codes, valid at the time of the answer (nơi chốn).

    `district_code` may be missing since 07/2025. Names are ours, joined by the codes; empty where unknown.
    """

    province_code: Word = Field("", description="Mã tỉnh, thành phố")
    province_name: Word = Field("", description="Tên tỉnh, thành phố")
    district_code: Word = Field("", description="Mã quận, huyện (chỉ có trước 07/2025)")
    commune_code: Word = Field("", description="Mã phường, xã")
    commune_name: Word = Field("", description="Tên phường, xã")
    detail: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = Field(
        "", description="Địa chỉ chi tiết"
    )
    country: Word = Field("", description="Mã quốc gia")


class Relative(records.Record):
    """Somebody named in another person's record (người thân)."""

    full_name: Word = Field("", description="Họ và tên")
    nationality: Word = Field("", description="Quốc tịch")
    citizen_id: Word = Field("", description="Số định danh")
    old_id: Word = Field("", description="Số CMND")
    relation: Word = Field("", description="Mã quan hệ, chỉ có với chủ hộ")


class Resident(records.Record):
    """A resident as the population database knows one (công dân). Personal data; never stored."""

    citizen_id: Word = Field("", description="Số định danh cá nhân")
    old_id: Word = Field("", description="Số CMND")
    full_name: Word = Field(description="Họ và tên")
    gender: Gender = Field("unknown", description="Giới tính")
    birth: Birth = Field(default_factory=Birth, description="Ngày sinh")
    ethnicity: Word = Field("", description="Mã dân tộc")
    religion: Word = Field("", description="Mã tôn giáo")
    nationality: Word = Field("", description="Quốc tịch")
    marital_status: MaritalStatus = Field("unknown", description="Tình trạng hôn nhân")
    blood_group: BloodGroup = Field("unknown", description="Nhóm máu")
    birth_registered_at: PlaceOfResident | None = Field(None, description="Nơi đăng ký khai sinh")
    hometown: PlaceOfResident | None = Field(None, description="Quê quán")
    permanent_residence: PlaceOfResident | None = Field(None, description="Nơi thường trú")
    current_residence: PlaceOfResident | None = Field(None, description="Nơi ở hiện tại")
    father: Relative | None = Field(None, description="Cha")
    mother: Relative | None = Field(None, description="Mẹ")
    spouse: Relative | None = Field(None, description="Vợ, chồng")
    representative: Relative | None = Field(None, description="Người đại diện")
    household_head: Relative | None = Field(None, description="Chủ hộ")
    household_book: Word = Field("", description="Số sổ hộ khẩu (cũ)")


class ResidentQuestion(records.Record):
    """Who is asked about (công dân được tra cứu): a number, a name and a birth, which must agree over there."""

    citizen_id: CitizenId | None = Field(None, description="Số định danh cá nhân, 12 chữ số")
    old_id: OldId | None = Field(None, description="Số CMND, 9 chữ số, khi không có số định danh")
    full_name: FullName = Field(description="Họ và tên")
    birth: Birth = Field(description="Ngày sinh, hoặc năm sinh khi chỉ biết năm")

    @model_validator(mode="after")
    def _whole(self) -> ResidentQuestion:
        if (self.citizen_id is None) == (self.old_id is None):
            raise ValueError("give citizen_id or old_id, exactly one of them")
        if not self.birth.is_known:
            raise ValueError("birth needs day or year")
        return self

    @property
    def number(self) -> str:
        """The number that the question is about."""
        return self.citizen_id or self.old_id or ""


class Errand(records.Record):
    """On whose behalf and for what a national register is asked: what its own access log wants to know.

    `number` is the hub's number of the question, unique, at most 40 characters.
    """

    number: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    service_code: Annotated[str, StringConstraints(max_length=LONGEST_SERVICE_CODE)] = ""
    official_code: Annotated[str, StringConstraints(max_length=20)] = ""
    official_account: Annotated[str, StringConstraints(max_length=100)] = ""
    official_phone: Annotated[str, StringConstraints(max_length=30)] = ""
    unit_code: Annotated[str, StringConstraints(max_length=35)] = ""
    dossier_code: str = ""
    purpose: str = ""


# ------------------------------------------------------------------------------------------------- enterprises


class EnterpriseActivity(records.Record):
    """A line of business (ngành, nghề kinh doanh)."""

    code: Word = Field("", description="Mã ngành")
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = Field(
        "", description="Tên ngành"
    )
    is_main: bool = Field(False, description="Ngành chính")


class EnterpriseMember(records.Record):
    """Somebody who holds a part of an enterprise (thành viên góp vốn). Personal data."""

    name: Word = Field("", description="Tên thành viên")
    amount_vnd: Decimal | None = Field(None, description="Vốn góp (đồng)")
    share_percent: Decimal | None = Field(None, description="Tỷ lệ (%)")
    country: Word = Field("", description="Quốc gia")


class EnterpriseAddress(records.Record):
    """Where an enterprise has its seat (trụ sở)."""

    province_code: Word = Field("", description="Mã tỉnh, thành phố")
    province_name: Word = Field("", description="Tên tỉnh, thành phố")
    district_code: Word = Field("", description="Mã quận, huyện (cũ)")
    district_name: Word = Field("", description="Tên quận, huyện (cũ)")
    commune_code: Word = Field("", description="Mã phường, xã")
    commune_name: Word = Field("", description="Tên phường, xã")
    street: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = Field(
        "", description="Số nhà, đường"
    )
    full_text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = Field(
        "", description="Địa chỉ đầy đủ"
    )


class Enterprise(records.Record):
    """An enterprise as the business register knows it (doanh nghiệp)."""

    code: Word = Field(description="Mã số doanh nghiệp")
    tax_code: Word = Field("", description="Mã số thuế")
    other_code: Word = Field("", description="Mã đăng ký khác, như nguồn ghi")
    source_id: Word = Field("", description="Mã nội bộ ở nguồn")
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = Field(
        description="Tên doanh nghiệp"
    )
    short_name: Word = Field("", description="Tên viết tắt")
    foreign_name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = Field(
        "", description="Tên tiếng nước ngoài"
    )
    kind_code: Word = Field("", description="Mã loại hình")
    kind_name: Word = Field("", description="Loại hình")
    status: Word = Field("", description="Tình trạng, như nguồn ghi")
    founded_on: date | None = Field(None, description="Ngày thành lập")
    last_amended_on: date | None = Field(None, description="Ngày thay đổi gần nhất")
    amendments: int | None = Field(None, ge=0, description="Số lần thay đổi")
    legal_representatives: tuple[Word, ...] = Field((), description="Người đại diện theo pháp luật")
    capital_vnd: Decimal | None = Field(None, description="Vốn điều lệ (đồng)")
    address: EnterpriseAddress = Field(default_factory=EnterpriseAddress, description="Trụ sở chính")
    activities: tuple[EnterpriseActivity, ...] = Field((), description="Ngành, nghề")
    members: tuple[EnterpriseMember, ...] = Field((), description="Thành viên góp vốn")


# ---------------------------------------------------------------------------------------------- stored papers


class StoredFile(records.Record):
    """A file of a stored paper; `path` is the store's own name for it."""

    name: Word = Field(description="Tên tệp")
    path: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)] = Field(
        description="Đường dẫn ở kho"
    )


class StoredPaper(records.Record):
    """A result of a settled dossier in somebody's electronic data store (giấy tờ kết quả trong kho)."""

    code: Word = Field("", description="Mã loại kết quả")
    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = Field(
        "", description="Tên giấy tờ"
    )
    number: Word = Field("", description="Số, ký hiệu")
    agency: Word = Field("", description="Cơ quan chủ quản kho")
    files: tuple[StoredFile, ...] = Field((), description="Tệp đính kèm")


class StoredPaperWanted(records.Record):
    """A kind of paper that is looked for; `number` where it is known."""

    code: Word = Field(description="Mã loại kết quả")
    number: Word = Field("", description="Số, ký hiệu")


# ------------------------------------------------------------------------------------------------- identities


class Identity(records.Record):
    """Who signed in, as an identity provider says (định danh đăng nhập). Personal data.

    `subject` is the provider's own name for the account; `key` is what an account is found by in practice:
    the citizen's number, the enterprise's tax code, or TechID (contracts §9).
    """

    subject: Word = Field(description="Mã tài khoản ở bên cung cấp")
    kind: Literal["individual", "enterprise", "organisation"] = Field(description="Loại tài khoản")
    key: Word = Field(description="Khoá tài khoản: số định danh, mã số thuế hoặc TechID")
    full_name: Word = Field("", description="Họ và tên, hoặc tên tổ chức")
    citizen_id: Word = Field("", description="Số định danh")
    tax_code: Word = Field("", description="Mã số thuế")
    email: Word = Field("", description="Thư điện tử")
    phone: Word = Field("", description="Số điện thoại")
    tech_id: Word = Field("", description="TechID")
    assurance: int | None = Field(None, description="Mức độ bảo đảm danh tính, nếu có")
    shape: Literal["dvcqg", "vneid"] = Field(description="Dạng thông tin người dùng đã nhận")


class SignedIn(records.Record):
    """What a code was exchanged for: the identity, and what is needed to sign out again."""

    identity: Identity
    id_token: str = Field("", repr=False)
    access_token: str = Field("", repr=False)
    expires_at: datetime
