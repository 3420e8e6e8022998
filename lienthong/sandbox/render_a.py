"""Writer of generation A: the detail packet of LayThuTuc, keys in capitals, values as text (contracts §2.1 c)."""

from __future__ import annotations

from typing import Any

from lienthong.sandbox import neutral
from lienthong.sandbox.neutral import Agencies, Method, Named, Procedure

Packet = dict[str, Any]

_KENH = {"DIRECT": "1", "ONLINE": "2", "POSTAL": "3"}
_UNIT_WORDS = {
    "WORKING_DAY": "Ngày làm việc",
    "DAY": "Ngày",
    "HOUR": "Giờ",
    "MONTH": "Tháng",
    "YEAR": "Năm",
    "OTHER": "Khác",
}
_LEVEL_CODES = {neutral.MINISTRY: "1", neutral.PROVINCE: "2", neutral.COMMUNE: "3", neutral.OTHER: "4"}
_CURRENCY_WORDS = {"Việt Nam Đồng": "đồng", "VND": "đồng", "": "đồng"}


def render(procedure: Procedure) -> Packet:
    """Write one procedure as the packet that LayThuTuc answers with."""
    return {
        "ID": procedure.id,
        "MATTHC": procedure.code,
        "TENTTHC": procedure.name,
        "MACOQUANCONGBO": procedure.promulgator.code,
        "LOAITTHC": procedure.kind or procedure.type,
        "TRANGTHAI": procedure.public,
        "QUYETDINH": procedure.decision_no,
        "IDQUYETDINHCONGBO": procedure.decision_id,
        "MOTA": "\n".join(part for part in (procedure.description, procedure.note) if part),
        "TUKHOA": procedure.keywords,
        "YEUCAU": procedure.requirements,
        "MOTADOITUONGTHUCHIEN": procedure.subject_text,
        "DIACHITIEPNHAN": procedure.address,
        "MOTACOQUANTHUCHIEN": procedure.executing.text,
        "MOTACOQUANTHAMQUYEN": procedure.competent.text,
        "CAPTHUCHIEN": [{"CAPTHUCHIEN": _LEVEL_CODES[level], "TENCAP": name} for level, name in procedure.levels],
        "LINHVUCTHUCHIEN": [{"MALINHVUC": item.code, "TENLINHVUC": item.name} for item in procedure.fields],
        "TRINHTUTHUCHIEN": [
            {"TRUONGHOP": case, "TRINHTU": [{"TENTRINHTU": text}]} for case, text in procedure.steps
        ],
        "CACHTHUCTHUCHIEN": _methods(procedure.methods),
        "DOITUONGTHUCHIEN": [{"MADOITUONG": item.code, "TENDOITUONG": item.name} for item in procedure.subjects],
        "THANHPHANHOSO": _cases(procedure),
        "KETQUATHUCHIEN": [
            {"MAKETQUA": item.code, "TENKETQUA": item.name, "TENTEP": "", "URL": ""} for item in procedure.results
        ],
        "CANCUPHAPLY": _legal(procedure),
        "TTHCLIENQUAN": procedure.related,
        "TTHCLIENTHONG": procedure.linked,
        "COQUANTHUCHIEN": _agencies(procedure.executing),
        "COQUANCOTHAMQUYEN": _agencies(procedure.competent),
        "COQUANDUOCUYQUYEN": _agencies(procedure.authorised),
        "COQUANPHOIHOP": _agencies(procedure.coordinating),
    }


def _agencies(agencies: Agencies) -> list[Packet]:
    return [{"MADONVI": item.code, "TENDONVI": item.name} for item in agencies.items]


def _written(value: object) -> str:
    return "" if value is None else str(value)


def _methods(methods: list[Method]) -> list[Packet]:
    by_channel: dict[str, Packet] = {}
    for method in methods:
        kenh = _KENH.get(method.channel, method.channel)
        way = by_channel.setdefault(kenh, {"KENH": kenh, "THOIGIAN": []})
        way["THOIGIAN"].append(
            {
                "THOIGIANGIAIQUYET": _written(method.quantity),
                "DONVITINH": _UNIT_WORDS.get(method.unit, method.unit),
                "MOTA": method.note,
                "PHILEPHI": [
                    {
                        "MAPHILEPHI": fee.code or fee.kind,
                        "SOTIEN": _written(fee.amount),
                        "DONVI": _CURRENCY_WORDS.get(fee.currency, fee.currency),
                        "MOTA": fee.note,
                        "TENTEP": fee.file_name,
                        "URL": fee.url,
                    }
                    for fee in method.fees
                ],
            }
        )
    return list(by_channel.values())


def _cases(procedure: Procedure) -> list[Packet]:
    return [
        {
            "TRUONGHOP": case.name,
            "GIAYTO": [
                {
                    "MAGIAYTO": paper.code,
                    "MA_KQ_THAYTHE": paper.replaced_by,
                    "TENGIAYTO": paper.name,
                    "SOBANCHINH": _written(paper.originals),
                    "SOBANSAO": _written(paper.copies),
                    "TENMAUDON": paper.form_name,
                    "URL": paper.form_url,
                }
                for paper in case.papers
            ],
        }
        for case in procedure.cases
    ]


def _legal(procedure: Procedure) -> list[Packet]:
    return [
        {
            "SOVANBAN": item.number,
            "TENVANBAN": item.title,
            "COQUANBANHANH": item.issuer,
            "NGAYBANHANH": item.issued_on,
            "NGAYHIEULUC": item.in_force_on,
            "DIACHITRUYCAP": item.url,
        }
        for item in procedure.legal
    ]


def field_row(field: Named) -> Packet:
    """Write one row of LayDanhMucLinhVuc; the sector is the ministry in front of the field's code."""
    ministry = field.code.partition("-")[0]
    sector = ministry if ministry not in ("X", field.code) else ""
    return {"MALINHVUC": field.code, "TENLINHVUC": field.name, "MANGANH": sector}


def agency_row(code: str, name: str) -> Packet:
    """Write one row of LayDanhMucCoQuan; level 1 for a ministry, 2 for a province, empty where not known."""
    last = code.rpartition(".")[2]
    level = {"G": "1", "H": "2"}.get(last[:1], "") if last[1:].isdecimal() else ""
    return {"MADONVI": code, "TENDONVI": name, "CAPDONVI": level}
