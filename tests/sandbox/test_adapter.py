"""Generation A answers and refuses as the contract page says."""

from __future__ import annotations

from typing import Any

import pytest

from lienthong.sandbox.adapter import Account


async def test_the_account_gets_a_session_and_a_wrong_password_does_not(caller):
    assert await caller.log_in()
    wrong = await caller.client.post("/dvcqg_adapter/mapi/login", json={"username": "demo", "password": "x"})
    assert wrong.json()["error_code"] not in (0, "0")


async def test_a_call_without_a_good_session_is_told_so(caller):
    caller.session = "0" * 32
    answer = await caller.ask("LayDanhSachTTHC")
    assert answer["error_code"] not in (0, "0")
    assert "session" in answer["message"]


async def test_a_session_ends_after_its_number_of_calls(caller_with):
    caller = caller_with(account=Account(session_calls=2))
    await caller.log_in()
    codes = [(await caller.ask("LayDanhMucLinhVuc"))["error_code"] for _ in range(3)]
    assert codes[:2] == ["0", "0"]
    assert "session" in (await caller.ask("LayDanhMucLinhVuc"))["message"]


async def test_a_session_ends_after_its_lifetime(caller_with):
    caller = caller_with(account=Account(session_s=0))
    assert "session" in (await caller.ask("LayDanhSachTTHC"))["message"]


async def test_lists_give_codes_and_names(caller):
    procedures = (await caller.ask("LayDanhSachTTHC"))["result"]
    assert {"MATTHC": "1.001193", "TENTTHC": "Thủ tục đăng ký khai sinh"} in procedures
    assert len(procedures) >= 60
    agencies = (await caller.ask("LayDanhMucCoQuan"))["result"]
    assert {"MADONVI": "G15", "TENDONVI": "Bộ Tư pháp", "CAPDONVI": "1"} in agencies
    fields = (await caller.ask("LayDanhMucLinhVuc"))["result"]
    assert {"MALINHVUC": "G15-TP07", "TENLINHVUC": "Hộ tịch", "MANGANH": "G15"} in fields


async def test_a_detail_is_one_packet_of_text(caller):
    answer = await caller.ask("LayThuTuc", maTTHC="1.001193")
    (packet,) = answer["result"]
    assert (answer["error_code"], packet["MATTHC"], packet["TRANGTHAI"]) == ("0", "1.001193", "1")
    assert packet["LINHVUCTHUCHIEN"] == [{"MALINHVUC": "G15-TP07", "TENLINHVUC": "Hộ tịch"}]
    assert {way["KENH"] for way in packet["CACHTHUCTHUCHIEN"]} == {"1", "2", "3"}
    assert packet["CAPTHUCHIEN"] == [{"CAPTHUCHIEN": "3", "TENCAP": "Cấp Xã"}]


@pytest.mark.parametrize("body", [{"service": "LayThuTuc", "maTTHC": "9.999999"}, {"service": "LayThuTuc"},
                                  {"service": "KhongCo"}, {"service": "LayDanhSachTTHC", "madonvi": ""},
                                  {"service": ""}, {"service": ["x"]}])  # fmt: skip
async def test_what_makes_no_sense_is_refused_with_a_text(caller, body: dict[str, Any]):
    answer = await caller.ask(body.pop("service"), **body)
    assert answer["error_code"] not in (0, "0")
    assert answer["message"]


async def test_a_dossier_is_created_then_updated(caller):
    assert "thành công" in (await caller.sync())["message"]
    assert "thành công" in (await caller.sync(updating=True, TrangThaiHoSo="4"))["message"]
    held = await caller.look("dossiers/H38.15-260803-0001")
    assert (held["status"], held["pushes"], held["statuses"]) == ("4", 2, ["2", "4"])


async def test_creating_a_dossier_twice_is_a_duplicate(caller):
    await caller.sync()
    answer = await caller.sync(TrangThaiHoSo="9")
    assert (answer["error_code"], "đã tồn tại" in answer["message"]) == (3, True)
    assert (await caller.look("dossiers/H38.15-260803-0001"))["status"] == "2"


async def test_an_update_and_a_step_need_the_dossier_first(caller):
    for answer in (await caller.sync(updating=True), await caller.progress()):
        assert answer["error_code"] not in (0, "0")
        assert "không tồn tại" in answer["message"]


async def test_an_update_replaces_the_child_lists(caller):
    fee = {"TenPhiLePhi": "Lệ phí", "MaPhiLePhi": "1", "HinhThucThu": "1", "Gia": "8000", "LoaiPhiLePhi": "2"}
    await caller.sync(DanhSachLePhi=[fee])
    await caller.sync(updating=True, DanhSachLePhi=[])
    assert (await caller.look("dossiers/H38.15-260803-0001"))["item"]["DanhSachLePhi"] == []


