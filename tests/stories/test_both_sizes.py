"""The hub's stories as its users meet them, by real processes: embedded, and PostgreSQL with Redis and Celery."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import builders
import pytest
import sqlalchemy as sa
import town as towns

from lienthong.core import clock, settings, storage, tables

# Of this test, on a machine that has other things to do.
PATIENCE_S = 120.0


class Software:
    """A department's program, calling with its key."""

    def __init__(self, town: towns.Town, key: str) -> None:
        self.town, self.key = town, key

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.town.gateway_url + path, data=data, method=method)
        for name, value in {"X-API-Key": self.key, "Content-Type": "application/json", **headers}.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def declare(self, code: str) -> None:
        assert self.call("PUT", f"/v1/dossiers/{code}", builders.dossier_body())[0] == 201

    def report(self, code: str, status: str, minutes: int = 0, note: str = "") -> str:
        at = (builders.BEGUN + timedelta(minutes=minutes)).isoformat()
        change = {"status": status, "occurred_at": at, "handled_by": "Cán bộ Thử", "note": note or status}
        code_, answer = self.call("POST", f"/v1/dossiers/{code}/status", change)
        assert code_ == 202, answer
        return str(answer["message_id"])

    def message(self, message_id: str) -> dict[str, Any]:
        return self.call("GET", f"/v1/messages/{message_id}")[1]

    def wait_delivered(self, message_id: str) -> dict[str, Any]:
        towns.wait_until(lambda: self.message(message_id)["state"] == "delivered", timeout_s=PATIENCE_S)
        return self.message(message_id)


