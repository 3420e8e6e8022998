"""The population database itself: who may ask, for what, how often, and who is found (contracts §5).

How a question gets here is the business of `population_c06.py` and `population_lgsp.py`.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from lienthong.sandbox import imitation
from lienthong.sandbox.catalogue import Catalogue
from lienthong.sandbox.officials import Officials
from lienthong.sandbox.residents import Resident
from lienthong.sandbox.xml_tree import element

REQUEST_NAMESPACE, ANSWER_NAMESPACE = "http://dancuquocgia.bca", "http://www.mic.gov.vn/dancu/1.0"
VERIFY, LOOK_UP = "XacThucThongTinCongDan", "TraCuuThongTinCongDan"
# One source has 003, another 033 for verifying (contracts §5.1).
INTEGRATION_CODES = {VERIFY: ("003", "033"), LOOK_UP: ("037",)}
FIELDS = (
    "MaYeuCau", "MaDVC", "MaTichHop", "MaCanBo", "MaDonVi", "TaiKhoan", "SoDienThoai", "SoDinhDanh", "SoCMND",
    "HoVaTen", "NgayThangNamSinh",
)  # fmt: skip
OF_THE_LOOK_UP = ("MaDonVi", "TaiKhoan", "SoDienThoai")
_LONGEST = {"MaYeuCau": 40, "MaDVC": 20, "MaTichHop": 20, "MaCanBo": 20, "MaDonVi": 35, "HoVaTen": 100}
_SERVICE_CODE = re.compile(r"G\d{2}-[A-Z]{2}\d{2,3}")
_PROCEDURE_CODE = re.compile(r"(\d\.\d{6})(\.\d{2})?")
_REMEMBERED = 1_000_000
_VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


class Refused(Exception):
    """A question that the database does not answer; the sentence holds no value that was sent."""

    def __init__(self, status: int, text: str, *, by_client: bool = True) -> None:
        """Keep the HTTP status and the sentence."""
        super().__init__(text)
        self.status, self.by_client = status, by_client


@dataclass(slots=True)
class Question:
    """One question, whatever form it came in; the JSON forms of an LGSP have no unit, account and phone."""

    operation: str
    fields: dict[str, str]
    day: str = ""
    year: str = ""
    has_unit: bool = True

    def shown(self) -> dict[str, str]:
        """Return what the ledger may keep of it."""
        plain = {key: self.fields[key] for key in FIELDS[:5] if self.fields.get(key)}
        number = self.fields.get("SoDinhDanh") or self.fields.get("SoCMND")
        return {**plain, "number": imitation.end_of(number)}


class Population:
    """Residents, officials, numbers of questions and the quota of the day: one for both ways in."""

    def __init__(
        self, *, residents: Iterable[Resident], catalogue: Callable[[], Catalogue], per_day: int = 1_000_000
    ) -> None:
        """Hold these residents; `per_day` questions are answered in a day."""
        self._by_number: defaultdict[str, list[Resident]] = defaultdict(list)
        for one in residents:
            for number in one.numbers:
                self._by_number[number].append(one)
        self._catalogue = catalogue
        self.officials = Officials()
        self.per_day = per_day
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._of_day: Counter[str] = Counter()

    def forget(self) -> None:
        """Forget the numbers of questions and what was asked today."""
        self._asked.clear()
        self._of_day.clear()

    def used(self) -> dict[str, int]:
        """Say how many questions were answered, by day."""
        return dict(self._of_day)

    def ask(self, question: Question, *, now: float) -> list[Resident]:
        """Answer a question; raises Refused where it may not be asked or is not put rightly."""
        self._check_form(question)
        self._check_official(question)
        self._count(question, now=now)
        number = question.fields.get("SoDinhDanh") or question.fields.get("SoCMND", "")
        name = question.fields["HoVaTen"]
        found = self._by_number.get(number, ())
        return [one for one in found if one.agrees(name=name, day=question.day, year=question.year)]

    def _check_form(self, question: Question) -> None:
        fields = question.fields
        wanted = ["MaYeuCau", "MaDVC", "MaTichHop", "MaCanBo", "HoVaTen"]
        if question.operation == LOOK_UP and question.has_unit:
            wanted += OF_THE_LOOK_UP
        _demand(fields, wanted)
        for name, longest in _LONGEST.items():
            if len(fields.get(name, "")) > longest:
                raise Refused(500, f"{name}: at most {longest} characters")
        number, old = fields.get("SoDinhDanh", ""), fields.get("SoCMND", "")
        if (
            bool(number) == bool(old)
            or not re.fullmatch(r"[0-9]{12}|", number)
            or not re.fullmatch(r"[0-9]{9}|", old)
        ):
            raise Refused(500, "SoDinhDanh (12 digits) or SoCMND (9 digits): exactly one")
        if bool(question.day) == bool(question.year):
            raise Refused(500, "NgayThangNamSinh: NgayThangNam or Nam, exactly one")
        _check_birth(question)
        if fields["MaTichHop"] not in INTEGRATION_CODES[question.operation]:
            raise Refused(500, "MaTichHop: not the code of this service")
        if not self._is_service(fields["MaDVC"]):
            raise Refused(500, "MaDVC: unknown")

    def _is_service(self, code: str) -> bool:
        found = _PROCEDURE_CODE.fullmatch(code)
        if found:
            return self._catalogue().find(found[1]) is not None
        return _SERVICE_CODE.fullmatch(code) is not None

    def _check_official(self, question: Question) -> None:
        fields = question.fields
        official = self.officials.by_code.get(fields["MaCanBo"])
        if official is None:
            raise Refused(403, "MaCanBo: the official is not registered")
        if question.operation != LOOK_UP or not question.has_unit:
            return
        said = (fields["MaDonVi"], fields["TaiKhoan"], fields["SoDienThoai"])
        if said != (official.unit, official.account, official.phone):
            raise Refused(403, "MaDonVi, TaiKhoan, SoDienThoai: not those that the official is registered with")

    def _count(self, question: Question, *, now: float) -> None:
        key = question.fields["MaYeuCau"]
        if key in self._asked:
            raise Refused(500, "MaYeuCau: used before")
        day = datetime.fromtimestamp(now, _VIETNAM).date().isoformat()
        if self._of_day[day] >= self.per_day:
            raise Refused(429, "over quota", by_client=False)
        self._of_day[day] += 1
        self._asked[key] = None
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)


def _demand(fields: dict[str, str], wanted: list[str]) -> None:
    missing = [name for name in wanted if not fields.get(name, "").strip()]
    if missing:
        raise Refused(500, f"{', '.join(missing)}: required")


def _check_birth(question: Question) -> None:
    try:
        if question.day:
            if not re.fullmatch(r"[0-9]{8}", question.day):
                raise ValueError
            datetime.strptime(question.day, "%Y%m%d").replace(tzinfo=_VIETNAM)
        elif not re.fullmatch(r"(1[89]|20)[0-9]{2}", question.year):
            raise ValueError
    except ValueError:
        raise Refused(500, "NgayThangNam: yyyyMMdd; Nam: yyyy") from None


def answer_body(operation: str, found: list[Resident], *, at: str = "") -> str:
    """Write what stands in the SOAP body of an answer."""
    if operation == VERIFY:
        exists = element("TonTai", text=str(bool(found)).lower())
        return f"<KetQuaXacThucResponse>{exists}</KetQuaXacThucResponse>"
    head = f'ns1:CongdanCollection xmlns:ns1="{ANSWER_NAMESPACE}"'
    if not found:
        return f"<{head}/>"
    attributes = f' SoCongDan="{len(found)}" ThoiDiemDuLieu="{at}"' if at else ""
    return f"<{head}{attributes}>{''.join(one.written('ns1:') for one in found)}</ns1:CongdanCollection>"
