"""The portal's older generation: the promises of its two roles, and its own quirks."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from pathlib import Path
from typing import Any

import httpx
import pytest
from conformance import CataloguePromises, ReceiverPromises, Stage, snapshot, step, text

from lienthong.connectors.dvcqg_adapter import auth
from lienthong.core import errors, records
from lienthong.sandbox import app as sandbox_app
from lienthong.sandbox import moods
from lienthong.sandbox.adapter import Account

SETTINGS = {"username": "demo", "password": "demo-password", "dstcode": "VN:GOV:demo"}


def new_stage(**sandbox: Any) -> Stage:
    return Stage("dvcqg_adapter", SETTINGS, sandbox_app.create_app(sandbox_app.Settings(**sandbox)))


@pytest.fixture
def stage() -> Stage:
    return new_stage()


class TestAsCatalogue(CataloguePromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage()


class TestAsReceiver(ReceiverPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage()


def mood(stage: Stage, spec: str) -> None:
    stage.app.held.weather.put(moods.parse_spec(spec))


# -------------------------------------------------------------------------------------------------- session


async def test_a_hundred_calls_with_an_expired_session_log_in_once() -> None:
    stage = new_stage()
    await stage.connector.has_dossier("x")
    stage.app.exchange._adapter._sessions.clear()
    await asyncio.gather(*(stage.connector.has_dossier(f"x{n}") for n in range(100)))
    assert stage.wire.services().count("login") == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_status_that_forbids_renews_the_session_once(stage: Stage, status: int) -> None:
    await stage.connector.has_dossier("x")
    left = [1]

    def once(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("login") or not left:
            return None
        left.pop()
        return httpx.Response(status)

    stage.wire.fault = once
    assert not await stage.connector.has_dossier("x")
    assert stage.wire.services().count("login") == 2


async def test_a_second_refusal_of_the_session_is_for_a_person(stage: Stage) -> None:
    stage.answer_all(text('{"error_code":"-2","message":"Phiên làm việc hết hạn"}'))
    with pytest.raises(errors.RemoteForbids):
        await stage.connector.has_dossier("x")
    assert stage.wire.services().count("login") == 2


async def test_a_refused_account_is_tried_once_by_all_waiting_calls(stage: Stage) -> None:
    wrong = stage.open(password="wrong")
    found = await asyncio.gather(*(wrong.has_dossier("x") for _ in range(50)), return_exceptions=True)
    assert {type(it) for it in found} == {errors.RemoteForbids}
    assert stage.wire.services() == ["login"]


async def test_a_login_that_gives_the_same_session_again_is_done_once_by_all_waiting_calls() -> None:
    logins: list[str] = []

    async def log_in() -> str:
        logins.append("session")
        await asyncio.sleep(0)
        return "the same"

    session = auth.Session(log_in)
    old = await session.current()
    assert set(await asyncio.gather(*(session.renew(old) for _ in range(50)))) == {"the same"}
    assert len(logins) == 2


async def test_sessions_that_run_out_under_way_do_no_harm() -> None:
    stage = new_stage(account=Account(session_calls=3))
    for number in range(12):
        await stage.connector.has_dossier(f"x{number}")
    assert stage.wire.services().count("login") == 4


async def test_the_destination_is_named_in_the_header(stage: Stage) -> None:
    mood(stage, "strict_dstcode")
    assert not await stage.connector.has_dossier("x")


# ------------------------------------------------------------------------------------------------- envelopes


@pytest.mark.parametrize("code", ["0", '"0"', '"00"', "0.0"])
@pytest.mark.parametrize(
    "body",
    ['"result":[{R}]', '"data":[{R}]', '"result":{{"data":[{R}]}}', '"result":{{"data":[{R}]}},"message":null'],
)
async def test_success_and_lists_are_read_in_every_form(stage: Stage, code: str, body: str) -> None:
    row = '{"MADONVI":"G15","TENDONVI":"Bộ Tư pháp","CAPDONVI":"1"}'
    stage.answer_all(text(f'{{"error_code":{code},{body.format(R=row)}}}'))
    assert await stage.connector.list_agencies() == [records.AgencyRow(code="G15", name="Bộ Tư pháp", level="1")]


async def test_the_list_of_the_contract_page_is_read_as_it_stands(stage: Stage) -> None:
    stage.wire.fault = lambda request: None if request.url.path.endswith("login") else _list_or_agencies(request)
    rows = await stage.connector.list_procedures()
    assert [(it.code, it.name) for it in rows] == [
        ("1.001193", "Đăng ký khai sinh"), ("2.000635", "Cấp bản sao trích lục hộ tịch")
    ]  # fmt: skip


def _list_or_agencies(request: httpx.Request) -> httpx.Response:
    if json.loads(request.content)["service"] == "LayDanhMucCoQuan":
        return httpx.Response(200, text='{"error_code":0,"result":[]}')
    return httpx.Response(
        200,
        text="""{"error_code": 0, "message": "", "result": [
          {"MATTHC": "1.001193", "TENTTHC": "Đăng ký khai sinh"},
          {"MATTHC": "2.000635", "TENTTHC": "Cấp bản sao trích lục hộ tịch"}]}""",
    )


async def test_dirty_codes_are_trimmed_and_asked_for_as_they_came(stage: Stage) -> None:
    stage.answer_all(text('{"error_code":0,"result":[{"MATTHC":" 1.014325","TENTTHC":"A"}]}'))
    (row,) = await stage.connector._list("list_procedures", "listed")
    assert (row.code, row.key) == ("1.014325", " 1.014325")


# --------------------------------------------------------------------------------------------------- details


DETAIL: dict[str, Any] = {
    "ID": "90001", "MATTHC": "1.001193", "TENTTHC": "Đăng ký khai sinh", "TRANGTHAI": "1",
    "MACOQUANCONGBO": "G15", "LINHVUCTHUCHIEN": [{"MALINHVUC": "G15-TP07", "TENLINHVUC": "Hộ tịch"}],
    "CACHTHUCTHUCHIEN": [{"KENH": "2", "THOIGIAN": [{"THOIGIANGIAIQUYET": "1", "DONVITINH": "Ngày làm việc",
        "MOTA": "",
        "PHILEPHI": [{"MAPHILEPHI": "PLP01", "SOTIEN": "0", "DONVI": "đồng", "MOTA": "Miễn lệ phí"}]}]}],
    "THANHPHANHOSO": [{"TRUONGHOP": "", "GIAYTO": [{"MAGIAYTO": "000.00.00.G15-KQ004389",
        "TENGIAYTO": "Giấy chứng sinh", "SOBANCHINH": "1", "SOBANSAO": "0", "TENMAUDON": "", "URL": ""}]}],
    "KETQUATHUCHIEN": [{"MAKETQUA": "KQ.G15.000031", "TENKETQUA": "Giấy khai sinh"}],
    "CANCUPHAPLY": None, "TTHCLIENQUAN": [],
}  # fmt: skip
LISTED = records.ListedProcedure(code="1.001193", name="Đăng ký khai sinh", key="1.001193")


async def fetched(stage: Stage, **changed: Any) -> Any:
    """Fetch the contract page's detail with some fields changed; the list of agencies is whole."""
    rows = {"LayThuTuc": [DETAIL | changed], "LayDanhMucCoQuan": [{"MADONVI": "G15", "TENDONVI": "Bộ Tư pháp"}]}

    def answer(request: httpx.Request) -> httpx.Response | None:
        service = json.loads(request.content).get("service")
        return httpx.Response(200, json={"error_code": "0", "result": rows[service]}) if service else None

    stage.wire.fault = answer
    return await stage.connector.get_procedure(LISTED)


