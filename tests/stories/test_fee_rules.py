"""What the province waives is not asked for, and what it makes less is asked for less; on both databases."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import payment_town
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from payment_town import FEE, NOW, Town

from lienthong.bus.flows import dossier_status, fee_rules, fee_rules_import
from lienthong.core import errors, tables

TODAY = NOW.date()
CODE = payment_town.dossier().procedure_code
BASIS = "23/2026/NQ-HĐND"
HEAD = "Mã thủ tục;Mức thu;Kênh;Từ ngày;Đến ngày;Căn cứ\n"


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with payment_town.opened(tmp_path, database_url) as opened:
        yield opened


async def take(town: Town, text: str, **chosen: object) -> fee_rules_import.Report:
    options = {"by": "vận hành", "reason": BASIS, **chosen}
    defaults = fee_rules_import.Defaults(legal_basis=BASIS, valid_from=TODAY - timedelta(days=30))
    return await fee_rules_import.run(town.hub, text.encode(), defaults, **options)  # type: ignore[arg-type]


def row(amount: int = 0, *, channel: str = "", since: str = "", until: str = "", code: str = CODE) -> str:
    return f"{code};{amount};{channel};{since};{until};Điều 2\n"


async def channel_of(town: Town) -> str:
    return (await town.dossier()).channel.value


async def test_what_the_province_waives_is_not_asked_of_any_intermediary(town: Town) -> None:
    await take(town, HEAD + row(channel=await channel_of(town)))
    for _ in range(2):
        with pytest.raises(errors.Conflict) as refused:
            await town.start()
    assert "Không phải nộp theo 23/2026/NQ-HĐND; Điều 2" in refused.value.detail("vi")
    (owed,) = await town.rows(tables.obligations)
    (rule,) = await town.rows(tables.fee_rules)
    assert (owed["state"], owed["amount_vnd"], owed["declared_vnd"]) == ("free", 0, FEE)
    assert owed["fee_rule_id"] == rule["id"]
    assert (town.bank.orders, await town.rows(tables.payments)) == ([], [])
    (told,) = await town.events("obligations.free")
    assert told["facts"]["rule"] == rule["id"]


async def test_another_channel_pays_as_before(town: Town) -> None:
    others = {"online", "in_person", "postal"} - {await channel_of(town)}
    await take(town, HEAD + row(channel=others.pop()))
    assert (await town.start()).amount_vnd == FEE


async def test_another_obligation_is_no_fee_of_the_procedure(town: Town) -> None:
    await take(town, HEAD + row(channel=await channel_of(town)))
    assert (await town.start(obligation="phat", amount_vnd=70_000)).amount_vnd == 70_000


@pytest.mark.parametrize(("since", "until", "pays"), [(0, 0, 0), (-5, -1, FEE), (1, 9, FEE), (-1, 1, 0)])
async def test_the_day_of_submission_decides(town: Town, since: int, until: int, pays: int) -> None:
    first, last = (f"{TODAY + timedelta(days=days):%d/%m/%Y}" for days in (since, until))
    await take(town, HEAD + row(channel=await channel_of(town), since=first, until=last))
    town.wait(days=3)
    if pays:
        assert (await town.start()).amount_vnd == pays
    else:
        with pytest.raises(errors.Conflict):
            await town.start()


async def test_a_rule_makes_it_less_and_never_more(town: Town) -> None:
    channel = await channel_of(town)
    await take(town, HEAD + row(100_000, channel=channel))
    view = await town.start()
    (order,) = town.bank.orders
    assert (view.amount_vnd, order.amount_vnd) == (100_000, 100_000)
    assert sum(line.amount_vnd for line in order.lines) in (0, 100_000)
    assert (await town.start(amount_vnd=60_000, obligation="fees")).amount_vnd == 60_000
    await town.hear(view, amount_vnd=100_000)
    (owed,) = await town.rows(tables.obligations)
    assert owed["state"] == "paid"


async def test_money_that_comes_for_what_became_free_waits_for_a_person(town: Town) -> None:
    view = await town.start()
    await take(town, HEAD + row(channel=await channel_of(town)))
    with pytest.raises(errors.Conflict):
        await town.start()
    await town.hear(view)
    assert (await town.state(view), await town.questions()) == ("needs_person", ["paid_though_free"])


async def test_a_dossier_declared_anew_owes_again(town: Town) -> None:
    channel = await channel_of(town)
    await take(town, HEAD + row(channel=channel))
    with pytest.raises(errors.Conflict):
        await town.start()
    other = "online" if channel != "online" else "in_person"
    anew = payment_town.dossier(channel=other)
    await dossier_status.put(town.hub, anew, caller=payment_town.caller(), request_id="r")
    assert (await town.start()).amount_vnd == FEE
    (owed,) = await town.rows(tables.obligations)
    assert (owed["state"], owed["fee_rule_id"]) == ("owed", None)


# ---------------------------------------------------------------------------------------------------- files


async def test_one_bad_row_refuses_the_whole_file_and_every_bad_row_is_named(town: Town) -> None:
    bad = [row(code="9.999999"), f"{CODE};=1+1;;;;\n", f"{CODE};-5;;;;\n", f"{CODE};0;bo cau;;;\n"]
    bad += [f"{CODE};0;online;32/01/2026;;\n", f"{CODE};0;postal;02/02/2026;01/02/2026;\n"]
    report = await take(town, HEAD + row() + "".join(bad))
    assert {one.row for one in report.bad} == {3, 4, 5, 6, 7, 8}
    assert not report.written
    assert await town.rows(tables.fee_rules) == []
    assert all(one.vi and one.en for one in report.bad)


async def test_a_rule_that_overlaps_is_refused_or_replaced_with_its_history(town: Town) -> None:
    await take(town, HEAD + row(50_000, since="01/01/2026"))
    other = HEAD + row(0, since="10/01/2026", until="20/01/2026")
    assert [one.row for one in (await take(town, other)).bad] == [2]
    report = await take(town, other, replace=True)
    assert (report.new, report.replaced, report.written) == (1, 1, True)
    rules = await fee_rules.listed(town.hub)
    assert [(rule["valid_from"], rule["valid_until"], rule["amount_vnd"]) for rule in rules] == [
        (date(2026, 1, 1), date(2026, 1, 9), 50_000),
        (date(2026, 1, 10), date(2026, 1, 20), 0),
        (date(2026, 1, 21), None, 50_000),
    ]
    (ended,) = [rule for rule in await town.rows(tables.fee_rules) if rule["ended_at"]]
    assert (ended["valid_from"], ended["valid_until"], ended["ended_by"]) == (date(2026, 1, 1), None, "vận hành")
    assert (await take(town, other)).unchanged == 1


async def test_two_rows_of_a_file_may_not_share_a_day(town: Town) -> None:
    report = await take(town, HEAD + row(since="01/01/2026", until="31/01/2026") + row(since="31/01/2026"))
    assert [one.row for one in report.bad] == [3]


async def test_two_rows_that_replace_one_open_rule_do_not_overlap(town: Town) -> None:
    await take(town, HEAD + row(50_000, since="01/01/2026"))
    two = row(0, since="01/02/2026", until="28/02/2026") + row(10_000, since="01/04/2026", until="30/04/2026")
    assert (await take(town, HEAD + two, replace=True)).written
    days = [(rule["valid_from"], rule["valid_until"]) for rule in await fee_rules.listed(town.hub)]
    assert all(until is not None and until < since for (_, until), (since, _) in itertools.pairwise(days))


async def test_two_importers_at_once_leave_one_rule(town: Town) -> None:
    reports = await asyncio.gather(*(take(town, HEAD + row(amount)) for amount in (0, 0, 10_000, 20_000)))
    assert len(await fee_rules.listed(town.hub)) == 1
    assert sum(bool(report.new and report.written) for report in reports) == 1


async def test_a_dry_run_writes_nothing(town: Town) -> None:
    assert (await take(town, HEAD + row(), dry_run=True, reason="")).new == 1
    assert await town.rows(tables.fee_rules) == []
    with pytest.raises(errors.InvalidRequest):
        await take(town, HEAD + row(), reason=" ")


async def test_a_rule_is_ended_by_a_person_and_the_fee_is_owed_again(town: Town) -> None:
    await take(town, HEAD + row(channel=await channel_of(town)))
    (rule,) = await fee_rules.listed(town.hub)
    await fee_rules.withdraw(town.hub, rule["id"], by="vận hành", reason="nhầm")
    assert (await town.start()).amount_vnd == FEE
    with pytest.raises(errors.NotFound):
        await fee_rules.withdraw(town.hub, rule["id"], by="vận hành", reason="nhầm")


async def test_the_real_table_of_a_city_is_taken_as_it_was_published(town: Town, shared_data: Path) -> None:
    raw = (shared_data / "tthc" / "provincial-online-fee-hai-phong-2026.csv").read_bytes()
    defaults = fee_rules_import.Defaults(legal_basis=BASIS, valid_from=date(2026, 8, 8))
    options = {"by": "vận hành", "reason": BASIS}
    report = await fee_rules_import.run(town.hub, raw, defaults, ahead=True, **options)
    assert (report.rows, report.new, report.passed_over, report.bad) == (42, 41, 1, [])
    assert len(report.unsure) == 18
    rules = await fee_rules.listed(town.hub, day=date(2026, 8, 8))
    assert {(rule["channel"], rule["amount_vnd"]) for rule in rules} == {("online", 0)}
    assert rules[0]["legal_basis"] == f"{BASIS}; Dieu 2 khoan 1 diem a"
    assert await fee_rules.listed(town.hub, day=date(2026, 8, 7)) == []
    refused = await fee_rules_import.run(town.hub, raw, replace(defaults, legal_basis="Khác"), **options)
    assert {one.row for one in refused.bad} >= {2, 3}
    assert (await fee_rules_import.run(town.hub, raw, defaults, ahead=True, **options)).unchanged == 41


# ------------------------------------------------------------------------------------------------- property

_DAYS = st.integers(0, 40).map(lambda days: date(2026, 1, 1) + timedelta(days=days))
_RULES = st.builds(
    lambda since, length, amount, channel: fee_rules.Rule(
        "1.000001", channel, "fees", amount, "căn cứ", since, since + timedelta(days=length) if length else None
    ),
    _DAYS,
    st.one_of(st.none(), st.integers(1, 20)),
    st.integers(0, 5),
    st.sampled_from(["online", "postal"]),
)


@given(st.lists(_RULES, max_size=8))
def test_no_two_rules_ever_share_a_day_and_the_newest_one_holds(rules: list[fee_rules.Rule]) -> None:
    standing: list[fee_rules.Rule] = []
    for new in rules:
        overlapping = [old for old in standing if old.overlaps(new)]
        left = [
            replace(old, valid_from=since, valid_until=until)
            for old in overlapping
            for since, until in fee_rules.rest(old, new)
        ]
        standing = [old for old in standing if old not in overlapping] + left + [new]
    for days in range(70):
        day = date(2025, 12, 20) + timedelta(days=days)
        for channel in ("online", "postal"):
            holds = [one for one in standing if one.channel == channel and _covers(one, day)]
            wanted = [one for one in rules if one.channel == channel and _covers(one, day)]
            assert [one.amount_vnd for one in holds] == [one.amount_vnd for one in wanted[-1:]]


def _covers(rule: fee_rules.Rule, day: date) -> bool:
    return rule.valid_from <= day and (rule.valid_until is None or day <= rule.valid_until)


async def test_the_table_holds_what_the_property_says_after_any_order_of_imports(town: Town) -> None:
    choice = random.Random(7)
    told: list[fee_rules.Rule] = []
    for _ in range(25):
        since = date(2026, 1, 1) + timedelta(days=choice.randrange(40))
        until = since + timedelta(days=choice.randrange(1, 20)) if choice.random() < 0.7 else None
        rule = fee_rules.Rule(CODE, "online", "fees", choice.randrange(5) * 1000, BASIS, since, until)
        told.append(rule)
        async with fee_rules.changing(town.hub) as tx:
            await fee_rules.place(tx, rule, by="x", reason="x", now=town.hub.now())
    async with town.hub.storage.reading() as conn:
        for days in range(80):
            day = date(2025, 12, 25) + timedelta(days=days)
            wanted = [one.amount_vnd for one in told if _covers(one, day)][-1:]
            query = sa.select(tables.fee_rules.c.amount_vnd).where(
                tables.fee_rules.c.ended_at.is_(None),
                tables.fee_rules.c.valid_from <= day,
                sa.or_(tables.fee_rules.c.valid_until.is_(None), tables.fee_rules.c.valid_until >= day),
            )
            assert [found[0] for found in (await conn.execute(query)).all()] == wanted, day


def test_an_operator_takes_the_table_in_and_looks_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from lienthong.console.cli import main

    async def prepared() -> None:
        async with payment_town.opened(tmp_path / "home"):
            pass

    asyncio.run(prepared())
    monkeypatch.setenv("LIENTHONG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "muc-thu.csv"
    file.write_text(HEAD + row() + row(code="=HYPERLINK(1)"), encoding="utf-8")
    words = ["fees", "import", str(file), "--basis", BASIS, "--from", "2026-08-08", "--reason", BASIS]
    refused = CliRunner().invoke(main.app, [*words, "--dry-run"])
    assert (refused.exit_code, "HYPERLINK" in refused.output) == (1, False)
    file.write_text(HEAD + row(), encoding="utf-8")
    assert CliRunner().invoke(main.app, words).exit_code == 0
    (rule,) = json.loads(CliRunner().invoke(main.app, ["fees", "list", "--json"]).stdout)
    assert (rule["procedure_code"], rule["valid_from"]) == (CODE, "2026-08-08")
    ended = CliRunner().invoke(main.app, ["fees", "end", rule["id"], "--reason", "hết hiệu lực"])
    assert ended.exit_code == 0, ended.output
    assert json.loads(CliRunner().invoke(main.app, ["fees", "list", "--json"]).stdout) == []
    assert len(json.loads(CliRunner().invoke(main.app, ["fees", "show", CODE, "--json"]).stdout)) == 1
