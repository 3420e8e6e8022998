"""A dossier as the portal's older generation is told it: nothing lost, and what it would refuse is said first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.core import records
from lienthong.mappings import engine

DOSSIER = engine.load("dvcqg_adapter").message("dossier")
PROGRESS = engine.load("dvcqg_adapter").message("progress")
AT = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)

WORDS = st.text(alphabet="ăâđêôơưABCxyz019", min_size=1, max_size=20)
LATER = st.integers(1, 10**7).map(lambda seconds: AT + timedelta(seconds=seconds))
FEES = st.builds(
    records.DossierFee,
    name=WORDS, code=WORDS, amount_vnd=st.integers(0, 10**13),
    kind=st.sampled_from(["fee", "charge"]), collected=st.sampled_from(["reception", "supplement", "return"]),
)  # fmt: skip
PAPERS = st.builds(records.DossierAttachment, name=WORDS, quantity=st.integers(0, 99), kind=WORDS)
COMPONENTS = st.builds(
    records.DossierComponent,
    code=WORDS, file_id=WORDS, file_name=WORDS, url=WORDS, replaced_by_result=WORDS,
    reused_from=st.sampled_from(["none", "component", "result"]),
    deleted=st.booleans(), digitised=st.booleans(), from_national_store=st.booleans(),
)  # fmt: skip
SUPPLEMENTS = st.builds(
    records.DossierSupplement,
    number=st.integers(0, 99), request=WORDS, requested_at=st.none() | LATER, received_at=st.none() | LATER,
    completed=st.booleans(), papers=st.tuples(PAPERS), fees=st.tuples(FEES), due_after_at=st.none() | LATER,
)  # fmt: skip
RESULTS = st.builds(records.DossierResult, name=WORDS, code=WORDS, component_code=WORDS, url=WORDS)
CITIZENS = st.builds(
    records.Applicant,
    kind=st.just("citizen"), name=WORDS, phone=WORDS, email=WORDS, fax=WORDS, portal_account=WORDS,
    citizen_id=st.from_regex(r"\A([0-9]{12}|[0-9]{9})\Z"), tax_code=st.none(), identity_verified=st.booleans(),
)  # fmt: skip
ENTERPRISES = st.builds(
    records.Applicant,
    kind=st.just("enterprise"), name=WORDS, phone=WORDS, tax_code=st.from_regex(r"\A[0-9]{10}\Z"),
    citizen_id=st.none() | st.from_regex(r"\A[0-9]{12}\Z"),
)  # fmt: skip
DOSSIERS = st.builds(
    records.Dossier,
    code=st.just("H56.14-260115-0001"), procedure_code=st.just("1.001193"), applicant=CITIZENS | ENTERPRISES,
    summary=WORDS, channel=st.sampled_from(records.Channel), submitted_at=st.just(AT),
    received_at=st.none() | LATER, due_at=st.none() | LATER, agency=WORDS, unit=st.just(""),
    return_by=st.sampled_from(["in_person", "postal"]), receipt_number=WORDS,
    submitted_on=st.sampled_from(["national_portal", "provincial_system"]),
    online_payment=st.sampled_from(["none", "national_platform", "other_gateway"]),
    databases_used=st.lists(WORDS, max_size=2).map(tuple), fees=st.tuples(FEES),
    components=st.lists(COMPONENTS, max_size=2).map(tuple), attachments=st.lists(PAPERS, max_size=2).map(tuple),
    supplements=st.lists(SUPPLEMENTS, max_size=2).map(tuple), results=st.lists(RESULTS, max_size=2).map(tuple),
    return_note=WORDS, note=WORDS, other_information=WORDS, external_references=st.just({}),
)  # fmt: skip
FACTS = records.ProcedureFacts(
    code="1.001193", name="Đăng ký khai sinh", field_code="G15-TP07", field_name="Hộ tịch", version=0
)
SNAPSHOTS = st.builds(
    records.DossierSnapshot,
    dossier=DOSSIERS, procedure=st.just(FACTS), status=st.sampled_from(records.Status),
    rejected_at=st.none() | LATER, finished_at=st.none() | LATER, returned_at=st.none() | LATER,
)  # fmt: skip


@given(SNAPSHOTS)
def test_a_dossier_read_back_is_the_dossier(snapshot: records.DossierSnapshot) -> None:
    assert DOSSIER.from_wire(DOSSIER.to_wire(snapshot)) == snapshot


@given(SNAPSHOTS)
def test_everything_on_the_wire_is_text_a_list_or_a_flag_and_never_null(snapshot: records.DossierSnapshot) -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, list):
            return all(plain(one) for row in value for one in row.values())
        return isinstance(value, str | bool)

    assert all(plain(value) for value in DOSSIER.to_wire(snapshot).values())


def snapshot(status: str = "received", **changed: Any) -> records.DossierSnapshot:
    dossier = {
        "code": "H56.14-260115-0001", "procedure_code": "1.001193", "summary": "Khai sinh", "channel": "online",
        "applicant": {"kind": "citizen", "name": "NGUYỄN VĂN AN", "citizen_id": "001099000001", "phone": "090"},
        "submitted_at": AT, "received_at": AT, "due_at": AT + timedelta(days=1), "agency": "UBND phường",
        **changed,
    }  # fmt: skip
    return records.DossierSnapshot.model_validate({"dossier": dossier, "procedure": FACTS, "status": status})


def blamed(*args: Any, **changed: Any) -> list[str]:
    return [problem.field for problem in DOSSIER.problems(snapshot(*args, **changed))]


def applicant(**changed: Any) -> dict[str, Any]:
    return {"applicant": {"kind": "citizen", "name": "AN", "citizen_id": "001099000001", "phone": "1", **changed}}


def test_a_dossier_that_the_portal_takes_has_no_problem() -> None:
    assert blamed() == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        (applicant(phone=""), "applicant.phone"),
        (applicant(citizen_id=None), "applicant.citizen_id"),
        (applicant(citizen_id="000000001"), "applicant.citizen_id"),
        (applicant(kind="enterprise", citizen_id=None), "applicant.tax_code"),
        (applicant(kind="agency", citizen_id=None), "applicant.identity_number"),
        ({"summary": "x" * 1001}, "summary"),
        ({"received_at": None}, "received_at"),
        ({"due_at": None}, "due_at"),
        ({"components": [{"file_name": "a", "url": "u"}]}, "components.0.code"),
    ],
)
def test_what_the_portal_would_refuse_is_named_in_the_callers_words(changed: dict[str, Any], field: str) -> None:
    (problem,) = DOSSIER.problems(snapshot(**changed))
    assert problem.field == field
    assert problem.vi
    assert problem.en


def test_a_problem_says_who_requires_it() -> None:
    (problem,) = DOSSIER.problems(snapshot(**applicant(phone="")))
    assert "Cổng Dịch vụ công quốc gia" in problem.vi
    assert "Số điện thoại" in problem.vi
    assert "National Public Service Portal" in problem.en


@pytest.mark.parametrize("status", ["submitted", "rejected", "withdraw_requested"])
def test_a_dossier_not_yet_received_needs_no_day_of_reception(status: str) -> None:
    assert blamed(status, received_at=None, due_at=None) == []


def test_a_missing_identity_is_never_made_up() -> None:
    wire = DOSSIER.to_wire(snapshot(**applicant(citizen_id=None)))
    assert (wire["SoGiayToChuHoSo"], wire["DinhDanhCHS"]) == ("", [])


def test_a_passport_stands_in_for_a_citizen_number() -> None:
    changed = applicant(citizen_id=None, identity_number="C1234567")
    assert blamed(**changed) == []
    assert DOSSIER.to_wire(snapshot(**changed))["SoGiayToChuHoSo"] == "C1234567"


def test_digitised_papers_show_on_the_dossier() -> None:
    paper = {"code": "KQ1", "file_name": "a", "url": "u", "digitised": True}
    assert DOSSIER.to_wire(snapshot(components=[paper]))["HoSoCoThanhPhanSoHoa"] == "1"


def step(**changed: Any) -> records.ProgressStep:
    change = {"status": "processing", "occurred_at": AT, "handled_by": "Bình", "note": "Thẩm định", **changed}
    return records.ProgressStep.model_validate({"dossier_code": "H56.14-260115-0001", "change": change})


def test_the_name_of_an_official_is_cut_where_clients_cut_it() -> None:
    one = step(handled_by="x" * 60)
    assert PROGRESS.problems(one) == []
    assert len(PROGRESS.to_wire(one)["NguoiXuLy"]) == 50


def test_a_step_without_a_note_says_the_status_reached() -> None:
    assert PROGRESS.to_wire(step(note=""))["NoiDungXuLy"] == "Đang xử lý"


def test_an_afternoon_is_written_with_a_clock_of_24_hours() -> None:
    assert PROGRESS.to_wire(step(occurred_at=AT + timedelta(hours=7)))["ThoiDiemXuLy"] == "20260115153000"


@pytest.mark.parametrize("number", range(1, 11))
def test_every_national_status_is_ours_and_back(number: int) -> None:
    assert PROGRESS.to_wire(step(status=list(records.Status)[number - 1]))["TrangThai"] == str(number)
