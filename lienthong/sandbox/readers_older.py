"""Readers of the two older collections, whose tables were flattened into running text by their collectors.

What cannot be split for certain stays whole in one text: nothing is guessed away.
"""

from __future__ import annotations

import re
from typing import Any

from lienthong.sandbox import codes, neutral
from lienthong.sandbox.neutral import Agencies, Case, Fee, LegalBasis, Method, Named, Paper, Procedure, text_of

Record = dict[str, Any]

_NOTHING = {"", "không có thông tin"}
_CHANNELS = {"trực tiếp": "DIRECT", "trực tuyến": "ONLINE", "dịch vụ bưu chính": "POSTAL"}
_UNITS = {"ngày làm việc": "WORKING_DAY", "ngày": "DAY", "giờ": "HOUR", "tháng": "MONTH", "năm": "YEAR"}
_TIME = re.compile(r"^\s*(\d+(?:[.,]\d+)?)\s*(Ngày làm việc|Ngày|Giờ|Tháng|Năm)", re.IGNORECASE)
_WAY = re.compile(
    r"(Trực tiếp|Trực tuyến|Dịch vụ bưu chính)(?=\s*\d+ (?:Ngày|Giờ|Tháng|Năm)|Khác|Không có thông tin)"
)
_FEE = re.compile(r"(Phí|Lệ phí)\s*:\s*([\d.]*)\s*(Đồng|USD)?\s*(?:\((.*)\))?", re.IGNORECASE)
_PAPER = re.compile(r"(.*?)(?:(\d+) bản chính(?:\s*,\s*(\d+) bản sao)?|(\d+) bản sao)", re.DOTALL)
_RESULT = re.compile(r"(.*?)Mã: ([A-Za-z0-9.\-]*?\d{3,})(?=\D|$)", re.DOTALL)
_COPIES = re.compile(r"Bản chính:\s*(\d+)\s*Bản sao:\s*(\d+)")


def _known(value: Any) -> str:
    text = text_of(value).strip()
    return "" if text.casefold() in _NOTHING else text


def _names(value: Any) -> list[Named]:
    # "Tổ chức (không bao gồm doanh nghiệp, HTX)" and "Cán bộ, công chức, viên chức" hold commas of their own.
    text = _known(value)
    found, rest = [], text
    for name in sorted(codes.SUBJECTS, key=len, reverse=True):
        if "," in name and name in rest:
            found.append(name)
            rest = rest.replace(name, "")
    found += [part.strip() for part in rest.split(",") if part.strip()]
    return [Named(codes.subject_code(name), name) for name in sorted(found, key=text.find)]


def _whole(value: Any) -> Agencies:
    text = _known(value)
    return Agencies([Named(codes.agency_code(text), text)], text) if text else neutral.NOBODY


def _promulgator(decision_no: str) -> Named:
    # Neither collection names the publishing agency; the letters of the decision number do.
    name = codes.promulgator_of_decision(decision_no)
    return Named(codes.agency_code(name), name)


def _field(name: str, promulgator: Named) -> list[Named]:
    return [Named(codes.field_code(name, promulgator.code), name)] if name else []


def read_snake(row: Record) -> Procedure:
    """Read the June form with Vietnamese keys and flattened tables."""
    promulgator = _promulgator(text_of(row.get("so_quyet_dinh")))
    results, keywords, description = _snake_results(text_of(row.get("ket_qua_xu_ly")))
    steps = text_of(row.get("trinh_tu_thuc_hien"))
    return Procedure(
        code=text_of(row["ma_thu_tuc"]),
        name=text_of(row.get("ten_thu_tuc")),
        id=text_of(row.get("formality_id")),
        decision_no=text_of(row.get("so_quyet_dinh")),
        description=description,
        keywords=keywords,
        requirements=_known(row.get("yeu_cau_dieu_kien")),
        address=_known(row.get("dia_chi_tiep_nhan")),
        kind=text_of(row.get("loai_thu_tuc")),
        levels=neutral.levels_of_text(text_of(row.get("cap_thuc_hien"))),
        fields=_field(_known(row.get("linh_vuc")), promulgator),
        promulgator=promulgator,
        steps=[("", steps)] if steps else [],
        methods=_snake_methods(text_of(row.get("cach_thuc_thuc_hien"))),
        cases=_snake_cases(text_of(row.get("thanh_phan_ho_so"))),
        results=results,
        legal=_snake_legal(text_of(row.get("can_cu_phap_ly"))),
        subjects=_names(row.get("doi_tuong_thuc_hien")),
        executing=_whole(row.get("co_quan_thuc_hien")),
        competent=_whole(row.get("co_quan_co_tham_quyen")),
        authorised=_whole(row.get("co_quan_duoc_uy_quyen")),
        coordinating=_whole(row.get("co_quan_phoi_hop")),
        related=[part.strip() for part in _known(row.get("thu_tuc_lien_quan")).split("\n") if part.strip()],
    )


def _snake_methods(text: str) -> list[Method]:
    pieces = _WAY.split(text.removeprefix("Hình thức nộpThời gianPhí, lệ phíMô tả"))
    found = []
    for words, rest in zip(pieces[1::2], pieces[2::2], strict=True):
        quantity, unit, note = _time(rest)
        found.append(Method(_CHANNELS[words.casefold()], quantity, unit, note.strip(), _snake_fees(note)))
    return found


def _time(text: str) -> tuple[int | float | str | None, str, str]:
    match = _TIME.match(text)
    if not match:
        return None, "OTHER", text.removeprefix("Khác")
    quantity = neutral.number_of(match[1].replace(",", "."))
    return quantity, _UNITS[match[2].casefold()], text[match.end() :]


