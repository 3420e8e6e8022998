"""Alerts told outside the desks, to servers that really listen: mail, signed webhook, syslog, a chat."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import builders
import pytest
import sqlalchemy as sa

from lienthong.bus import hub as hubs
from lienthong.core import errors, settings, storage, tables
from lienthong.monitoring import alert_rules, alerts, notices, notify
from lienthong.monitoring.detectors import findings, people, probing

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()
OFFICIAL = "nguyen.van.vidu@h38.example"


@dataclass
class Listener:
    """A server that takes HTTP, SMTP or syslog and keeps what came; the answers of HTTP are set by the test."""

    port: int = 0
    posts: list[tuple[dict[str, str], str, bytes]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    syslog: bytes = b""
    status: int = 200

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.posts.append((headers, head[0].split(" ")[1], body))
        more = "Location: http://127.0.0.1:1/\r\n" if self.status == 302 else ""
        writer.write(f"HTTP/1.1 {self.status} X\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        while line := await reader.readline():
            word = line[:4].upper().strip()
            if word == b"DATA":
                writer.write(b"354 go\r\n")
                text = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
                message = email.message_from_bytes(text, policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                self.mails.append(message)
            writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                break
        writer.close()

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.syslog += data
        writer.close()


@asynccontextmanager
async def listening(kind: str) -> AsyncIterator[Listener]:
    made = Listener()
    server = await asyncio.start_server(getattr(made, kind), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@asynccontextmanager
async def hub(
    home: Path, database_url: str = "", **section: Any
) -> AsyncIterator[tuple[hubs.Hub, notify.Notifier]]:
    """Open a hub with a way to tell people, which has looked once: what was before is not told."""
    console = {"public_url": "https://desk.example"}
    agency = {"code": "000.00.00.H38", "name": "Tỉnh Thử Nghiệm"}
    async with builders.running_hub(
        home, database_url=database_url, alerts=section, console=console, agency=agency
    ) as opened:
        await opened_alert(opened)
        notifier = notify.Notifier(opened, notify.ways(opened.settings.alerts, agency="Tỉnh Thử Nghiệm"))
        assert await notifier.step(datetime.now(UTC) + timedelta(seconds=5)) == 0
        await asyncio.sleep(0.01)
        yield opened, notifier


def later(seconds: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def opened_alert(opened: hubs.Hub, key: str = "key-0", *, severity_rule: str = "refused") -> str:
    at = opened.now().timestamp()
    found = probing.refused(findings.Who(key=key), at, seen=40, requests=50, share=0.003)
    if severity_rule == "curious":
        who = findings.Who(official=OFFICIAL)
        found = people.coming_back(who, at, times=9, on_days=5, usual=2)._replace(
            vi=f"Cán bộ {OFFICIAL} tra nhiều lần.",
            en=f"The official {OFFICIAL} asked several times.",
        )
    assert found
    made = await alerts.open_or_update(opened.storage, found)
    assert made
    return made


async def begin(notifier: notify.Notifier, opened: hubs.Hub) -> None:
    """Put every way to now, as time itself would: the alerts of the test are new."""
    for turn in notifier._turns:
        turn.after = int(datetime.now(UTC).timestamp() * 1000) - 1
        await notifier._keep(turn.way.name, turn.after, datetime.now(UTC))
    await asyncio.sleep(0.005)


async def test_mail_says_what_was_found_and_names_no_person(database_url: str, tmp_path: Path) -> None:
    async with (
        listening("smtp") as server,
        hub(
            tmp_path,
            database_url,
            mail_to=["an@h38.example", "binh@h38.example"],
            mail_from="truc@h38.example",
            smtp_host="127.0.0.1",
            smtp_port=server.port,
            smtp_security="none",
        ) as (opened, notifier),
    ):
        await begin(notifier, opened)
        issued = await builders.issue_key(opened, organisation="Sở Tư pháp")
        grave = await opened_alert(opened, issued.record.id)
        await opened_alert(opened, severity_rule="curious")
        assert await notifier.step(later()) == 2
        assert await notifier.step(later()) == 0
        [message] = server.mails
        text = message.get_content()
        assert message["To"] == "an@h38.example, binh@h38.example"
        assert "Tỉnh Thử Nghiệm" in message["Subject"]
        assert "(+1)" in message["Subject"]
        for told in ("bị từ chối", "refused", "Sở Tư pháp", f"https://desk.example/alerts/{grave}"):
            assert told in text, told
        assert OFFICIAL not in text


def test_a_notice_holds_no_number_of_a_person_and_nothing_that_an_event_was_about() -> None:
    now = datetime.now(UTC)
    number = f"{1099000001:012d}"
    alert = {"id": "x", "severity": "high", "since": now, "found_at": now, "official": None, "address": None}
    for rule, said in (
        ("no_case", f"hỏi về {number[:3]} {number[3:]}, {number}"),
        ("flow", "Bưu gửi thất lạc: H38-1"),
    ):
        told = {**alert, "rule": rule, "sentence_vi": said, "sentence_en": said}
        notice = notices.of_alert(told, key="lt_test_ab… Sở Y tế", desk="")
        for text in (notice.text, json.dumps(notice.as_json()), notices.syslog(notice, host="h").decode()):
            assert number not in text.replace(" ", "")
            assert "H38-1" not in text


async def test_the_webhook_is_signed_and_tried_again_until_it_is_taken(database_url: str, tmp_path: Path) -> None:
    async with listening("http") as server:
        way = {"webhook_url": f"http://127.0.0.1:{server.port}/alerts", "webhook_secret": SECRET}
        async with hub(tmp_path, database_url, **way) as (opened, notifier):
            await begin(notifier, opened)
            alert = await opened_alert(opened, "key-1")
            assert await notify.sent(opened.storage, opened.settings.alerts, alert) == {"webhook": False}
            for number, server.status in enumerate((503, 302), 1):
                assert await notifier.step(later(60 * number)) == 0
                assert len(server.posts) == number
            assert await notifier.step(later(121)) == 0  # its turn has not come
            assert len(server.posts) == 2
            server.status = 204
            assert await notifier.step(later(2000)) == 1
            headers, path, body = server.posts[-1]
            assert path == "/alerts"
            assert headers["webhook-id"] == alert == json.loads(body)["data"]["id"]
            signed = f"{alert}.{headers['webhook-timestamp']}.".encode() + body
            digest = hmac.new(base64.b64decode(SECRET[6:]), signed, hashlib.sha256).digest()
            assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
            assert await notify.sent(opened.storage, opened.settings.alerts, alert) == {"webhook": True}


async def test_a_restart_neither_repeats_nor_forgets(database_url: str, tmp_path: Path) -> None:
    async with listening("http") as server:
        way = {"webhook_url": f"http://127.0.0.1:{server.port}/", "webhook_secret": SECRET}
        async with hub(tmp_path, database_url, **way) as (opened, notifier):
            await begin(notifier, opened)
            first = await opened_alert(opened, "key-1")
            await notifier.step(later())
            await asyncio.sleep(0.01)
            second = await opened_alert(opened, "key-2")
            again = notify.Notifier(opened, notify.ways(opened.settings.alerts))
            assert await again.step(later()) == 1
            assert [headers["webhook-id"] for headers, _, _ in server.posts] == [first, second]


async def test_what_cannot_be_told_for_a_day_is_left_to_the_desk(tmp_path: Path) -> None:
    way = {"webhook_url": f"http://127.0.0.1:{builders.free_port()}/", "webhook_secret": SECRET}
    async with hub(tmp_path, **way) as (opened, notifier):
        await begin(notifier, opened)
        await opened_alert(opened, "key-1")
        for hours in (1, 5, 24.9, 26):
            assert await notifier.step(later(hours * 3600)) == 0
        async with listening("http") as server:
            notifier._turns[0].way = notify.Webhook(
                opened.settings.alerts.model_copy(update={"webhook_url": f"http://127.0.0.1:{server.port}/"})
            )
            assert await notifier.step(later(27 * 3600)) == 0
            assert server.posts == []


async def test_one_way_that_is_away_does_not_hold_up_another(tmp_path: Path) -> None:
    async with listening("stream") as server:
        ways = {
            "webhook_url": f"http://127.0.0.1:{builders.free_port()}/",
            "webhook_secret": SECRET,
            "syslog": f"tcp://127.0.0.1:{server.port}",
        }
        async with hub(tmp_path, **ways) as (opened, notifier):
            await begin(notifier, opened)
            alert = await opened_alert(opened, "key-1")
            assert await notifier.step(later()) == 1
            for _ in range(3_000):
                if alert.encode() in server.syslog:
                    break
                await asyncio.sleep(0.02)
            assert server.syslog.partition(b" ")[2].startswith(b"<106>1 ")
            assert alert.encode() in server.syslog
            assert server.syslog.isascii()


async def test_a_chat_gets_its_own_form_with_its_token(tmp_path: Path) -> None:
    async with listening("http") as server:
        way = {
            "template_url": f"http://127.0.0.1:{server.port}/bot{{token}}/sendMessage",
            "template_body": '{"chat_id": "-100", "text": "{text}", "level": "{severity}"}',
            "template_header": "access_token: {token}",
            "template_token": "123:abc",
            "least_severity": "high",
        }
        async with hub(tmp_path, **way) as (opened, notifier):
            await begin(notifier, opened)
            await opened_alert(opened, severity_rule="curious")  # of middle severity: only on the desk
            await opened_alert(opened, 'key-"1"')
            assert await notifier.step(later()) == 1
            [(headers, path, body)] = server.posts
            assert path == "/bot123:abc/sendMessage"
            assert headers["access_token"] == "123:abc"
            told = json.loads(body)
            assert (told["chat_id"], told["level"]) == ("-100", "high")
            assert "bị từ chối" in told["text"]


async def test_tested_rules_and_closed_alerts_are_not_told(tmp_path: Path) -> None:
    async with listening("http") as server:
        way = {"webhook_url": f"http://127.0.0.1:{server.port}/", "webhook_secret": SECRET}
        async with hub(tmp_path, **way) as (opened, notifier):
            await begin(notifier, opened)
            closed = await opened_alert(opened, "key-1")
            now, store = opened.now(), opened.storage
            await alerts.close(store, closed, alerts.MISTAKE, reason="nhầm", actor="lan", now=now)
            tested = alert_rules.Setting("refusal_burst", alert_rules.TEST)
            await alert_rules.change(store, tested, reason="thử", actor="lan", now=now)
            await opened_alert(opened, "key-2")
            assert await notifier.step(later()) == 0
            assert server.posts == []


async def test_the_running_hub_tells_by_itself(tmp_path: Path) -> None:
    async with listening("http") as server:
        way = {"webhook_url": f"http://127.0.0.1:{server.port}/", "webhook_secret": SECRET}
        async with builders.running_hub(tmp_path, alerts=way) as opened:
            closing = asyncio.Event()
            task = asyncio.create_task(notify.run(opened, closing, poll_s=0.05))
            async with asyncio.timeout(60):
                while not await _begun(opened):  # noqa: ASYNC110 - only the database tells
                    await asyncio.sleep(0.05)
                alert = await opened_alert(opened, "key-1")
                while not server.posts:  # noqa: ASYNC110 - the server of the test has no event
                    await asyncio.sleep(0.05)
            closing.set()
            await task
            assert server.posts[0][0]["webhook-id"] == alert


async def _begun(opened: hubs.Hub) -> bool:
    async with opened.storage.reading() as conn:
        return await storage.first(conn, sa.select(tables.detection_positions.c.node)) is not None


@pytest.mark.parametrize(
    "section",
    [
        {"mail_to": ["a@b.example"]},
        {"webhook_url": "https://x.example/"},
        {"webhook_url": "https://x.example/", "webhook_secret": "short"},
        {"webhook_url": "ftp://x.example/", "webhook_secret": SECRET},
        {"template_url": "https://x.example/", "template_header": "nothing"},
        {"syslog_": "tcp://x"},
    ],
)
def test_half_a_way_stops_the_start(section: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        settings.Settings.model_validate({"alerts": section})


def test_a_wrong_secret_and_a_wrong_address_stop_the_start() -> None:
    wrong = {"webhook_url": "https://x.example/", "webhook_secret": "whsec_" + "é" * 24}
    for section, kind in ((wrong, errors.Misconfigured), ({"syslog": "http://x"}, errors.InvalidRequest)):
        chosen = settings.Settings.model_validate({"alerts": section})
        with pytest.raises(kind):
            notify.ways(chosen.alerts)


def test_no_address_with_a_token_is_shown_with_the_settings() -> None:
    section = {"template_url": "https://x.example/bot{token}", "template_token": "123:abc"}
    told = json.dumps(settings.masked(settings.Settings.model_validate({"alerts": section})))
    assert "123:abc" not in told


def test_several_people_are_written_one_after_the_other() -> None:
    given = {"MAIL_TO": "an@h38.example, binh@h38.example", "MAIL_FROM": "truc@h38.example", "SMTP_HOST": "mail"}
    chosen = settings.load({f"LIENTHONG_ALERTS__{name}": value for name, value in given.items()})
    assert chosen.alerts.mail_to == ("an@h38.example", "binh@h38.example")
