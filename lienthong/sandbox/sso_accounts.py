"""Invented accounts of the imitated sign-on, in both shapes of user-info, and the page where one is chosen."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

_DVCQG_TEXT = (
    "sub LoaiTaiKhoan SoDinhDanh SoCMND MaSoThue MaSoDoanhNghiep TenDoanhNghiep MaBHXH HoChieu HoVaTen "
    "ThuDienTu SoDienThoai SoDienThoaiBan GioiTinh DanToc TonGiao TinhTrangHonNhan NhomMau "
    "NgayThangNamSinh NoiDangKyKhaiSinh QueQuan ThuongTru NoiOHienNay QuocTich Cha Me VoChong "
    "NguoiDaiDien ChuHo TrangThai TechID loAs DiaChi "
)
_DVCQG = _DVCQG_TEXT.split()
_NUMBERS = ("GioiTinh", "TinhTrangHonNhan")


@dataclass(frozen=True, slots=True)
class Account:
    """One account that can sign in."""

    shown: str
    shape: str
    info: dict[str, Any]


def _dvcqg(shown: str, **known: Any) -> Account:
    blank: dict[str, Any] = {name: 0 if name in _NUMBERS else "" for name in _DVCQG}
    return Account(shown, "dvcqg", {**blank, "TrangThai": "1", "loAs": "LoA1", **known})


def _vneid(shown: str, **known: Any) -> Account:
    blank = {"LoaiTaiKhoan": 1, "loAs": "LoA2", "userProfileUri": "", "logoutUri": "", "IAL": 2}
    return Account(shown, "vneid", {**blank, **known})


ACCOUNTS: dict[str, Account] = {
    "nguyen-van-an": _dvcqg(
        "Nguyễn Văn An, công dân", sub="an@sandbox", LoaiTaiKhoan="1", SoDinhDanh="001099000001",
        HoVaTen="NGUYỄN VĂN AN", ThuDienTu="an@thunghiem.example", SoDienThoai="0900000001", GioiTinh=1,
        NgayThangNamSinh="19990115", QuocTich="VN", TechID="tech-0001",
    ),
    "pham-thi-diep": _dvcqg(
        "Phạm Thị Diệp, chỉ có CMND", sub="diep@sandbox", LoaiTaiKhoan="1", SoCMND="000000004",
        HoVaTen="PHẠM THỊ DIỆP", GioiTinh=2, NgayThangNamSinh="1961", TechID="tech-0004",
    ),
    "cong-ty-mot": _dvcqg(
        "Công ty TNHH Thử Nghiệm Một, doanh nghiệp", sub="mot@sandbox", LoaiTaiKhoan="2", MaSoThue="0000000017",
        MaSoDoanhNghiep="0000000017", TenDoanhNghiep="CÔNG TY TNHH THỬ NGHIỆM MỘT", TechID="tech-0017",
    ),
    "hoi-thu-nghiem": _dvcqg(
        "Hội Thử Nghiệm, tổ chức", sub="hoi@sandbox", LoaiTaiKhoan="3", TenDoanhNghiep="HỘI THỬ NGHIỆM",
        TechID="tech-0099",
    ),
    "can-bo-tiep-nhan": _vneid(
        "Trần Thị Tiếp Nhận, cán bộ, qua VNeID", sub="vneid-201", SoDinhDanh="001099000201",
        HoVaTen="TRẦN THỊ TIẾP NHẬN", NgayThangNamSinh="19850101", TechID="tech-0201",
    ),
    "can-bo-tham-tra": _vneid(
        "Lê Văn Thẩm Tra, cán bộ, qua VNeID", sub="vneid-202", SoDinhDanh="001099000202",
        HoVaTen="LÊ VĂN THẨM TRA", NgayThangNamSinh="19860202", TechID="tech-0202",
    ),
}  # fmt: skip


def page(query: Mapping[str, str]) -> bytes:
    """Write the page where an account is chosen: each is a link back to the same address."""
    kept = {key: value for key, value in query.items() if key != "account"}
    rows = "".join(
        f'<li><a href="?{html.escape(urlencode({**kept, "account": name}))}">{html.escape(one.shown)}</a></li>'
        for name, one in ACCOUNTS.items()
    )
    cancel = html.escape(urlencode({**kept, "account": "cancel"}))
    text = (
        '<!DOCTYPE html><html lang="vi"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Đăng nhập giả lập</title></head><body>'
        "<h1>Đăng nhập giả lập / Imitation sign-on</h1><p>Chọn một tài khoản bịa / choose an invented account:</p>"
        f'<ul>{rows}</ul><p><a href="?{cancel}">Huỷ / cancel</a></p></body></html>'
    )
    return text.encode()
