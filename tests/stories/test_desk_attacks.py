"""Attacks on the desks by raw requests: what is no address, number, day or text, forged headers, stored HTML."""

from __future__ import annotations

import asyncio
import html.parser
import logging
import re
import string
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path

import builders
import desk
import httpx
import pyotp
import pytest
import pytest_asyncio
import record
import sqlalchemy as sa

from lienthong.console.accounts.register import Role
from lienthong.console.web import app, listing, places
from lienthong.console.web.words import Words
from lienthong.core import journal, tables

WEB = Path(app.__file__).parent
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
ATTRIBUTE = '" autofocus onfocus="alert(1)" style="x" hx-get="/x" data-load="//evil.example'
NEW = "mot-mat-khau-moi-khac"
# What no field, address or page number of ours can be.
NONSENSE = {
    "a NUL": "\x00",
    "digits of another kind": "²",
    "more digits than a number has": "9" * 40,
    "more text than a column has": "ạ" + "a" * 1100,
    "a time before all calendars": "0001-01-01T00:00:00+14:00",
    "a day after all calendars": "9999-12-31",
    "no number": "-1e999",
    "a way out of the folder": "../../../etc/passwd",
    "a placeholder": "{0.__class__}%s",
    "html": EVIL,
    "half a letter": "%ED%A0%80",
    "an id of no time": "ffffffff-ffff-7fff-bfff-ffffffffffff",
}
# Of these a database may think otherwise than another.
_STORED = ("a NUL", "more digits than a number has", "more text than a column has", "half a letter")
# They would end the session, or take the time that checking a password takes.
_LEFT_OUT = {"sign_out", "sign_in.try", "own.password", "own.sessions.end"}


TRIES = {"tries_per_account": 3, "tries_per_address": 6}


@pytest_asyncio.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    async with desk.opened(tmp_path, database_url=database_url, console=TRIES) as opened:
        yield opened


def token_of(page: str) -> str:
    found = re.search(r'name="_form" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


def asked_names() -> list[str]:
    """Name every field of a form or an address that some page knows."""
    found: set[str] = {"after", "sort", "hide", "from", "to", "range", "part", "version", "story", "open"}
    for path in WEB.rglob("*.html"):
        found |= set(re.findall(r'\bname="([a-z_]+)"', path.read_text(encoding="utf-8")))
    for path in WEB.rglob("*.py"):
        found |= set(re.findall(r"""\b(?:text|texts|get)\(['"]([a-z_]+)['"]""", path.read_text(encoding="utf-8")))
    return sorted(found - {"export", "_form"})


def path_of(name: str, part: str) -> str:
    path = places.PLACES[name].path
    names = {named for _, named, _, _ in string.Formatter().parse(path) if named}
    return path.format(**dict.fromkeys(names, urllib.parse.quote(part, safe="")))


# ------------------------------------------------------------------------------------------------- nonsense


@pytest.mark.parametrize("kind", _STORED)
async def test_nothing_that_is_sent_is_a_defect(stage: desk.Stage, kind: str) -> None:
    await send_everywhere(stage, kind)


@pytest.mark.parametrize("kind", sorted(NONSENSE.keys() - set(_STORED)))
async def test_nothing_that_never_reaches_a_database_is_a_defect(tmp_path: Path, kind: str) -> None:
    async with desk.opened(tmp_path) as stage:
        await send_everywhere(stage, kind)


async def send_everywhere(stage: desk.Stage, kind: str) -> None:
    """Put nonsense of a kind into every part of every address and every field of every form."""
    value, names = NONSENSE[kind], asked_names()
    query = urllib.parse.urlencode(dict.fromkeys(names, value[:40]))
    known = (await builders.issue_key(stage.hub)).record.id
    async with stage.signed_in("moi", *Role) as visitor:
        token = token_of(visitor.page)
        for name in places.PLACES.keys() - _LEFT_OUT:
            for path in {path_of(name, part) for part in (value[:300], known)}:
                if places.PLACES[name].kind == "page":
                    answer = await visitor.client.get(f"{path}?{query}")
                else:
                    answer = await visitor.send(path, token=token, **dict.fromkeys(names, value))
                assert answer.status_code < 500 or answer.status_code == 503, f"{name}: {answer.status_code}"
                assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], name
                kept = answer.headers["cache-control"]
                assert kept == "no-store" or name in ("fonts", "font"), f"{name}: {kept}"


