"""API keys: their spelling, their life, and what is written down of them."""

from __future__ import annotations

from datetime import timedelta

import builders
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import grants, key_text, keys, lookup
from lienthong.bus import hub, operations
from lienthong.core import errors, logs, tables


async def _acts(opened: hub.Hub) -> list[sa.Row]:
    async with opened.storage.reading() as conn:
        return list(await conn.execute(sa.select(tables.admin_acts).order_by(tables.admin_acts.c.number)))


def test_a_key_says_its_issuer_and_environment_and_carries_256_bits():
    text = key_text.new("live")
    assert text.startswith("lt_live_")
    assert len(text.removeprefix("lt_live_")) == 43 + 6
    assert 62**43 > 2**256
    assert key_text.is_well_formed(text)


@given(st.integers(0, 56), st.characters(codec="ascii"))
def test_a_mistyped_key_is_noticed_offline(place: int, letter: str):
    text = "lt_test_" + "0" * 43
    text += key_text.checksum(text)
    mistyped = text[:place] + letter + text[place + 1 :]
    assert key_text.is_well_formed(mistyped) == (mistyped == text)


def test_no_log_line_shows_a_key():
    text = key_text.new("test")
    assert text.removeprefix("lt_test_") not in logs.mask(f"called with {text}")


async def test_only_a_digest_of_the_key_is_kept(sqlite_hub: hub.Hub, tmp_path):
    issued = await builders.issue_key(sqlite_hub)
    await sqlite_hub.storage.close()
    secret = issued.key.removeprefix(issued.record.prefix).encode()
    for file in tmp_path.glob("*.db*"):
        assert secret not in file.read_bytes()
    assert issued.key not in repr(issued)


async def test_issuing_prints_what_scripts_rely_on(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, grants=["procedures.list"], limits=["600 / minute", "50000/day"])
    told = issued.as_json(sqlite_hub.now())
    assert set(told) >= {"id", "key", "prefix", "grants", "limits", "expires_at"}
    assert told["grants"] == ["procedures.list"]
    assert told["limits"] == ["600/minute", "50000/day"]
    assert told["key"].startswith(told["prefix"])


@pytest.mark.parametrize(
    ("order", "field", "said"),
    [
        ({"grants": ["procedures.lst"]}, "grants", "procedures.list"),
        ({"grants": ["dossier.*"]}, "grants", "dossiers.*"),
        ({"grants": []}, "grants", "ít nhất một"),
        ({"limits": []}, "limit", "ít nhất một"),
        ({"limits": ["600/min"]}, "limit", "minute"),
        ({"limits": ["0/minute"]}, "limit", "600/minute"),
        ({"limits": ["5/minute", "6/minute"]}, "limit", "chỉ giữ một"),
        ({"limits": ["2000000/hour"]}, "limit", "quá lớn"),
        ({"days": 367}, "expires", "366"),
        ({"days": -1}, "expires", "tương lai"),
        ({"organisation": " "}, "organisation", "Thiếu"),
        ({"system": f"hộ tịch {key_text.new('live')}"}, "system", "khoá API"),
        ({"addresses": ["10.0.0.1/24"]}, "addresses", "10.0.0.0/24"),
        ({"addresses": ["0.0.0.0/0"]}, "addresses", "mọi địa chỉ"),
        ({"hours": ["mon-fri 7-17"]}, "hours", "mon-fri 07:00-18:00"),
        ({"grants": ["service:Dat-dai"]}, "grants", "service:TÊN"),
        ({"grants": ["service:dat-dai:/so/../x"]}, "grants", "service:TÊN"),
        ({"grants": ["fields:residents.all"]}, "grants", "fields:residents"),
    ],
)
async def test_a_wrong_order_is_refused_naming_the_field(sqlite_hub: hub.Hub, order, field, said):
    with pytest.raises(errors.InvalidRequest) as refused:
        await builders.issue_key(sqlite_hub, **order)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert said in refused.value.problems[0].vi
    assert refused.value.problems[0].en
    assert (await _acts(sqlite_hub))[-1].outcome == "Client.InvalidRequest"
    assert await keys.list_keys(sqlite_hub.storage) == []


