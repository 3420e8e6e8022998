"""What must not happen at the desks: places against roles, forged and foreign posts, stolen cookies, HTML."""

from __future__ import annotations

import re
import string
from pathlib import Path

import builders
import desk
import pytest

from lienthong.console.accounts.register import Role
from lienthong.console.web import app, places, routing, search, words
from lienthong.core import errors, journal, tables

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
WEB = Path(app.__file__).parent
CHANGES = {name for name, place in places.PLACES.items() if place.kind == "act"} - places.ONLY_ONES_OWN


def path_of(name: str, **parts: str) -> str:
    path = places.PLACES[name].path
    names = {part for _, part, _, _ in string.Formatter().parse(path) if part}
    return path.format(**{part: parts.get(part, "nothing") for part in names})


@pytest.mark.parametrize("role", sorted(Role))
async def test_every_place_is_open_to_its_roles_and_to_nobody_else(stage: desk.Stage, role: str) -> None:
    other = await stage.add("other", "operator")
    async with stage.signed_in("somebody", role) as visitor:
        own, token = visitor.cookie, re.search(r'name="_form" value="([0-9a-f]+)"', visitor.page)
        assert token
        for name, place in places.PLACES.items():
            if place.roles in (places.ANYONE, places.SIGNED_IN) or name == "reveal":
                continue
            visitor.client.cookies.set("desk", own)
            path = path_of(name, id=other.id)
            if place.kind == "page":
                answer = await visitor.client.get(path)
            else:
                answer = await visitor.send(path, token=token[1])
            is_refused = answer.status_code == 403
            assert is_refused == (role not in place.roles), f"{name} for {role}: {answer.status_code}"
    assert (await stage.rows(tables.accounts))[0]["state"] == "active" or role == Role.ADMINISTRATOR


@pytest.mark.parametrize("role", sorted(Role))
async def test_every_masked_value_is_shown_to_its_roles_and_to_nobody_else(stage: desk.Stage, role: str) -> None:
    async with stage.signed_in("somebody", role) as visitor:
        for source, roles in places.REVEALS.items():
            answer = await visitor.send("/reveal", source=source, subject="nothing", reason="đối chiếu")
            assert (answer.status_code == 403) == (role not in roles), source


async def test_nobody_gets_anywhere_without_signing_in(stage: desk.Stage) -> None:
    async with stage.visitor() as visitor:
        for name, place in places.PLACES.items():
            if place.roles is places.ANYONE:
                continue
            await visitor.open("/sign-in")
            if place.kind == "page":
                answer = await visitor.client.get(path_of(name))
            else:
                answer = await visitor.send(path_of(name))
            assert answer.status_code == 303, name
            assert answer.headers["location"].startswith("/sign-in"), name
    assert await stage.rows(tables.admin_acts) == []


def test_an_auditor_changes_nothing() -> None:
    may = {name for name in CHANGES if Role.AUDITOR in places.PLACES[name].roles}
    assert may == set()


def test_every_role_has_something_to_do() -> None:
    for role in Role:
        assert any(role in place.roles for place in places.PLACES.values())


def test_a_route_without_an_entry_in_the_table_cannot_be_registered() -> None:
    routes = routing.Routes()
    with pytest.raises(errors.Misconfigured):
        routes.page("nowhere")
    with pytest.raises(errors.Misconfigured):
        routes.page("accounts.add")


def test_every_entry_in_the_table_has_a_route() -> None:
    registered = routing.together(module.routes for module in app.PAGES)
    assert set(places.PLACES) == set(registered)


async def test_buttons_that_a_role_may_not_use_are_not_there(stage: desk.Stage) -> None:
    other = await stage.add("other", "operator")
    async with stage.signed_in("kiem", "auditor") as auditor:
        await auditor.open(f"/accounts/{other.id}")
        assert f"/accounts/{other.id}/" not in auditor.page
        assert "Khoá tài khoản" not in auditor.page
    async with stage.signed_in("quan", "administrator") as administrator:
        await administrator.open(f"/accounts/{other.id}")
        assert "Khoá tài khoản" in administrator.page
        assert "/settings" in administrator.page


# ---------------------------------------------------------------------- forged posts


async def accounts_added(stage: desk.Stage) -> int:
    return len(await stage.rows(tables.accounts))