async def test_a_text_that_is_too_long_in_a_form_that_is_right_is_refused_or_cut(stage: desk.Stage) -> None:
    long, span = "ạ" * 6000, {"span": "1h"}
    await builders.seed_procedure(stage.hub)
    key = (await builders.issue_key(stage.hub)).record.id
    other = (await stage.add("other", "operator")).id
    async with stage.signed_in("moi", *Role) as visitor:
        token = token_of(visitor.page)
        official = {"code": "CB1", "full_name": "Lê Mẫu", "account": "a", "phone": "0900000123", "procedures": "*"}
        official |= {"unit_code": "000.00.15.H38", "valid_from": "15/01/2026", "valid_until": "31/12/2026"}
        await visitor.send("/officials", token=token, **official, reason="CV 761")
        window = {"begins_at": "10/03/2026 10:00", "ends_at": "10/03/2026 11:00"}
        days = {"first": "01/01/2025", "last": "31/12/2025"}
        order = {"organisation": "Sở A", "system": "s", "custodian": "Lê Mẫu", "grants": "procedures.search"}
        order |= {"limits": "10/minute", "expires": "30d"}
        rule = {"mode": "on", "least_score": "0", "response": "throttle", "minutes": "5", "limit": "10/minute"}
        forms: list[tuple[str, dict[str, str], tuple[str, ...]]] = [
            ("/views", {"place": "records", "name": "x", "query": "a=b"}, ("place", "name", "query")),
            (
                "/officials/CB1/change",
                {"position": "x", "reason": "CV"},
                ("position", "unit_name", "email", "reason"),
            ),
            ("/exceptions", {"official": "CB1", "dossier": "H38-1", "until": "31/03/2026"}, ("dossier", "reason")),
            ("/exceptions", {"official": "CB1", "until": "31/03/2026", "reason": "CV 1"}, ("unit",)),
            (
                "/lookup-rules",
                {"procedure": "1.000001", "reason": "CV 1"},
                ("procedure", "service_code", "reason"),
            ),
            ("/keys", order, (*order, "contact", "purpose", "decision_number", "addresses", "hours", "services")),
            (
                f"/keys/{key}/limit",
                {"limits": "9/minute", "reason": "CV"},
                ("limits", "addresses", "hours", "reason"),
            ),
            (f"/keys/{key}/suspend", {}, ("reason",)),
            (f"/accounts/{other}/roles", {"roles": "operator"}, ("reason", "roles")),
            (
                "/accounts",
                {"name": "n", "full_name": "Lê", "roles": "operator", "password": NEW},
                ("name", "full_name"),
            ),
            ("/systems/dvcqg_adapter/maintenance", window, ("reason",)),
            ("/silences", {"rule": "off_hours", **span}, ("reason", "rule")),
            ("/rules/off_hours", {**rule, "reason": "CV 1"}, ("reason", "limit", "response", "mode")),
            ("/seals/verify", {}, ("reason",)),
            ("/reviews", days, ("reason",)),
            ("/people", {"number": "001099000001", "reason": "khiếu nại"}, ("reason",)),
            (
                "/reveal",
                {"source": "official.contact", "subject": "CB1", "reason": "khiếu nại"},
                ("subject", "reason"),
            ),
            ("/search", {}, ("q",)),
            ("/officials/export", {"reason": "CV 1"}, ("reason", "unit")),
        ]
        faults = []
        for path, fields, names in forms:
            for name in names:
                try:
                    await visitor.send(path, token=token, **{**fields, name: long})
                except sa.exc.DBAPIError:
                    faults.append(f"{path} {name}")
        assert faults == []


@pytest.mark.parametrize("host", ["[", "127.0.0.1:x", "[::1", "a b", "127.0.0.1@evil.example", "", "localhost."])
async def test_a_host_that_is_no_address_was_answered_with_a_bare_fault(stage: desk.Stage, host: str) -> None:
    async with stage.visitor() as visitor:
        answer = await visitor.client.get("/sign-in", headers={"host": host})
    assert answer.status_code in (200, 421)
    assert (answer.status_code == 200) == host.startswith("127.0.0.1:")
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("headers", [{"referer": "http://["}, {"origin": "http://["}, {"referer": "//:"}])
async def test_a_referer_that_is_no_address_was_a_defect(stage: desk.Stage, headers: dict[str, str]) -> None:
    async with stage.visitor() as visitor:
        await visitor.open("/sign-in")
        fields = {"_form": token_of(visitor.page), "name": "lan", "password": desk.PASSWORD}
        answer = await visitor.client.post("/sign-in", data=fields, headers=headers)
    assert answer.status_code == 403


