"""The imitated sign-on: authorization code, tokens, both shapes of user-info."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

BACK = "http://127.0.0.1:8081/sign-in/back"
CLIENT = {"client_id": "demo-client", "client_secret": "demo-client-secret"}
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def query(**changes: str) -> dict[str, str]:
    wanted = {
        "response_type": "code", "client_id": "demo-client", "redirect_uri": BACK, "scope": "openid",
        "acr_values": "LoA1", "state": "s-1", "nonce": "n-1", "account": "nguyen-van-an",
    }  # fmt: skip
    return {name: value for name, value in (wanted | changes).items() if value}


async def authorize(caller, **changes: str) -> httpx.Response:
    return await caller.client.get("/dvcqg_sso/oauth2/authorize", params=query(**changes))


async def code_of(caller, **changes: str) -> str:
    address = (await authorize(caller, **changes)).headers["location"]
    assert address.startswith(BACK)
    return parse_qs(urlsplit(address).query)["code"][0]


async def token_of(caller, code: str, **changes: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, **CLIENT, **changes}
    return await caller.client.post("/dvcqg_sso/oauth2/token", data=form)


async def info_of(caller, token: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return await caller.client.get("/dvcqg_sso/oauth2/userinfo", headers=headers)


async def test_a_person_chooses_an_account_on_a_page(caller):
    page = await authorize(caller, account="")
    assert page.status_code == 200
    assert "account=nguyen-van-an" in page.text
    assert "account=can-bo-tiep-nhan" in page.text
    assert "s-1" in page.text


async def test_the_state_comes_back_and_a_cancel_says_so(caller):
    assert "state=s-1" in (await authorize(caller)).headers["location"]
    cancelled = (await authorize(caller, account="cancel")).headers["location"]
    assert parse_qs(urlsplit(cancelled).query) == {"error": ["access_denied"], "state": ["s-1"]}


@pytest.mark.parametrize(("account", "shape", "key"), [
    ("nguyen-van-an", {"LoaiTaiKhoan": "1", "HoChieu": ""}, ("SoDinhDanh", "001099000001")),
    ("pham-thi-diep", {"LoaiTaiKhoan": "1", "SoDinhDanh": ""}, ("SoCMND", "000000004")),
    ("cong-ty-mot", {"LoaiTaiKhoan": "2"}, ("MaSoThue", "0000000017")),
    ("hoi-thu-nghiem", {"LoaiTaiKhoan": "3"}, ("TechID", "tech-0099")),
    ("can-bo-tiep-nhan", {"LoaiTaiKhoan": 1, "IAL": 2}, ("SoDinhDanh", "001099000201")),
])  # fmt: skip
async def test_user_info_has_two_shapes(caller, account: str, shape: dict[str, object], key: tuple[str, str]):
    token = (await token_of(caller, await code_of(caller, account=account))).json()["access_token"]
    info = (await info_of(caller, token)).json()
    assert shape.items() <= info.items()
    assert info[key[0]] == key[1]
    assert ("IAL" in info) == account.startswith("can-bo")


async def test_the_id_token_is_signed_with_the_published_key(caller):
    answer = (await token_of(caller, await code_of(caller))).json()
    (key,) = (await caller.client.get("/dvcqg_sso/oauth2/jwks")).json()["keys"]
    claims = jwt.decode(answer["id_token"], jwt.PyJWK(key), algorithms=["RS256"], audience="demo-client")
    assert (claims["nonce"], claims["sub"]) == ("n-1", "an@sandbox")
    found = (await caller.client.get("/dvcqg_sso/oauth2/token/.well-known/openid-configuration")).json()
    assert claims["iss"] == found["issuer"]


async def test_a_code_is_good_once(caller):
    code = await code_of(caller)
    assert (await token_of(caller, code)).status_code == 200
    again = await token_of(caller, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(("changes", "error"), [
    ({"client_secret": "no"}, "invalid_client"), ({"client_id": "other"}, "invalid_client"),
    ({"grant_type": "password"}, "unsupported_grant_type"), ({"redirect_uri": BACK + "x"}, "invalid_grant"),
    ({"code": "made-up"}, "invalid_grant"),
])  # fmt: skip
async def test_a_wrong_exchange_is_refused(caller, changes: dict[str, str], error: str):
    wanted = {"code": await code_of(caller), **changes}
    answer = await token_of(caller, wanted.pop("code"), **wanted)
    assert answer.json()["error"] == error


@pytest.mark.parametrize(("verifier", "status"), [(VERIFIER, 200), ("other", 400), ("", 400)])
async def test_a_challenge_is_checked_where_it_was_given(caller, verifier: str, status: int):
    code = await code_of(caller, code_challenge=CHALLENGE, code_challenge_method="S256")
    assert (await token_of(caller, code, code_verifier=verifier)).status_code == status


@pytest.mark.parametrize("changes", [{"client_id": "other"}, {"redirect_uri": "https://elsewhere.com/"},
                                     {"redirect_uri": "javascript:alert(1)"}, {"redirect_uri": "//[x"},
                                     {"redirect_uri": "http://127.0.0.1/\r\nx: y"}])  # fmt: skip
async def test_nobody_is_sent_to_a_stranger(caller, changes: dict[str, str]):
    answer = await authorize(caller, **changes)
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_a_wrong_request_is_told_to_the_client(caller):
    for changes in ({"response_type": "token"}, {"scope": "profile"},
                    {"code_challenge": "x", "code_challenge_method": "plain"}):  # fmt: skip
        assert "error=invalid_request" in (await authorize(caller, **changes)).headers["location"]


async def test_introspection_revocation_and_logout(caller):
    token = (await token_of(caller, await code_of(caller))).json()["access_token"]
    introspect = {"token": token, "state": "0"}
    said = (await caller.client.post("/dvcqg_sso/oauth2/introspect", data=introspect)).json()
    assert (said["active"], said["client_id"]) == (True, "demo-client")
    await caller.client.post("/dvcqg_sso/oauth2/revoke", data={"token": token, **CLIENT})
    assert (await caller.client.post("/dvcqg_sso/oauth2/introspect", data=introspect)).json() == {"active": False}
    assert (await info_of(caller, token)).status_code == 401
    logout = {"post_logout_redirect_uri": BACK, "state": "s-2"}
    answer = await caller.client.get("/dvcqg_sso/oidc/logout", params=logout)
    assert answer.headers["location"] == f"{BACK}?state=s-2"


async def test_bad_days_of_sign_on(caller):
    await caller.mood("login_refused", count=1)
    assert "access_denied" in (await authorize(caller)).headers["location"]
    await caller.mood("wrong_nonce")
    await caller.mood("skew", seconds=7200)
    answer = (await token_of(caller, await code_of(caller))).json()
    claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
    assert claims["nonce"] == "n-1x"
    await caller.mood("other_subject")
    assert (await info_of(caller, answer["access_token"])).json()["sub"] == "an@sandbox-x"


async def test_the_ledger_names_the_invented_account_and_nothing_secret(caller):
    code = await code_of(caller)
    token = (await token_of(caller, code)).json()["access_token"]
    await info_of(caller, token)
    text = (await caller.client.get("/_sandbox/received")).text
    assert "nguyen-van-an" in text
    for secret in (code, token, "demo-client-secret", "001099000001", "NGUYỄN"):
        assert secret not in text