NEW = {"name": "moi", "full_name": "Người Mới", "roles": "operator", "password": desk.PASSWORD, "reason": "a test"}


async def test_a_form_without_its_token_does_nothing(stage: desk.Stage) -> None:
    async with stage.signed_in("quan", "administrator") as visitor:
        for token in ("", "0" * 64, "é" * 64):
            assert (await visitor.send("/accounts", token=token, **NEW)).status_code == 403
    assert await accounts_added(stage) == 1


async def test_a_token_of_another_session_does_nothing(stage: desk.Stage) -> None:
    async with stage.signed_in("an", "administrator") as one, stage.signed_in("binh", "administrator") as other:
        await other.open("/accounts")
        token = re.search(r'name="_form" value="([0-9a-f]+)"', other.page)
        assert token
        assert (await one.send("/accounts", token=token[1], **NEW)).status_code == 403
    assert await accounts_added(stage) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
        {"referer": "https://evil.example/page"},
        {"origin": desk.URL, "sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:8082"},
    ],
)
async def test_a_post_from_another_site_does_nothing(stage: desk.Stage, headers: dict[str, str]) -> None:
    async with stage.signed_in("quan", "administrator") as visitor:
        await visitor.open("/accounts")
        token = re.search(r'name="_form" value="([0-9a-f]+)"', visitor.page)
        assert token
        answer = await visitor.client.post("/accounts", data={"_form": token[1], **NEW}, headers=headers)
        assert answer.status_code == 403
    assert await accounts_added(stage) == 1


async def test_the_address_of_an_act_opened_by_hand_does_nothing(stage: desk.Stage) -> None:
    async with stage.signed_in("quan", "administrator") as visitor:
        account = (await stage.rows(tables.accounts))[0]
        await visitor.open(f"/accounts/{account['id']}/disable")
    assert (await stage.rows(tables.accounts))[0]["state"] == "active"


async def test_the_desk_does_not_answer_under_another_hosts_name(stage: desk.Stage) -> None:
    async with stage.visitor() as visitor:
        answer = await visitor.client.get("/sign-in", headers={"host": "evil.example"})
        assert answer.status_code == 421


async def test_signing_in_as_somebody_unasked_does_nothing(stage: desk.Stage) -> None:
    await stage.add("lan", "operator")
    async with stage.visitor() as visitor:
        await visitor.open("/sign-in")
        answer = await visitor.send("/sign-in", token="0" * 64, name="lan", password=desk.PASSWORD)
        assert answer.status_code == 403
        assert not visitor.cookie


# ---------------------------------------------------------------------- sessions


