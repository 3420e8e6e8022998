"""Procedures, code lists, mappings and the self-check at the desk."""

from __future__ import annotations

import dataclasses

import builders
import desk
import pytest

from lienthong.bus.flows import procedure_sync
from lienthong.console.web.pages import mapping_pages
from lienthong.core import clock, records, tables


class Changing(builders.OneProcedure):
    """The same procedure under a new name."""

    async def list_procedures(self) -> list[records.ListedProcedure]:
        return [it.model_copy(update={"fingerprint": "2"}) for it in await super().list_procedures()]


async def renamed(stage: desk.Stage, name: str) -> None:
    source = dataclasses.replace(stage.hub, systems={"dvcqg_adapter": Changing("1.000001", name)})
    await procedure_sync.run(source, source="dvcqg_adapter")


async def test_a_procedure_is_found_without_marks_and_its_versions_stand_side_by_side(stage: desk.Stage) -> None:
    await builders.seed_procedure(stage.hub)
    stage.time.pass_by(hours=2)
    await renamed(stage, "Đăng ký khai sinh lưu động")
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/procedures?q=dang+ky+khai+sinh")
        assert "1.000001" in lan.page
        await lan.open("/procedures?q=ket+hon")
        assert "Không có thủ tục nào khớp." in lan.page
        await lan.open("/procedures/1.000001")
        assert "Đăng ký khai sinh lưu động" in lan.page
        await lan.open("/procedures/1.000001?old=1&new=2")
        assert '<td class="old">Đăng ký khai sinh</td><td>Đăng ký khai sinh lưu động</td>' in lan.page
        await lan.open("/procedures/1.000001?version=1")
        assert "Đây là phiên bản cũ." in lan.page
        assert (await lan.open("/procedures/1.000001?old=1&new=7")).status_code == 404
        assert (await lan.open("/procedures?after=khong-dung")).status_code == 400
        listed = await lan.client.get("/procedures?export=csv")
        assert "1.000001" in listed.text


async def test_the_catalogue_said_it_showed_all_while_it_hid_what_is_withdrawn(stage: desk.Stage) -> None:
    await builders.seed_procedure(stage.hub)
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/procedures")
        assert '<option value="active" selected>có hiệu lực</option>' in lan.page
        assert "1.000001" in lan.page
        await lan.open("/procedures?status=withdrawn")
        assert '<option value="withdrawn" selected>đã bãi bỏ</option>' in lan.page
        assert "1.000001" not in lan.page


async def test_a_mapping_is_readable_and_says_what_is_left_out(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/mappings")
        assert "Mọi mã nhận được đều có trong bảng ánh xạ." in lan.page
        await lan.open("/mappings/vnpay")
        assert "VNPAY" in lan.page
        assert "amount_vnd" in lan.page
        assert (await lan.open("/mappings/nothing")).status_code == 404


@pytest.mark.parametrize("name", sorted(mapping_pages._every_spec()))
async def test_every_mapping_can_be_shown(name: str) -> None:
    told = mapping_pages._told(name)
    assert all(line["record"] for message in told for line in message["fields"])


async def test_codes_without_a_translation_are_counted_with_what_to_do(stage: desk.Stage) -> None:
    now = stage.time.now
    message = {
        "lane": "H38-1",
        "operation": "dossier",
        "request_id": clock.new_id(),
        "payload": b"",
        "state": "dead",
    }
    message |= {
        "look_first": False,
        "first_of_lane": False,
        "due_at": now,
        "created_at": now,
        "waiting_since": now,
    }
    message |= {"target": "dvcqg_adapter", "last_code": "Server.Hub.UnmappedCode", "last_error": "status=99"}
    await builders.seed_procedure(stage.hub)
    odd = [{"kind": "unmapped_code", "field": "levels.0", "seen": "X9"}]
    async with stage.hub.storage.transaction() as tx:
        await tx.execute(tables.messages.insert(), [{**message, "id": clock.new_id()} for _ in range(3)])
        await tx.execute(tables.procedures.update().values(oddities=odd))
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/mappings")
        assert "status=99" in lan.page
        assert "X9" in lan.page
        assert "bổ sung mã vào bảng ánh xạ" in lan.page
        await lan.open("/mappings/dvcqg_adapter")
        assert "Thông điệp của hệ thống này đang kẹt" in lan.page
        assert "Trạng thái bưu gửi" not in lan.page
        assert "công dân yêu cầu rút" in lan.page
        await lan.open("/mappings/vnpay")
        assert "Thông điệp của hệ thống này đang kẹt" not in lan.page
        await lan.open("/procedures/1.000001")
        assert "Mã chưa khai trong bảng ánh xạ" in lan.page


async def test_code_lists_show_what_replaced_what(stage: desk.Stage) -> None:
    place = {"code": "00001", "name": "Phường Ba Đình", "kind": "phường", "province_code": "01"}
    row = {"old_code": "00004", "new_code": "00001", "old_name": "Phường Trúc Bạch", "divided": False}
    async with stage.hub.storage.transaction() as tx:
        await tx.execute(tables.places.insert(), {**place, "valid_from": stage.time.now.date()})
        await tx.execute(tables.place_changes.insert(), row)
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/codes")
        assert "Tỉnh, thành phố và sáp nhập" in lan.page
        await lan.open("/codes/old_communes?q=truc+bach")
        assert "00001" in lan.page
        for name in ("agencies", "fields", "communes", "file_provinces", "file_holidays", "file_statuses"):
            assert (await lan.open(f"/codes/{name}")).status_code == 200, name
        assert (await lan.open("/codes/file_vnpost_places?export=csv")).status_code == 200
        assert (await lan.open("/codes/nothing")).status_code == 404


async def test_the_self_check_answers_at_once_and_tells_what_to_do(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/check")
        assert 'data-load="/check/results"' in lan.page
        await lan.open("/check/results")
        assert "Cơ sở dữ liệu" in lan.page
        for told in ("không kết nối được", "không dùng", "chưa chạy"):
            assert told in lan.page, told


async def test_an_empty_hub_says_why_its_lists_are_empty(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator", "key_manager") as lan:
        await lan.open("/procedures")
        assert "chưa đồng bộ lần nào" in lan.page
        await lan.open("/keys")
        assert "Chưa cấp khoá nào" in lan.page
        await lan.open("/officials")
        assert "chưa ai tra cứu công dân được" in lan.page
