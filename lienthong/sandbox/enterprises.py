"""Invented enterprises and filings of the business register, and shared catalogues (contracts §6.3)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from lienthong.sandbox import codes

Row = dict[str, Any]

# Numbers that begin with 00 are no tax codes: nobody has them.
_HAND_MADE: tuple[tuple[str, ...], ...] = (
    ("0000000017", "CÔNG TY TNHH THỬ NGHIỆM MỘT", "TN MOT", "TEST ONE COMPANY LIMITED",
     "Công ty TNHH hai thành viên trở lên",
     "Đang hoạt động", "15/01/2019", "NGUYỄN VĂN AN;TRẦN THỊ BÌNH", "5000000000.000", "38||14758|Số 1 Đường Thử"),
    ("0000000024", "CÔNG TY CỔ PHẦN THỬ NGHIỆM HAI", "", "", "Công ty cổ phần", "Đang hoạt động", "29/02/2020",
     "LÊ VĂN CƯỜNG", "120000000000.125", "15|080|02653|Số 2 Phố Thử"),
    ("0000000031", "DOANH NGHIỆP TƯ NHÂN BA", "", "", "Doanh nghiệp tư nhân", "Ngừng hoạt động", "01/07/2010",
     "PHẠM THỊ DIỆP", "300000000", "01|001|00004|Số 3 Ngõ Thử"),
    ("0000000048", "CÔNG TY TNHH MỘT THÀNH VIÊN “BỐN & CON”", "BỐN", "", "Công ty TNHH một thành viên",
     "Đã giải thể", "", "", "", "38||14758|"),
    ("0000000055", "HỢP TÁC XÃ THỬ NGHIỆM NĂM", "", "", "Hợp tác xã", "Đang hoạt động", "31/12/2024",
     "HOÀNG VĂN EM;HOÀNG THỊ GIANG;VŨ VĂN ÍCH", "1.500", "66||24121|Buôn Thử"),
    ("0000000055-001", "CHI NHÁNH HỢP TÁC XÃ THỬ NGHIỆM NĂM", "", "", "Chi nhánh", "Đang hoạt động", "02/01/2025",
     "VŨ VĂN ÍCH", "", "79||26734|Lô 5"),
)  # fmt: skip
_TYPES = {"Công ty TNHH hai thành viên trở lên": "3", "Công ty cổ phần": "4", "Doanh nghiệp tư nhân": "1",
          "Công ty TNHH một thành viên": "2", "Hợp tác xã": "6", "Chi nhánh": "7"}  # fmt: skip
_ACTIVITIES = (
    ("4690", "Bán buôn tổng hợp"),
    ("6201", "Lập trình máy vi tính"),
    ("0118", "Trồng rau, đậu các loại"),
)


def _one(serial: int, row: tuple[str, ...]) -> Row:
    code, name, short, foreign, kind, status, founded, legal, capital, place = row
    province, district, commune, street = place.split("|")
    people = [person for person in legal.split(";") if person]
    number = code.partition("-")[0]
    return {
        "MainInformation": {
            "ENTERPRISE_ID": 900000 + serial, "ENTERPRISE_GDT_CODE": code, "IMP_BUSINESS_CODE": f"BN{number[-5:]}",
            "ENTERPRISE_TYPE_ID": _TYPES[kind], "ENTERPRISE_TYPE_NAME": kind, "NAME": name, "SHORT_NAME": short,
            "NAME_F": foreign, "FOUNDING_DATE": founded, "LAST_AMEND_DATE": "05/05/2026" if founded else "",
            "NUMBER_CHANGES": serial - 1, "ENTERPRISE_STATUS": status, "LEGAL_NAMES": legal,
            "CAPITAL_AMOUNT": float(capital) if capital else None,
        },
        "HOAdress": {
            "CityID": province, "CityName": dict(codes.PROVINCES_2025).get(province, ""), "DistrictID": district,
            "DistrictName": "Huyện cũ" if district else "", "WardID": commune, "WardName": f"Xã {commune}",
            "StreetNumber": street,
            "AddressFullText": ", ".join(part for part in (street, f"Xã {commune}") if part),
        },
        "BusinessActivity": [
            {"CODE": activity, "NAME": words, "IS_MAIN": "Y" if place == 0 else "N"}
            for place, (activity, words) in enumerate(_ACTIVITIES[: 1 + serial % 3])
        ],
        "Member": [
            {"MEMBER_NAME": person, "AMOUNT": 1000000.0 * place, "RATIO_PERCENT": round(100 / len(people), 2),
             "COUNTRY": "Việt Nam"}
            for place, person in enumerate(people, 1)
        ] if len(people) > 1 else [],
        "Representatives": [{"FULLNAME": person} for person in people],
        "DataCount": 1, "Status": "1", "Message": "",
    }  # fmt: skip


BY_CODE: dict[str, Row] = {row[0]: _one(serial, row) for serial, row in enumerate(_HAND_MADE, 1)}
NOT_FOUND: Row = {
    "MainInformation": None, "HOAdress": None, "BusinessActivity": [], "Member": [], "DataCount": 0, "Status": "0",
    "Message": "Không tìm thấy doanh nghiệp",
}  # fmt: skip


def filings(count: int = 120) -> list[Row]:
    """Give invented filings, newest last, two a day up to 31/07/2026; the contract does not name their fields."""
    last, held = date(2026, 7, 31), list(BY_CODE)
    return [
        {
            "IN_JOURNAL_NO": f"2607{place:06d}", "ENTERPRISE_GDT_CODE": held[place % len(held)],
            "RECEIPT_DATE": (last - timedelta(days=(count - 1 - place) // 2)).strftime("%d/%m/%Y"),
            "RECEIPT_TIME": f"{8 + place % 9:02d}:{place % 60:02d}", "PROCESS_STATUS": "Đã chấp thuận",
        }
        for place in range(count)
    ]  # fmt: skip


def _pairs(code_key: str, name_key: str, text: str) -> list[Row]:
    return [dict(zip((code_key, name_key), pair.split("="), strict=True)) for pair in text.split("|")]


def shared_lists() -> dict[str, list[Row]]:
    """Give a few lists of the shared catalogues; a list that the contract only names is empty."""
    lists: dict[str, list[Row]] = {name: [] for name in _LISTS}
    lists |= {
        "donvihanhchinhcap1": [{"MA": code, "TEN": name} for code, name in codes.PROVINCES_2025],
        "magioitinh": _pairs("MA", "TEN", "0=Chưa có thông tin|1=Nam|2=Nữ"),
        "manhommau": _pairs("MA", "TEN", "00=Chưa có thông tin|01=A|02=B|03=AB|04=O"),
        "matinhtranghonnhan": _pairs("MA", "TEN", "0=Chưa rõ|1=Chưa kết hôn|2=Đã kết hôn|3=Ly hôn hoặc goá"),
        "madantoc": _pairs("MA", "TEN", "01=Kinh|02=Tày|12=Ê Đê|24=Mông"),
        "matongiao": _pairs("MA", "TEN", "00=Không|01=Phật giáo|02=Công giáo|04=Chính thống giáo"),
        "maquocgia": _pairs("MA", "TEN", "VN=Việt Nam|RU=Liên bang Nga|LA=Lào"),
        "qlvanbandieuhanhcap1": [
            {"MaDinhDanhCap1": "H38", "TenDonVi": "UBND tỉnh Thử Nghiệm", "DiaChi": "Số 1 Đường Thử",
             "Email": "vanthu@thunghiem.example", "SoDienThoai": "02000000000", "Fax": "", "Website": "",
             "QdBanHanhQdSuaDoi": "01/QĐ-UBND", "NgayBanHanhQd": "01/07/2025", "CoQuanBanHanhQd": "UBND tỉnh"},
        ],
    }  # fmt: skip
    return lists


_LISTS_TEXT = (
    "qlvanbandieuhanhcap1 qlvanbandieuhanhcap2 qlvanbandieuhanhcap3 qlvanbandieuhanhcap4 "
    "donvihanhchinhcap1 donvihanhchinhcap2 donvihanhchinhcap3 mabuuchinhvungkhuvuc mabuuchinhcap1 "
    "mabuuchinhcap2 mabuuchinhcap3 madantoc madantockhac matongiao magioitinh manhommau maynghianhommau "
    "maquocgia matinhtranghonnhan giaoducdaotaovncap1 giaoducdaotaovncap2 giaoducdaotaovncap3 "
    "giaoducdaotaovncap4 giaoducdaotaovncap5 machucdanhcqdcsvn mabacluong mabangluong machucdanh "
    "manhomluong mahesoluong mahesoluongvung mathiduakhenthuong maloaivanbantheoqdpl matenvanbantheoqdpl "
    "matenvanbanhanhchinh dokhanvanban "
)
_LISTS = _LISTS_TEXT.split()
