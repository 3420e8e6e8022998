"""`lienthong officials` as an operator uses it, and what a revocation or a hand-over does to the next question."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import lookup_town
import pytest
import signing
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from lienthong.api_keys import official_acts, official_entries, officials
from lienthong.bus import hub as hubs
from lienthong.console.cli import officials as command
from lienthong.console.cli import proofs
from lienthong.core import clock, errors, migrations, settings, storage, tables

NOW = lookup_town.NOW
PERSON = {
    "--code": "CB000501",
    "--account": "cb501",
    "--name": "Lê Thị Cán",
    "--phone": "0900000501",
    "--unit": "000.00.15.H38",
    "--unit-name": "Sở Tư pháp",
    "--procedure": "G15-*",
    "--until": f"{clock.now() + timedelta(days=300):%d/%m/%Y}",
    "--email": "can@vi-du.vn",
    "--reason": "công văn 12",
}


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIENTHONG_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("LIENTHONG_DATABASE__URL", database_url)
    monkeypatch.setenv("LIENTHONG_KEYS__MASTER_KEY", "07" * 32)
    asyncio.run(_prepare())
    return tmp_path


async def _prepare() -> None:
    async with hubs.opened(settings.load(os.environ)) as opened:
        await migrations.upgrade(opened.storage)


def run(*words: str, app: Any = command.app) -> Result:
    return CliRunner().invoke(app, list(words))


def register(**changed: str) -> Result:
    told = {**PERSON, **{f"--{name.replace('_', '-')}": value for name, value in changed.items()}}
    return run("register", *(word for pair in told.items() for word in pair), "--json")


def test_from_the_registration_to_the_last_day(home: Path):
    made = json.loads(register().stdout)
    assert (made["code"], made["state"], made["phone"]) == ("CB000501", "in_force", "•••••••501")
    changed = run("change", "cb501", "--phone", "0911111111", "--procedure", "*", "--reason", "đổi máy", "--json")
    assert json.loads(changed.stdout)["procedures"] == ["*"]
    replaced = run(
        "replace", "CB000501", "--name", "Trần Văn Thay", "--phone", "0922222222", "--reason", "nghỉ hưu"
    )
    assert replaced.exit_code == 0
    assert "Trần Văn Thay" in replaced.stdout
    assert run("revoke", "cb501", "--reason", "chuyển công tác", "--by", "Bình").exit_code == 0
    told = json.loads(run("show", "cb501", "--json").stdout)
    assert (told["full_name"], told["state"]) == ("Trần Văn Thay", "revoked")
    assert told["ended_by"].startswith("Bình (")
    assert [(one["full_name"], one["state"]) for one in told["history"]] == [("Lê Thị Cán", "replaced")]
    assert [act["act"].partition(".")[2] for act in told["acts"]] == [
        "register",
        "change",
        "replace",
        "register",
        "revoke",
    ]
    assert json.loads(run("list", "--json").stdout) == []
    assert len(json.loads(run("list", "--all", "--json").stdout)) == 2


def test_lists_are_for_people_too_and_mask_how_to_reach_somebody(home: Path):
    register()
    for shown in (run("list"), run("show", "cb501"), run("list", "--unit", "000.00.15.H38")):
        assert "Lê Thị Cán" in shown.stdout
        assert "0900000501" not in shown.stdout
        assert "can@vi-du.vn" not in shown.stdout
    assert "Lê Thị Cán" not in run("list", "--unit", "000.00.16.H38").stdout
    assert "không có gì" in run("list", "--unit", "000.00.1").stdout


def test_every_mistake_of_a_registration_is_told_at_once_in_both_languages(home: Path):
    refused = register(code="", phone="12", until="01/01/2020", procedure="1*")
    assert refused.exit_code == 1
    for field in ("code", "phone", "procedures", "valid_until"):
        assert refused.stderr.count(f"• {field}:") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "cb999"], "officials list"),
        (["revoke", "cb999", "--reason", "x"], "officials list"),
        (["revoke", "cb501", "--reason", " "], "lý do"),
        (["change", "cb501", "--until", "mai", "--reason", "x"], "31/12/2026"),
        (["change", "cb501", "--account", "cb502", "--reason", "x"], "officials replace"),
        (["change", "cb501", "--until", "31/12/2099", "--reason", "x"], "24 tháng"),
        (["import", "khong-co.xlsx", "--reason", "x"], "Không đọc được tệp"),
    ],
)
def test_every_other_mistake_ends_with_words_and_status_one(home: Path, words: list[str], said: str):
    register()
    register(code="CB000502", account="cb502", name="Người Hai")
    refused = run(*words)
    assert refused.exit_code == 1
    assert said in " ".join(refused.stderr.split())


def test_wrong_usage_ends_with_status_two(home: Path):
    assert run("revoke", "cb501").exit_code == 2
    assert run("form", "--out", "x.txt").exit_code == 2
    assert run("form", "--out", "x.csv", "--filled").exit_code == 2


def test_code_and_account_have_one_holder_however_they_are_written(home: Path):
    register()
    for taken in ({"code": "cb000501"}, {"account": "CB501"}, {"code": "CB501"}, {"account": "cb000501"}):
        refused = register(**{"code": "CB000777", "account": "cb777", "name": "Người Khác", **taken})
        assert refused.exit_code == 1
        assert "Client.Conflict" in refused.stderr
    run("revoke", "cb501", "--reason", "nghỉ")
    assert register(name="Người Khác").exit_code == 0


def test_a_form_goes_out_is_filled_in_and_comes_back(home: Path):
    register()
    for name in ("mau.xlsx", "mau.csv"):
        out = home / name
        assert run("form", "--out", str(out)).exit_code == 0
        assert run("import", str(out), "--reason", "x").exit_code == 1
        assert run("form", "--out", str(out)).exit_code == 2
        out.unlink()
        assert run("form", "--out", str(out), "--filled", "--reason", "rà soát").exit_code == 0
        report = run("import", str(out), "--reason", "rà soát", "--json")
        assert json.loads(report.stdout)["unchanged"] == 1
    text = (home / "mau.csv").read_text("utf-8-sig").replace("0900000501", "12")
    (home / "mau.csv").write_text(text, "utf-8")
    refused = run("import", str(home / "mau.csv"), "--reason", "x")
    assert refused.exit_code == 1
    assert "Số điện thoại" in refused.stdout
    assert "CHƯA GHI GÌ" in refused.stdout
    assert run("import", str(home / "mau.csv"), "--dry-run").exit_code == 1


def test_a_key_for_assertions_is_registered_beside_the_others(home: Path):
    async def issued() -> str:
        async with hubs.opened(settings.load(os.environ)) as opened:
            return (await builders.issue_key(opened)).record.prefix

    prefix = asyncio.run(issued())
    (home / "ho-tich.pem").write_bytes(signing.pem(signing.new_key("p256")))
    words = ["--public-key", str(home / "ho-tich.pem"), "--kind", "assertion", "--reason", "công văn 12"]
    added = json.loads(run("add", prefix, *words, "--json", app=proofs.app).stdout)
    assert (added["kind"], added["algorithm"]) == ("assertion", "ecdsa-p256-sha256")
    assert added["id"] in run("list", prefix, app=proofs.app).stdout
    (home / "private.pem").write_bytes(signing.private_pem(signing.new_key()))
    words[1] = str(home / "private.pem")
    refused = run("add", prefix, *words, app=proofs.app)
    assert refused.exit_code == 1
    assert "CÔNG KHAI" in refused.stderr
    assert run("add", prefix, "--certificate", words[1], *words[2:], app=proofs.app).exit_code == 2


# ---------------------------------------------------------------- the register and the next question


@pytest.fixture
async def town(tmp_path: Path, database_url: str) -> AsyncIterator[lookup_town.Town]:
    async with lookup_town.opened(tmp_path, database_url=database_url) as found:
        yield found


def act(reason: str = "nghỉ", now: datetime = NOW) -> official_acts.Act:
    return official_acts.Act("test", now, reason)


async def refusal(asked: Callable[[], Any]) -> str:
    with pytest.raises(errors.NotGranted) as caught:
        await asked()
    return str(caught.value.facts["reason"])


async def test_who_is_revoked_is_refused_with_the_next_question(town: lookup_town.Town):
    assert (await town.look_up()).found
    await official_acts.revoke(town.hub.storage, town.hub.vault, lookup_town.OFFICIAL, act=act())
    assert await refusal(town.look_up) == "official_revoked"
    assert len(town.register.questions) == 1


async def test_after_a_hand_over_the_successor_asks_and_the_one_before_does_not(town: lookup_town.Town):
    successor = {"code": "CB000124", "full_name": "Trần Văn Thay", "phone": "0900000124"}
    store, vault = town.hub.storage, town.hub.vault
    made = await official_acts.replace_holder(store, vault, lookup_town.OFFICIAL, successor, act=act())
    assert await refusal(town.look_up) == "official_replaced"
    asking = town.asking(assertion=town.assertion(sub=lookup_town.ACCOUNT))
    assert (await town.look_up(asking)).found
    assert town.register.questions[-1][2].official_code == "CB000124"
    history = await officials.history(store, vault, lookup_town.ACCOUNT)
    assert [one.code for one in history] == ["CB000124", lookup_town.OFFICIAL]
    assert history[1].replaced_by == made.id


async def test_procedures_and_days_of_a_registration_hold_at_once(town: lookup_town.Town):
    async def change(**told: Any) -> None:
        store, vault = town.hub.storage, town.hub.vault
        await official_acts.change(store, vault, lookup_town.OFFICIAL, told, act=act())

    await change(procedures=("G15-*",))
    assert await refusal(town.look_up) == "procedure_not_registered"
    await change(procedures=("*",))
    assert (await town.look_up()).found
    await change(valid_from=NOW + timedelta(days=1))
    assert await refusal(town.look_up) == "official_not_yet"


async def test_no_text_that_names_an_official_breaks_the_question(town: lookup_town.Town):
    for name in ("", "\x00", "a\x00b", "\ud800", "x" * 5000, "'; drop table officials; --", "%", "*"):
        assert await officials.find(town.hub.storage, town.hub.vault, name) is None
        assert await officials.history(town.hub.storage, town.hub.vault, name) == []


async def test_a_code_goes_before_an_account_of_the_same_text(town: lookup_town.Town):
    # Nobody gets there through the register; a row that came otherwise must not speak for another official.
    await lookup_town.register_official(town.hub, code="CB000999", account=lookup_town.OFFICIAL)
    found = await officials.find(town.hub.storage, town.hub.vault, lookup_town.OFFICIAL)
    assert found is not None
    assert found.code == lookup_town.OFFICIAL


async def test_of_many_who_register_one_code_at_once_one_does(town: lookup_town.Town):
    entry = official_entries.entry(
        {
            "code": "CB000700",
            "account": "cb700",
            "unit_code": "000.00.15.H38",
            "unit_name": "",
            "procedures": ("*",),
            "valid_from": NOW,
            "valid_until": NOW + timedelta(days=9),
            "full_name": "Người Bảy",
            "phone": "0900000700",
        }
    )
    tries = [official_acts.register(town.hub.storage, town.hub.vault, entry, act=act("CV")) for _ in range(8)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, officials.Official) for one in done) == 1
    assert sum(isinstance(one, errors.Conflict) for one in done) == 7


async def test_every_act_is_written_down_the_refused_ones_too_and_never_a_name(town: lookup_town.Town):
    store, vault = town.hub.storage, town.hub.vault
    changed = await official_acts.change(store, vault, "cb000123", {"phone": "0987654321"}, act=act("đổi máy"))
    await official_acts.change(store, vault, "cb000123", {"phone": "0987654321"}, act=act("đổi máy"))
    for told in ({"full_name": "Người Khác"}, {"code": "CB1"}, {"phone": "gọi sau"}):
        with pytest.raises(errors.InvalidRequest):
            await official_acts.change(store, vault, "cb000123", told, act=act("thử"))
    with pytest.raises(errors.NotFound):
        await official_acts.revoke(store, vault, "001099000001", act=act())
    async with store.reading() as conn:
        asked = sa.select(tables.admin_acts).where(tables.admin_acts.c.act.like("officials.%"))
        rows = await storage.every(conn, asked.order_by(tables.admin_acts.c.number))
    assert [row["outcome"] for row in rows] == [
        "done",
        "unchanged",
        *["Client.InvalidRequest"] * 3,
        "Client.NotFound",
    ]
    assert rows[0]["object"] == changed.id
    assert rows[0]["after"]["sealed_changed"] == ["phone"]
    assert not any(secret in str(rows) for secret in ("0987654321", "0900000009", "Lê Thị Cán", "001099000001"))
