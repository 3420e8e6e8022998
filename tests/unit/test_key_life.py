"""The life of a key: two people, rotation, suspension, limits, yearly confirmation, reminders, uses."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import builders
import pytest
import sqlalchemy as sa

from lienthong.api_keys import gate, keys, local_limits, lookup, uses
from lienthong.bus import hub, operations
from lienthong.bus.flows import key_review
from lienthong.core import clock, errors, settings, tables

HERE = "203.0.113.7"


async def acts_of(opened: hub.Hub) -> list[sa.Row]:
    async with opened.storage.reading() as conn:
        return list(await conn.execute(sa.select(tables.admin_acts).order_by(tables.admin_acts.c.number)))


async def events_of(opened: hub.Hub) -> list[sa.Row]:
    async with opened.storage.reading() as conn:
        return list(await conn.execute(sa.select(tables.events).order_by(tables.events.c.number)))


def door(opened: hub.Hub, counted: uses.Uses | None = None) -> gate.Gate:
    return gate.Gate(lookup.Lookup(opened.storage, opened.vault), local_limits.LocalLimiter(), counted)


async def refusal(opened: hub.Hub, key: str, *, address: str = HERE, now: datetime | None = None) -> str:
    """Say by which rule the gate refuses a key, or nothing where it lets it pass."""
    try:
        await door(opened).admit(key, "procedures.list", address=address, now=now or opened.now())
    except (errors.KeyRejected, errors.NotGranted) as exc:
        return str(exc.facts["reason"] if exc.facts["key_id"] else "nobody")
    return ""


def who(opened: hub.Hub, actor: str = "an") -> dict:
    return {"actor": actor, "now": opened.now()}


async def test_a_key_of_one_person_waits_for_another(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, two_people=True, actor="an")
    assert await refusal(sqlite_hub, issued.key) == "pending"
    with pytest.raises(errors.NotGranted) as refused:
        await keys.approve(sqlite_hub.storage, issued.record.id, **who(sqlite_hub, "an"))
    assert "người khác" in refused.value.detail("vi")
    assert await refusal(sqlite_hub, issued.key) == "pending"
    after = await keys.approve(sqlite_hub.storage, issued.record.id, **who(sqlite_hub, "bình"))
    assert (after.approved_by, await refusal(sqlite_hub, issued.key)) == ("bình", "")
    acts = [(act.actor, act.act, act.outcome) for act in await acts_of(sqlite_hub)]
    assert acts[1:] == [("an", "keys.approve", "Client.NotGranted"), ("bình", "keys.approve", "done")]


async def test_after_a_rotation_both_keys_work_until_the_overlap_ends(sqlite_hub: hub.Hub):
    first = await builders.issue_key(sqlite_hub)
    now = sqlite_hub.now()
    second = await keys.rotate(
        sqlite_hub.storage, sqlite_hub.vault, first.record.id, overlap=timedelta(days=7), reason="định kỳ",
        actor="an", now=now,
    )  # fmt: skip
    assert (second.record.id, second.generation) == (first.record.id, 2)
    assert second.key != first.key
    edge = now + timedelta(days=7)
    assert await refusal(sqlite_hub, first.key, now=edge - timedelta(seconds=1)) == ""
    assert await refusal(sqlite_hub, first.key, now=edge) == "generation_ended"
    assert await refusal(sqlite_hub, second.key, now=edge) == ""
    shown = await keys.generations(sqlite_hub.storage, first.record.id)
    assert [(each.number, each.ends_at) for each in shown] == [(2, None), (1, edge)]
    assert (await keys.show(sqlite_hub.storage, first.record.prefix)).id == first.record.id


async def test_a_rotation_without_overlap_ends_the_old_key_at_once(sqlite_hub: hub.Hub):
    first = await builders.issue_key(sqlite_hub)
    change = {"reason": "lộ khoá", **who(sqlite_hub)}
    store, vault = sqlite_hub.storage, sqlite_hub.vault
    second = await keys.rotate(store, vault, first.record.id, overlap=timedelta(days=9), **change)
    third = await keys.rotate(store, vault, first.record.id, overlap=timedelta(), **change)
    assert [await refusal(sqlite_hub, each.key) for each in (first, second, third)] == [
        "generation_ended",
        "generation_ended",
        "",
    ]


async def test_the_caller_says_which_generation_called(sqlite_hub: hub.Hub):
    first = await builders.issue_key(sqlite_hub, grants=["procedures.list", "fields:residents.basic"])
    store, vault = sqlite_hub.storage, sqlite_hub.vault
    change = {"overlap": timedelta(days=1), "reason": "định kỳ", **who(sqlite_hub)}
    second = await keys.rotate(store, vault, first.record.id, **change)
    for issued, number in ((first, 1), (second, 2)):
        admitted = await door(sqlite_hub).admit(issued.key, "procedures.list", address=HERE, now=sqlite_hub.now())
        assert (admitted.generation, admitted.caller.generation) == (number, number)
        assert admitted.caller.prefix == issued.key[:14]
        assert admitted.caller.field_groups == {"residents.basic"}


@pytest.mark.parametrize("text", ["31d", "-1d", "7", "", "800h"])
def test_an_overlap_has_its_bounds(text):
    with pytest.raises(errors.InvalidRequest):
        keys.read_overlap(text)


async def test_a_suspended_key_comes_back_and_a_revoked_one_does_not(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub)
    name, store = issued.record.id, sqlite_hub.storage
    change = {"reason": "nghi lộ", **who(sqlite_hub)}
    await keys.suspend(store, name, **change)
    assert await refusal(sqlite_hub, issued.key) == "suspended"
    await keys.resume(store, name, **change)
    assert await refusal(sqlite_hub, issued.key) == ""
    await keys.revoke(store, name, **change)
    assert await refusal(sqlite_hub, issued.key) == "revoked"
    with pytest.raises(errors.Conflict) as refused:
        await keys.resume(store, name, **change)
    assert "keys issue" in refused.value.detail("vi")
    for act in (keys.suspend, keys.resume):
        with pytest.raises(errors.Conflict):
            await act(store, name, **change)


async def test_limits_change_with_a_reason_and_the_record_says_from_what_to_what(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, limits=["600/minute"])
    wanted = keys.Bounds(limits=["900/minute"], addresses=["198.51.100.0/24"])
    change = {"known_operations": operations.NAMES, **who(sqlite_hub)}
    with pytest.raises(errors.InvalidRequest):
        await keys.limit(sqlite_hub.storage, issued.record.id, wanted, reason="", **change)
    await keys.limit(sqlite_hub.storage, issued.record.id, wanted, reason="văn bản 12", **change)
    act = (await acts_of(sqlite_hub))[-1]
    assert (act.before["limits"], act.after["limits"]) == (["600/minute"], ["900/minute"])
    assert (act.before["addresses"], act.after["addresses"]) == ([], ["198.51.100.0/24"])
    assert await refusal(sqlite_hub, issued.key) == "address"
    await keys.limit(sqlite_hub.storage, issued.record.id, keys.Bounds(addresses=[]), reason="bỏ", **change)
    assert await refusal(sqlite_hub, issued.key) == ""


async def test_outside_its_hours_a_key_is_refused_in_words(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, hours=["mon-fri 07:00-18:00"])
    saturday = datetime(2026, 11, 28, 9, tzinfo=clock.VIETNAM)
    with pytest.raises(errors.NotGranted) as refused:
        await door(sqlite_hub).admit(issued.key, "procedures.list", address=HERE, now=saturday)
    assert "mon-fri 07:00-18:00" in refused.value.detail("vi")
    assert "09:00" in refused.value.detail("en")
    assert refused.value.facts["reason"] == "hours"
    assert await refusal(sqlite_hub, issued.key, now=saturday - timedelta(days=1)) == ""


async def test_what_nobody_confirms_is_off_until_somebody_does(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, days=366)
    later = issued.record.confirm_by
    assert await refusal(sqlite_hub, issued.key, now=later - timedelta(seconds=1)) == ""
    assert await refusal(sqlite_hub, issued.key, now=later) == "lapsed"
    change = {"every_days": 365, "two_people": True, "now": later}
    with pytest.raises(errors.NotGranted):
        await keys.confirm(sqlite_hub.storage, issued.record.id, actor="test", **change)
    await keys.confirm(sqlite_hub.storage, issued.record.id, actor="bình", **change)
    assert await refusal(sqlite_hub, issued.key, now=later) == ""


async def test_every_refused_act_is_written_down_and_none_with_a_key(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub)
    leaked = f"thấy {issued.key} trên mạng"
    with pytest.raises(errors.InvalidRequest):
        await builders.issue_key(sqlite_hub, grants=[issued.key])
    with pytest.raises(errors.Conflict):
        await keys.approve(sqlite_hub.storage, issued.key, reason=leaked, **who(sqlite_hub))
    with pytest.raises(errors.NotFound):
        await keys.suspend(sqlite_hub.storage, "không có", reason=leaked, **who(sqlite_hub))
    await keys.suspend(sqlite_hub.storage, issued.key, reason=leaked, **who(sqlite_hub))
    acts = await acts_of(sqlite_hub)
    assert [act.outcome for act in acts] == [
        "done", "Client.InvalidRequest", "Client.Conflict", "Client.NotFound", "done",
    ]  # fmt: skip
    assert all(act.after for act in acts)
    written = str([tuple(act) for act in acts]) + str(await keys.show(sqlite_hub.storage, issued.key))
    assert issued.key not in written
    assert issued.record.prefix in acts[-1].reason


async def reviewed(opened: hub.Hub, moment: datetime) -> list[str]:
    """Run the daily review as on another day; gives the events it put."""
    before = len(await events_of(opened))
    await key_review.review(dataclasses.replace(opened, now=lambda: moment))
    return [event.kind for event in (await events_of(opened))[before:]]


async def test_a_key_that_ends_is_told_of_once_for_each_reminder(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, days=90)
    end = issued.record.expires_at
    days = {left: await reviewed(sqlite_hub, end - timedelta(days=left)) for left in (40, 30, 29, 14, 3, 2)}
    assert days == {40: [], 30: ["key.expiring"], 29: [], 14: ["key.expiring"], 3: ["key.expiring"], 2: []}
    assert await reviewed(sqlite_hub, end) == ["key.expired"]
    assert await reviewed(sqlite_hub, end + timedelta(days=1)) == []
    told = (await events_of(sqlite_hub))[-1]
    assert told.subject == issued.record.id
    assert "Ví Dụ" not in str(told.facts)


async def test_the_review_switches_off_what_nobody_confirmed_and_says_so_once(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, days=366)
    due = issued.record.confirm_by
    assert await reviewed(sqlite_hub, due - timedelta(days=10)) == ["key.expiring", "key.confirm_due"]
    assert await reviewed(sqlite_hub, due) == ["key.expiring", "key.lapsed"]
    assert await reviewed(sqlite_hub, due) == []
    act = (await acts_of(sqlite_hub))[-1]
    assert (act.act, act.actor, act.after["state"]) == ("keys.lapse", "keys_review", "lapsed")


async def test_what_is_due_is_listed_the_nearest_first(sqlite_hub: hub.Hub):
    for days in (20, 5, 60):
        await builders.issue_key(sqlite_hub, days=days)
    listed = await key_review.due(sqlite_hub, within_days=30)
    assert [(line.what, line.days_left) for line in listed] == [("expires", 5), ("expires", 20)]


async def test_uses_are_counted_by_address_and_add_up_over_processes(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, addresses=[HERE])
    now = sqlite_hub.now()
    for counted in (uses.Uses(sqlite_hub.storage), uses.Uses(sqlite_hub.storage)):
        process = door(sqlite_hub, counted)
        await process.admit(issued.key, "procedures.list", address=HERE, now=now)
        with pytest.raises(errors.NotGranted):
            await process.admit(issued.key, "procedures.list", address="198.51.100.9", now=now)
        await counted.save()
        await counted.save()
    found = {
        use.address: (use.used, use.refused) for use in await uses.of_key(sqlite_hub.storage, issued.record.id)
    }
    assert found == {HERE: (2, 0), "198.51.100.9": (0, 2)}
    total = (await uses.totals(sqlite_hub.storage))[issued.record.id]
    assert (total.used, total.refused, total.first_at) == (2, 2, now)


async def test_uses_wait_while_the_database_is_away(sqlite_hub: hub.Hub, monkeypatch):
    counted = uses.Uses(sqlite_hub.storage)
    counted.note("key", 1, address=HERE, now=sqlite_hub.now(), served=True)

    def away():
        raise errors.StorageUnavailable()

    with monkeypatch.context() as broken:
        broken.setattr(sqlite_hub.storage, "transaction", away)
        with pytest.raises(errors.StorageUnavailable):
            await counted.save()
    counted.note("key", 1, address=HERE, now=sqlite_hub.now(), served=True)
    await counted.save()
    assert [use.used for use in await uses.of_key(sqlite_hub.storage, "key")] == [2]


async def test_a_key_tried_from_a_thousand_places_does_not_fill_the_memory(sqlite_hub: hub.Hub):
    counted = uses.Uses(sqlite_hub.storage)
    for number in range(1000):
        counted.note("key", 1, address=f"2001:db8::{number:x}", now=sqlite_hub.now(), served=False)
    await counted.save()
    found = await uses.of_key(sqlite_hub.storage, "key")
    assert len(found) == uses.MOST_ADDRESSES + 1
    assert sum(use.refused for use in found) == 1000


def test_one_job_set_leaves_the_others_in_the_timetable():
    told = settings.load({"LIENTHONG_TIMETABLE__PROCEDURE_SYNC": "", "LIENTHONG_KEYS__REMIND_DAYS": "20,5"})
    assert told.timetable["procedure_sync"] == ""
    assert told.timetable["keys_review"]
    assert told.keys.remind_days == (20, 5)
