"""Sign-on: the code flow, both shapes of user-info, and every way in which a sign-in may be somebody else's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import orjson
import pytest
from conformance import SECRET, ConnectorPromises
from imitation_stage import NOW, Stage, shown

from lienthong.connectors import roles
from lienthong.core import errors
from lienthong.sandbox import app as sandbox_app
from lienthong.sandbox import certificates

BACK = "https://truc.example.vn/dang-nhap"
NONCE, STATE, VERIFIER = "nonce-1", "state-1", "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
OFFICIAL = {
    "sub": "vneid-201", "LoaiTaiKhoan": 1, "SoDinhDanh": "001099000201", "HoVaTen": "TRẦN THỊ MẪU",
    "NgayThangNamSinh": "19850101", "TechID": "tech-0201", "loAs": "LoA2", "userProfileUri": "", "logoutUri": "",
    "IAL": 2,
}  # fmt: skip
_DVCQG = (
    "sub LoaiTaiKhoan SoDinhDanh SoCMND MaSoThue MaSoDoanhNghiep TenDoanhNghiep MaBHXH HoChieu HoVaTen ThuDienTu "
    "SoDienThoai SoDienThoaiBan GioiTinh DanToc TonGiao TinhTrangHonNhan NhomMau NgayThangNamSinh "
    "NoiDangKyKhaiSinh QueQuan ThuongTru NoiOHienNay QuocTich Cha Me VoChong NguoiDaiDien ChuHo TrangThai TechID "
    "loAs DiaChi"
)


def dvcqg(**known: Any) -> dict[str, Any]:
    """The portal's shape, all of its fields there."""
    return {**dict.fromkeys(_DVCQG.split(), ""), "sub": "vneid-201", "loAs": "LoA1", **known}


def id_token(**changed: Any) -> str:
    """An id token as it comes from the token endpoint."""
    at = int(NOW.timestamp())
    claims = {
        "iss": "https://nguon.example.vn/oauth2/token", "sub": "vneid-201", "aud": "truc", "iat": at,
        "exp": at + 300, "nonce": NONCE, **changed,
    }  # fmt: skip
    return certificates.signed_token({name: value for name, value in claims.items() if value is not None})


def rewritten(token: str, **changed: Any) -> str:
    """The same token with something else in its head, and the signature as it was."""
    head, rest = token.split(".", 1)
    told = orjson.loads(base64.urlsafe_b64decode(head + "==")) | changed
    return f"{certificates.url_safe(orjson.dumps(told))}.{rest}"


class Server:
    """The identity server as the contract page has it."""

    def __init__(self) -> None:
        self.info: dict[str, Any] = dict(OFFICIAL)
        self.id_token = id_token()
        self.keys: Any = orjson.loads(certificates.jwks())
        self.used: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode()))
        path = request.url.path
        if path.endswith("jwks"):
            return httpx.Response(200, json=self.keys)
        if path.endswith("userinfo"):
            assert request.headers["authorization"] == "Bearer the-token"
            return httpx.Response(200, json=self.info)
        if (form.get("client_id"), form.get("client_secret")) != ("truc", SECRET):
            return httpx.Response(401, json={"error": "invalid_client"})
        if path.endswith("introspect"):
            assert form["state"] == "0"
            return httpx.Response(200, json={"client_id": "truc", "exp": int(NOW.timestamp()) + 60})
        if path.endswith("revoke"):
            return httpx.Response(200, json={})
        if form["code"] in self.used or form["code"] == "0":
            return httpx.Response(400, json={"error": "invalid_grant", "error_description": "Inactive code"})
        self.used.add(form["code"])
        answer = {
            "access_token": "the-token",
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.id_token,
        }
        return httpx.Response(200, json={name: value for name, value in answer.items() if value})


def new_stage(**settings: Any) -> Stage:
    return Stage("dvcqg_sso", {"client_id": "truc", "client_secret": SECRET, **settings}, Server())


@pytest.fixture
def stage() -> Stage:
    return new_stage()


async def sign_in(stage: Stage, code: str = "", **changed: Any) -> Any:
    code = code or f"code-{len(stage.own.used)}"
    given = {"redirect_uri": BACK, "nonce": NONCE, "code_verifier": VERIFIER, **changed}
    return await stage.connector.exchange_code(code, **given)


class TestPromises(ConnectorPromises):
    @pytest.fixture
    def stage(self) -> Any:
        return new_stage()

    async def ask(self, stage: Any) -> Any:
        return await sign_in(stage)


