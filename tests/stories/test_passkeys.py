"""Passkeys at the desks: made, used, demanded, lost, copied; and everything that must not pass for one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import builders
import desk
import pytest
import pytest_asyncio
import soft_passkey
import sqlalchemy as sa
from fido2.utils import websafe_encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from soft_passkey import FLAG, Authenticator

from lienthong.console.accounts import passkey_ceremony
from lienthong.console.accounts.register import Role
from lienthong.console.web import app
from lienthong.core import errors, settings_console, storage, tables
from lienthong.monitoring import event_alerts

WITH_PASSKEYS = {"public_url": soft_passkey.ORIGIN, "passkey_domain": soft_passkey.DOMAIN}


class Person(desk.Visitor):
    """Somebody with a browser at https://desk.example."""

    async def asked(self) -> dict[str, Any]:
        """Press the button on the sign-in page."""
        await self.open("/sign-in")
        answer = await self.client.get("/sign-in/passkey")
        assert answer.status_code == 200
        return answer.json()

    async def sign_in_with(self, key: Authenticator, **said: Any) -> int:
        options = await self.asked()
        return await self.present(key.sign_in(options, **said))

    async def present(self, answer: str) -> int:
        sent = await self.send("/sign-in/passkey", answer=answer)
        if sent.status_code == 303:
            await self.open(sent.headers["location"])
        return sent.status_code

    async def begin(self, name: str = "máy cơ quan", password: str = desk.PASSWORD) -> Any:
        await self.open("/own/passkeys")
        return await self.send("/own/passkeys/begin", name=name, password=password)

    async def make(self, key: Authenticator, name: str = "máy cơ quan") -> int:
        begun = await self.begin(name)
        if begun.status_code != 200:
            return int(begun.status_code)
        return int((await self.send("/own/passkeys", answer=key.make(begun.json()), name=name)).status_code)

    async def is_in(self) -> bool:
        await self.open("/")
        return "<h1>Tổng quan</h1>" in self.page


class Stage(desk.Stage):
    @asynccontextmanager
    async def visitor(self, agent: str = desk.BROWSER, address: str = "10.0.0.7") -> AsyncIterator[Person]:
        async with super().visitor(agent, address) as plain:
            plain.client.base_url = soft_passkey.ORIGIN  # type: ignore[assignment]
            yield Person(plain.client, origin=soft_passkey.ORIGIN)

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        async with self.hub.storage.reading() as conn:
            return await storage.every(conn, sa.select(table))

    async def acts(self) -> list[tuple[str, str]]:
        return [(row["act"], row["outcome"]) for row in await self.rows(tables.admin_acts)]


@asynccontextmanager
async def opened(home: Path, url: str, **console: Any) -> AsyncIterator[Stage]:
    time = desk.Time()
    chosen = {**WITH_PASSKEYS, **console}
    async with builders.running_hub(home, database_url=url, now=time, console=chosen) as hub:
        yield Stage(hub, time, app.create_app(hub))


@pytest_asyncio.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[Stage]:
    async with opened(tmp_path / "home", database_url) as found:
        yield found


@pytest_asyncio.fixture
async def lan(stage: Stage) -> AsyncIterator[Authenticator]:
    """Lan's passkey, made at the desk."""
    key = Authenticator()
    async with stage.signed_in("lan", "operator") as visitor:
        assert await visitor.make(key) == 303
    yield key


