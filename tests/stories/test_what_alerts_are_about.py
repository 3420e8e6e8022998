"""Whom or what an alert names: an official, a citizen without a digest, a payment, a parcel, an account."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import desk
import pytest_asyncio
import record

from lienthong.monitoring import alert_rules, alerts, event_alerts
from lienthong.monitoring.detectors import findings, people

DIGEST = "subject:4f2a91c07be1d2aa"


@pytest_asyncio.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    async with desk.opened(tmp_path, desk.Time(record.NOW), database_url=database_url) as opened:
        yield opened


async def opened(stage: desk.Stage, found: findings.Finding | None) -> str:
    assert found is not None
    alert = await alerts.open_or_update(stage.hub.storage, found)
    assert alert is not None
    return alert


def event(stage: desk.Stage, kind: str, subject: str, /, **facts: Any) -> findings.Finding | None:
    return event_alerts.of_event({"kind": kind, "subject": subject, "facts": facts, "occurred_at": stage.time.now})


async def test_an_alert_about_one_official_named_the_key_alone(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    who = findings.Who(key=issued.record.id, official="CB00042")
    at = stage.time.now.timestamp()
    alert = await opened(stage, people.coming_back(who, at, times=23, on_days=9, usual=3))
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/alerts")
        assert "Cán bộ CB00042" in lan.page
        assert 'href="/officials/CB00042"' in lan.page
        await lan.open(f"/alerts/{alert}")
        assert issued.record.custodian in lan.page
        assert "hỏi thủ trưởng của cán bộ" in lan.page


async def test_the_records_of_an_alert_about_one_citizen_were_asked_for_by_a_digest(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    who = findings.Who(key=issued.record.id, operation=DIGEST)
    at = stage.time.now.timestamp()
    alert = await opened(stage, people.many_officials(who, at, officials=12, usual=3, days=3))
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open(f"/alerts/{alert}")
        [address, *_] = re.findall(r'href="(/records\?[^"]+)"', lan.page)
        assert f"key_id={issued.record.id}" in address
        assert "personal=yes" in address
        assert "subject" not in address


async def test_work_that_needs_a_person_led_nowhere(stage: desk.Stage) -> None:
    alert = await opened(
        stage, event(stage, "payments.needs_person", "pay-1", dossier_code="H1-1", kind="doubtful")
    )
    await opened(stage, event(stage, "parcels.lost", "parcel-1", number="VN0001", carrier="ems"))
    await opened(stage, event(stage, "accounts.passkey_copied", "acc-1", account="minh", counter=4))
    roles = ("security_officer", "operator", "administrator")
    async with stage.signed_in("lan", *roles) as lan:
        await lan.open("/alerts")
        for address, told in (
            ("/payments/pay-1", "Thanh toán: H1-1"),
            ("/parcels/parcel-1", "Bưu gửi: VN0001"),
            ("/accounts/acc-1", "Tài khoản: minh"),
        ):
            assert f'href="{address}"' in lan.page
            assert told in lan.page
        await lan.open(f"/alerts/{alert}")
        # Without a key, an official or an address there would be everything that anybody did.
        assert 'href="/records?' not in lan.page


async def test_a_silence_named_its_key_by_a_number(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, organisation="Sở Tư pháp thử")
    entity = alerts.entity(findings.Who(key=issued.record.id))
    until = stage.time.now + timedelta(days=1)
    await alert_rules.silence(
        stage.hub.storage,
        rule="silence",
        entity=entity,
        until=until,
        reason="bảo trì",
        actor="lan",
        now=stage.time.now,
    )
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/rules")
        assert "Sở Tư pháp thử" in lan.page
        assert entity not in lan.page
