"""Codes of agencies, fields, subjects and provinces that the sandbox knows, and stable inventions for the rest.

Source of the known codes: contracts §1.1, §1.2, §1.3 and §2.4.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache

MINISTRIES: dict[str, str] = {
    "Bộ Công an": "G01",
    "Bộ Công Thương": "G02",
    "Bộ Giáo dục và Đào tạo": "G03",
    "Bộ Giao thông vận tải": "G04",
    "Bộ xây dựng (Giao thông vận tải cũ)": "G04",
    "Bộ Kế hoạch và Đầu tư": "G05",
    "Bộ Khoa học và Công nghệ": "G06",
    "Bộ Lao động - Thương binh và Xã hội": "G07",
    "Bộ Ngoại giao": "G08",
    "Bộ Nội vụ": "G09",
    "Bộ Nông nghiệp và Môi trường": "G10",
    "Bộ Nông nghiệp và Phát triển nông thôn": "G10",
    "Bộ Quốc phòng": "G11",
    "Bộ Tài chính": "G12",
    "Bộ Tài nguyên và Môi trường": "G13",
    "Bộ Thông tin và Truyền thông": "G14",
    "Bộ Tư pháp": "G15",
    "Bộ Văn hóa, Thể thao và Du lịch": "G16",
    "Bộ Xây dựng": "G17",
    "Bộ Y tế": "G18",
    "Ngân hàng Nhà nước Việt Nam": "G19",
    "Thanh tra Chính phủ": "G20",
    "Bộ Dân tộc và Tôn giáo": "G21",
    "Ủy ban Dân tộc": "G21",
    "Văn phòng Chính phủ": "G22",
}

# Alphabetical list of the 63 provinces of 2016: H01 is the first name, H63 the last (contracts §1.1 d).
_PROVINCES_OF_2016: tuple[str, ...] = tuple(
    name
    for row in (
        "An Giang|Bắc Giang|Bắc Kạn|Bạc Liêu|Bắc Ninh|Bà Rịa - Vũng Tàu|Bến Tre|Bình Định|Bình Dương",
        "Bình Phước|Bình Thuận|Cà Mau|Cần Thơ|Cao Bằng|Đắk Lắk|Đắk Nông|Đà Nẵng|Điện Biên",
        "Đồng Nai|Đồng Tháp|Gia Lai|Hà Giang|Hải Dương|Hải Phòng|Hà Nam|Hà Nội|Hà Tĩnh",
        "Hòa Bình|Hồ Chí Minh|Hậu Giang|Hưng Yên|Khánh Hòa|Kiên Giang|Kon Tum|Lai Châu|Lâm Đồng",
        "Lạng Sơn|Lào Cai|Long An|Nam Định|Nghệ An|Ninh Bình|Ninh Thuận|Phú Thọ|Phú Yên",
        "Quảng Bình|Quảng Nam|Quảng Ngãi|Quảng Ninh|Quảng Trị|Sóc Trăng|Sơn La|Tây Ninh|Thái Bình",
        "Thái Nguyên|Thanh Hóa|Thừa Thiên Huế|Tiền Giang|Trà Vinh|Tuyên Quang|Vĩnh Long|Vĩnh Phúc|Yên Bái",
    )
    for name in row.split("|")
)

PROVINCES_2025: tuple[tuple[str, str], ...] = (
    ("01", "Thành phố Hà Nội"),
    ("04", "Tỉnh Cao Bằng"),
    ("08", "Tỉnh Tuyên Quang"),
    ("11", "Tỉnh Điện Biên"),
    ("12", "Tỉnh Lai Châu"),
    ("14", "Tỉnh Sơn La"),
    ("15", "Tỉnh Lào Cai"),
    ("19", "Tỉnh Thái Nguyên"),
    ("20", "Tỉnh Lạng Sơn"),
    ("22", "Tỉnh Quảng Ninh"),
    ("24", "Tỉnh Bắc Ninh"),
    ("25", "Tỉnh Phú Thọ"),
    ("31", "Thành phố Hải Phòng"),
    ("33", "Tỉnh Hưng Yên"),
    ("37", "Tỉnh Ninh Bình"),
    ("38", "Tỉnh Thanh Hóa"),
    ("40", "Tỉnh Nghệ An"),
    ("42", "Tỉnh Hà Tĩnh"),
    ("44", "Tỉnh Quảng Trị"),
    ("46", "Thành phố Huế"),
    ("48", "Thành phố Đà Nẵng"),
    ("51", "Tỉnh Quảng Ngãi"),
    ("52", "Tỉnh Gia Lai"),
    ("56", "Tỉnh Khánh Hòa"),
    ("66", "Tỉnh Đắk Lắk"),
    ("68", "Tỉnh Lâm Đồng"),
    ("75", "Thành phố Đồng Nai"),
    ("79", "Thành phố Hồ Chí Minh"),
    ("80", "Tỉnh Tây Ninh"),
    ("82", "Tỉnh Đồng Tháp"),
    ("86", "Tỉnh Vĩnh Long"),
    ("91", "Tỉnh An Giang"),
    ("92", "Thành phố Cần Thơ"),
    ("96", "Tỉnh Cà Mau"),
)

# One name may stand under two ministries: "Hộ tịch" at home (Justice) and abroad (Foreign Affairs).
FIELDS: tuple[tuple[str, str], ...] = (
    ("G13-TN02", "Đất đai"),
    ("G01-CA11", "Quản lý xuất nhập cảnh"),
    ("G15-TP07", "Hộ tịch"),
    ("G08-NG07", "Hộ tịch"),
    ("G17-XD11", "Hoạt động xây dựng"),
    ("G05-KD07", "Thành lập và hoạt động của doanh nghiệp"),
    ("G01-CA05", "Đăng ký, quản lý cư trú"),
    ("G09-NV23", "Lao động, tiền lương"),
)

SUBJECTS: dict[str, str] = {
    "Công dân Việt Nam": "ĐT1",
    "Doanh nghiệp": "ĐT2",
    "Người nước ngoài cư trú tại Việt Nam": "ĐT3",
    "Người nước ngoài": "ĐT4",
    "Tổ chức Đảng": "ĐT6",
    "Tổ chức nước ngoài": "ĐT7",
    "Doanh nghiệp Việt Nam": "ĐT8",
    "Tổ chức (không bao gồm doanh nghiệp, HTX)": "ĐT9",
    "Doanh nghiệp có vốn đầu tư nước ngoài": "ĐT10",
    "Hợp tác xã": "DT11",
    "Người Việt Nam định cư ở nước ngoài": "DT12",
    "Cán bộ, công chức, viên chức": "DT13",
    "Công dân Việt Nam mà không xác định được nơi thường trú hoặc nơi tạm trú": "ĐT14",
    "Người nước ngoài đã cư trú tại Việt Nam": "ĐT15",
}

_ACRONYMS: dict[str, str] = {
    "BCA": "Bộ Công an",
    "BCT": "Bộ Công Thương",
    "BGDĐT": "Bộ Giáo dục và Đào tạo",
    "BKHCN": "Bộ Khoa học và Công nghệ",
    "BNG": "Bộ Ngoại giao",
    "BNV": "Bộ Nội vụ",
    "BNNMT": "Bộ Nông nghiệp và Môi trường",
    "BQP": "Bộ Quốc phòng",
    "BTC": "Bộ Tài chính",
    "BTP": "Bộ Tư pháp",
    "BVHTTDL": "Bộ Văn hóa, Thể thao và Du lịch",
    "BXD": "Bộ Xây dựng",
    "BGTVT": "Bộ xây dựng (Giao thông vận tải cũ)",
    "BYT": "Bộ Y tế",
    "NHNN": "Ngân hàng Nhà nước Việt Nam",
    "TANDTC": "Tòa án nhân dân",
}


def fold(text: str) -> str:
    """Reduce a name to what makes two spellings of it the same: NFC, one blank between words, no case."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def plain(text: str) -> str:
    """Reduce a text to its letters without Vietnamese marks, for search."""
    decomposed = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return "".join(ch for ch in decomposed if not unicodedata.combining(ch))


