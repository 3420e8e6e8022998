"""Invented residents with every oddity of contracts §5, and how the register writes one (§5.4)."""

from __future__ import annotations

import csv
import random
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lienthong.sandbox.xml_tree import element

_CSV = Path(__file__).with_name("residents.csv")
_PLACES = (("NoiDangKyKhaiSinh", "khai_sinh"), ("QueQuan", "que_quan"), ("ThuongTru", "thuong_tru"),
           ("NoiOHienTai", "hien_tai"))  # fmt: skip
_RELATIVES = (("Cha", "cha"), ("Me", "me"), ("VoChong", "vo_chong"), ("NguoiDaiDien", "dai_dien"))
_CODES = (("GioiTinh", "gioi_tinh"), ("DanToc", "dan_toc"), ("TonGiao", "ton_giao"),
          ("TinhTrangHonNhan", "hon_nhan"), ("NhomMau", "nhom_mau"))  # fmt: skip

_FAMILY = ["NGUYỄN", "TRẦN", "LÊ", "PHẠM", "HOÀNG", "VŨ", "ĐẶNG", "BÙI", "ĐỖ", "NGÔ", "DƯƠNG", "LÝ"]
_MIDDLE = {"1": ["VĂN", "ĐỨC", "QUANG", "MINH", "HỮU"], "2": ["THỊ", "NGỌC", "THU", "KIM", "DIỆU"]}
_GIVEN = {
    "1": ["ANH", "BẢO", "CHIẾN", "DŨNG", "HẢI", "KHÁNH", "LONG", "NAM", "PHÚC", "QUÂN", "THẮNG", "VINH"],
    "2": ["ÁNH", "CHI", "DUNG", "HÀ", "HƯƠNG", "LAN", "MAI", "NGA", "OANH", "PHƯƠNG", "THẢO", "YẾN"],
}
_COMMUNES = (("38", "14758"), ("15", "03004"), ("01", "00004"), ("66", "24121"), ("79", "26734"))