async def test_a_cookie_in_another_browser_ends_the_session_for_both(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.visitor(agent="curl/8") as thief:
        thief.client.cookies.set("desk", lan.cookie)
        await thief.open("/")
        assert "Tổng quan" not in thief.page
        await lan.open("/")
        assert "Tổng quan" not in lan.page
    told = [row for row in await stage.rows(tables.admin_acts) if row["actor"] == "hub"]
    assert [row["act"] for row in told] == ["sessions.revoke"]


async def test_a_cookie_that_was_planted_before_is_not_the_one_after_signing_in(stage: desk.Stage) -> None:
    await stage.add("lan", "operator")
    async with stage.visitor() as visitor:
        visitor.client.cookies.set("desk", "planted", domain="127.0.0.1")
        await visitor.sign_in("lan")
        held = [cookie.value for cookie in visitor.client.cookies.jar if cookie.name == "desk"]
        assert "planted" not in held or len(held) > 1
    sessions = await stage.rows(tables.sessions)
    assert len(sessions) == 1
    assert "planted" not in repr(sessions)


async def test_a_shut_account_is_out_with_the_next_request(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.signed_in("quan", "administrator") as quan:
        account = next(row for row in await stage.rows(tables.accounts) if row["name"] == "lan")
        await quan.open(f"/accounts/{account['id']}")
        done = await quan.send(f"/accounts/{account['id']}/disable", reason="nghỉ việc")
        assert done.status_code == 303
        await lan.open("/")
        assert "Tổng quan" not in lan.page


async def test_a_role_that_was_taken_away_is_away_with_the_next_request(stage: desk.Stage) -> None:
    await stage.add("quan", "administrator")
    async with stage.signed_in("lan", "administrator", "operator") as lan, stage.visitor() as quan:
        await quan.sign_in("quan")
        account = next(row for row in await stage.rows(tables.accounts) if row["name"] == "lan")
        await quan.open(f"/accounts/{account['id']}")
        await quan.send(f"/accounts/{account['id']}/roles", roles="operator", reason="đổi việc")
        assert (await lan.open("/accounts")).status_code == 403


async def test_the_last_administrator_stays(stage: desk.Stage) -> None:
    async with stage.signed_in("quan", "administrator") as quan:
        account = (await stage.rows(tables.accounts))[0]
        await quan.open(f"/accounts/{account['id']}")
        for path, fields in (("disable", {}), ("roles", {"roles": "operator"})):
            answer = await quan.send(f"/accounts/{account['id']}/{path}", reason="a test", **fields)
            assert answer.status_code == 409
    refused = [row for row in await stage.rows(tables.admin_acts) if row["outcome"] == "Client.Conflict"]
    assert {row["act"] for row in refused} == {"accounts.disable", "accounts.roles"}


async def test_cookies_are_not_for_scripts_and_over_https_bound_to_the_host(
    tmp_path: Path, database_url: str
) -> None:
    time = desk.Time()
    async with builders.running_hub(
        tmp_path / "home", database_url=database_url, now=time, console={"public_url": "https://desk.example"}
    ) as hub:
        stage = desk.stage(hub, time)
        await stage.add("lan", "operator")
        async with stage.visitor() as visitor:
            visitor.client.base_url = "https://desk.example"  # type: ignore[assignment]
            page = await visitor.client.get("/sign-in")
            token = re.search(r'name="_form" value="([0-9a-f]+)"', page.text)
            assert token
            fields = {"_form": token[1], "name": "lan", "password": desk.PASSWORD}
            answer = await visitor.client.post("/sign-in", data=fields, headers={"origin": "https://desk.example"})
            cookies = answer.headers.get_list("set-cookie")
            session = next(cookie for cookie in cookies if cookie.startswith("__Host-desk="))
            assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(session.split("; "))
            assert "Domain" not in session
            assert "strict-transport-security" in answer.headers


# ---------------------------------------------------------------------- what is shown


async def test_every_answer_forbids_scripts_from_elsewhere_and_frames(stage: desk.Stage) -> None:
    async with stage.signed_in("quan", "administrator") as visitor:
        for path in ("/", "/sign-in", "/accounts", "/nowhere", "/static/desk.css", "/static/fonts.css"):
            answer = await visitor.client.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store" or path.startswith("/static/"), path


async def test_html_in_what_people_typed_stays_text(stage: desk.Stage) -> None:
    async with stage.hub.storage.transaction() as tx:
        await journal.write_act(
            tx, EVIL[:60], EVIL, actor=EVIL, now=stage.time.now, reason=EVIL, after={EVIL: EVIL}
        )
        await tx.execute(
            tables.targets.insert().values(
                name=EVIL[:40], state="paused", reason=EVIL, failures_in_row=0, changed_at=stage.time.now
            )
        )
    await builders.seed_procedure(stage.hub, name=f"Đăng ký {EVIL}")
    await builders.issue_key(stage.hub, organisation=EVIL, days=3)
    await stage.add("xau", "operator")
    async with stage.hub.storage.transaction() as tx:
        await tx.execute(tables.accounts.update().values(full_name=EVIL))
    async with stage.visitor(agent=EVIL) as visitor:
        await stage.add("quan", "administrator", "operator", "security_officer")
        await visitor.sign_in("quan")
        xau = next(row for row in await stage.rows(tables.accounts) if row["name"] == "xau")
        pages = ["/", "/own", "/accounts", f"/accounts/{xau['id']}", "/settings?q=" + EVIL, "/trail?actor=" + EVIL]
        for path in pages:
            assert (await visitor.open(path)).status_code == 200, path
            assert "<script>alert" not in visitor.page, path
            assert "<img src=x" not in visitor.page, path
        for typed in (EVIL, "dang ky"):
            await visitor.open((await visitor.send("/search", q=typed)).headers["location"])
            assert "<script>alert" not in visitor.page
            assert "&lt;script&gt;" in visitor.page


async def test_a_csv_file_holds_no_formulas(stage: desk.Stage) -> None:
    async with stage.hub.storage.transaction() as tx:
        await journal.write_act(tx, "keys.issue", "x", actor="=cmd|'/c calc'!A1", now=stage.time.now)
    async with stage.signed_in("quan", "administrator") as visitor:
        answer = await visitor.open("/trail?export=csv")
        assert answer.headers["content-type"].startswith("text/csv")
        assert ",'=cmd" in answer.text


async def test_a_citizens_number_is_neither_in_the_address_nor_in_the_database(stage: desk.Stage) -> None:
    async with stage.signed_in("quan", "operator") as visitor:
        answer = await visitor.send("/search", q="001 099 000 001")
        assert "001099000001" not in answer.headers["location"]
        await visitor.open(answer.headers["location"])
        assert "001099000001" not in visitor.page
        assert "số định danh" in visitor.page
        found = visitor.last
        assert found is not None
        path = found.request.url.path
    assert "001099000001" not in repr(await stage.rows(tables.admin_acts))
    async with stage.signed_in("khac", "operator") as other:
        assert (await other.open(path)).status_code == 404, "a search is its session's own"


async def test_what_is_masked_is_shown_only_for_a_reason_that_is_written_down(stage: desk.Stage) -> None:
    async with stage.signed_in("thu", "operator") as visitor:
        fields = {"source": "official.contact", "subject": "CB000123"}
        assert (await visitor.send("/reveal", reason="", **fields)).status_code == 400
        assert (await visitor.send("/reveal", reason="xác minh khiếu nại", **fields)).status_code == 404
        assert (await visitor.send("/reveal", source="nothing", subject="x", reason="xác minh")).status_code == 403
    told = [row for row in await stage.rows(tables.admin_acts) if row["act"] == "read.official.contact"]
    assert [(row["actor"], row["reason"]) for row in told] == [("thu", "xác minh khiếu nại")]


async def test_secrets_in_the_settings_stay_masked(stage: desk.Stage) -> None:
    async with stage.signed_in("quan", "administrator") as visitor:
        await visitor.open("/settings?q=password")
        assert "***" in visitor.page
        assert builders.NOBODY["dvcqg_adapter"]["password"] not in visitor.page


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("000.00.00.H38-260115-0001", "code"),
        ("0197a2b4-5c6d-7e8f-9a0b-1c2d3e4f5a6b", "id"),
        ("lt_test_abcdef", "key"),
        ("001099000001", "person"),
        ("1.000001", "procedure"),
        ("đăng ký khai sinh", "words"),
    ],
)
async def test_the_search_understands_what_is_typed(stage: desk.Stage, typed: str, kind: str) -> None:
    assert search.understand(typed).kind == kind


