"""A SIEM follows the record: in order, each record at least once, whoever is away, and no person in clear."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import record

from lienthong.bus import hub as hubs
from lienthong.core import access_record, errors
from lienthong.monitoring import retention, siem, siem_forms, siem_targets

FORM = functools.partial(siem_forms.json_line, pseudonym=lambda name: "0123abcd")


def follower(hub: hubs.Hub, target: siem_targets.Target, form: siem.Form = FORM) -> siem.Follower:
    place = hub.settings.home / "followers" / "siem.json"
    return siem.Follower(record.sources(hub), target, form=form, position_file=place)


async def run_out(one: siem.Follower) -> None:
    """Follow until there is nothing more, and once again, which makes the last batch sure."""
    while await one.step(now=record.NOW):
        pass
    await one.step(now=record.NOW)


def numbers(path: Path) -> list[int]:
    return [orjson.loads(line)["event"]["sequence"] for line in path.read_bytes().splitlines()]


class Listener:
    """A SIEM on a TCP port that may be away, or hang up in the midst of a batch."""

    def __init__(self) -> None:
        self.taken = b""
        self.hang_up_after: int | None = None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(65_536):
            self.taken += block
            if self.hang_up_after is not None and len(self.taken) > self.hang_up_after:
                writer.transport.abort()
                return
        writer.close()


async def test_a_file_gets_every_record_in_order_once(sqlite_hub: hubs.Hub, tmp_path: Path) -> None:
    await record.put(sqlite_hub, record.of_days(sqlite_hub.settings.home, days=3))
    target = tmp_path / "siem.jsonl"
    await run_out(follower(sqlite_hub, siem_targets.opened(f"file://{target}", is_syslog=False)))
    await run_out(follower(sqlite_hub, siem_targets.opened(str(target), is_syslog=False)))
    assert numbers(target) == list(range(1, 1201))


async def test_what_went_into_day_files_meanwhile_is_not_missed(sqlite_hub: hubs.Hub, tmp_path: Path) -> None:
    await record.put(sqlite_hub, record.of_days(sqlite_hub.settings.home, days=3))
    await retention.roll_closed_days(record.sources(sqlite_hub), hot_days=1, now=record.NOW)
    target = tmp_path / "siem.jsonl"
    await run_out(follower(sqlite_hub, siem_targets.FileTarget(target)))
    assert numbers(target) == list(range(1, 1201))


async def test_a_siem_that_was_away_or_hung_up_has_everything_in_the_end(sqlite_hub: hubs.Hub) -> None:
    await record.put(sqlite_hub, record.of_days(sqlite_hub.settings.home, days=5))
    there = Listener()
    one = follower(sqlite_hub, siem_targets.opened(f"tcp://127.0.0.1:{there.port}", is_syslog=False))
    with pytest.raises(ConnectionError):
        await one.step(now=record.NOW)
    there.hang_up_after = 400_000
    async with there.listening():
        with pytest.raises(ConnectionError):
            await run_out(one)
    there.hang_up_after = None
    lines = [line for line in there.taken.splitlines() if line.endswith(b"}")]
    there.taken = b""
    async with there.listening():
        await run_out(one)
    lines += there.taken.splitlines()
    got = {orjson.loads(line)["event"]["sequence"] for line in lines if line.startswith(b"{")}
    assert got == set(range(1, 2001))


async def test_a_missing_number_is_waited_for_and_then_told(sqlite_hub: hubs.Hub, tmp_path: Path) -> None:
    records = record.of_days(sqlite_hub.settings.home, days=1, a_day=20)
    await record.put(sqlite_hub, [one for one in records if one.number != 12])
    one = follower(sqlite_hub, siem_targets.FileTarget(tmp_path / "siem.jsonl"))
    await one.step(now=records[11].at)
    assert await one.step(now=records[11].at) == 0
    await run_out(one)
    assert one.gaps == [("may1/gateway-0", 12, 12)]
    assert numbers(tmp_path / "siem.jsonl") == [number for number in range(1, 21) if number != 12]


def one_row(**facts: Any) -> dict[str, Any]:
    told = {
        "at": record.NOW,
        "request_id": "r-1",
        "operation": "residents.look_up",
        "route": "/v1/residents/look-up",
        "outcome": "Client.NotGranted",
        "took_ms": 1.5,
        "status": 403,
        "official": "Nguyễn Thị Ví Dụ",
        "purpose": "Tra cho ông Ví Dụ",
        "subject": "00" * 8,
        "node": "may1/gateway-0",
        "number": 7,
    }
    return access_record.to_row(access_record.to_bytes(access_record.Record(**{**told, **facts})))


def test_no_name_and_no_free_text_leave_the_hub() -> None:
    line = siem_forms.json_line(one_row(), pseudonym=lambda name: "0123abcd").decode()
    assert "Ví Dụ" not in line
    told = orjson.loads(line)
    assert (told["user"]["hash"], told["event"]["outcome"], told["event"]["duration"]) == (
        "0123abcd",
        "failure",
        1_500_000,
    )


def test_a_syslog_message_is_what_rfc_5424_says() -> None:
    message = siem_forms.syslog(one_row(), pseudonym=lambda name: "0123abcd", host="máy một")
    head = rb"<108>1 2026-11-20T03:00:00\.000Z mymt lienthong may1/gateway-0 residents\.look_up - \{"
    assert re.match(head, message)
    assert message.isascii()
    assert siem_forms.counted(b"abc") == b"3 abc"


async def test_syslog_over_udp_is_a_datagram_each(sqlite_hub: hubs.Hub) -> None:
    await record.put(sqlite_hub, record.of_days(sqlite_hub.settings.home, days=1, a_day=10))
    form = functools.partial(siem_forms.syslog, pseudonym=lambda name: "0123abcd", host="hub")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(60)
        target = siem_targets.opened(f"udp://127.0.0.1:{listener.getsockname()[1]}", is_syslog=True)
        await run_out(follower(sqlite_hub, target, form))
        got = [listener.recv(65_536) for _ in range(10)]
    assert all(message.startswith(b"<1") for message in got)


@pytest.mark.parametrize("url", ["udp://h:1", "tcp://h", "ftp://h:1"])
def test_an_address_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        siem_targets.opened(url, is_syslog=False)
