"""Signing in at the desks: password, second step, recovery codes, identity provider, limits, ends of sessions."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import builders
import desk
import pyotp
import pytest
import pytest_asyncio
import sqlalchemy as sa

from lienthong.api_keys import acts
from lienthong.console.accounts import passwords, register
from lienthong.core import errors, people, storage, tables

WRONG = "không đúng"


class Provider:
    """An identity provider that vouches for whoever comes back with its code."""

    name = "dvcqg_sso"
    key = "001099000001"

    def sign_in_address(self, *, redirect_uri: str, state: str, nonce: str, code_challenge: str) -> str:
        return f"https://sso.example.invalid/authorize?state={state}&to={redirect_uri}&challenge={code_challenge}"

    async def exchange_code(
        self, code: str, *, redirect_uri: str, nonce: str, code_verifier: str
    ) -> people.SignedIn:
        if code != "good":
            raise errors.RemoteRefused("used", detail_vi="Mã đã dùng.", system=self.name)
        identity = people.Identity(
            subject="s1", kind="individual", key=self.key, citizen_id=self.key, shape="dvcqg"
        )
        return people.SignedIn(identity=identity, expires_at=desk.NOW)

    def sign_out_address(self, *, id_token: str, redirect_uri: str) -> str:
        return ""

    async def close(self) -> None:
        return None


@pytest_asyncio.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    time = desk.Time()
    async with builders.running_hub(
        tmp_path / "home",
        database_url=database_url,
        now=time,
        console={"identity_provider": "dvcqg_sso", "tries_per_account": 3, "tries_per_address": 6},
    ) as hub:
        hub.systems = {"dvcqg_sso": Provider()}  # type: ignore[dict-item]
        yield desk.stage(hub, time)


async def trail(stage: desk.Stage) -> list[dict[str, Any]]:
    async with stage.hub.storage.reading() as conn:
        return await storage.every(conn, sa.select(tables.admin_acts).order_by(tables.admin_acts.c.number))


async def with_second_step(visitor: desk.Visitor, time: desk.Time) -> tuple[pyotp.TOTP, list[str]]:
    """Set the second step up as a person does, from the page."""
    await visitor.open("/own/second-step")
    secret = re.search(r"<code>([A-Z2-7 ]{32,})</code>", visitor.page)
    held = re.search(r'name="held" value="([0-9a-f]+)"', visitor.page)
    assert secret
    assert held
    totp = pyotp.TOTP(secret[1].replace(" ", ""))
    answer = await visitor.send("/own/second-step", held=held[1], password=desk.PASSWORD, code=totp.at(time.now))
    assert answer.status_code == 200
    return totp, re.findall(r"<code>((?:[a-z2-7]{4}-){3}[a-z2-7]{4})</code>", answer.text)


async def test_a_person_signs_in_works_and_signs_out(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        assert "Tổng quan" in lan.page
        old = lan.cookie
        assert (await lan.send("/sign-out")).headers["location"] == "/sign-in"
        lan.client.cookies.set("desk", old)
        await lan.open("/")
        assert "Đăng nhập" in lan.page
    assert [row["act"] for row in await trail(stage)][-2:] == ["sign_in", "sessions.revoke"]


async def test_whoever_is_not_signed_in_is_led_back_to_where_they_wanted(stage: desk.Stage) -> None:
    await stage.add("lan", "administrator")
    async with stage.visitor() as visitor:
        await visitor.open("/accounts")
        answer = await visitor.send("/sign-in", name="LAN ", password=desk.PASSWORD, to="/accounts")
        assert answer.headers["location"] == "/accounts"
        for elsewhere in ("//evil.example", "https://evil.example/", "/\\evil.example"):
            async with stage.visitor() as other:
                await other.open("/sign-in")
                sent = await other.send("/sign-in", name="lan", password=desk.PASSWORD, to=elsewhere)
                assert sent.headers["location"] == "/"


async def test_everything_wrong_gets_the_same_answer(stage: desk.Stage) -> None:
    await stage.add("lan", "operator")
    shut = await stage.add("minh", "operator")
    act = acts.Act("accounts.disable", "test", stage.time.now, "left")
    await register.disable(stage.hub.storage, shut.id, act=act)
    said = set()
    async with stage.visitor() as visitor:
        for name, password in (("lan", "wrong-password"), ("nobody", desk.PASSWORD), ("minh", desk.PASSWORD)):
            answer = await visitor.sign_in(name, password)
            assert answer.status_code == 400
            found = re.search(r'role="alert" id="failure">([^<]+)<', answer.text)
            said.add(found[1] if found else "")
    assert len(said) == 1
    assert WRONG in said.pop()


async def test_too_many_failures_must_wait_and_then_may_go_on(stage: desk.Stage) -> None:
    await stage.add("lan", "operator")
    async with stage.visitor() as visitor:
        for _ in range(3):
            assert (await visitor.sign_in("lan", "wrong-password")).status_code == 400
        refused = await visitor.sign_in("lan")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) == 15 * 60
        async with stage.visitor(address="10.0.0.8") as elsewhere:
            assert (await elsewhere.sign_in("lan")).status_code == 303
        stage.time.pass_by(minutes=16)
        assert (await visitor.sign_in("lan")).status_code == 303


async def test_one_address_cannot_try_many_names(stage: desk.Stage) -> None:
    async with stage.visitor() as visitor:
        codes = [(await visitor.sign_in(f"name{number}", "wrong-password")).status_code for number in range(7)]
    assert codes == [400] * 6 + [429]


async def test_what_was_typed_as_a_name_is_nowhere_to_be_read(stage: desk.Stage) -> None:
    async with stage.visitor() as visitor:
        await visitor.sign_in("my-secret-password", "x")
    async with stage.hub.storage.reading() as conn:
        tried = await storage.every(conn, sa.select(tables.sign_in_tries))
    assert "my-secret" not in repr(tried) + repr(await trail(stage))


async def test_a_code_is_good_once(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        totp, _ = await with_second_step(lan, stage.time)
    async with stage.visitor() as visitor:
        assert (await visitor.sign_in("lan")).status_code == 400
        assert (await visitor.sign_in("lan", code=totp.at(stage.time.now))).status_code == 400, "used to set up"
        stage.time.pass_by(seconds=60)
        code = totp.at(stage.time.now)
        assert (await visitor.sign_in("lan", code=code)).status_code == 303
    async with stage.visitor() as thief:
        assert (await thief.sign_in("lan", code=code)).status_code == 400


async def test_a_recovery_code_is_good_once(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        _, codes = await with_second_step(lan, stage.time)
    assert len(set(codes)) == 10
    async with stage.visitor() as visitor:
        assert (await visitor.sign_in("lan", code=codes[3].upper())).status_code == 303
    async with stage.visitor() as visitor:
        assert (await visitor.sign_in("lan", code=codes[3])).status_code == 400
        assert (await visitor.sign_in("lan", code=codes[4].replace("-", ""))).status_code == 303


# ---------------------------------------------------------- the telephone is lost, and the recovery codes with it


async def test_a_telephone_cannot_scan_its_own_screen(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/own/second-step")
        link = re.search(r'href="(otpauth://totp/[^"]+)">Mở trong ứng dụng xác thực', lan.page)
        secret = re.search(r"Chuỗi bí mật <code>([A-Z2-7 ]+)<", lan.page)
        assert link
        assert secret
        assert pyotp.parse_uri(html.unescape(link[1])).secret == secret[1].replace(" ", "")


async def test_only_an_administrator_is_told_the_setting_that_turns_passkeys_on(stage: desk.Stage) -> None:
    for name, role, is_told in (("lan", "operator", False), ("quan", "administrator", True)):
        async with stage.signed_in(name, role) as visitor:
            await visitor.open("/own/passkeys")
            assert "Chưa bật ở bàn điều khiển này" in visitor.page
            assert ("LIENTHONG_CONSOLE__PASSKEY_DOMAIN" in visitor.page) is is_told
            await visitor.open("/own")
            assert 'href="/own/passkeys"' not in visitor.page


async def test_who_lost_the_telephone_has_the_second_step_taken_away_by_an_administrator(
    stage: desk.Stage,
) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.signed_in("quan", "administrator") as quan:
        totp, codes = await with_second_step(lan, stage.time)
        await quan.open("/accounts/lan")
        path = second_step_of(quan.page)
        assert (await quan.send(path, reason="")).status_code == 400
        assert totp.secret not in quan.page
        answer = await quan.send(path, reason="mất điện thoại, đã gặp mặt")
        assert answer.status_code == 303
        await quan.open(answer.headers["location"])
        assert "Đã bỏ bước hai" in quan.page
        assert f'action="{path}"' not in quan.page
        await lan.open("/messages")
        assert "Đăng nhập" in lan.page
        assert (await lan.sign_in("lan")).status_code == 303
        assert "Chưa bật" in (await lan.open("/own")).text
        _, anew = await with_second_step(lan, stage.time)
        await lan.send("/sign-out")
        stage.time.pass_by(minutes=1)
        assert (await lan.sign_in("lan", code=codes[0])).status_code == 400
        assert (await lan.sign_in("lan", code=anew[0])).status_code == 303
    (act,) = (
        row
        for row in await trail(stage)
        if row["act"] == "accounts.second_step" and row["actor"] == "quan" and row["outcome"] == "done"
    )
    assert act["reason"] == "mất điện thoại, đã gặp mặt"
    assert (act["before"]["second_step"], act["after"]["second_step"]) == (True, False)
    assert not any(codes[0] in str(row) or totp.secret in str(row) for row in await trail(stage))


@pytest.mark.parametrize("role", ["operator", "security_officer", "key_manager", "auditor"])
async def test_nobody_but_an_administrator_takes_a_second_step_away(stage: desk.Stage, role: str) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.signed_in("minh", role) as minh:
        await with_second_step(lan, stage.time)
        lan_id = next(row["id"] for row in await stage.rows(tables.accounts) if row["name"] == "lan")
        await minh.open(f"/accounts/{lan_id}")
        assert "/second-step" not in minh.page.split("<main")[-1]
        answer = await minh.send(f"/accounts/{lan_id}/second-step", reason="cho tiện")
        assert answer.status_code == 403
        assert (await lan.client.get("/messages")).status_code == 200
    assert all(row["totp_secret"] for row in await stage.rows(tables.accounts) if row["name"] == "lan")


async def test_an_open_administrators_browser_was_enough_to_take_the_account_over(stage: desk.Stage) -> None:
    async with stage.signed_in("quan", "administrator") as quan:
        await with_second_step(quan, stage.time)
        await quan.open("/accounts/quan")
        own = next(row["id"] for row in await stage.rows(tables.accounts) if row["name"] == "quan")
        for place in ("second-step", "password", "passkeys", "link"):
            assert f'action="/accounts/{own}/{place}"' not in quan.page, place
            answer = await quan.send(
                f"/accounts/{own}/{place}", password="mot-mat-khau-khac-1", key="dvcqg-0001", reason="của tôi"
            )
            assert answer.status_code == 409, place
            assert "Tài khoản của tôi" in answer.text
        assert (await quan.client.get("/accounts")).status_code == 200
        assert 'href="/own"' in quan.page.split("<main")[-1]
    (row,) = await stage.rows(tables.accounts)
    assert row["totp_secret"]
    assert row["outside"] is None


async def test_taking_away_a_second_step_that_is_not_there_says_so(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.signed_in("quan", "administrator") as quan:
        await with_second_step(lan, stage.time)
        await quan.open("/accounts/lan")
        path = second_step_of(quan.page)
        assert (await quan.send(path, reason="mất điện thoại")).status_code == 303
        assert (await lan.sign_in("lan")).status_code == 303
        assert (await quan.send(path, reason="bấm lần nữa")).status_code == 409
        assert (await lan.client.get("/messages")).status_code == 200


def second_step_of(page: str) -> str:
    found = re.search(r'action="(/accounts/[0-9a-f-]+/second-step)"', page)
    assert found
    return found[1]


async def test_a_password_set_by_another_is_changed_before_anything_else(stage: desk.Stage) -> None:
    await stage.add("lan", "administrator", must_change=True)
    async with stage.visitor() as lan:
        await lan.sign_in("lan")
        assert "Mật khẩu do người khác đặt" in lan.page
        await lan.open("/accounts")
        assert "Mật khẩu do người khác đặt" in lan.page
        new = "mot-mat-khau-khac-han"
        short = await lan.send("/own/password", old=desk.PASSWORD, new="short", again="short")
        assert short.status_code == 400
        assert (await lan.send("/own/password", old="wrong", new=new, again=new)).status_code == 400
        assert (await lan.send("/own/password", old=desk.PASSWORD, new=new, again=new)).status_code == 303
        await lan.open("/accounts")
        assert "Thêm tài khoản" in lan.page
    assert new not in repr(await trail(stage))


async def test_a_session_ends_when_nobody_uses_it_and_in_any_case_after_a_day(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        for _ in range(31):
            stage.time.pass_by(minutes=14)
            await lan.open("/")
            assert "Tổng quan" in lan.page
        for _ in range(4):
            stage.time.pass_by(minutes=14)
            await lan.open("/")
        assert "Tổng quan" not in lan.page, "eight hours are over"
        await lan.sign_in("lan")
        stage.time.pass_by(minutes=14)
        await lan.open("/", **{"x-desk-refresh": "1"})
        stage.time.pass_by(minutes=2)
        await lan.open("/")
        assert "Tổng quan" not in lan.page, "a page that renews itself is no use by a person"


async def test_ending_ones_other_sessions_leaves_this_one(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.visitor() as second:
        await second.sign_in("lan")
        await lan.open("/own")
        await lan.send("/own/sessions/end")
        await lan.open("/own")
        assert "Tài khoản của tôi" in lan.page
        await second.open("/own")
        assert "Mật khẩu" in second.page
        assert "Phiên đang mở" not in second.page


async def test_the_identity_provider_opens_only_registered_accounts(stage: desk.Stage) -> None:
    account = await stage.add("lan", "operator")

    async def there_and_back(visitor: desk.Visitor, code: str = "good") -> str:
        out = await visitor.client.get("/sign-in/outside")
        state = re.search(r"state=([^&]+)", out.headers["location"])
        assert state
        await visitor.open(f"/sign-in/back?code={code}&state={state[1]}")
        return visitor.page

    async with stage.visitor() as visitor:
        assert "Chưa có tài khoản nào gắn" in await there_and_back(visitor)
        act = acts.Act("accounts.link", "test", stage.time.now, "a test")
        await register.link(
            stage.hub.storage, stage.hub.vault, account.id, provider="dvcqg_sso", key=Provider.key, act=act
        )
        assert "Mã đã dùng" in await there_and_back(visitor, code="used")
        assert "Tổng quan" in await there_and_back(visitor)
    assert Provider.key not in repr(await trail(stage))


async def test_a_sign_in_that_another_browser_began_is_refused(stage: desk.Stage) -> None:
    async with stage.visitor() as one, stage.visitor() as other:
        out = await one.client.get("/sign-in/outside")
        state = re.search(r"state=([^&]+)", out.headers["location"])
        assert state
        await other.client.get("/sign-in/outside")
        answer = await other.open(f"/sign-in/back?code=good&state={state[1]}")
        assert answer.status_code == 400
        assert "không khớp" in other.page


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaa", "lan-lan-lan-lan"])
async def test_a_weak_password_is_refused_in_words(stage: desk.Stage, password: str) -> None:
    act = acts.Act("accounts.add", "test", stage.time.now, "a test")
    with pytest.raises(errors.InvalidRequest) as caught:
        await register.add(
            stage.hub.storage, name="lan", full_name="Lan", roles=["operator"], password=password, act=act
        )
    assert caught.value.problems[0].field == "password"


async def test_a_machine_without_memory_was_taken_for_a_wrong_password(stage: desk.Stage) -> None:
    account = await stage.add("quan", "operator")
    # More memory than any machine has: what a full one answers.
    greedy = "$argon2id$v=19$m=4294967288,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
    kept = sa.update(tables.accounts).where(tables.accounts.c.id == account.id)
    async with stage.hub.storage.transaction() as tx:
        await tx.execute(kept.values(password_hash=greedy))
    async with stage.visitor() as visitor:
        for _ in range(4):
            answer = await visitor.sign_in("quan")
            assert answer.status_code == 503
            assert "chưa kiểm tra được mật khẩu" in answer.text
            assert WRONG not in answer.text
        async with stage.hub.storage.transaction() as tx:
            await tx.execute(kept.values(password_hash=await passwords.hashed(desk.PASSWORD, name="quan")))
        # None of that counted as a failure.
        assert (await visitor.sign_in("quan")).status_code == 303
