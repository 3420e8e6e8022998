"""What an operator decides about money and parcels at the desk, alone and by two people; on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import desk
import payment_town
import post_town
import pytest
from payment_town import CODE, FEE
from statement_files import as_csv, line, take

from lienthong.bus.flows import reconciliation
from lienthong.console.web import app
from lienthong.core import tables


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[payment_town.Town]:
    async with payment_town.opened(tmp_path, database_url, two_people_above_vnd=100_000) as opened:
        yield opened


def stage(town: payment_town.Town | post_town.Town) -> desk.Stage:
    return desk.Stage(town.hub, desk.Time(town.hub.now()), app.create_app(town.hub))


async def refunds(town: payment_town.Town) -> list[dict[str, Any]]:
    return await town.rows(tables.payment_refunds)


async def test_a_contradiction_is_found_from_the_overview_and_decided_with_a_reason(
    town: payment_town.Town,
) -> None:
    view = await town.start()
    await town.hear(view, amount_vnd=FEE - 1000)
    async with stage(town).signed_in("lan", "operator") as lan:
        await lan.open("/")
        assert "/payments?open=1" in lan.page
        await lan.open("/payments?open=1&kind=amount_differs")
        assert "Số tiền khác với số phải nộp" in lan.page
        await lan.open(f"/payments/{view.id}")
        (question,) = await town.rows(tables.payment_questions)
        path = f"/payments/questions/{question['id']}/decide"
        assert f'action="{path}"' in lan.page
        # Nothing has come in that could count.
        assert 'value="accept"' not in lan.page
        assert (await lan.send(path, decision="noted")).status_code == 400
        assert (await lan.send(path, decision="accept", reason="đủ tiền")).status_code == 409
        assert (await lan.send(path, decision="noted", reason="sẽ hoàn lại")).status_code == 303
        await lan.open(f"/payments/{view.id}")
        assert "sẽ hoàn lại" in lan.page
    (closed,) = await town.rows(tables.payment_questions)
    assert (closed["decision"], closed["closed_by"]) == ("noted", "lan")


async def test_a_large_refund_is_asked_for_by_one_and_approved_by_another(town: payment_town.Town) -> None:
    view = await town.start()
    await town.hear(view)
    place = stage(town)
    async with place.signed_in("lan", "operator") as lan:
        await lan.open(f"/payments/{view.id}")
        assert f'action="/payments/{view.id}/refunds"' in lan.page
        wrong = await lan.send(f"/payments/{view.id}/refunds", amount="nhiều", reason="rút hồ sơ")
        assert wrong.status_code == 400
        await lan.send(f"/payments/{view.id}/refunds", amount=f"{FEE:,}".replace(",", "."), reason="rút hồ sơ")
        (refund,) = await refunds(town)
        await lan.open(f"/payments/{view.id}")
        assert f"/refunds/{refund['id']}/approve" not in lan.page
        assert (await lan.send(f"/refunds/{refund['id']}/approve")).status_code == 403
    assert town.bank.refunds == []
    async with place.signed_in("minh", "operator") as minh:
        await minh.open("/refunds")
        assert "rút hồ sơ" in minh.page
        await minh.open(f"/payments/{view.id}")
        assert (await minh.send(f"/refunds/{refund['id']}/approve", reason="đúng tờ trình 12")).status_code == 303
    assert [row["state"] for row in await refunds(town)] == ["done"]
    [act] = [row for row in await town.rows(tables.admin_acts) if row["act"] == "payments.refund_approve"]
    assert (act["actor"], act["reason"]) == ("minh", "đúng tờ trình 12")


async def test_a_refund_is_declined_with_a_reason(town: payment_town.Town) -> None:
    view = await town.start()
    await town.hear(view)
    place = stage(town)
    async with place.signed_in("lan", "operator") as lan:
        await lan.send(f"/payments/{view.id}/refunds", amount="", reason="rút hồ sơ")
    (refund,) = await refunds(town)
    async with place.signed_in("minh", "operator") as minh:
        await minh.send(f"/refunds/{refund['id']}/decline", reason="hồ sơ đã giải quyết")
    assert [row["state"] for row in await refunds(town)] == ["declined"]
    assert town.bank.refunds == []


async def test_payments_are_listed_and_none_of_them_names_its_payer(town: payment_town.Town) -> None:
    view = await town.start()
    async with stage(town).signed_in("lan", "operator") as lan:
        for path in ("/payments", f"/payments?dossier_code={CODE}", f"/payments/{view.id}", f"/dossiers/{CODE}"):
            assert (await lan.open(path)).status_code == 200, path
            assert view.reference in lan.page, path
            assert "Nguyễn Văn Mẫu" not in lan.page, path
        assert (await lan.open("/payments?state=refunded")).status_code == 200
        assert view.reference not in lan.page


async def test_a_difference_between_two_books_is_closed_with_a_reason(town: payment_town.Town) -> None:
    view = await town.start()
    await town.hear(view)
    done = await take(town, as_csv([line("LT260115000000BBBBBB", "N9")]))
    async with stage(town).signed_in("lan", "operator") as lan:
        await lan.open("/reconciliation")
        assert "Đã thu, không rõ mã tham chiếu" in lan.page
        await lan.open(f"/reconciliation/{done.id}")
        rows = await reconciliation.differences(town.hub)
        for row in rows:
            path = f"/reconciliation/differences/{row['id']}/close"
            assert path in lan.page
            assert (await lan.send(path, reason="")).status_code == 400
            assert (await lan.send(path, reason="đã hoàn tại quầy")).status_code == 303
        await lan.open(f"/reconciliation/{done.id}")
        assert "đã hoàn tại quầy" in lan.page
    assert await reconciliation.differences(town.hub) == []


# --------------------------------------------------------------------------------------------------- parcels


@pytest.fixture
async def post(database_url: str, tmp_path: Path) -> AsyncIterator[post_town.Town]:
    async with post_town.opened(tmp_path, database_url) as opened:
        yield opened


async def test_a_parcel_is_followed_and_cancelled_with_a_reason(post: post_town.Town) -> None:
    view = await post.book()
    async with stage(post).signed_in("lan", "operator") as lan:
        await lan.open("/parcels?state=booked")
        assert view.number in lan.page
        await lan.open(f"/parcels/{view.id}")
        assert "Trục hỏi bưu chính theo lịch" in lan.page
        assert (await lan.send(f"/parcels/{view.id}/cancel")).status_code == 400
        assert (await lan.send(f"/parcels/{view.id}/cancel", reason="đổi cách nhận")).status_code == 303
        await lan.open(f"/parcels/{view.id}")
        assert "Trục hỏi bưu chính theo lịch" not in lan.page
    assert (await post.see(view)).state == "cancelled"
    assert post.carrier.cancelled == [view.number]


async def test_two_ends_of_a_parcel_are_for_a_person(post: post_town.Town) -> None:
    view = await post.book()
    await post.happens(view, "delivered", "returned")
    async with stage(post).signed_in("lan", "operator") as lan:
        await lan.open("/parcels")
        assert "Bưu chính báo hai kết cục khác nhau" in lan.page
        await lan.open(f"/parcels/{view.id}")
        assert "Bưu tá báo delivered" in lan.page
        for row in await post.rows(tables.parcel_questions):
            done = await lan.send(
                f"/parcels/questions/{row['id']}/decide", decision="noted", reason="đã gọi bưu cục"
            )
            assert done.status_code == 303
    assert all(row["closed_by"] == "lan" for row in await post.rows(tables.parcel_questions))