async def test_every_act_is_written_down_and_none_with_the_key(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub)
    now = sqlite_hub.now()
    with pytest.raises(errors.NotFound):
        unknown = key_text.new("test")
        await keys.revoke(sqlite_hub.storage, unknown, reason="lộ khoá", actor="an", now=now)
    await keys.revoke(sqlite_hub.storage, issued.key, reason="lộ khoá", actor="an", now=now)
    await keys.revoke(sqlite_hub.storage, issued.record.id, reason="lần nữa", actor="an", now=now)
    acts = await _acts(sqlite_hub)
    assert [(act.act, act.outcome) for act in acts] == [
        ("keys.issue", "done"),
        ("keys.revoke", "Client.NotFound"),
        ("keys.revoke", "done"),
        ("keys.revoke", "unchanged"),
    ]
    assert (acts[2].reason, acts[2].before["revoked_at"]) == ("lộ khoá", None)
    assert acts[2].after["revoked_reason"] == "lộ khoá"
    assert "Ví Dụ" not in str([tuple(act) for act in acts])
    assert issued.key not in str([tuple(act) for act in acts])
    assert unknown not in str([tuple(act) for act in acts])


async def test_a_key_is_not_revoked_without_a_reason(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub)
    with pytest.raises(errors.InvalidRequest):
        await keys.revoke(sqlite_hub.storage, issued.record.id, reason=" ", actor="an", now=sqlite_hub.now())


@pytest.mark.parametrize(
    ("granted", "asked", "may"),
    [
        ({"all"}, "dossiers.put", True),
        ({"all"}, "dossiers.any_organisation", True),
        ({"dossiers.put"}, "dossiers.put", True),
        ({"dossiers.put"}, "dossiers.get", False),
        ({"dossiers.*"}, "dossiers.get", True),
        ({"dossiers.*"}, "procedures.list", False),
        ({"dossiers.*"}, "dossiers.any_organisation", False),
        ({"dossiers.any_organisation"}, "dossiers.any_organisation", True),
        (set(), "procedures.list", False),
    ],
)
def test_what_is_not_granted_is_denied(granted, asked, may):
    assert grants.is_granted(frozenset(granted), asked) is may


def test_every_operation_can_be_granted():
    assert grants.problems([*operations.NAMES, "dossiers.*", "all"], known=operations.NAMES) == []


async def test_a_revocation_elsewhere_is_seen_within_half_a_second(sqlite_hub: hub.Hub):
    clock_s = [100.0]
    finder = lookup.Lookup(sqlite_hub.storage, sqlite_hub.vault, monotonic=lambda: clock_s[0])
    issued = await builders.issue_key(sqlite_hub)
    now = sqlite_hub.now()
    assert (await finder.find(issued.key)).record.state(now) == "active"
    await keys.revoke(sqlite_hub.storage, issued.record.id, reason="lộ khoá", actor="an", now=now)
    clock_s[0] += 0.5
    assert (await finder.find(issued.key)).record.state(now) == "revoked"


async def test_a_revocation_in_this_process_is_seen_at_once(sqlite_hub: hub.Hub):
    finder = lookup.Lookup(sqlite_hub.storage, sqlite_hub.vault, monotonic=lambda: 100.0)
    issued = await builders.issue_key(sqlite_hub)
    now = sqlite_hub.now()
    await finder.find(issued.key)
    after = await keys.revoke(sqlite_hub.storage, issued.record.id, reason="lộ khoá", actor="an", now=now)
    finder.forget(after.id)
    assert (await finder.find(issued.key)).record.state(now) == "revoked"


async def test_unknown_keys_do_not_fill_the_memory(sqlite_hub: hub.Hub, monkeypatch):
    monkeypatch.setattr(lookup, "MOST_UNKNOWN", 5)
    finder = lookup.Lookup(sqlite_hub.storage, sqlite_hub.vault)
    for _ in range(20):
        assert await finder.find(key_text.new("test")) is None
    assert len(finder._unknown) == 5


async def test_a_key_expires_by_the_clock_not_by_the_cache(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, days=1)
    record = (await lookup.Lookup(sqlite_hub.storage, sqlite_hub.vault).find(issued.key)).record
    assert record.state(issued.record.expires_at - timedelta(seconds=1)) == "active"
    assert record.state(issued.record.expires_at) == "expired"


@pytest.mark.parametrize(("text", "days"), [("365d", 365), ("2w", 14)])
def test_a_lifetime_is_read(text, days):
    assert keys.read_lifetime(text) == timedelta(days=days)


@pytest.mark.parametrize("text", ["", "1y", "-3d", "d", "3"])
def test_a_lifetime_that_cannot_be_read_is_refused(text):
    with pytest.raises(errors.InvalidRequest):
        keys.read_lifetime(text)