def test_the_sign_on_is_an_identity_provider(stage: Stage) -> None:
    assert isinstance(stage.connector, roles.IdentityProvider)


def test_a_browser_is_sent_with_state_nonce_and_a_challenge(stage: Stage) -> None:
    address = stage.connector.sign_in_address(
        redirect_uri=BACK, state=STATE, nonce=NONCE, code_challenge=CHALLENGE
    )
    assert address.startswith("https://nguon.example.vn/oauth2/authorize?")
    assert dict(parse_qsl(urlsplit(address).query)) == {
        "response_type": "code", "client_id": "truc", "redirect_uri": BACK, "scope": "openid",
        "acr_values": "LoA1", "state": STATE, "nonce": NONCE, "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }  # fmt: skip
    assert SECRET not in address


async def test_a_code_is_exchanged_with_the_secret_in_the_body(stage: Stage) -> None:
    await sign_in(stage, "abc")
    form = parse_qs(stage.wire.requests[0].content.decode())
    assert {name: value for name, (value,) in form.items()} == {
        "grant_type": "authorization_code", "code": "abc", "redirect_uri": BACK, "client_id": "truc",
        "client_secret": SECRET, "code_verifier": VERIFIER,
    }  # fmt: skip
    assert "authorization" not in stage.wire.requests[0].headers


# ------------------------------------------------------------------------------------------------- who signed in


async def test_an_official_by_vneid_is_known(stage: Stage) -> None:
    found = await sign_in(stage)
    who = found.identity
    assert (who.kind, who.key, who.citizen_id, who.shape, who.assurance) == (
        "individual", "001099000201", "001099000201", "vneid", 2,
    )  # fmt: skip
    assert found.expires_at == NOW + timedelta(seconds=300)


ACCOUNTS = [
    (
        {"LoaiTaiKhoan": "1", "SoDinhDanh": "001099000001", "HoVaTen": "NGUYỄN VĂN AN"},
        "individual",
        "001099000001",
    ),
    ({"LoaiTaiKhoan": "1", "SoCMND": "000000004", "HoVaTen": "PHẠM THỊ DIỆP"}, "individual", "000000004"),
    ({"LoaiTaiKhoan": "2", "MaSoThue": "0000000017", "TenDoanhNghiep": "CÔNG TY"}, "enterprise", "0000000017"),
    ({"LoaiTaiKhoan": 2, "MaSoDoanhNghiep": "0000000017"}, "enterprise", "0000000017"),
    ({"LoaiTaiKhoan": "3", "TechID": "tech-9", "TenDoanhNghiep": "HỘI THỬ"}, "organisation", "tech-9"),
]


@pytest.mark.parametrize(("known", "kind", "key"), ACCOUNTS)
async def test_an_account_is_known_by_what_its_kind_is_known_by(
    known: Any, kind: str, key: str, stage: Stage
) -> None:
    stage.own.info = dvcqg(**known)
    who = (await sign_in(stage)).identity
    assert (who.kind, who.key, who.shape, who.assurance) == (kind, key, "dvcqg", 1)
    assert who.full_name == known.get("TenDoanhNghiep", known.get("HoVaTen", ""))


async def test_an_account_without_a_number_is_nobody(stage: Stage) -> None:
    stage.own.info = dvcqg(LoaiTaiKhoan="3")
    with pytest.raises(errors.RemoteGarbled):
        await sign_in(stage)


async def test_an_unknown_kind_of_account_is_refused(stage: Stage) -> None:
    stage.own.info = dvcqg(LoaiTaiKhoan="4", TechID="x")
    with pytest.raises(errors.UnmappedCode):
        await sign_in(stage)


# ------------------------------------------------------------------------------------------ another's sign-in


FOREIGN = {
    "another nonce": {"nonce": "nonce-2"},
    "no nonce": {"nonce": None},
    "made for another client": {"aud": "khac"},
    "made for several, given to another": {"aud": ["truc", "khac"], "azp": "khac"},
    "ended": {"exp": int(NOW.timestamp()) - 3600},
    "not begun": {"iat": int(NOW.timestamp()) + 3600},
}


@pytest.mark.parametrize("claims", FOREIGN.values(), ids=FOREIGN.keys())
async def test_an_id_token_of_another_sign_in_is_refused(claims: Any, stage: Stage) -> None:
    stage.own.id_token = id_token(**claims)
    with pytest.raises(errors.RemoteRefused) as raised:
        await sign_in(stage)
    assert "đăng nhập lại" in raised.value.detail("vi")
    assert not [it for it in stage.wire.services() if it.endswith("userinfo")]


async def test_an_issuer_is_compared_where_it_is_set() -> None:
    assert await sign_in(new_stage(issuer="https://nguon.example.vn/oauth2/token"))
    with pytest.raises(errors.RemoteRefused):
        await sign_in(new_stage(issuer="https://khac.example.vn"))


async def test_the_user_info_of_somebody_else_is_refused(stage: Stage) -> None:
    stage.own.info = {**OFFICIAL, "sub": "vneid-202"}
    with pytest.raises(errors.RemoteGarbled):
        await sign_in(stage)


@pytest.mark.parametrize("given", ["", "a.b", "a.b.c", "..", {"exp": "soon"}, {"sub": None}], ids=str)
async def test_an_id_token_that_is_none_is_garbled(given: Any, stage: Stage) -> None:
    stage.own.id_token = given if isinstance(given, str) else id_token(**given)
    with pytest.raises(errors.RemoteGarbled):
        await sign_in(stage)


# ------------------------------------------------------------------------------------------------- who signed it


def hmac_by(word: bytes) -> str:
    """A token that is signed with a word instead of a key."""
    head, claims, _ = rewritten(id_token(), alg="HS256").split(".")
    signature = hmac.digest(word, f"{head}.{claims}".encode(), "sha256")
    return f"{head}.{claims}.{certificates.url_safe(signature)}"


FORGED = {
    "claims of another signature": lambda: ".".join(
        (*id_token(sub="vneid-202").split(".")[:2], id_token().split(".")[2])
    ),
    "no signature": lambda: id_token().rpartition(".")[0] + ".",
    "without an algorithm": lambda: rewritten(id_token(), alg="none").rpartition(".")[0] + ".",
    "with the public key as a word": lambda: hmac_by(certificates.jwks()),
    "a head that names none": lambda: f"{certificates.url_safe(b'{}')}.{id_token().split('.', 1)[1]}",
    "an algorithm that is none": lambda: rewritten(id_token(), alg=["RS256"]),
    "an algorithm of other keys": lambda: rewritten(id_token(), alg="ES256"),
    "a key that is not there": lambda: rewritten(id_token(), kid="sandbox-2"),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
async def test_an_id_token_that_the_server_did_not_sign_signs_nobody_in(
    forged: Callable[[], str], stage: Stage
) -> None:
    stage.own.id_token = forged()
    stage.own.info = {**OFFICIAL, "sub": "vneid-202"}
    with pytest.raises(errors.RemoteGarbled):
        await sign_in(stage)
    assert not [it for it in stage.wire.services() if it.endswith("userinfo")]


async def test_keys_are_asked_for_once_and_again_when_a_new_one_signs(stage: Stage) -> None:
    def asked() -> int:
        return sum(it.url.path.endswith("jwks") for it in stage.wire.requests)

    for _ in range(3):
        assert await sign_in(stage)
    assert asked() == 1
    stage.now = NOW + timedelta(seconds=61)
    [known] = stage.own.keys["keys"]
    stage.own.keys = {"keys": [{**known, "kid": "sandbox-1-old"}, {**known, "use": "enc"}]}
    stage.own.id_token = rewritten(id_token(), kid="sandbox-9")
    for _ in range(3):
        with pytest.raises(errors.RemoteGarbled, match="does not have"):
            await sign_in(stage)
    assert asked() == 2


@pytest.mark.parametrize("keys", [{}, [], {"keys": []}, {"keys": [{"kty": "RSA"}]}, {"keys": "none"}], ids=str)
async def test_keys_that_cannot_be_read_sign_nobody_in_and_the_check_says_so(keys: Any, stage: Stage) -> None:
    stage.own.keys = keys
    with pytest.raises(errors.RemoteGarbled):
        await sign_in(stage)
    assert {it.name: it.ok for it in await stage.connector.check()}["keys"] is False


async def test_a_server_that_publishes_no_keys_must_be_allowed_by_a_setting() -> None:
    stage = new_stage(jwks_path="")
    stage.own.id_token = rewritten(id_token(), kid="sandbox-2")
    assert await sign_in(stage)


async def test_a_server_without_id_tokens_must_be_allowed_by_a_setting() -> None:
    stage = new_stage(require_id_token=False)
    stage.own.id_token = ""
    assert (await sign_in(stage)).identity.key == "001099000201"


async def test_a_code_is_good_for_one_exchange(stage: Stage) -> None:
    await sign_in(stage, "abc")
    with pytest.raises(errors.RemoteRefused) as raised:
        await sign_in(stage, "abc")
    assert raised.value.remote_code == "invalid_grant"


async def test_a_client_that_is_not_known_is_a_matter_for_people(stage: Stage) -> None:
    stage.connector = stage.open(client_secret="wrong")
    with pytest.raises(errors.RemoteForbids):
        await sign_in(stage)


def test_a_browser_that_comes_back_with_another_state_is_refused(stage: Stage) -> None:
    assert stage.connector.code_of({"code": "abc", "state": STATE}, state=STATE) == "abc"
    for answer, state in (
        ({"code": "abc", "state": "state-2"}, STATE),
        ({"code": "abc"}, STATE),
        ({"code": "abc", "state": ""}, ""),
        ({"error": "access_denied", "state": STATE}, STATE),
        ({"state": STATE}, STATE),
    ):
        with pytest.raises(errors.RemoteRefused):
            stage.connector.code_of(answer, state=state)


# ------------------------------------------------------------------------------------------------------ afterwards


async def test_a_token_is_looked_at_and_ended(stage: Stage) -> None:
    found = await stage.connector.introspect("the-token")
    assert (found.active, found.client_id, found.ends_at) == (True, "truc", NOW + timedelta(seconds=60))
    await stage.connector.revoke("the-token")
    stage.answer_all(lambda: httpx.Response(200, json={"active": False}))
    assert not (await stage.connector.introspect("the-token")).active
    stage.answer_all(lambda: httpx.Response(200, json={"active": True, "client_id": "khac"}))
    assert not (await stage.connector.introspect("the-token")).active


def test_a_browser_is_sent_to_end_the_session(stage: Stage) -> None:
    address = stage.open(browser_url="https://dang-nhap.example.vn").sign_out_address(
        id_token="x.y.z", redirect_uri=BACK
    )
    assert address.startswith("https://dang-nhap.example.vn/oidc/logout?")
    assert dict(parse_qsl(urlsplit(address).query)) == {"id_token_hint": "x.y.z", "post_logout_redirect_uri": BACK}


async def test_a_check_over_an_open_line_says_so(stage: Stage) -> None:
    found = {it.name: it.ok for it in await stage.open(base_url="http://nguon.example.vn").check()}
    assert found == {"settings": True, "tls": False, "keys": True, "credentials": True}


async def test_nobody_s_data_reach_a_log_an_error_or_the_journal(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signed_in = await sign_in(stage, "secret-code")
    stage.own.info = {**OFFICIAL, "sub": "vneid-202", "QueQuan": 17, "Moi": "001099000201"}
    with pytest.raises(errors.RemoteGarbled) as raised:
        await sign_in(stage)
    told = caplog.text + shown(stage, raised.value) + repr(signed_in.id_token and stage.wire.services())
    for word in ("001099000201", "TRẦN THỊ", "secret-code", "the-token", VERIFIER, stage.own.id_token):
        assert word not in told
    assert "the-token" not in repr(signed_in)


IN_THE_SANDBOX = {
    "can-bo-tiep-nhan": "001099000201",
    "pham-thi-diep": "000000004",
    "cong-ty-mot": "0000000017",
    "hoi-thu-nghiem": "tech-0099",
}


@pytest.mark.parametrize(("account", "key"), IN_THE_SANDBOX.items())
async def test_the_sandbox_signs_people_in(account: str, key: str) -> None:
    stage = new_stage(
        base_url="http://sandbox/dvcqg_sso", client_id="demo-client", client_secret="demo-client-secret"
    )
    below = httpx.ASGITransport(app=sandbox_app.create_app())
    stage.connector = stage.open(below)
    stage.now = datetime.now(UTC)
    address = stage.connector.sign_in_address(
        redirect_uri=BACK, state=STATE, nonce=NONCE, code_challenge=CHALLENGE
    )
    async with httpx.AsyncClient(transport=below) as browser:
        answer = await browser.get(f"{address}&account={account}")
    back = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    code = stage.connector.code_of(back, state=STATE)
    signed_in = await sign_in(stage, code)
    assert signed_in.identity.key == key
    assert (await stage.connector.introspect(signed_in.access_token)).active
    await stage.connector.revoke(signed_in.access_token)
    assert not (await stage.connector.introspect(signed_in.access_token)).active
    with pytest.raises(errors.RemoteRefused):
        await sign_in(stage, code)