def kinds(found: Any) -> set[tuple[str, str]]:
    return {(it.kind, it.field) for it in found.oddities}


async def test_the_detail_of_the_contract_page_is_read_and_its_agency_named(stage: Stage) -> None:
    procedure = (await fetched(stage)).procedure
    assert procedure.publishing_agency.name == "Bộ Tư pháp"
    assert procedure.methods[0].times[0].unit is records.TimeUnit.WORKING_DAY
    assert procedure.cases[0].papers[0].originals == 1
    assert procedure.legal_bases == ()


async def test_agencies_given_as_text_become_the_text_beside_the_list(stage: Stage) -> None:
    found = await fetched(stage, COQUANTHUCHIEN="Ủy ban nhân dân cấp xã")
    assert found.procedure.executing_agencies == ()
    assert found.procedure.executing_text == "Ủy ban nhân dân cấp xã"
    assert ("unexpected_shape", "executing_agencies") in kinds(found)


async def test_a_procedure_that_is_listed_and_not_public_is_reported(stage: Stage) -> None:
    assert ("not_public", "published") in kinds(await fetched(stage, TRANGTHAI="0"))
    assert ("not_public", "published") not in kinds(await fetched(stage))


async def test_an_unknown_unit_of_time_is_kept_as_text_and_reported(stage: Stage) -> None:
    found = await fetched(
        stage, CACHTHUCTHUCHIEN=[{"KENH": 1, "THOIGIAN": {"THOIGIANGIAIQUYET": 7.5, "DONVITINH": "Tuần trăng"}}]
    )
    time = found.procedure.methods[0].times[0]
    assert (str(time.quantity), time.unit, time.unit_text) == ("7.5", None, "Tuần trăng")
    assert ("time_unit_unknown", "methods.0.times.0.unit") in kinds(found)