async def test_a_time_of_all_calendars_is_not_counted_through(stage: desk.Stage) -> None:
    await record.put(stage.hub, record.of_days(stage.hub.settings.home, days=1, a_day=3))
    span = "from=0001-01-01T00:00:00&to=9999-12-31T23:59:59"
    async with stage.signed_in("lan", "security_officer", "administrator") as lan:
        for path in (f"/records?{span}", f"/records/tops?{span}", f"/trail?{span}"):
            assert (await lan.open(path)).status_code == 200, path
        backwards = "from=2026-03-09T00:00:00&to=2026-03-01T00:00:00"
        assert (await lan.open(f"/records?{backwards}")).status_code == 200


@pytest.mark.parametrize("field", ["from", "to"])
async def test_evidence_of_a_time_that_cannot_be_is_refused_in_words(stage: desk.Stage, field: str) -> None:
    given = {"from": "08/03/2026 00:00", "to": "09/03/2026 00:00", field: "0001-01-01T00:00"}
    async with stage.signed_in("lan", "security_officer") as lan:
        answer = await lan.send("/records/export", reason="vụ việc 12", **given)
    assert answer.status_code == 400
    assert "31/12/2026 17:00" in answer.text


async def test_an_odd_way_of_asking_reaches_no_place(stage: desk.Stage) -> None:
    async with stage.signed_in("quan", *Role) as visitor:
        token = token_of(visitor.page)
        before = len(await stage.rows(tables.admin_acts))
        for name, place in places.PLACES.items():
            path = path_of(name, "nothing")
            for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"):
                answer = await visitor.client.request(method, path, headers={"origin": desk.URL})
                assert answer.status_code == 405, f"{method} {name}"
            if place.kind == "act" and name not in places.ONLY_ONES_OWN:
                odd = {"x-http-method-override": "POST", "x-http-method": "POST", "origin": desk.URL}
                asked = {"_method": "POST", "_form": token, "reason": "a test"}
                answer = await visitor.client.get(path, params=asked, headers=odd)
                assert answer.status_code in (200, 303, 404), name
        seen = await stage.rows(tables.admin_acts)
    assert {row["act"] for row in seen[before:]} <= {"journal.search", "journal.count", "journal.read"}


# ------------------------------------------------------------------------------------------------- signing in


async def test_forged_forwarding_does_not_evade_the_limit_of_tries(stage: desk.Stage) -> None:
    await stage.add("lan", "operator")
    codes = []
    async with stage.visitor() as visitor:
        for number in range(4):
            await visitor.open("/sign-in")
            fields = {"_form": token_of(visitor.page), "name": "lan", "password": "wrong-password"}
            forged = {"x-forwarded-for": f"10.9.8.{number}", "forwarded": f"for=10.9.8.{number}"}
            answer = await visitor.client.post("/sign-in", data=fields, headers={"origin": desk.URL, **forged})
            codes.append(answer.status_code)
    assert codes == [400, 400, 400, 429]
    assert {row["address"] for row in await stage.rows(tables.sign_in_tries)} == {"10.0.0.7"}


async def test_one_network_of_ipv6_had_an_address_for_each_try(stage: desk.Stage) -> None:
    codes = []
    for number in range(7):
        async with stage.visitor(address=f"2001:db8:1:2::{number + 1:x}") as visitor:
            codes.append((await visitor.sign_in(f"name{number}", "wrong-password")).status_code)
    assert codes == [400] * 6 + [429]
    async with stage.visitor(address="2001:db8:1:3::1") as neighbour:
        assert (await neighbour.sign_in("name", "wrong-password")).status_code == 400


async def test_many_tries_at_once_do_not_slip_under_the_limit(stage: desk.Stage) -> None:
    await stage.add("lan", "operator")
    async with stage.visitor() as visitor:
        await visitor.open("/sign-in")
        tries = (visitor.send("/sign-in", name="lan", password=f"wrong-password-{it}") for it in range(6))
        codes = sorted(answer.status_code for answer in await asyncio.gather(*tries))
    assert codes == [400] * 3 + [429] * 3