@dataclass(frozen=True, slots=True)
class Resident:
    """One invented person: the columns of `residents.csv`."""

    row: dict[str, str] = field(repr=False)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers that this person is found by."""
        return tuple(number for number in (self.row["so_dinh_danh"], self.row["so_cmnd"]) if number)

    @property
    def name(self) -> str:
        """The whole name, as the register holds it."""
        return " ".join(part for part in (self.row["ho"], self.row["chu_dem"], self.row["ten"]) if part)

    def agrees(self, *, name: str, day: str, year: str) -> bool:
        """Whether a question is about this person: letter by letter, and a year only where no day is known."""
        if name != self.name:
            return False
        if day:
            return day == self.row["ngay_sinh"]
        return bool(year) and not self.row["ngay_sinh"] and year == self.row["nam_sinh"]

    def written(self, prefix: str) -> str:
        """Write the `CongDan` element; a prefix is put before every name."""
        row, empty = self.row, self.row["kieu"] == "rong"
        parts = [_leaf(prefix, "SoDinhDanh", row["so_dinh_danh"]), _leaf(prefix, "SoCMND", row["so_cmnd"])]
        names = (("Ho", row["ho"]), ("ChuDem", row["chu_dem"]), ("Ten", row["ten"]))
        parts.append(_group(prefix, "HoVaTen", names))
        parts += [_leaf(prefix, name, row[column]) for name, column in _CODES]
        birth = (("Nam", row["nam_sinh"]), ("NgayThangNam", row["ngay_sinh"]))
        parts += [_group(prefix, "NgayThangNamSinh", birth), _leaf(prefix, "QuocTich", row["quoc_tich"])]
        parts += [_place(prefix, name, row[column]) for name, column in _PLACES if row[column] or empty]
        parts += [_relative(prefix, name, row[column]) for name, column in _RELATIVES if row[column] or empty]
        if row["chu_ho"] or empty:
            parts.append(_head(prefix, row["chu_ho"]))
        if row["so_ho_khau"] or empty:
            parts.append(_leaf(prefix, "SoSoHoKhau", row["so_ho_khau"]))
        return element(f"{prefix}CongDan", "".join(parts))


def _leaf(prefix: str, name: str, text: str) -> str:
    return element(prefix + name, text=text)


def _group(prefix: str, name: str, fields: tuple[tuple[str, str], ...]) -> str:
    return element(prefix + name, "".join(_leaf(prefix, key, value) for key, value in fields))


def _place(prefix: str, name: str, text: str) -> str:
    """Write a place: `province/district/commune/detail`; the district is left out where there is none."""
    if not text:
        return element(prefix + name)
    province, district, commune, detail = text.split("/", 3)
    fields = [("MaTinhThanh", province), ("MaQuanHuyen", district), ("MaPhuongXa", commune), ("ChiTiet", detail)]
    kept = tuple(pair for pair in fields if pair[1] or pair[0] == "ChiTiet")
    return _group(prefix, name, (*kept, ("QuocGia", "VN")))


def _relative(prefix: str, name: str, text: str) -> str:
    if not text:
        return element(prefix + name)
    whole, number, old = text.split("|")
    inside = _group(prefix, "HoVaTen", (("Ho", ""), ("ChuDem", ""), ("Ten", whole)))
    fields = (("QuocTich", "VN"), ("SoDinhDanh", number), ("SoCMND", old))
    return element(prefix + name, inside + "".join(_leaf(prefix, key, value) for key, value in fields))


def _head(prefix: str, text: str) -> str:
    if not text:
        return element(f"{prefix}ChuHo")
    relation, number, old, whole = text.split("|")
    fields = (("QuanHe", relation), ("SoDinhDanh", number), ("SoCMND", old))
    inside = "".join(_leaf(prefix, key, value) for key, value in fields)
    inside += _group(prefix, "HoVaTen", (("Ho", ""), ("ChuDem", ""), ("Ten", whole)))
    return element(f"{prefix}ChuHo", inside)


@cache
def known() -> tuple[Resident, ...]:
    """Give the residents of the file, each with an oddity that its last column names."""
    with _CSV.open(encoding="utf-8", newline="") as source:
        return tuple(Resident(row) for row in csv.DictReader(source))


def invented(count: int, *, seed: int = 1) -> list[Resident]:
    """Invent ordinary residents; the same seed gives the same ones.

    Their numbers begin with 000, which is no province's: nobody has such a number.
    """
    chance = random.Random(seed)
    return [_invented_one(serial, chance) for serial in range(1, count + 1)]


def _invented_one(serial: int, chance: random.Random) -> Resident:
    gender = chance.choice("12")
    year, month, day = chance.randint(1940, 1999), chance.randint(1, 12), chance.randint(1, 28)
    province, commune = chance.choice(_COMMUNES)
    row = dict.fromkeys(known()[0].row, "")
    row |= {
        "so_dinh_danh": f"000{int(gender) - 1}{year % 100:02d}{serial % 1_000_000:06d}",
        "gioi_tinh": gender,
        "ngay_sinh": f"{year}{month:02d}{day:02d}",
        "nam_sinh": str(year),
        "dan_toc": "01", "ton_giao": "00", "nhom_mau": "00", "quoc_tich": "VN",
        "hon_nhan": chance.choice("123"),
        "thuong_tru": f"{province}//{commune}/Số {serial}",
    }  # fmt: skip
    parts = (chance.choice(_FAMILY), chance.choice(_MIDDLE[gender]), chance.choice(_GIVEN[gender]))
    if chance.random() < 0.6:
        row["ten"] = " ".join(parts)
    else:
        row["ho"], row["chu_dem"], row["ten"] = parts
    return Resident({key: unicodedata.normalize("NFC", value) for key, value in row.items()})