@lru_cache(maxsize=4_096)
def invented(name: str) -> str:
    """Give a name without a known code a stable code of our own; the same name has the same code."""
    return "X-" + hashlib.sha1(fold(name).encode(), usedforsecurity=False).hexdigest()[:8]


@lru_cache(maxsize=4_096)
def stable_id(kind: str, text: str) -> str:
    """Give a thing an identifier that looks like a UUIDv7 of spring 2026 and depends on its content only."""
    digest = hashlib.sha1(f"{kind}\0{text}".encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[9], 16) % 4]
    return f"019d2b{digest[:2]}-{digest[2:6]}-7{digest[6:9]}-{variant}{digest[10:13]}-{digest[13:25]}"


_AGENCIES = {fold(name): code for name, code in MINISTRIES.items()}
_PROVINCE_AGENCIES = {fold(name): f"H{number:02d}" for number, name in enumerate(_PROVINCES_OF_2016, 1)}
_PROVINCE_AGENCIES["huế"] = "H57"
_SUBJECTS = {fold(name): code for name, code in SUBJECTS.items()}
_PEOPLES_COMMITTEE = ("ubnd", "ủy ban nhân dân")
_PLACE_KINDS = ("thành phố ", "tỉnh ", "tp ", "tp. ")


@lru_cache(maxsize=4_096)
def agency_code(name: str) -> str:
    """Return the identifier of an agency by its name, known or invented; nothing for no name."""
    key = fold(name)
    if not key:
        return ""
    return _AGENCIES.get(key) or _province_code(key) or invented(name)


def _province_code(key: str) -> str | None:
    for start in _PEOPLES_COMMITTEE:
        place = key.removeprefix(start).strip()
        if place == key:
            continue
        for kind in _PLACE_KINDS:
            place = place.removeprefix(kind)
        return _PROVINCE_AGENCIES.get(place)
    return None


@lru_cache(maxsize=4_096)
def field_code(name: str, ministry: str = "") -> str:
    """Return the code of a field of administration; a ministry decides between two fields of one name."""
    key = fold(name)
    if not key:
        return ""
    found = [code for code, known in FIELDS if fold(known) == key]
    of_ministry = [code for code in found if ministry and code.startswith(ministry)]
    return (of_ministry or found or [invented(name)])[0]


@lru_cache(maxsize=1_024)
def subject_code(name: str) -> str:
    """Return the code of a kind of applicant."""
    key = fold(name)
    return _SUBJECTS.get(key) or (invented(name) if key else "")


def promulgator_of_decision(number: str) -> str:
    """Say which ministry's letters end a decision number (`163/QĐ-BTP`); empty where none is recognised."""
    for word in number.replace("_", "-").replace("/", "-").upper().split("-"):
        if word.strip() in _ACRONYMS:
            return _ACRONYMS[word.strip()]
    return ""


def known_agencies() -> dict[str, str]:
    """List every agency code of the table with one name for it."""
    rows = {code: name for name, code in reversed(MINISTRIES.items())}
    for number, name in enumerate(_PROVINCES_OF_2016, 1):
        rows[f"H{number:02d}"] = f"UBND {name}"
    return rows
