"""A key that is bound to addresses, at the door: behind a proxy only the trusted hops are believed."""

from __future__ import annotations

from pathlib import Path

import builders
import doors
import pytest

from lienthong.api_keys import uses

OFFICE, PROXY, STRANGER = "203.0.113.7", "10.0.0.2", "198.51.100.9"


@pytest.mark.parametrize(
    ("connected", "forwarded", "status"),
    [
        (OFFICE, None, 200),
        (STRANGER, None, 403),
        (PROXY, OFFICE, 200),
        (PROXY, STRANGER, 403),
        (STRANGER, OFFICE, 403),
        (PROXY, f"{OFFICE}, {STRANGER}", 403),
        (PROXY, f"{STRANGER}, {OFFICE}, {PROXY}", 200),
        (PROXY, None, 403),
        (f"::ffff:{OFFICE}", None, 200),
    ],
)
async def test_the_address_counts_that_a_trusted_hop_saw(tmp_path: Path, connected, forwarded, status):
    async with builders.running_hub(tmp_path, gateway={"trusted_proxies": [PROXY]}) as opened:
        issued = await builders.issue_key(opened, addresses=["203.0.113.0/24"])
        async with doors.client(opened, desk=doors.Desk(), key=issued.key, address=connected) as caller:
            headers = {"X-Forwarded-For": forwarded} if forwarded else {}
            assert (await caller.get("/v1/notes", headers=headers)).status_code == status


async def test_a_refusal_says_why_in_both_languages_and_the_record_says_by_which_rule(sqlite_hub):
    issued = await builders.issue_key(sqlite_hub, addresses=[OFFICE])
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key, address=STRANGER) as caller:
        said = {}
        for language in ("vi", "en"):
            answer = await caller.get("/v1/notes", headers={"Accept-Language": language})
            assert (answer.status_code, answer.json()["code"]) == (403, "Client.NotGranted")
            said[language] = answer.json()["detail"]
    assert f"không được dùng từ địa chỉ {STRANGER}" in said["vi"]
    assert f"may not be used from the address {STRANGER}" in said["en"]
    assert OFFICE not in str(said)
    row = (await doors.journal(sqlite_hub))[0]
    assert (row.key_id, row.outcome) == (issued.record.id, "Client.NotGranted")
    assert row.rule == "address"


async def test_what_was_counted_is_kept_when_the_gateway_stops(sqlite_hub):
    issued = await builders.issue_key(sqlite_hub)
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key, address=OFFICE) as caller:
        for _ in range(3):
            await caller.get("/v1/notes")
    [use] = await uses.of_key(sqlite_hub.storage, issued.record.id)
    assert (use.address, use.used) == (OFFICE, 3)