async def test_a_time_in_words_is_kept_in_words(stage: Stage) -> None:
    times = [{"THOIGIANGIAIQUYET": "Trong ngày"}]
    found = await fetched(stage, CACHTHUCTHUCHIEN=[{"KENH": "1", "THOIGIAN": times}])
    assert found.procedure.methods[0].times[0].quantity_text == "Trong ngày"
    assert ("number_unreadable", "methods.0.times.0.quantity") in kinds(found)


async def test_a_field_that_the_portal_adds_is_reported_and_stops_nothing(stage: Stage) -> None:
    found = await fetched(stage, TRUONGMOI="x")
    assert ("unknown_field", "TRUONGMOI") in kinds(found)


async def test_a_channel_that_is_not_mapped_is_never_guessed(stage: Stage) -> None:
    with pytest.raises(errors.UnmappedCode):
        await fetched(stage, CACHTHUCTHUCHIEN=[{"KENH": "9", "THOIGIAN": []}])


@pytest.mark.parametrize("broken", [{"TENTTHC": None}, {"TENTTHC": {"x": 1}}, {"CACHTHUCTHUCHIEN": {"x": 1}}])
async def test_a_broken_record_is_garbled_and_names_the_field(stage: Stage, broken: dict[str, Any]) -> None:
    with pytest.raises(errors.RemoteGarbled) as raised:
        await fetched(stage, **broken)
    assert raised.value.facts["field"]


async def test_without_the_list_of_agencies_no_detail_is_taken(stage: Stage) -> None:
    stage.app.held.weather.put(moods.parse_spec("outage:kind=502,services=LayDanhMucCoQuan"))
    with pytest.raises(errors.RemoteUnavailable):
        await stage.connector.get_procedure(LISTED)


async def test_the_list_of_agencies_is_asked_for_once_a_run(stage: Stage) -> None:
    rows = await stage.connector.list_procedures()
    await asyncio.gather(*(stage.connector.get_procedure(row) for row in rows[:30]))
    assert stage.wire.services().count("LayDanhMucCoQuan") == 1


# -------------------------------------------------------------------------------------------------- dossiers


@pytest.mark.parametrize("code", [3, -3, 0])
async def test_an_answer_already_there_is_followed_by_one_update(stage: Stage, code: int) -> None:
    await stage.connector.put_dossier(snapshot(), known=False, look_first=False, message_id="m")
    mood(stage, f"duplicate_code:code={code}")
    receipt = await stage.connector.put_dossier(
        snapshot(summary="Mới"), known=False, look_first=False, message_id="m"
    )
    assert receipt.duplicate
    assert json.loads(stage.app.held.ledger.dossiers["H56.14-260115-0001"].item)["TrichYeuHoSo"] == "Mới"
    updating = [body["isUpdating"] for _, body in stage.wire.sent if "isUpdating" in body]
    assert updating == ["False", "False", "True"]


