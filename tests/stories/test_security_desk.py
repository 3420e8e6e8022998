"""The security officer's desk: from an alert to a suspended key, the record, its seals, who looked. Both sizes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import desk
import pytest
import pytest_asyncio
import record

from lienthong.core import ingest, spool, tables
from lienthong.monitoring import alert_rules, alerts, exports, seals
from lienthong.monitoring.detectors import findings, people, probing

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
REASON = "nghi lộ khoá"


@pytest_asyncio.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    async with desk.opened(tmp_path, desk.Time(record.NOW), database_url=database_url) as opened:
        yield opened


async def opened(stage: desk.Stage, key: str, *, later_s: float = 0, seen: int = 40) -> str:
    """Open an alert about a burst of refused calls."""
    at = stage.time.now.timestamp() + later_s
    found = probing.refused(findings.Who(key=key), at, seen=seen, requests=50, share=0.003)
    assert found
    alert = await alerts.open_or_update(stage.hub.storage, found)
    assert alert
    return alert


async def sealed_calls(stage: desk.Stage, *, count: int = 40) -> None:
    """Write calls as the gateway does, bring them into the database, and seal them."""
    home, store = stage.hub.settings.home, stage.hub.storage
    node = spool.Spool(home / "spool", "gateway")
    for made in record.of_days(home, days=1, a_day=count):
        node.append(made)
    node.close()
    await ingest.Ingest(home / "spool", store).step()
    async with seals.opened(home, store) as sealer:
        assert sealer is not None
        await sealer.step(stage.time.now)


async def trail(stage: desk.Stage, act: str) -> list[dict[str, Any]]:
    told = [row for row in await stage.rows(tables.admin_acts) if row["act"] == act]
    return sorted(told, key=lambda row: row["number"])  # how one ended is written later, which moves it


# ------------------------------------------------------------------------------------------------------- alerts


async def test_from_an_alert_to_a_suspended_key_and_back_in_one_step_each(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, organisation="Sở Tư pháp thử")
    alert = await opened(stage, issued.record.id)
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/alerts")
        assert "bị từ chối trong 5 phút" in lan.page
        assert f"/alerts/{alert}" in lan.page
        assert "Sở Tư pháp thử" in lan.page
        await lan.open(f"/alerts/{alert}")
        assert "Mọi lời gọi bằng khoá này bị từ chối" in lan.page
        done = await lan.send(f"/alerts/{alert}/respond", kind="suspend", span="1h", reason=REASON)
        assert done.status_code == 303
        await lan.open(done.headers["location"])
        assert "Đã tạm dừng khoá" in lan.page
        assert "đang áp dụng" in lan.page
        [held] = await stage.rows(tables.responses)
        assert (held["kind"], held["begun_by"], held["undone_at"]) == ("suspend", "lan", None)
        assert held["until"] == stage.time.now + timedelta(hours=1)
        # The button of the toast: no response is named, the reason comes with it.
        assert (await lan.send(f"/alerts/{alert}/undo", reason="Hoàn tác")).status_code == 303
        [held] = await stage.rows(tables.responses)
        assert held["undone_by"] == "lan"
    told = [(row["act"], row["reason"]) for row in await stage.rows(tables.admin_acts) if "respond" in row["act"]]
    assert told == [("keys.respond_suspend", REASON), ("keys.respond_undo", "Hoàn tác")]


async def test_a_key_is_not_held_back_without_a_reason_or_an_end(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    alert = await opened(stage, issued.record.id)
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open(f"/alerts/{alert}")
        for fields in ({"span": "1h"}, {"reason": REASON}, {"span": "9y", "reason": REASON}):
            answer = await lan.send(f"/alerts/{alert}/respond", kind="suspend", **fields)
            assert answer.status_code == 400
        answer = await lan.send(
            f"/alerts/{alert}/respond", kind="throttle", span="1h", reason=REASON, limit="many"
        )
        assert answer.status_code == 400
    assert await stage.rows(tables.responses) == []


async def test_an_alert_is_given_to_somebody_noted_and_closed_and_the_next_one_says_how(stage: desk.Stage) -> None:
    first = await opened(stage, "key-1")
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open(f"/alerts/{first}")
        assert (await lan.send(f"/alerts/{first}/take", assignee="nobody")).status_code == 400
        await lan.send(f"/alerts/{first}/take", assignee="lan")
        await lan.send(f"/alerts/{first}/note", text="đã gọi đơn vị")
        assert (await lan.send(f"/alerts/{first}/close", **{"as": "normal"})).status_code == 400
        await lan.send(f"/alerts/{first}/close", reason="đợt nhập bù", **{"as": "normal"})
        shown = await alerts.show(stage.hub.storage, first)
        assert (shown["assignee"], shown["closed_as"], shown["closed_by"]) == ("lan", "normal", "lan")
        second = await opened(stage, "key-1", later_s=4 * 3600)
        await lan.open(f"/alerts/{second}")
        assert "đợt nhập bù" in lan.page
        await lan.open("/alerts")
        assert f"/alerts/{second}" in lan.page
        assert f"/alerts/{first}" not in lan.page
        await lan.open("/alerts?state=closed")
        assert f"/alerts/{first}" in lan.page
        for told in ("bình thường", "đợt nhập bù", "Người đóng"):
            assert told in lan.page, told


async def test_seen_before_lists_nothing_that_came_after(stage: desk.Stage) -> None:
    first = await opened(stage, "key-1")
    second = await opened(stage, "key-1", later_s=4 * 3600)
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open(f"/alerts/{first}")
        assert "Chưa từng có cảnh báo như thế này" in lan.page
        await lan.open(f"/alerts/{second}")
        assert "Chưa từng có cảnh báo như thế này" not in lan.page
        assert f'href="/alerts/{first}"' in lan.page


async def test_the_inbox_is_turned_page_by_page_and_narrowed(stage: desk.Stage) -> None:
    made = [await opened(stage, f"key-{number}", later_s=number // 3) for number in range(60)]
    async with stage.signed_in("lan", "security_officer") as lan:
        found, address = [], "/alerts"
        while address:
            await lan.open(address)
            found += re.findall(r'href="/alerts/([0-9a-f-]{36})"', lan.page)
            following = re.search(r'href="([^"]+)" rel="next"', lan.page)
            address = following[1].replace("&amp;", "&") if following else ""
        assert sorted(found) == sorted(made)
        assert len(set(found)) == 60
        await lan.open("/alerts?severity=low")
        assert "Không có cảnh báo nào" in lan.page
        assert (await lan.open("/alerts?after=nonsense")).status_code == 400
        csv = await lan.open("/alerts?export=csv")
        assert csv.headers["content-type"].startswith("text/csv")


async def test_the_timeline_holds_alerts_responses_acts_and_new_addresses(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    alert = await opened(stage, issued.record.id)
    use = {"key_id": issued.record.id, "generation": 1, "address": "10.9.9.9", "used": 5, "refused": 2}
    async with stage.hub.storage.transaction() as tx:
        at = stage.time.now - timedelta(hours=2)
        await tx.execute(tables.key_uses.insert().values(**use, first_at=at, last_at=at))
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open(f"/alerts/{alert}")
        await lan.send(f"/alerts/{alert}/respond", kind="throttle", span="4h", reason=REASON, limit="5/minute")
        await lan.open(f"/alerts/{alert}/timeline")
        here = "Cảnh báo đang xem, mở"
        for told in ("10.9.9.9", "Siết hạn mức", REASON, "Cấp khoá", "Nhiều lời gọi bị từ chối", here):
            assert told in lan.page, told
        assert f"key_id={issued.record.id}" in lan.page


async def test_a_rule_is_tested_gets_an_automatic_response_with_an_end_and_is_silenced(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/rules/refusal_burst")
        wanted = {"mode": "test", "least_score": "0,2", "reason": "xem thử"}
        assert (await lan.send("/rules/refusal_burst", **wanted)).status_code == 303
        found = await opened(stage, "key-1")
        await lan.open("/rules")
        assert "Nhiều lời gọi bị từ chối" in lan.page
        assert "tests=yes" in lan.page
        await lan.open("/alerts")
        assert found not in lan.page
        for minutes in ("", "0", "9999"):
            refused = {**wanted, "mode": "on", "response": "throttle", "minutes": minutes}
            assert (await lan.send("/rules/refusal_burst", **refused)).status_code == 400
        wanted = {"mode": "on", "least_score": "0", "response": "throttle", "minutes": "20", "limit": "5/minute"}
        await lan.send("/rules/refusal_burst", **wanted, reason="theo quyết định")
        async with stage.hub.storage.reading() as conn:
            rule = await alert_rules.of(conn, "refusal_burst")
        assert (rule.response, rule.response_minutes, rule.response_limit) == ("throttle", 20, "5/minute")
        assert (await lan.open("/rules/nothing")).status_code == 404
        other = await opened(stage, "key-2")
        await lan.open(f"/alerts/{other}")
        await lan.send(f"/alerts/{other}/silence", what="this", span="1d", reason="bảo trì")
        await lan.open("/rules")
        assert "khoá key-2 (không còn trong sổ)" in lan.page
        [silence] = await stage.rows(tables.alert_silences)
        await lan.send(f"/silences/{silence['id']}/end", reason="xong")
        await lan.open("/rules")
        assert "key=key-2" not in lan.page
        await lan.send("/silences", rule="off_hours", span="1d", reason="trực đêm")
        await lan.open("/rules")
        assert "trực đêm" in lan.page


async def test_an_auditor_reads_alerts_and_finds_no_button(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    alert = await opened(stage, issued.record.id)
    async with stage.signed_in("kiem", "auditor") as kiem:
        await kiem.open(f"/alerts/{alert}")
        assert "bị từ chối trong 5 phút" in kiem.page
        assert f'action="/alerts/{alert}' not in kiem.page
        assert (await kiem.send(f"/alerts/{alert}/respond", kind="suspend", span="1h")).status_code == 403


async def test_html_in_what_came_from_outside_stays_text(stage: desk.Stage) -> None:
    who = findings.Who(official=EVIL[:90], address=EVIL[:60])
    found = people.many_officials(who, stage.time.now.timestamp(), officials=9, days=7, usual=2)
    assert found
    alert = await alerts.open_or_update(stage.hub.storage, found._replace(vi=EVIL, en=EVIL, seen={EVIL: EVIL}))
    assert alert
    await builders.issue_key(stage.hub, organisation=EVIL)
    made = record.of_days(stage.hub.settings.home, days=1, a_day=3)
    names = ("organisation", "official", "purpose", "dossier_code", "address", "correlation")
    evil = [each._replace(**dict.fromkeys(names, EVIL[:40])) for each in made]
    await record.put(stage.hub, evil)
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/")
        await lan.send(f"/alerts/{alert}/note", text=EVIL)
        one = evil[0].request_id
        for path in (
            "/alerts", f"/alerts/{alert}", f"/alerts/{alert}/timeline", "/records?range=7d", "/key-risks",
            "/records/tops?range=7d", f"/records/{one}/1", "/rules", f"/records?alert={EVIL}",
        ):  # fmt: skip
            assert (await lan.open(path)).status_code == 200, path
            assert "<script>alert" not in lan.page, path
            assert "<img src=x" not in lan.page, path


# ------------------------------------------------------------------------------------------------------- record


async def test_the_record_is_searched_counted_and_that_is_recorded(stage: desk.Stage) -> None:
    await record.put(stage.hub, record.of_days(stage.hub.settings.home, days=2, a_day=300))
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/records?range=7d&key_id=key-3")
        assert "30 lượt trong khoảng này" in lan.page
        assert 'class="chart histogram"' in lan.page
        assert "data-from=" in lan.page
        await lan.open("/records?range=7d&refused=yes&personal=yes&official=can-bo-1")
        assert "bị từ chối" in lan.page
        await lan.open("/records/tops?range=7d")
        assert "can-bo-2" in lan.page
        assert 'href="/records?range=7d&amp;key_id=key-' in lan.page
        await lan.open("/records?range=7d&dossier_code=H38.12-261120-000360")
        assert "1 lượt trong khoảng này" in lan.page
        await lan.open("/records?range=7d")
        following = re.search(r'href="([^"]+)" rel="next"', lan.page)
        assert following
        assert (await lan.open(following[1].replace("&amp;", "&"))).status_code == 200
    asked = await trail(stage, "journal.search")
    assert [row["actor"] for row in asked] == ["lan"] * 5
    assert asked[0]["after"]["key_id"] == "key-3"
    # That somebody listed what concerned persons was left out.
    assert (asked[1]["after"]["refused"], asked[1]["after"]["personal"]) == (True, True)
    assert len(await trail(stage, "journal.count")) == 1


async def test_a_call_that_the_hub_made_did_not_say_to_whom(stage: desk.Stage) -> None:
    [made] = record.of_days(stage.hub.settings.home, days=1, a_day=1)
    await record.put(stage.hub, [made._replace(direction="out", system="vnpost_hcc", organisation=None)])
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/records?range=7d")
        assert "VNPost" in lan.page


async def test_a_key_was_found_only_by_its_id_and_an_outcome_only_by_its_code(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, organisation="Sở Tư pháp thử")
    first, second = record.of_days(stage.hub.settings.home, days=1, a_day=2)
    await record.put(stage.hub, [first._replace(key_id=issued.record.id), second])
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open(f"/records?range=7d&key_id={issued.record.prefix}")
        assert "1 lượt trong khoảng này" in lan.page
        assert f"Sở Tư pháp thử ({issued.record.prefix}…)" in lan.page
        assert '<option value="Client.NotGranted">bị từ chối</option>' in lan.page
        await lan.open("/records?range=7d&key_id=nobody")
        assert "bấm giá trị trong bảng để lọc" in lan.page


async def test_acts_of_reading_buried_what_was_done_in_the_trail(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, organisation="Sở Tư pháp thử")
    async with stage.signed_in("an", "administrator") as an, stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/records?range=1h")
        await an.open("/trail")
        rows = an.page.partition("<tbody>")[2]
        assert "tìm trong sổ truy cập" not in rows
        assert '">lan</a></td>' in rows.replace("lan</a>\n", "lan</a>")
        assert f"Sở Tư pháp thử ({issued.record.prefix}…)" in rows
        for act in ("all", "journal.search"):
            await an.open(f"/trail?act={act}")
            assert "tìm trong sổ truy cập" in an.page.partition("<tbody>")[2]


async def test_a_search_is_kept_under_a_name(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/records?official=can-bo-1&range=7d")
        fields = {
            "place": "records",
            "name": "Cán bộ một",
            "query": "official=can-bo-1&range=7d",
            "to": "/records",
        }
        assert (await lan.send("/views", **fields)).status_code == 303
        await lan.open("/records")
        assert "/records?official=can-bo-1&amp;range=7d" in lan.page


async def test_one_record_is_verified_and_an_altered_one_is_told(stage: desk.Stage) -> None:
    await sealed_calls(stage)
    one, other = (await stage.rows(tables.exchanges))[:2]
    async with stage.hub.storage.transaction() as tx:
        table = tables.exchanges
        await tx.execute(table.update().where(table.c.number == other["number"]).values(official="nguoi-khac"))
    async with stage.signed_in("lan", "security_officer") as lan:
        address = f"/records/{one['request_id']}/{one['number']}"
        await lan.open(address)
        assert one["route"] in lan.page
        await lan.send(f"{address}/verify")
        assert lan.last is not None
        assert "Đúng như đã niêm phong" in lan.last.text
        await lan.send(f"/records/{other['request_id']}/{other['number']}/verify")
        assert "bản ghi đã bị sửa" in lan.last.text
        for wrong in ("nothing", "999999", "²"):
            assert (await lan.open(f"/records/{one['request_id']}/{wrong}")).status_code == 404
    assert {row["after"]["request_id"] for row in await trail(stage, "journal.read")} == {one["request_id"]}


async def test_evidence_is_exported_whole_and_holds_away_from_the_hub(stage: desk.Stage, tmp_path: Path) -> None:
    await sealed_calls(stage)
    stage.time.pass_by(minutes=5)
    async with seals.opened(stage.hub.settings.home, stage.hub.storage) as sealer:
        assert sealer is not None
        await sealer.step(stage.time.now)
    begin, end = record.NOW - timedelta(days=1), record.NOW + timedelta(minutes=1)
    asked = {"from": begin.isoformat(), "to": end.isoformat()}
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/records")
        assert (await lan.send("/records/export", **asked)).status_code == 400
        too_long = {**asked, "from": (begin - timedelta(days=60)).isoformat(), "reason": REASON}
        assert (await lan.send("/records/export", **too_long)).status_code == 400
        answer = await lan.send("/records/export", **asked, reason="theo yêu cầu của thanh tra")
        assert answer.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path / "away")
    [folder] = (tmp_path / "away").iterdir()
    report = exports.check(folder)
    assert report.holds, report.findings
    assert (folder / "access" / "rows.jsonl").read_bytes().count(b"\n") == 40
    assert [row["reason"] for row in await trail(stage, "journal.export")] == ["theo yêu cầu của thanh tra"]
    assert not list(stage.hub.settings.home.glob("export-*"))


# ------------------------------------------------------------------------------------------------------- people


async def test_who_looked_at_a_person_is_answered_and_the_number_stays_nowhere(stage: desk.Stage) -> None:
    await record.put(stage.hub, record.of_days(stage.hub.settings.home, days=2, a_day=300))
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/people")
        typed = f"{record.CITIZEN[:3]} {record.CITIZEN[3:]}"
        answer = await lan.send("/people", number=typed, reason="đơn khiếu nại 12/2026", days="90")
        assert answer.status_code == 200
        for told in ("can-bo-", "Đăng ký khai sinh", "Từng lượt", "đơn khiếu nại 12/2026"):
            assert told in answer.text, told
        assert record.CITIZEN not in answer.text
        assert record.CITIZEN not in str(answer.url)
    [asked] = await trail(stage, "journal.who")
    assert (asked["actor"], asked["reason"]) == ("lan", "đơn khiếu nại 12/2026")
    assert record.CITIZEN not in repr(await stage.rows(tables.admin_acts))


@pytest.mark.parametrize(
    "fields",
    [
        {"number": record.CITIZEN, "reason": ""},
        {"number": "12", "reason": "đơn khiếu nại"},
        {"number": "²" * 12, "reason": "đơn khiếu nại"},
        {"number": record.CITIZEN, "reason": f"về {record.CITIZEN}"},
    ],
)
async def test_nobody_is_looked_for_without_a_number_and_a_reason_without_it(
    stage: desk.Stage, fields: Any
) -> None:
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/people")
        answer = await lan.send("/people", **fields)
        assert answer.status_code == 400
        assert record.CITIZEN not in answer.text
    assert await trail(stage, "journal.who") == []


# ------------------------------------------------------------------------------------------------- keys and seals


async def test_keys_at_risk_are_named_with_a_maximum_that_would_do(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, limits=("10/minute",), organisation="Sở Y tế")
    bound = await builders.issue_key(stage.hub, limits=("1000/minute",), addresses=("10.0.0.0/8",), days=300)
    made = [
        each._replace(key_id=issued.record.id, outcome="ok", at=record.NOW - timedelta(minutes=10))
        for each in record.of_days(stage.hub.settings.home, days=1, a_day=550)
    ]
    await record.put(stage.hub, made)
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/key-risks")
        assert "Sở Y tế" in lan.page
        assert "gần hạn mức" in lan.page
        assert "không giới hạn địa chỉ" in lan.page
        assert ">600<" in lan.page  # what is stated, in an hour
        assert ">830<" in lan.page  # half as much again as 550, rounded
        assert f"{bound.record.prefix}…" not in lan.page
        await lan.open("/key-risks?risk=unused")
        assert "Không khoá nào" in lan.page


async def test_a_key_that_its_limit_refused_is_told_so_and_gets_no_maximum(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, limits=("6000/hour",), addresses=("10.0.0.0/8",), days=300)
    made = [
        each._replace(key_id=issued.record.id, outcome=outcome, at=record.NOW - timedelta(days=20, minutes=10))
        for each, outcome in zip(
            record.of_days(stage.hub.settings.home, days=1, a_day=301),
            ["Client.LimitExceeded", *["ok"] * 300],
            strict=True,
        )
    ]
    await record.put(stage.hub, made)
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/key-risks")
        assert "đã bị chặn vì hạn mức 1 lần" in lan.page
        assert "gần hạn mức" not in lan.page
        assert ">6.000<" in lan.page
        assert ">450<" not in lan.page


async def test_the_seals_are_verified_and_what_fails_is_said_with_what_to_do(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/seals")
        assert "Chưa có gì được niêm phong" in lan.page
        await sealed_calls(stage)
        await lan.open("/seals")
        assert "đang niêm phong" in lan.page
        assert "Chưa có bên chứng giám" in lan.page
        assert (await lan.send("/seals/verify", reason="định kỳ")).status_code == 303
        await lan.open("/seals")
        assert "40 bản ghi" in lan.page
        assert "KHÔNG khớp" not in lan.page
        async with stage.hub.storage.transaction() as tx:
            table = tables.exchanges
            await tx.execute(table.update().where(table.c.number == 7).values(official="nguoi-khac"))
        await lan.send("/seals/verify", reason="định kỳ")
        await lan.open("/seals")
        assert "KHÔNG khớp với niêm phong" in lan.page
        assert "Bản ghi đã bị sửa" in lan.page
        assert "Không khởi động lại" in lan.page
        stage.time.pass_by(minutes=10)
        await lan.open("/seals")
        assert "không ai niêm phong" in lan.page
    told = await trail(stage, "journal.verify")
    assert [(row["actor"], row["outcome"]) for row in told] == [("lan", "done"), ("lan", "does_not_hold")]


async def test_the_yearly_review_is_a_workbook_or_a_page_to_print(stage: desk.Stage) -> None:
    asked = {"first": "2026-01-01", "last": "2026-12-31", "reason": "báo cáo năm"}
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/reviews")
        assert "01/01/2025" in lan.page
        book = await lan.send("/reviews", **asked, form="xlsx")
        assert book.content[:2] == b"PK"
        page = await lan.send("/reviews", **asked, form="html")
        assert "Báo cáo rà soát" in page.text
        assert "attachment" in page.headers["content-disposition"]
        for wrong in ({"first": "x"}, {"last": "2025-01-01"}):
            assert (await lan.send("/reviews", **{**asked, **wrong})).status_code == 400
    assert len(await trail(stage, "report.review")) == 2