async def test_a_step_given_twice_stands_twice_in_the_order_of_arrival(caller):
    await caller.sync()
    for step in ({"TrangThai": "4"}, {"TrangThai": "2"}, {"TrangThai": "4"}):
        await caller.progress(**step)
    held = await caller.look("dossiers/H38.15-260803-0001")
    assert [step["TrangThai"] for step in held["steps"]] == ["4", "2", "4"]
    assert held["status"] == "4"


async def test_one_bad_step_of_a_batch_spoils_the_whole_batch(caller):
    await caller.sync()
    good, bad = caller.step, caller.step | {"ThoiDiemXuLy": "20261301000000"}
    assert (await caller.ask("CapNhatTienDoHoSoMC", data=[good, bad]))["error_code"] not in (0, "0")
    assert (await caller.look("dossiers/H38.15-260803-0001"))["steps"] == []


async def test_looking_up_tells_whether_a_dossier_exists(caller):
    assert (await caller.ask("TraCuuHoSo", mahoso="H38.15-260803-0001"))["result"] == []
    await caller.sync()
    (found,) = (await caller.ask("TraCuuHoSo", mahoso="H38.15-260803-0001"))["result"]
    assert (found["MaHoSo"], found["TrangThaiHoSo"]) == ("H38.15-260803-0001", "2")


@pytest.mark.parametrize(("change", "named"), [
    ({"MaHoSo": ""}, "MaHoSo"), ({"TenTTHC": None}, "TenTTHC"), ({"SoDienThoai": ""}, "SoDienThoai"),
    ({"TrichYeuHoSo": "x" * 1001}, "TrichYeuHoSo"), ({"MaHoSo": "x" * 51}, "MaHoSo"),
    ({"NgayTiepNhan": "20260803"}, "NgayTiepNhan"), ({"NgayTiepNhan": "20260231083000"}, "NgayTiepNhan"),
    ({"NgayHenTra": ""}, "NgayHenTra"), ({"TrangThaiHoSo": "11"}, "TrangThaiHoSo"),
    ({"TrangThaiHoSo": 2}, "TrangThaiHoSo"), ({"LoaiDoiTuong": "0"}, "LoaiDoiTuong"),
    ({"HinhThuc": "2"}, "HinhThuc"), ({"KenhThucHien": "4"}, "KenhThucHien"), ({"TaiLieuNop": {}}, "TaiLieuNop"),
    ({"HoSoCoThanhPhanSoHoa": "True"}, "HoSoCoThanhPhanSoHoa"), ({"TenThuTuc": "x"}, "TenThuTuc"),
    ({"DinhDanhCHS": [{"LoaiDinhDanh": "1", "SoDinhDanh": "1"}]}, "SoDinhDanh"),
    ({"DanhSachLePhi": [{"Gia": "8.000"}]}, "DanhSachLePhi[0].Gia"),
    ({"TaiLieuNop": [{"TenTepDinhKem": "x.pdf"}]}, "TaiLieuNop[0]"), ({"MaTTHC": "9.999999"}, "MaTTHC"),
])  # fmt: skip
async def test_a_dossier_that_breaks_a_rule_is_refused_naming_the_field(caller, change, named: str):
    answer = await caller.sync(**change)
    assert answer["error_code"] not in (0, "0")
    assert named in answer["message"]
    assert await caller.look("dossiers") == {"total": 0, "items": []}


@pytest.mark.parametrize("status", ["1", "3", "7"])
async def test_before_reception_the_times_of_reception_may_be_empty(caller, status: str):
    answer = await caller.sync(TrangThaiHoSo=status, NgayTiepNhan="", NgayHenTra="")
    assert answer["error_code"] == 0


@pytest.mark.parametrize("parameters", [{"isUpdating": True}, {"isUpdating": "true"}, {}, {"data": []},
                                        {"data": "x"}, {"data": [None]}])  # fmt: skip
async def test_an_envelope_that_breaks_a_rule_is_refused(caller, parameters):
    answer = await caller.ask("DongBoHoSoMC", **({"isUpdating": "False", "data": 1} | parameters))
    assert answer["error_code"] not in (0, "0")


async def test_a_refusal_repeats_nothing_personal(caller):
    answer = await caller.sync(
        SoDienThoai="0912345678901", DinhDanhCHS=[{"LoaiDinhDanh": "2", "SoDinhDanh": "77"}]
    )
    assert "0912345678901" not in answer["message"]
    assert "77" not in answer["message"]


async def test_the_composed_messages_of_one_dossier_are_all_accepted(caller, composed_messages):
    for message in composed_messages:
        parameters = {key: message[key] for key in message if key not in ("session", "madonvi")}
        assert (await caller.ask(**parameters))["error_code"] in (0, "0")
    held = await caller.look("dossiers/H38.15-260803-0001")
    assert [step["TrangThai"] for step in held["steps"]] == ["2", "4", "5", "4", "9", "10"]