async def test_a_procedure_is_found_without_marks(stage: desk.Stage) -> None:
    await builders.seed_procedure(stage.hub)
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open((await lan.send("/search", q="dang ky KHAI sinh")).headers["location"])
        assert "Đăng ký khai sinh" in lan.page


# ---------------------------------------------------------------------- words


def test_both_languages_have_every_text() -> None:
    for key, texts in words.every().items():
        assert set(texts) == set(words.LANGUAGES), key
        names = [sorted(part for _, part, _, _ in string.Formatter().parse(texts[it]) if part) for it in texts]
        assert names[0] == names[1], key


def test_every_text_that_is_asked_for_is_there() -> None:
    asked = set()
    for path in [*WEB.rglob("*.html"), *WEB.rglob("*.py")]:
        asked |= set(re.findall(r"""\bt\('([a-z_]+\.[a-z0-9_]+)'[,)]""", path.read_text(encoding="utf-8")))
    assert asked - words.every().keys() == set()


def test_no_template_holds_words_of_either_language() -> None:
    for path in WEB.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", text, flags=re.DOTALL)
        bare = re.sub(r"<[^>]*>", " ", text)
        assert not re.search(r"[^\W\d_]", bare), f"{path.name}: {bare.strip()[:80]}"
        for attribute in ("title", "placeholder", "aria-label", "alt"):
            for value in re.findall(rf'\b{attribute}="([^"]*)"', text):
                assert not re.search(r"[^\W\d_]", value), f"{path.name}: {attribute} {value}"


def test_no_page_holds_script_or_style_of_its_own() -> None:
    for path in WEB.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=)|javascript:", text), path.name