async def test_a_passkey_opens_the_desk_without_a_name_or_password(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        assert await visitor.sign_in_with(lan) == 303
        assert await visitor.is_in()
    session = [row for row in await stage.rows(tables.sessions) if row["method"] == "passkey"]
    assert len(session) == 1
    (held,) = await stage.rows(tables.passkeys)
    assert (held["counter"], held["last_used_at"]) == (1, stage.time.now)
    assert ("passkeys.add", "done") in await stage.acts()


async def test_it_counts_as_both_steps(tmp_path: Path, database_url: str) -> None:
    async with opened(tmp_path / "home", database_url, totp_required=True) as stage:
        async with stage.signed_in("lan", "operator") as visitor:
            assert not await visitor.is_in()
            key = Authenticator()
            assert await visitor.make(key) == 303
        async with stage.visitor() as visitor:
            await visitor.sign_in_with(key)
            assert await visitor.is_in()


async def test_an_answer_opens_the_desk_once(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        options = await visitor.asked()
        answer = lan.sign_in(options)
        assert await visitor.present(answer) == 303
        await visitor.open("/own")
        await visitor.send("/sign-out")
        visitor.client.cookies.clear()
        await visitor.open("/sign-in")
        assert await visitor.present(answer) == 400
    assert ("sign_in", "refused") in await stage.acts()


async def test_the_same_answer_twice_in_one_visit_opens_it_once(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        answer = lan.sign_in(await visitor.asked())
        page, cookies = visitor.page, dict(visitor.client.cookies)
        assert (await visitor.send("/sign-in/passkey", answer=answer)).status_code == 303
        visitor.client.cookies.clear()
        visitor.client.cookies.update(cookies)
        visitor.page = page
        assert (await visitor.send("/sign-in/passkey", answer=answer)).status_code == 400


async def test_an_answer_that_comes_late_is_refused(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        answer = lan.sign_in(await visitor.asked())
        stage.time.pass_by(minutes=6)
        assert await visitor.present(answer) == 400
        assert "quá muộn" in visitor.last.text  # type: ignore[union-attr]


async def test_a_challenge_of_another_browser_is_refused(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as one, stage.visitor() as other:
        answer = lan.sign_in(await one.asked())
        await other.asked()
        assert await other.present(answer) == 400


async def test_a_challenge_for_making_does_not_sign_anybody_in(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        await visitor.sign_in("lan")
        options = (await visitor.begin()).json()
        assert await visitor.present(lan.sign_in(options)) == 400


BENT: tuple[dict[str, Any], ...] = (
    {"origin": "https://desk.example.evil.example"},
    {"origin": "http://desk.example"},
    {"domain": "evil.example"},
    {"flags": FLAG.UP},
    {"flags": FLAG.UV},
    {"user": b"somebody else"},
    {"credential_id": b"another passkey"},
    {"key": Authenticator().key},
)


async def test_what_is_not_quite_the_passkey_opens_nothing(tmp_path: Path, database_url: str) -> None:
    async with opened(tmp_path / "home", database_url, tries_per_account=50) as stage, stage.visitor() as visitor:
        lan = Authenticator()
        await stage.add("lan", "operator")
        await visitor.sign_in("lan")
        await visitor.make(lan)
        visitor.client.cookies.clear()
        for bent in BENT:
            assert await visitor.sign_in_with(dataclasses.replace(lan, **bent)) == 400, bent
            assert not await visitor.is_in()
        assert await visitor.sign_in_with(lan) == 303


async def test_an_answer_made_inside_another_sites_page_opens_nothing(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        assert await visitor.sign_in_with(lan, cross_origin=True) == 400


async def test_a_copied_passkey_is_refused_and_an_alert_tells_of_it(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        lan.counter = 40
        assert await visitor.sign_in_with(lan) == 303
    lan.counter = 30
    async with stage.visitor() as thief:
        assert await thief.sign_in_with(lan) == 400
    (told,) = [row for row in await stage.rows(tables.events) if row["kind"] == passkey_ceremony.COPIED]
    finding = event_alerts.of_event(told)
    assert finding is not None
    assert finding.rule == "copied_passkey"
    assert (await stage.rows(tables.passkeys))[0]["counter"] == 41


async def test_an_authenticator_that_does_not_count_may_come_back(stage: Stage, lan: Authenticator) -> None:
    lan.step = 0
    for _ in range(2):
        async with stage.visitor() as visitor:
            assert await visitor.sign_in_with(lan) == 303


async def test_a_shut_account_does_not_open_with_its_passkey(stage: Stage, lan: Authenticator) -> None:
    account = next(row for row in await stage.rows(tables.accounts) if row["name"] == "lan")
    async with stage.signed_in("quan", "administrator") as quan:
        await quan.open(f"/accounts/{account['id']}")
        assert "máy cơ quan" in quan.page
        await quan.send(f"/accounts/{account['id']}/disable", reason="nghỉ việc")
    async with stage.visitor() as visitor:
        assert await visitor.sign_in_with(lan) == 400


async def test_an_administrator_takes_lost_passkeys_away(stage: Stage, lan: Authenticator) -> None:
    account = next(row for row in await stage.rows(tables.accounts) if row["name"] == "lan")
    async with stage.visitor() as visitor, stage.signed_in("quan", "administrator") as quan:
        await visitor.sign_in_with(lan)
        await quan.open(f"/accounts/{account['id']}")
        assert (await quan.send(f"/accounts/{account['id']}/passkeys", reason="")).status_code == 400
        assert (await quan.send(f"/accounts/{account['id']}/passkeys", reason="mất máy")).status_code == 303
        assert not await visitor.is_in()
        assert await visitor.sign_in_with(lan) == 400
    assert await stage.rows(tables.passkeys) == []
    assert ("accounts.passkeys", "done") in await stage.acts()


# ---------------------------------------------------------------------- making, renaming, removing


async def test_making_one_asks_for_the_password_and_ends_other_sessions(stage: Stage) -> None:
    async with stage.signed_in("lan", "operator") as visitor, stage.visitor() as other:
        await other.sign_in("lan")
        assert (await visitor.begin(password="not the password")).status_code == 400
        assert (await visitor.begin(name="")).status_code == 400
        assert await visitor.make(Authenticator()) == 303
        assert await visitor.is_in()
        assert not await other.is_in()


async def test_a_passkey_is_not_made_without_the_desk_asking_for_it(stage: Stage) -> None:
    async with stage.signed_in("lan", "operator") as visitor:
        begun = (await visitor.begin()).json()
        begun["publicKey"]["challenge"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        sent = await visitor.send("/own/passkeys", answer=Authenticator().make(begun), name="x")
        assert sent.status_code == 400
        for bent in ({"flags": FLAG.UP}, {"origin": "https://evil.example"}, {"domain": "evil.example"}):
            begun = (await visitor.begin()).json()
            sent = await visitor.send("/own/passkeys", answer=Authenticator(**bent).make(begun), name="x")
            assert sent.status_code == 400, bent
    assert await stage.rows(tables.passkeys) == []


async def test_the_browser_is_told_which_devices_hold_one_already(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        await visitor.sign_in_with(lan)
        begun = (await visitor.begin("lại")).json()
        assert len(begun["publicKey"]["excludeCredentials"]) == 1
        again = await visitor.send("/own/passkeys", answer=lan.make(begun), name="lại")
        assert again.status_code == 409


async def test_one_renames_and_removes_ones_own_and_nobody_elses(stage: Stage, lan: Authenticator) -> None:
    (held,) = await stage.rows(tables.passkeys)
    path = f"/own/passkeys/{held['id']}"
    async with stage.signed_in("minh", "operator") as minh:
        await minh.open("/own/passkeys")
        for what, fields in (("rename", {"name": "của tôi"}), ("remove", {"password": desk.PASSWORD})):
            assert (await minh.send(f"{path}/{what}", **fields)).status_code == 404
    async with stage.visitor() as visitor:
        await visitor.sign_in_with(lan)
        await visitor.open("/own/passkeys")
        assert (await visitor.send(f"{path}/rename", name="<b>máy</b>")).status_code == 303
        await visitor.open("/own/passkeys")
        assert "<b>máy" not in visitor.page
        assert (await visitor.send(f"{path}/rename", name="điện thoại")).status_code == 303
        await visitor.open("/own/passkeys")
        assert "điện thoại" in visitor.page
        assert (await visitor.send(f"{path}/remove", password="wrong")).status_code == 400
        assert (await visitor.send(f"{path}/remove", password=desk.PASSWORD)).status_code == 303
        assert await visitor.sign_in_with(lan) == 400
    done = {act for act, outcome in await stage.acts() if outcome == "done"}
    assert {"passkeys.add", "passkeys.rename", "passkeys.remove"} <= done


# ---------------------------------------------------------------------- demanded of a role


@pytest_asyncio.fixture
async def strict(tmp_path: Path, database_url: str) -> AsyncIterator[Stage]:
    async with opened(tmp_path / "home", database_url, passkey_roles=["administrator"]) as found:
        yield found


async def test_a_role_that_needs_a_passkey_makes_one_before_anything_else(strict: Stage) -> None:
    key = Authenticator()
    async with strict.signed_in("quan", "administrator") as visitor:
        assert not await visitor.is_in()
        assert "hãy thêm một passkey" in visitor.page
        assert await visitor.make(key) == 303
        assert not await visitor.is_in(), "the password alone is still not enough"
    async with strict.visitor() as visitor:
        await visitor.sign_in_with(key)
        assert await visitor.is_in()
    async with strict.signed_in("lan", "operator") as lan:
        assert await lan.is_in()


async def test_a_stolen_password_of_that_role_makes_no_passkey_and_removes_none(strict: Stage) -> None:
    key = Authenticator()
    async with strict.signed_in("quan", "administrator") as visitor:
        await visitor.make(key)
    (held,) = await strict.rows(tables.passkeys)
    async with strict.visitor() as thief:
        await thief.sign_in("quan")
        assert (await thief.begin()).status_code == 403
        await thief.open("/own/passkeys")
        path = f"/own/passkeys/{held['id']}"
        assert (await thief.send(f"{path}/remove", password=desk.PASSWORD)).status_code == 403
        assert (await thief.send("/own/passkeys", answer="{}", name="x")).status_code == 403
    assert len(await strict.rows(tables.passkeys)) == 1


async def test_the_last_passkey_of_that_role_stays(strict: Stage) -> None:
    key = Authenticator()
    async with strict.signed_in("quan", "administrator") as visitor:
        await visitor.make(key)
    (held,) = await strict.rows(tables.passkeys)
    async with strict.visitor() as visitor:
        await visitor.sign_in_with(key)
        await visitor.open("/own/passkeys")
        sent = await visitor.send(f"/own/passkeys/{held['id']}/remove", password=desk.PASSWORD)
        assert sent.status_code == 409


async def test_a_first_password_is_changed_before_a_passkey_is_made(stage: Stage) -> None:
    await stage.add("moi", "operator", must_change=True)
    async with stage.visitor() as visitor:
        await visitor.sign_in("moi")
        sent = await visitor.send("/own/passkeys/begin", name="x", password=desk.PASSWORD)
        assert sent.headers["location"] == "/own"


# ---------------------------------------------------------------------- what is offered, and forged posts


async def test_without_a_domain_nothing_is_offered(tmp_path: Path, database_url: str) -> None:
    async with opened(tmp_path / "home", database_url, passkey_domain="") as stage, stage.visitor() as visitor:
        await visitor.open("/sign-in")
        assert "passkey" not in visitor.page
        assert (await visitor.client.get("/sign-in/passkey")).status_code == 404
        assert (await visitor.send("/sign-in/passkey", answer="{}")).status_code == 404


async def test_forms_of_passkeys_need_their_token_and_our_origin(stage: Stage, lan: Authenticator) -> None:
    async with stage.visitor() as visitor:
        answer = lan.sign_in(await visitor.asked())
        assert (await visitor.send("/sign-in/passkey", token="0" * 64, answer=answer)).status_code == 403
        await visitor.sign_in("lan")
        await visitor.open("/own/passkeys")
        for path in ("/own/passkeys/begin", "/own/passkeys"):
            assert (await visitor.send(path, token="0" * 64, name="x", answer=answer)).status_code == 403
        visitor.origin = "https://evil.example"
        assert (await visitor.begin()).status_code == 403


async def test_too_many_failures_must_wait(tmp_path: Path, database_url: str) -> None:
    async with opened(tmp_path / "home", database_url, tries_per_address=4) as stage, stage.visitor() as visitor:
        key = Authenticator(credential_id=b"nobody has it")
        key.user = b"nobody"
        codes = [await visitor.sign_in_with(key) for _ in range(5)]
    assert codes == [400] * 4 + [429]


@pytest.mark.parametrize(
    ("chosen", "word"),
    [
        ({"passkey_domain": "desk.example"}, "domain of public_url"),
        ({"passkey_domain": "example", "public_url": "https://desk.example"}, "must be a domain"),
        ({"passkey_domain": "127.0.0.1", "public_url": "http://127.0.0.1:8081"}, "must be a domain"),
        ({"passkey_domain": "desk.example", "public_url": "http://desk.example"}, "https"),
        ({"passkey_roles": ["administrator"]}, "needs passkey_domain"),
    ],
)
def test_settings_that_no_browser_would_accept_stop_the_start(chosen: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        settings_console.Console(**chosen)


async def test_a_role_that_does_not_exist_stops_the_start(stage: Stage) -> None:
    chosen = stage.hub.settings.console.model_copy(update={"passkey_roles": ("administrators",)})
    stage.hub.settings = stage.hub.settings.model_copy(update={"console": chosen})
    with pytest.raises(errors.Misconfigured) as caught:
        app.create_app(stage.hub)
    assert "administrators" in str(caught.value)
    assert Role.ADMINISTRATOR in str(caught.value)


SOUND = Authenticator(user=b"x").sign_in({"publicKey": {"challenge": "AAAA"}})


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_posted_is_read_or_refused_in_words(data: st.DataObject) -> None:
    told = json.loads(SOUND)
    junk = st.one_of(st.none(), st.text(max_size=40), st.integers(), st.lists(st.integers(), max_size=3))
    where = data.draw(st.sampled_from([*told, *told["response"]]))
    (told if where in told else told["response"])[where] = data.draw(junk)
    at = data.draw(st.integers(0, len(SOUND)))
    for posted in (json.dumps(told), SOUND[:at] + data.draw(st.text(max_size=5)) + SOUND[at + 3 :]):
        with contextlib.suppress(errors.InvalidRequest):
            passkey_ceremony.read(posted)


@pytest.mark.parametrize("where", ["rawId", "clientDataJSON", "authenticatorData", "signature", "userHandle"])
def test_a_number_posted_for_bytes_asked_for_as_much_memory(where: str) -> None:
    told = json.loads(SOUND)
    (told if where in told else told["response"])[where] = 10**12
    with pytest.raises(errors.InvalidRequest):
        passkey_ceremony.read(json.dumps(told))


async def test_nonsense_is_refused_in_words(stage: Stage) -> None:
    async with stage.visitor() as visitor:
        posts = ("", "[]", "null", "{}", "x" * 30_000, '{"rawId": 1}', '{"rawId": "AA", "response": []}')
        for posted in posts:
            await visitor.asked()
            assert await visitor.present(posted) == 400
            assert "không xác minh được" in visitor.last.text  # type: ignore[union-attr]


async def test_what_an_authenticator_may_say_of_itself_is_not_believed(stage: Stage) -> None:
    """CBOR nested without end, cut off, or of something else: refused in words, and nothing is kept."""
    async with stage.signed_in("lan", "operator") as visitor:
        for junk in (b"", b"\x81" * 5000, b"\xa0", b"\xa3cfmtdnonegattStmt\xa0hauthDataX\x05abcde", b"\x00"):
            told = json.loads(Authenticator().make((await visitor.begin()).json()))
            told["response"]["attestationObject"] = websafe_encode(junk)
            sent = await visitor.send("/own/passkeys", answer=json.dumps(told), name="x")
            assert sent.status_code == 400, junk[:20]
    assert await stage.rows(tables.passkeys) == []