def _snake_fees(text: str) -> list[Fee]:
    if text.lstrip().startswith("Miễn phí"):
        return [Fee(0, "Miễn phí")]
    return []


def _snake_cases(text: str) -> list[Case]:
    head, _, body = text.partition("Tên giấy tờMẫu đơn, tờ khaiSố lượng")
    papers = []
    for name, originals, copies, only_copies in _PAPER.findall(body):
        clean = name.strip()
        papers.append(Paper(codes.invented(clean), clean, int(originals or 0), int(copies or only_copies or 0)))
    return [Case(head.strip("- :\n"), papers)] if papers else []


def _snake_results(text: str) -> tuple[list[Named], str, str]:
    found = [Named(code, name.strip()) for name, code in _RESULT.findall(text)]
    tail = _RESULT.sub("", text) if found else text
    keywords = tail.partition("Từ khóa")[2].partition("Mô tả")[0]
    description = tail.partition("Mô tả")[2].partition("Chọn cơ quan thực hiện")[0]
    if not found and (name := tail.partition("Từ khóa")[0].strip()):
        found = [Named(codes.invented(name), name)] if name.casefold() not in _NOTHING else []
    return found, _known(keywords), _known(description)


def _snake_legal(text: str) -> list[LegalBasis]:
    # Title and number run together without a mark between them: the block stays one text.
    body = _known(text.removeprefix("Tên văn bản pháp lýMã văn bản"))
    return [LegalBasis("", body)] if body else []


def read_defence(row: Record) -> Procedure:
    """Read the Ministry of Defence form of December 2025."""
    head, body, tables = (row.get(key) or {} for key in ("metadata", "content", "tables"))
    decision = text_of(head.get("số_quyết_định"))
    promulgator, steps = _promulgator(decision), text_of(body.get("trình_tự_thực_hiện"))
    result = _known(body.get("kết_quả_thực_hiện"))
    methods = [_defence_method(item) for item in tables.get("hinh_thuc_nop") or []]
    papers = [_defence_paper(item) for item in tables.get("thanh_phan_ho_so") or []]
    return Procedure(
        code=text_of(row["thu_tuc_id"]),
        name=text_of(head.get("tên_thủ_tục")),
        decision_no=decision,
        description=_known(body.get("mô_tả")),
        note=_known(body.get("cách_thức_thực_hiện")),
        keywords=_known(body.get("từ_khóa")),
        requirements=_known(body.get("yêu_cầu_điều_kiện_thực_hiện")),
        address=_known(body.get("địa_chỉ_tiếp_nhận_hs")),
        kind=text_of(head.get("loại_thủ_tục")),
        levels=neutral.levels_of_text(text_of(head.get("cấp_thực_hiện"))),
        fields=_field(_known(head.get("lĩnh_vực")), promulgator),
        promulgator=promulgator,
        steps=[("", steps)] if steps else [],
        methods=methods,
        cases=[Case("", papers)] if papers else [],
        results=[Named(codes.invented(result), result)] if result else [],
        legal=[_defence_legal(item) for item in tables.get("can_cu_phap_ly") or []],
        subjects=_names(body.get("đối_tượng_thực_hiện")),
        executing=_whole(body.get("cơ_quan_thực_hiện")),
        competent=_whole(body.get("cơ_quan_có_thẩm_quyền")),
        authorised=_whole(body.get("cơ_quan_được_ủy_quyền")),
        coordinating=_whole(body.get("cơ_quan_phối_hợp")),
    )


def _defence_method(row: Record) -> Method:
    words = text_of(row.get("hinh_thuc")).strip()
    text = text_of(row.get("thoi_han_giai_quyet")).strip()
    quantity, unit, rest = _time(text)
    if unit == "OTHER":
        quantity = text or None
    elif rest.strip():
        # "30 Ngày (trừ …)": the number alone would lose the condition.
        quantity, unit = text, "OTHER"
    note = text_of(row.get("mo_ta"))
    return Method(_CHANNELS.get(words.casefold(), words), quantity, unit, note, _defence_fees(row))


def _defence_fees(row: Record) -> list[Fee]:
    found = []
    for line in text_of(row.get("phi_le_phi")).split("\n"):
        match = _FEE.match(line.strip())
        if not match:
            found += [Fee(None, line.strip())] if _known(line) else []
            continue
        digits = match[2].strip(".")
        thousands = bool(re.fullmatch(r"\d{1,3}(\.\d{3})+", digits))
        amount = neutral.number_of(digits.replace(".", "") if thousands else digits)
        whole = match.end() == len(line.strip()) and amount is not None
        found.append(
            Fee(
                amount if whole else None,
                text_of(match[4]) if whole else line.strip(),
                kind="SERVICE_FEE" if match[1].casefold() == "lệ phí" else "FEE",
                currency="USD" if match[3] == "USD" else "Việt Nam Đồng",
            )
        )
    return found


def _defence_paper(row: Record) -> Paper:
    name, note = text_of(row.get("ten_giay_to")), text_of(row.get("ghi_chu"))
    match = _COPIES.search(note)
    originals, copies = (int(match[1]), int(match[2])) if match else (None, None)
    # The collector's column "so_luong" holds the form's file name.
    return Paper(codes.invented(name), name, originals, copies, form_name=text_of(row.get("so_luong")))


def _defence_legal(row: Record) -> LegalBasis:
    keys = ("so_ky_hieu", "trich_yeu", "co_quan_ban_hanh", "ngay_ban_hanh")
    return LegalBasis(*(text_of(row.get(key)) for key in keys))
