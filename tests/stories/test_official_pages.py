"""Officials at the desk: registered, taken in from a form, handed over, revoked; exceptions and rules."""

from __future__ import annotations

from typing import Any

import builders
import desk

from lienthong.api_keys import officials
from lienthong.bus.flows import official_forms
from lienthong.core import tables

ENTRY = {
    "code": "CB000001",
    "full_name": "Nguyễn Thị Mẫu",
    "account": "mau.nt",
    "phone": "0900000123",
    "email": "mau@example.vn",
    "unit_code": "000.00.15.H38",
    "unit_name": "Sở Tư pháp",
    "position": "Công chức",
    "procedures": "1.000001, G15-*",
    "valid_from": "2026-01-15",
    "valid_until": "2026-12-31",
}


async def find(stage: desk.Stage, name: str) -> officials.Official:
    found = await officials.find(stage.hub.storage, stage.hub.vault, name)
    assert found is not None
    return found


async def acts(stage: desk.Stage) -> list[tuple[str, str]]:
    done = sorted(await stage.rows(tables.admin_acts), key=lambda row: row["number"])
    return [(row["act"], row["outcome"]) for row in done if not row["act"].startswith(("accounts", "sign"))]


async def register(visitor: desk.Visitor, **changed: str) -> Any:
    await visitor.open("/officials")
    return await visitor.send("/officials", **{**ENTRY, **changed}, reason="CV 761")


async def test_an_official_is_registered_shown_masked_handed_over_and_revoked(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        answer = await register(lan)
        await lan.open(answer.headers["location"])
        assert "Nguyễn Thị Mẫu" in lan.page
        assert "0900000123" not in lan.page
        assert "mau@example.vn" not in lan.page
        await lan.open("/officials?q=000.00.15")
        assert "CB000001" in lan.page
        answer = await lan.send(
            "/officials/CB000001/replace", full_name="Trần Văn Thay", phone="0900000456", reason="điều động"
        )
        assert answer.status_code == 303
        await lan.open("/officials/CB000001")
        assert "Trần Văn Thay" in lan.page
        assert "đã thay" in lan.page
        await lan.send("/officials/CB000001/revoke", reason="nghỉ việc")
        await lan.open("/officials")
        assert "CB000001" not in lan.page
        await lan.open("/officials?state=revoked")
        assert "CB000001" in lan.page
    assert (await find(stage, "CB000001")).state(stage.time.now) == "revoked"


async def test_what_is_left_empty_stays_and_another_person_is_refused(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        await register(lan)
        await lan.send("/officials/CB000001/change", unit_name="Sở Tư pháp tỉnh", reason="đổi tên")
        found = await find(stage, "CB000001")
        assert (found.unit_name, found.phone, found.procedures) == (
            "Sở Tư pháp tỉnh",
            "0900000123",
            ("1.000001", "G15-*"),
        )
        answer = await register(lan, account="khac")
        assert answer.status_code == 409
        assert "0900000123" not in answer.text


async def test_an_auditor_sees_officials_and_changes_nothing(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        await register(lan)
    async with stage.signed_in("kiem", "auditor") as auditor:
        await auditor.open("/officials/CB000001")
        assert "Thu hồi" not in auditor.page
        await auditor.open("/officials/form")
        assert 'type="file"' not in auditor.page
        assert (await auditor.send("/officials/form")).status_code == 403


def form(*changes: dict[str, str]) -> bytes:
    days = {"valid_from": "15/01/2026", "valid_until": "31/12/2026"}
    return official_forms.as_csv([{**ENTRY, **days, **change} for change in changes])


async def post_form(visitor: desk.Visitor, raw: bytes, **fields: str) -> Any:
    await visitor.open("/officials/form")
    token = visitor.page.split('name="_form" value="')[1].split('"')[0]
    return await visitor.client.post(
        "/officials/form",
        data={"_form": token, "encoding": "utf-8", **fields},
        files={"file": ("can-bo.csv", raw, "text/csv")},
        headers={"origin": desk.URL},
    )


async def test_a_form_with_a_bad_row_says_which_and_writes_nothing(stage: desk.Stage) -> None:
    raw = form({}, {"code": "CB000002", "account": "hai", "phone": "không có"})
    async with stage.signed_in("lan", "operator") as lan:
        answer = await post_form(lan, raw, do="check")
        assert "Chỉ kiểm tra" in answer.text
        assert "Số điện thoại" in answer.text
        answer = await post_form(lan, raw, do="write", reason="CV 761")
        assert "CHƯA GHI GÌ" in answer.text
        assert await stage.rows(tables.officials) == []
        answer = await post_form(lan, raw, do="write", reason="CV 761", good_rows="yes")
        assert "Đã ghi" in answer.text
        assert (await find(stage, "CB000001")).unit_code == "000.00.15.H38"
        answer = await post_form(lan, raw, do="write")
        assert answer.status_code == 400
        answer = await post_form(lan, b"khong phai bieu mau", do="check")
        assert answer.status_code == 400


async def test_the_register_leaves_the_hub_only_for_a_reason_that_is_kept(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        empty = await lan.client.get("/officials/form?file=csv")
        assert "Mã cán bộ" in empty.text
        await register(lan)
        await lan.open("/officials/form")
        assert (await lan.send("/officials/export", reason="")).status_code == 400
        filled = await lan.send("/officials/export", reason="đơn vị rà soát")
        assert filled.headers["content-disposition"].endswith('.xlsx"')
        assert filled.content.startswith(b"PK")
    assert ("officials.export", "done") in await acts(stage)


async def test_exceptions_and_rules_are_set_and_ended_with_a_reason(stage: desk.Stage) -> None:
    await builders.seed_procedure(stage.hub)
    async with stage.signed_in("lan", "operator") as lan:
        await register(lan)
    unit = {"code": "000.00.16.H38", "name": "Sở Xây dựng", "seen_at": stage.time.now}
    async with stage.hub.storage.transaction() as tx:
        await tx.execute(tables.agencies.insert().values(**unit))
    async with stage.signed_in("an", "security_officer") as officer:
        await officer.open("/exceptions")
        answer = await officer.send(
            "/exceptions", official="CB000001", unit="000.00.16.H38", until="2026-06-30", reason="tổ liên ngành"
        )
        assert answer.status_code == 303
        await officer.open("/exceptions")
        assert "tổ liên ngành" in officer.page
        assert "Nguyễn Thị Mẫu" in officer.page
        assert "Sở Xây dựng" in officer.page
        number = (await stage.rows(tables.lookup_exceptions))[0]["id"]
        assert (await officer.send(f"/exceptions/{number}/end", reason="")).status_code == 400
        await officer.send(f"/exceptions/{number}/end", reason="xong việc")
        await officer.open("/exceptions")
        assert "Không có ngoại lệ nào." in officer.page
        await officer.open("/lookup-rules")
        groups = ["residents.identity", "residents.basic", "residents.residence"]
        await officer.send("/lookup-rules", procedure="1.000001", groups=groups, reason="QĐ 5")
        await officer.open("/lookup-rules")
        assert "residents.residence" in officer.page
        assert "Đăng ký khai sinh" in officer.page
        unknown = await officer.send("/lookup-rules", procedure="9.999999", groups=groups, reason="QĐ 5")
        assert unknown.status_code == 404
