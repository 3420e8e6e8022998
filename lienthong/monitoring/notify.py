"""Tells people outside the desks of alerts: mail, signed webhook, syslog, a chat. Each way retried by itself.

Up to which alert each way has come stands in `detection_positions`, so that a restart neither repeats nor forgets.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import logging
import smtplib
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any, Protocol

import sqlalchemy as sa

from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, ingest, settings_alerts, storage, tables
from lienthong.monitoring import notices, siem_targets

_log = logging.getLogger("lienthong.alerts")
POLL_S = 2.0
TIMEOUT_S = 15.0
BATCH = 100
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0
# An alert becomes visible a little after its id was made; what is younger waits for the next look.
SETTLED = timedelta(seconds=2)
MAIL, WEBHOOK, SYSLOG, CHAT = "mail", "webhook", "syslog", "chat"
_SEVERITIES = ("low", "medium", "high")
# ValueError: an address or header that the libraries refuse is no reason to stop the other ways.
_AWAY = (OSError, http.client.HTTPException, ValueError)
_t, _p, _k = tables.alerts, tables.detection_positions, tables.api_keys


class Way(Protocol):
    """One way to tell people."""

    name: str

    async def tell(self, found: Sequence[notices.Notice]) -> None:
        """Tell of some alerts. Raises OSError or an error of its protocol where they may not have arrived."""
        ...


class Mail:
    """One mail for what is new."""

    name = MAIL

    def __init__(self, chosen: settings_alerts.Alerts, agency: str) -> None:
        self._chosen, self._agency = chosen, agency

    async def tell(self, found: Sequence[notices.Notice]) -> None:
        """Send one mail."""
        await asyncio.to_thread(self._send, found)

    def _send(self, found: Sequence[notices.Notice]) -> None:
        chosen = self._chosen
        message = EmailMessage()
        message["Subject"], text = notices.mail(found, agency=self._agency)
        message["From"], message["To"] = chosen.mail_from, ", ".join(chosen.mail_to)
        message["Date"] = format_datetime(clock.now())
        message["Message-ID"] = make_msgid(found[-1].id, chosen.mail_from.rpartition("@")[2].strip("> ") or None)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        with self._open() as server:
            if chosen.smtp_security == "starttls":
                server.starttls(context=self._tls())
            if chosen.smtp_username:
                password = chosen.smtp_password.get_secret_value() if chosen.smtp_password else ""
                server.login(chosen.smtp_username, password)
            server.send_message(message)

    def _open(self) -> smtplib.SMTP:
        chosen = self._chosen
        if chosen.smtp_security == "tls":
            tls = self._tls()
            return smtplib.SMTP_SSL(chosen.smtp_host, chosen.smtp_port, timeout=TIMEOUT_S, context=tls)
        return smtplib.SMTP(chosen.smtp_host, chosen.smtp_port, timeout=TIMEOUT_S)

    def _tls(self) -> ssl.SSLContext:
        authority = self._chosen.smtp_ca_file
        return ssl.create_default_context(cafile=str(authority) if authority else None)


class Webhook:
    """A POST for each alert, signed as Standard Webhooks has it; the alert's id is the message's."""

    name = WEBHOOK

    def __init__(self, chosen: settings_alerts.Alerts) -> None:
        self._url = chosen.webhook_url
        self._secret = _secret(chosen.webhook_secret.get_secret_value() if chosen.webhook_secret else "")

    async def tell(self, found: Sequence[notices.Notice]) -> None:
        """Post each alert; one that arrived twice has the same id."""
        for notice in found:
            body = json.dumps(notice.as_json(), ensure_ascii=False).encode()
            await asyncio.to_thread(_post, self._url, body, self.signed(notice.id, body, clock.now()))

    def signed(self, message: str, body: bytes, at: datetime) -> dict[str, str]:
        """Give the headers that carry id, time and signature."""
        stamp = str(int(at.timestamp()))
        digest = hmac.new(self._secret, f"{message}.{stamp}.".encode() + body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": signature}


class Syslog:
    """A message of RFC 5424 for each alert."""

    name = SYSLOG

    def __init__(self, target: siem_targets.Target) -> None:
        self._target, self._host = target, socket.gethostname()

    async def tell(self, found: Sequence[notices.Notice]) -> None:
        """Send each alert."""
        await self._target.send([notices.syslog(notice, host=self._host) for notice in found])


class Chat:
    """A webhook of a chat: address, header and body are templates of the operator's."""

    name = CHAT

    def __init__(self, chosen: settings_alerts.Alerts) -> None:
        self._chosen = chosen
        self._token = chosen.template_token.get_secret_value() if chosen.template_token else ""

    async def tell(self, found: Sequence[notices.Notice]) -> None:
        """Send one message about what is new."""
        gravest = max(found, key=lambda it: _SEVERITIES.index(it.severity) if it.severity in _SEVERITIES else 0)
        facts = {
            "text": notices.together(found),
            "severity": gravest.severity,
            "rule": gravest.rule,
            "link": gravest.link,
            "token": self._token,
        }
        token = {"token": self._token}
        url = notices.filled(self._chosen.template_url, token, as_json=False)
        body = notices.filled(self._chosen.template_body, facts, as_json=True).encode()
        name, _, value = self._chosen.template_header.partition(":")
        headers = {name.strip(): notices.filled(value.strip(), token, as_json=False)} if name else {}
        await asyncio.to_thread(_post, url, body, headers)