async def test_an_open_browser_let_passwords_be_tried_without_end(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        asked = {"new": NEW, "again": NEW}
        codes = [(await lan.send("/own/password", old=f"wrong-{it}", **asked)).status_code for it in range(4)]
        assert codes == [400, 400, 400, 429]
        assert (await lan.send("/own/password", old=desk.PASSWORD, **asked)).status_code == 429
    async with stage.visitor() as thief:
        assert (await thief.sign_in("lan", NEW)).status_code == 429
    stage.time.pass_by(minutes=16)
    async with stage.visitor() as lan:
        await lan.sign_in("lan")
        assert (await lan.send("/own/password", old=desk.PASSWORD, **asked)).status_code == 303


async def test_a_new_password_ends_the_other_sessions(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.visitor() as thief:
        await thief.sign_in("lan")
        await lan.open("/own")
        await lan.send("/own/password", old=desk.PASSWORD, new=NEW, again=NEW)
        assert (await thief.client.get("/")).headers["location"].startswith("/sign-in")
        assert (await lan.client.get("/")).status_code == 200


async def test_the_secret_of_anothers_second_step_is_not_taken(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.signed_in("minh", "operator") as minh:
        await lan.open("/own/second-step")
        held = re.search(r'name="held" value="([0-9a-f]+)"', lan.page)
        assert held
        await minh.open("/own/second-step")
        answer = await minh.send("/own/second-step", held=held[1], password=desk.PASSWORD, code="123456")
        assert answer.status_code == 400
    assert {row["totp_secret"] for row in await stage.rows(tables.accounts)} == {None}


async def test_a_stolen_session_with_the_password_was_enough_to_put_another_telephone_in(
    stage: desk.Stage,
) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        codes: list[str] = []
        for present in (None, "000000", "recovery"):
            await lan.open("/own/second-step")
            held = re.search(r'name="held" value="([0-9a-f]+)"', lan.page)
            secret = re.search(r"<code>([A-Z2-7 ]{32,})</code>", lan.page)
            assert held
            assert secret
            code = pyotp.TOTP(secret[1].replace(" ", "")).at(stage.time.now)
            fields = {"held": held[1], "password": desk.PASSWORD, "code": code}
            fields |= {"present": codes[0] if present == "recovery" else present} if present else {}
            answer = await lan.send("/own/second-step", **fields)
            assert answer.status_code == (400 if present == "000000" else 200), present
            if present is None:
                codes = re.findall(r"<code>((?:[a-z2-7]{4}-){3}[a-z2-7]{4})</code>", answer.text)


async def test_what_is_ones_own_is_not_touched_by_another(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "security_officer") as lan, stage.signed_in("minh", "operator") as minh:
        await lan.send("/views", place="records", name="của tôi", query="outcome=ok", to="/records")
        (view,) = await stage.rows(tables.saved_views)
        session = next(row for row in await stage.rows(tables.sessions) if row["account_id"] == view["account_id"])
        await minh.open("/own")
        await minh.send("/views/drop", view=view["id"])
        await minh.send("/own/sessions/end", session=session["id"])
        assert (await lan.client.get("/")).status_code == 200
    assert await stage.rows(tables.saved_views)


# ------------------------------------------------------------------------------------------------- answers


async def test_a_cookie_stood_on_answers_that_anybody_may_keep(stage: desk.Stage) -> None:
    for path in ("/static/fonts.css", "/static/desk.css", "/health/live"):
        async with stage.visitor() as visitor:
            answer = await visitor.client.get(path)
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers, path


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "/đi?a=đ"]
)
async def test_no_way_back_leads_elsewhere(stage: desk.Stage, to: str) -> None:
    async with stage.signed_in("lan", "security_officer") as lan:
        for path, fields in (("/looks", {"language": "en"}), ("/views", {"place": "records", "name": "x"})):
            for headers in ({}, {"x-desk-form": "1"}):
                data = {"_form": token_of(lan.page), "to": to, **fields}
                answer = await lan.client.post(path, data=data, headers={"origin": desk.URL, **headers})
                there = answer.headers.get("location") or answer.headers.get("x-desk-go", "")
                assert answer.status_code in (200, 303)
                assert there.startswith("/")
                assert "evil" not in there


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "＝", "＋", "－", "＠"])
def test_a_spreadsheet_takes_nothing_for_a_formula(begin: str) -> None:
    columns = (listing.Column("name", "accounts.name"),)
    made = listing.Listing("x", columns, [{"name": f"{begin}cmd|'/c calc'!A1"}], "/")
    cell = made.csv(Words("vi")).decode("utf-8-sig").split("\r\n", 1)[1]
    assert cell.lstrip('"').startswith("'")