async def test_already_there_in_decomposed_letters_is_already_there(stage: Stage) -> None:
    words = unicodedata.normalize("NFD", "Hồ sơ đã tồn tại")
    answers = [{"error_code": 0, "message": words}, {"error_code": 0, "message": "thành công"}]
    stage.answer_all(lambda: text(json.dumps(answers.pop(0)))())
    receipt = await stage.connector.put_dossier(snapshot(), known=False, look_first=False, message_id="m")
    assert receipt.duplicate
    assert [body["isUpdating"] for _, body in stage.wire.sent if "isUpdating" in body] == ["False", "True"]


async def test_an_update_that_is_refused_after_a_duplicate_is_a_refusal(stage: Stage) -> None:
    answers = ['{"error_code":3,"message":"Hồ sơ đã tồn tại"}', '{"error_code":-9,"message":"Sai dữ liệu"}']
    stage.answer_all(lambda: text(answers.pop(0))())
    with pytest.raises(errors.RemoteRefused):
        await stage.connector.put_dossier(snapshot(), known=False, look_first=False, message_id="m")


async def test_a_question_that_is_answered_with_rubbish_leaves_the_outcome_unknown(stage: Stage) -> None:
    stage.answer_all(text('{"error_code":'))
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.put_dossier(snapshot(), known=False, look_first=True, message_id="m")


async def test_rubbish_in_answer_to_a_login_gives_no_message_up(stage: Stage) -> None:
    stage.wire.fault = lambda request: text('{"error_code":0}')()
    with pytest.raises(errors.RemoteUnavailable):
        await stage.connector.append_progress(step(), message_id="m")


async def test_the_portal_takes_everything_that_a_dossier_can_hold(stage: Stage) -> None:
    mood(stage, "strict_fields")
    paper = records.DossierAttachment(name="Giấy khác", quantity=2, kind="khác")
    fee = records.DossierFee(name="Lệ phí", code="1", amount_vnd=8000, collected="supplement")
    full = snapshot(
        components=[{"code": "KQ1", "file_name": "a.pdf", "url": "https://x.invalid/a", "digitised": True}],
        fees=[fee],
        attachments=[paper],
        supplements=[{"number": 1, "request": "Bổ sung", "papers": [paper], "fees": [fee]}],
        results=[{"name": "Giấy khai sinh", "code": "KQ.G15.000031"}],
    )
    assert not stage.connector.problems(full)
    await stage.connector.put_dossier(full, known=False, look_first=False, message_id="m")
    await stage.connector.append_progress(step(), message_id="m")
    assert len(stage.app.held.ledger.dossiers["H56.14-260115-0001"].steps) == 1


async def test_a_step_of_a_dossier_that_is_not_there_is_refused(stage: Stage) -> None:
    with pytest.raises(errors.RemoteRefused):
        await stage.connector.append_progress(step(), message_id="m")


async def test_a_gateways_page_in_answer_to_a_change_says_that_the_outcome_is_not_sure(stage: Stage) -> None:
    stage.answer_all(text("<html>Request Rejected</html>"))
    with pytest.raises(errors.RemoteUnavailable) as raised:
        await stage.connector.append_progress(step(), message_id="m")
    assert raised.value.facts["outcome_uncertain"]


async def test_the_code_of_a_dossier_is_never_in_an_address(stage: Stage) -> None:
    await stage.connector.has_dossier("H56.14-260115-0001")
    assert {it.path for it in stage.exchanges} == {"/mapi/login", "/mapi/g"}


# ------------------------------------------------------------------------------------------------- real data


async def test_every_procedure_of_july_is_read_and_what_is_odd_is_named(shared_data: Path) -> None:
    stage = new_stage(catalogue=shared_data / "tthc" / "full-2026-07-18.jsonl.gz")
    rows = await stage.connector.list_procedures()
    found = [await stage.connector.get_procedure(row) for row in rows]
    seen = [it.kind for one in found for it in one.oddities]
    assert len(found) == 4538
    assert seen.count("code_pattern") == 2
    assert seen.count("no_executing_agency") == 897
    assert seen.count("time_unit_meaningless") == 816
    assert "unknown_field" not in seen
    assert "unmapped_code" not in seen