class _Straight(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: a signed notice is for the address that was set."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """Post JSON; raises OSError for anything but 2xx, without quoting the address, which may hold a token."""
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})  # noqa: S310
    try:
        with urllib.request.build_opener(_Straight).open(asked, timeout=TIMEOUT_S) as answer:
            answer.read(10_000)
    except urllib.error.HTTPError as exc:
        exc.close()
        raise OSError(f"the other side answers {exc.code}") from None


def _secret(text: str) -> bytes:
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError as exc:
        raise errors.Misconfigured(
            "LIENTHONG_ALERTS__WEBHOOK_SECRET begins with whsec_ but is no base64",
            detail_vi="LIENTHONG_ALERTS__WEBHOOK_SECRET bắt đầu bằng whsec_ nhưng không phải base64.",
        ) from exc


def ways(chosen: settings_alerts.Alerts, *, agency: str = "") -> list[Way]:
    """Open every way that is set. Raises Misconfigured, or InvalidRequest for a wrong syslog address."""
    found: list[Way] = []
    if chosen.mail_to:
        found.append(Mail(chosen, agency))
    if chosen.webhook_url:
        found.append(Webhook(chosen))
    if chosen.syslog:
        found.append(Syslog(siem_targets.opened(chosen.syslog, is_syslog=True)))
    if chosen.template_url:
        found.append(Chat(chosen))
    return found


@dataclass(slots=True)
class _Turn:
    """How it stands with one way: when it may be tried again, and since when it fails."""

    way: Way
    after: int | None = None
    pause_s: float = 0.0
    next_at: datetime | None = None
    failing_since: datetime | None = None


class Notifier:
    """Tells of new alerts by every way, each at its own pace. Its steps may be repeated."""

    def __init__(self, hub: Hub, chosen: Sequence[Way]) -> None:
        self._hub, self._settings = hub, hub.settings.alerts
        self._turns = [_Turn(way) for way in chosen]

    async def step(self, now: datetime) -> int:
        """Tell of what is new; gives how many notices went out. Raises StorageUnavailable."""
        told = 0
        for turn in self._turns:
            if turn.after is None:
                turn.after = await self._begin(turn.way.name, now)
            if turn.next_at is None or now >= turn.next_at:
                told += await self._take_turn(turn, now)
        return told

    async def _begin(self, name: str, now: datetime) -> int:
        """Say from where on a way is told; one that is new is not told of what was before it."""
        async with self._hub.storage.reading() as conn:
            row = await storage.first(conn, sa.select(_p.c.number).where(_p.c.node == _place(name)))
        if row is not None:
            return int(row["number"])
        first = int((now - SETTLED).timestamp() * 1000)
        await self._keep(name, first, now)
        return first

    async def _take_turn(self, turn: _Turn, now: datetime) -> int:
        found, upto = await self._new(turn, now)
        if upto is None:
            return 0
        if found:
            try:
                await turn.way.tell(found)
            except _AWAY as exc:
                return await self._failed(turn, found, upto, now, exc)
        turn.pause_s, turn.next_at, turn.failing_since, turn.after = 0.0, None, None, upto
        await self._keep(turn.way.name, upto, now)
        return len(found)

    async def _failed(
        self, turn: _Turn, found: Sequence[notices.Notice], upto: int, now: datetime, exc: Exception
    ) -> int:
        """Wait longer each time; what could not be told for too long is left to the desk."""
        turn.failing_since = turn.failing_since or now
        facts = {"way": turn.way.name, "why": type(exc).__name__, "alerts": len(found)}
        if now - turn.failing_since >= timedelta(hours=self._settings.give_up_hours):
            _log.error("notices of alerts were given up; the alerts are on the desk", extra=facts)
            turn.pause_s, turn.next_at, turn.failing_since, turn.after = 0.0, None, None, upto
            await self._keep(turn.way.name, upto, now)
            return 0
        turn.pause_s = min(max(turn.pause_s * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        turn.next_at = now + timedelta(seconds=turn.pause_s)
        _log.warning("a notice of alerts could not be given; it is tried again", extra=facts)
        return 0

    async def _new(self, turn: _Turn, now: datetime) -> tuple[list[notices.Notice], int | None]:
        """Read what this way was not told of; gives the notices, and up to where they reach."""
        low, high = _floor((turn.after or 0) + 1), _floor(int((now - SETTLED).timestamp() * 1000))
        asked = sa.select(_t, _k.c.prefix, _k.c.organisation.label("whose"))
        asked = asked.join(_k, _k.c.id == _t.c.key_id, isouter=True)
        asked = asked.where(_t.c.id >= low, _t.c.id < high, _t.c.is_test.is_(False)).order_by(_t.c.id)
        async with self._hub.storage.reading() as conn:
            rows = await storage.every(conn, asked.limit(BATCH))
        if not rows:
            return [], None
        least = _SEVERITIES.index(self._settings.least_severity)
        wanted = [row for row in rows if row["state"] == "open" and _SEVERITIES.index(row["severity"]) >= least]
        desk = self._hub.settings.console.public_url
        found = [
            notices.of_alert(row, key=f"{row['prefix']}… {row['whose']}" if row["prefix"] else "", desk=desk)
            for row in wanted
        ]
        return found, made_ms(rows[-1]["id"])

    async def _keep(self, name: str, number: int, now: datetime) -> None:
        values = {"number": number, "at": now}
        async with self._hub.storage.transaction() as tx:
            added = self._hub.storage.insert(_p).values(node=_place(name), **values)
            await tx.execute(added.on_conflict_do_update(index_elements=[_p.c.node], set_=values))


async def sent(store: storage.Storage, chosen: settings_alerts.Alerts, alert_id: str) -> dict[str, bool]:
    """Say for each way that is set whether it has come past an alert."""
    given = {MAIL: chosen.mail_to, WEBHOOK: chosen.webhook_url, SYSLOG: chosen.syslog, CHAT: chosen.template_url}
    names = [name for name, is_set in given.items() if is_set]
    if not names:
        return {}
    asked = sa.select(_p.c.node, _p.c.number).where(_p.c.node.in_([_place(name) for name in names]))
    async with store.reading() as conn:
        reached = {row["node"]: row["number"] for row in await storage.every(conn, asked)}
    return {name: reached.get(_place(name), 0) >= made_ms(alert_id) for name in names}


def made_ms(alert_id: str) -> int:
    """Say when an id was made, in milliseconds since 1970; ids sort by it."""
    return int(alert_id[:8] + alert_id[9:13], 16)


def _floor(ms: int) -> str:
    text = f"{max(ms, 0):012x}"
    return f"{text[:8]}-{text[8:]}-"


def _place(name: str) -> str:
    return f"notices {name}"


async def run(hub: Hub, closing: asyncio.Event, *, poll_s: float = POLL_S) -> None:
    """Tell until closing, in one process of all that share this HOME; nothing where no way is set."""
    chosen = ways(hub.settings.alerts, agency=hub.settings.agency.name)
    if not chosen:
        return
    async with ingest.only_one(hub.settings.home / "notices.lock", closing) as is_ours:
        notifier = Notifier(hub, chosen)
        while is_ours and not closing.is_set():
            try:
                # The ids of alerts are made by the machine's clock, so it is the one that tells what has settled.
                await notifier.step(datetime.now(UTC))
            except errors.StorageUnavailable:
                _log.warning("notices of alerts wait: the database is away")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), poll_s)
