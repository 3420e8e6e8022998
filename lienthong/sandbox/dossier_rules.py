"""What the imitated portal demands of a dossier and of a progress step: fields, limits, codes, times.

Source: contracts §3.2 to §3.4 and the encodings of §1.5. Nothing personal is repeated in a refusal: it names the
field and the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_TIME = re.compile(r"[0-9]{14}")
_DIGITS = re.compile(r"[0-9]{1,15}")
_IDENTITY_LENGTH = {"1": 12, "2": 9}
STATUSES = frozenset(str(number) for number in range(1, 11))
# Times that cannot exist yet while a dossier is only submitted, refused or being withdrawn.
_BEFORE_RECEPTION = frozenset({"1", "3", "7"})
_NOT_YET = frozenset({"NgayTiepNhan", "NgayHenTra"})

Check = Callable[[Any], str | None]


class Refused(ValueError):
    """A message that the portal does not accept, with its sentence."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One field: how strongly it is asked for, and the check of a value that is there."""

    check: Check
    need: str = "o"


def _text(limit: int = 0) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "phải là chuỗi / must be text"
        if limit and len(value) > limit:
            return f"dài quá {limit} ký tự / longer than {limit}"
        return None

    return check


def _one_of(*allowed: str) -> Check:
    words = frozenset(allowed)

    def check(value: Any) -> str | None:
        if isinstance(value, str) and value in words:
            return None
        return f"phải là một trong / must be one of {', '.join(allowed)}"

    return check