class _Elements(html.parser.HTMLParser):
    """Collects what a page makes the browser do."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_address = name in ("href", "src", "action", "data-load", "data-ask", "formaction")
            leads_out = is_address and not re.match(r"/(?!/)|#", value or "#")
            if tag == "a" and (value or "").startswith("otpauth://totp/"):
                leads_out = False  # to the authenticator on the same telephone, with one's own new secret
            if name.startswith(("on", "hx-")) or name == "style" or leads_out:
                self.faults.append(f"<{tag} {name}={value!r}>")
        if tag in ("script", "img", "iframe", "object", "base", "meta") and dict(attrs).get("http-equiv"):
            self.faults.append(tag)


@pytest.mark.parametrize("evil", [EVIL, ATTRIBUTE])
async def test_what_is_stored_becomes_no_element_and_no_attribute(stage: desk.Stage, evil: str) -> None:
    key = await builders.issue_key(stage.hub, organisation=evil)
    await builders.seed_procedure(stage.hub, name=f"Đăng ký {evil}")
    async with stage.hub.storage.transaction() as tx:
        now = stage.time.now
        await journal.write_act(tx, evil[:60], evil[:200], actor=evil, now=now, reason=evil, after={evil: evil})
        target = {"name": evil[:40], "state": "paused", "reason": evil, "failures_in_row": 0, "changed_at": now}
        await tx.execute(tables.targets.insert().values(target))
        run = {"id": "run", "source": evil[:40], "state": "held", "full": True, "started_at": now, "counts": {}}
        await tx.execute(tables.sync_runs.insert().values(**run, held=evil, note=evil))
    official = {
        "code": "CB1",
        "full_name": evil[:90],
        "account": "a",
        "unit_name": evil[:90],
        "position": evil[:90],
    }
    official |= {"phone": "0900000123", "unit_code": "000.00.15.H38", "procedures": "*"}
    days = {"valid_from": "15/01/2026", "valid_until": "31/12/2026"}
    await stage.add("quan", *Role)
    async with stage.visitor(agent=evil) as visitor:
        await visitor.sign_in("quan")
        await visitor.send("/officials", reason=evil[:90], **official, **days)
        await visitor.send("/views", place="records", name=evil[:90], query="outcome=ok")
        await visitor.send(f"/keys/{key.record.id}/suspend", reason=evil)
        for name, place in places.PLACES.items():
            if place.kind != "page" or name in ("font", "sign_in.outside"):
                continue
            for part in (key.record.id, evil[:40], "1.000001", "run", "CB1"):
                answer = await visitor.client.get(path_of(name, part), params={"q": evil[:60], "state": evil[:60]})
                found = _Elements()
                found.feed(answer.text)
                assert found.faults == [], name
                assert "<script>alert" not in answer.text, name
                assert "<img src=x" not in answer.text, name


async def test_no_secret_is_in_a_log_line(stage: desk.Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="lienthong")
    async with stage.signed_in("lan", *Role) as lan:
        await lan.sign_in("lan", "wrong-password-typed")
        cookie = lan.cookie
        await lan.send("/search", q="001099000001")
        await lan.send("/people", number="001099000001", reason="khiếu nại 12")
        await lan.send("/own/password", old="another-wrong-one", new=NEW, again=NEW)
    for secret in (desk.PASSWORD, "wrong-password-typed", "another-wrong-one", NEW, cookie, "001099000001"):
        assert secret not in caplog.text


async def test_a_statement_that_failed_told_the_log_what_it_was_given(stage: desk.Stage) -> None:
    async with stage.hub.storage.reading() as conn:
        with pytest.raises(sa.exc.DBAPIError) as caught:
            await conn.execute(sa.text("SELECT no_such_function(:name)"), {"name": "Nguyễn Thị Kín"})
    assert "Nguyễn Thị Kín" not in str(caught.value)


async def test_whose_number_was_asked_for_is_told_only_to_who_may_ask(stage: desk.Stage) -> None:
    for name, may in (("quan", "administrator"), ("khoa", "key_manager"), ("antoan", "security_officer")):
        async with stage.signed_in(name, may) as visitor:
            answer = await visitor.send("/search", q="001099000001")
            found: httpx.Response = await visitor.open(answer.headers["location"])
            assert found.status_code == 200
            assert ('name="number"' in visitor.page) == (may == "security_officer"), may