@pytest.fixture(scope="module", params=[towns.EMBEDDED, towns.FULL])
def town(request: pytest.FixtureRequest) -> Iterator[towns.Town]:
    with towns.opened(request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def key(town: towns.Town) -> str:
    return town.issue_key()


@pytest.fixture
def software(town: towns.Town, key: str) -> Software:
    town.moods()
    return Software(town, key)


def test_a_change_of_status_is_at_the_national_portal_a_moment_later(software: Software) -> None:
    software.declare("H38.01-260803-0001")
    sent = software.wait_delivered(software.report("H38.01-260803-0001", "received"))
    took = datetime.fromisoformat(sent["delivered_at"]) - datetime.fromisoformat(sent["created_at"])
    assert took < timedelta(seconds=20), "a second on a quiet machine; this one is shared"
    held = software.town.sandbox("/_sandbox/dossiers/H38.01-260803-0001")
    assert (held["status"], [step["NoiDungXuLy"] for step in held["steps"]]) == ("2", ["received"])


def test_what_is_accepted_while_the_portal_is_away_arrives_when_it_is_back(software: Software) -> None:
    software.declare("H38.02-260803-0001")
    software.town.moods({"name": "outage", "kind": "close"})
    sent = [software.report("H38.02-260803-0001", "received", n, note=f"{n}") for n in range(3)]
    towns.wait_until(lambda: software.message(sent[0])["attempts"], timeout_s=PATIENCE_S)
    software.town.moods()
    for message_id in sent:
        software.wait_delivered(message_id)
    held = software.town.sandbox("/_sandbox/dossiers/H38.02-260803-0001")
    assert [step["NoiDungXuLy"] for step in held["steps"]] == ["0", "1", "2"]


def test_an_operator_pauses_a_target_and_nothing_goes_until_it_is_resumed(software: Software) -> None:
    software.declare("H38.03-260803-0001")
    software.town.command("targets", "pause", "dvcqg_adapter", "--reason", "bảo trì")
    time.sleep(0.5)
    message_id = software.report("H38.03-260803-0001", "received")
    time.sleep(1.5)
    assert software.message(message_id)["state"] == "pending"
    software.town.command("targets", "resume", "dvcqg_adapter", "--reason", "xong bảo trì")
    software.wait_delivered(message_id)


def test_an_operator_sends_a_refused_message_again(software: Software) -> None:
    software.declare("H38.04-260803-0001")
    software.town.moods({"name": "refuse", "count": 1, "services": "DongBoHoSoMC"})
    message_id = software.report("H38.04-260803-0001", "received")
    towns.wait_until(lambda: software.message(message_id)["state"] == "dead", timeout_s=PATIENCE_S)
    assert software.town.answer("messages", "retry", message_id, "--reason", "đã sửa", "--dry-run")["would"] == 1
    software.town.command("messages", "retry", message_id, "--reason", "đã sửa")
    shown = software.wait_delivered(message_id)
    assert [item["outcome"] for item in shown["attempts"]] == ["dead", "delivered"]


def test_a_revoked_key_is_refused_within_a_second_by_another_process(software: Software) -> None:
    other = Software(software.town, software.town.issue_key())
    assert other.call("GET", "/v1/procedures?limit=1")[0] == 200
    prefix = other.key[:14]
    found = [row for row in software.town.answer("keys", "list") if other.key.startswith(row["prefix"])]
    assert len(found) == 1, prefix
    software.town.command("keys", "revoke", found[0]["id"], "--reason", "thử thu hồi")
    time.sleep(1.0)
    assert other.call("GET", "/v1/procedures?limit=1")[0] == 401


def test_a_key_does_only_what_it_was_granted_and_no_more_often_than_it_may(software: Software) -> None:
    narrow = Software(software.town, software.town.issue_key("procedures.list", "3/hour"))
    assert narrow.call("PUT", "/v1/dossiers/H38.05-260803-0001", builders.dossier_body())[0] == 403
    answers = [narrow.call("GET", "/v1/procedures?limit=1")[0] for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]


def test_every_request_and_every_call_stands_in_the_journal(software: Software) -> None:
    code = "H38.06-260803-0001"
    software.declare(code)
    software.wait_delivered(software.report(code, "received"))
    software.call("GET", f"/v1/dossiers/{code}x")
    wanted = {("in", "dossiers.put"), ("in", "dossiers.report_status"), ("out", "DongBoHoSoMC")}
    printed = ""

    def stands_there() -> bool:
        nonlocal printed
        printed = software.town.command("journal", "search", "--dossier", code, "--json")
        rows = [json.loads(line) for line in printed.splitlines()]
        return wanted <= {(row["direction"], row["operation"]) for row in rows}

    # What is answered stands in the spool; it is in the database a moment later.
    time.sleep(0.5)
    towns.wait_until(stands_there, timeout_s=PATIENCE_S)
    assert "Nguyễn" not in printed


def test_a_sync_by_command_with_the_hub_running_finds_nothing_new(software: Software) -> None:
    report = software.town.answer("sync", "procedures")
    assert set(report) == {
        *("run_id", "source", "seen", "new", "changed", "unchanged", "withdrawn", "failed", "held", "took_s")
    }
    assert (report["new"], report["changed"], report["withdrawn"], report["held"]) == (0, 0, 0, False)


def test_the_timetable_starts_the_sync_by_itself(software: Software) -> None:
    town = software.town
    before, asked_before = town.answer("sync", "report")["run_id"], calls_of_the_portal(town)
    for role in town.roles:
        town.kill(role)
    town.environment["LIENTHONG_TIMETABLE__PROCEDURE_SYNC"] = "* * * * *"
    for role in town.roles:
        town.start(role)
    # The processes note from when on they count; the next full minute may be a minute away, so two go by at once.
    towns.wait_until(lambda: asyncio.run(minutes_go_by(town, "procedure_sync")), timeout_s=PATIENCE_S)
    towns.wait_until(lambda: calls_of_the_portal(town) > asked_before, timeout_s=PATIENCE_S)
    towns.wait_until(lambda: town.answer("sync", "report")["run_id"] != before, timeout_s=PATIENCE_S, every_s=1)


async def minutes_go_by(town: towns.Town, job: str) -> bool:
    """Let a job of the timetable have been looked after two minutes ago; says whether it was looked after yet."""
    store, runs = storage.Storage(settings.load(town.environment).database_url), tables.timetable_runs
    async with store.transaction() as tx:
        earlier = sa.update(runs).where(runs.c.job == job).values(last_due_at=clock.now() - timedelta(minutes=2))
        moved = await tx.execute(earlier)
    await store.close()
    return bool(moved.rowcount)


def calls_of_the_portal(town: towns.Town) -> int:
    """Count how often the portal was asked for its list of procedures."""
    counted = town.sandbox("/_sandbox/counts")["systems"].get("dvcqg_adapter", {})
    return sum(counted.get("LayDanhSachTTHC", {}).values())


def test_the_processes_print_nothing_about_a_person(software: Software) -> None:
    printed = software.town.logs()
    assert not [word for word in ("Nguyễn Văn Thử", "000000000001", software.key) if word in printed]