def time_problem(value: Any) -> str | None:
    """Say what is wrong with a time; exactly fourteen digits that make a real moment are right."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return "phải là 14 chữ số yyyyMMddHHmmss / must be 14 digits"
    year, month, day, hour, minute, second = (
        int(part) for part in (value[:4], value[4:6], value[6:8], value[8:10], value[10:12], value[12:])
    )
    try:
        datetime(year, month, day, hour, minute, second)
    except ValueError:
        return "không phải thời điểm có thật / not a real time"
    return None


def _money(value: Any) -> str | None:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return None
    return "phải là chuỗi chữ số, đơn vị đồng / must be a string of digits"


def _truth(value: Any) -> str | None:
    if isinstance(value, bool) or value in ("True", "False"):
        return None
    return "phải là true/false"


def _list_of(rules: dict[str, Rule]) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, list):
            return "phải là mảng / must be an array"
        for place, item in enumerate(value):
            problem = _problem(item, rules, strict=False, excused=frozenset())
            if problem:
                return f"[{place}].{problem}"
        return None

    return check


_FLAG = _one_of("0", "1")
_STATUS = _one_of(*sorted(STATUSES, key=int))

_FEE = {
    "TenPhiLePhi": Rule(_text()),
    "MaPhiLePhi": Rule(_text()),
    "HinhThucThu": Rule(_one_of("1", "2", "4")),
    "Gia": Rule(_money),
    "LoaiPhiLePhi": Rule(_one_of("1", "2")),
}
_FILE = {
    "TepDinhKemId": Rule(_text()),
    "TenTepDinhKem": Rule(_text(4000), "R"),
    "IsDeleted": Rule(_one_of("True", "False"), "R"),
    "MaThanhPhanHoSo": Rule(_text(100), "R"),
    "DuongDanTaiTepTin": Rule(_text(), "R"),
    "DuocSoHoa": Rule(_FLAG, "r"),
    "DuocTaiSuDung": Rule(_one_of("0", "1", "2"), "r"),
    "DuocLayTuKhoDMQG": Rule(_FLAG, "r"),
    "MaKetQuaThayThe": Rule(_text()),
}
_PAPER = {"TenGiayTo": Rule(_text(2000)), "SoLuong": Rule(_text()), "LoaiGiayTo": Rule(_text())}
# The contract names no fields of a supplement's papers: any that a paper or a file has, none of them demanded.
_SUPPLEMENT_PAPER = {
    name: Rule(rule.check) for name, rule in (_PAPER | _FILE | {"GiayToId": Rule(_text())}).items()
}
_SUPPLEMENT = {
    "HoSoBoSungId": Rule(_money),
    "NguoiYeuCauBoSung": Rule(_text()),
    "NoiDungBoSung": Rule(_text()),
    "NgayBoSung": Rule(time_problem),
    "NguoiTiepNhanBoSung": Rule(_text()),
    "ThongTinTiepNhan": Rule(_text()),
    "NgayTiepNhanBoSung": Rule(time_problem),
    "TrangThaiBoSung": Rule(_truth),
    "DanhSachGiayToBoSung": Rule(_list_of(_SUPPLEMENT_PAPER)),
    "DanhSachLePhiBoSung": Rule(_list_of(_FEE)),
    "NgayHenTraTruoc": Rule(time_problem),
    "NgayHenTraMoi": Rule(time_problem),
}
_RESULT = {
    "TenGiayTo": Rule(_text(2000)),
    "MaThanhPhanHoSo": Rule(_text(100)),
    "GiayToId": Rule(_text()),
    "DuongDanTepTinKetQua": Rule(_text()),
    "MaGiayToKetQua": Rule(_text()),
}


def _identity(value: Any) -> str | None:
    problem = _list_of({"LoaiDinhDanh": Rule(_one_of("1", "2"), "R"), "SoDinhDanh": Rule(_text(), "R")})(value)
    if problem:
        return problem
    for place, item in enumerate(value):
        length = _IDENTITY_LENGTH[item["LoaiDinhDanh"]]
        if not (len(item["SoDinhDanh"]) == length and item["SoDinhDanh"].isdecimal()):
            return f"[{place}].SoDinhDanh: phải là {length} chữ số / must be {length} digits"
    return None


DOSSIER: dict[str, Rule] = {
    "MaHoSo": Rule(_text(50), "R"),
    "MaTTHC": Rule(_text(50), "R"),
    "TenTTHC": Rule(_text(), "R"),
    "MaLinhVuc": Rule(_text(), "R"),
    "TenLinhVuc": Rule(_text(), "R"),
    "SoBienNhan": Rule(_text()),
    "KenhThucHien": Rule(_one_of("1", "2", "3"), "r"),
    "ChuHoSo": Rule(_text()),
    "SoGiayToChuHoSo": Rule(_text(), "r"),
    "DinhDanhCHS": Rule(_identity, "r"),
    "LoaiDoiTuong": Rule(_one_of("1", "2", "3", "4"), "R"),
    "MaDoiTuong": Rule(_text()),
    "ThongTinKhac": Rule(_text()),
    "Email": Rule(_text()),
    "Fax": Rule(_text()),
    "SoDienThoai": Rule(_text(), "R"),
    "TrichYeuHoSo": Rule(_text(1000), "R"),
    "NgayNopHoSo": Rule(time_problem, "r"),
    "NgayTiepNhan": Rule(time_problem, "R"),
    "NgayHenTra": Rule(time_problem, "R"),
    "TrangThaiHoSo": Rule(_STATUS, "R"),
    "NgayTuChoi": Rule(time_problem),
    "NgayKetThucXuLy": Rule(time_problem),
    "NgayTra": Rule(time_problem),
    "ThongTinTra": Rule(_text()),
    "HinhThuc": Rule(_FLAG, "R"),
    "DonViXuLy": Rule(_text(), "R"),
    "GhiChu": Rule(_text()),
    "NoiNopHoSo": Rule(_one_of("1", "2"), "r"),
    "HoSoCoThanhPhanSoHoa": Rule(_FLAG, "r"),
    "TaiKhoanDuocXacThucVoiVNeID": Rule(_FLAG, "r"),
    "DuocThanhToanTrucTuyen": Rule(_one_of("0", "1", "2", "3"), "r"),
    "DSKetNoiCSDL": Rule(_list_of({"MaCSDL": Rule(_text(), "R")}), "r"),
    "TaiLieuNop": Rule(_list_of(_FILE)),
    "DanhSachLePhi": Rule(_list_of(_FEE)),
    "DanhSachTepDinhKemKhac": Rule(_list_of(_PAPER)),
    "DanhSachHoSoBoSung": Rule(_list_of(_SUPPLEMENT)),
    "DanhSachGiayToKetQua": Rule(_list_of(_RESULT)),
}
STEP: dict[str, Rule] = {
    "MaHoSo": Rule(_text(50), "R"),
    "NguoiXuLy": Rule(_text(50), "R"),
    "ChucDanh": Rule(_text()),
    "ThoiDiemXuLy": Rule(time_problem, "R"),
    "PhongBanXuLy": Rule(_text()),
    "NoiDungXuLy": Rule(_text(), "R"),
    "TrangThai": Rule(_STATUS, "R"),
    "NgayBatDau": Rule(time_problem),
    "NgayKetThucTheoQuyDinh": Rule(time_problem),
}


def _problem(item: Any, rules: dict[str, Rule], *, strict: bool, excused: frozenset[str]) -> str | None:
    if not isinstance(item, dict):
        return ": phải là đối tượng / must be an object"
    for name in item:
        if name not in rules:
            return f"{str(name)[:60]}: trường không có trong đặc tả / unknown field"
    for name, rule in rules.items():
        value = item.get(name)
        if value is None or value == "":
            if name not in excused and (rule.need == "R" or (strict and rule.need == "r" and value is None)):
                return f"{name}: bắt buộc / required"
            continue
        problem = rule.check(value)
        if problem:
            return f"{name}{'' if problem.startswith('[') else ': '}{problem}"
    return None


def check_dossier(item: Any, *, strict: bool = False) -> None:
    """Raise Refused where a dossier breaks a rule; `strict` also demands what clients since 2022 send."""
    status = item.get("TrangThaiHoSo") if isinstance(item, dict) else None
    excused = _NOT_YET if isinstance(status, str) and status in _BEFORE_RECEPTION else frozenset()
    problem = _problem(item, DOSSIER, strict=strict, excused=excused)
    if problem:
        raise Refused(f"data.{problem}")


def check_step(item: Any) -> None:
    """Raise Refused where a progress step breaks a rule."""
    problem = _problem(item, STEP, strict=False, excused=frozenset())
    if problem:
        raise Refused(f"data.{problem}")
