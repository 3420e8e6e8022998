"""What a payment says of its receipt: the same fields at the platform and at KeyPay (contracts §7.1)."""

from __future__ import annotations

import re
from typing import Any

_ALWAYS = ("MaDichVu", "NoiDungThanhToan", "HoTenNguoiNop", "SoCMNDNguoiNop", "DiaChiNguoiNop", "DSKhoanNop")
_OF_FEES = ("MaDVC", "TenDVC", "MaTTHC", "TenTTHC", "MaDonVi", "TenDonVi", "MaHoSo", "TKThuHuong", "MaNHThuHuong",
            "TenTKThuHuong", "PhiLePhi")  # fmt: skip
_OF_FINES = ("MaLoaiHinhThuPhat", "TenLoaiHinhThuPhat", "MaCoQuanQD", "TenCoQuanQD", "KhoBac", "NgayQD", "SoQD",
             "ThoiGianViPham", "DiaDiemViPham", "TenNguoiViPham", "TaiKhoanThuNSNN")  # fmt: skip
_OTHER = ("HuyenNguoiNop", "TinhNguoiNop")
NAMES = (*_ALWAYS, *_OF_FEES, *_OF_FINES, *_OTHER)
_AMOUNT = re.compile(r"[1-9]\d{0,11}")


class WrongMessage(ValueError):
    """A message that the other side refuses; names the field and the rule."""


def check(given: Any, name: str, *, may_be_empty: tuple[str, ...] = ()) -> None:
    """Check the data of a receipt. Raises WrongMessage."""
    if not isinstance(given, dict):
        raise WrongMessage(name)
    strange = set(given) - set(NAMES)
    if strange:
        raise WrongMessage(f"{name}.{min(strange)[:40]}: trường lạ / unknown field")
    needed = {"2": _OF_FEES, "1": _OF_FINES}.get(str(given.get("MaDichVu")))
    if needed is None:
        raise WrongMessage(f"{name}.MaDichVu: 1, 2")
    for field in (*_ALWAYS, *needed):
        if given.get(field) in (None, "", []) and not (field in may_be_empty and field in given):
            raise WrongMessage(f"{name}.{field}: thiếu / missing")
    if len(str(given.get("TenTTHC", ""))) > 250:
        raise WrongMessage(f"{name}.TenTTHC: 250")
    _check_lines(given["DSKhoanNop"], f"{name}.DSKhoanNop", ("NoiDung", "SoTien"))
    if needed is _OF_FEES:
        _check_lines(
            given["PhiLePhi"], f"{name}.PhiLePhi", ("LoaiPhiLePhi", "MaPhiLePhi", "TenPhiLePhi", "SoTien")
        )


def _check_lines(rows: Any, name: str, fields: tuple[str, ...]) -> None:
    if not isinstance(rows, list):
        raise WrongMessage(f"{name}: danh sách / list")
    for row in rows:
        if not isinstance(row, dict) or set(row) != set(fields):
            raise WrongMessage(f"{name}: {', '.join(fields)}")
        if not _AMOUNT.fullmatch(str(row["SoTien"])):
            raise WrongMessage(f"{name}.SoTien")
